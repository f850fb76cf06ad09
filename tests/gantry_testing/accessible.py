# SPDX-License-Identifier: MIT
"""Rules of accessibility for a page of the console: our own list, and axe-core where npm has it."""
import pathlib
import shutil
import subprocess

AXE = "axe-core@4.10.2"

RULES = r"""
(() => {
    const found = [];
    const visible = (one) => one.offsetParent !== null && getComputedStyle(one).visibility !== 'hidden';
    const all = (selector) => [...document.querySelectorAll(selector)];
    const say = (rule, one) => found.push(rule + ': ' + (one ? one.outerHTML.slice(0, 160) : ''));
    const name = (one) => (one.getAttribute('aria-label') || one.textContent || '').trim() ||
        [...one.querySelectorAll('img')].map((img) => img.alt).join('');

    if (!document.documentElement.lang) say('the language is named');
    if (!document.title) say('the page has a title');
    if (all('h1').filter(visible).length !== 1) say('one h1');
    let level = 0;
    for (const one of all('h1, h2, h3, h4, h5, h6').filter(visible)) {
        const now = Number(one.tagName[1]);
        if (now > level + 1) say('headings skip no level', one);
        level = now;
    }
    if (all('main').length !== 1) say('one main landmark');
    for (const one of all('nav')) if (!one.getAttribute('aria-label')) say('a nav has a name', one);
    for (const one of all('input, select, textarea'))
        if (!(one.labels && one.labels.length) && !one.getAttribute('aria-label')) say('a control has a label', one);
    for (const one of all('button, a[href], summary')) if (visible(one) && !name(one)) say('a button or link has a name', one);
    for (const one of all('img')) if (!one.hasAttribute('alt')) say('an image has an alt text', one);
    for (const one of all('svg[role=img]')) if (!one.getAttribute('aria-label')) say('a drawing has a name', one);
    for (const one of all('th')) if (!one.scope) say('a heading of a table has a scope', one);
    for (const one of all('[tabindex]')) if (one.tabIndex > 0) say('the order of focus is that of the page', one);
    for (const one of all('[aria-describedby], [aria-labelledby]'))
        for (const id of ((one.getAttribute('aria-describedby') || '') + ' ' + (one.getAttribute('aria-labelledby') || '')).split(' '))
            if (id && !document.getElementById(id)) say('what an element refers to is there', one);
    const ids = all('[id]').map((one) => one.id);
    for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) say('an id is there once: ' + id);
    if (document.documentElement.scrollWidth > innerWidth) say('nothing is wider than the page: ' + document.documentElement.scrollWidth);

    // WCAG 2: contrast of at least 4.5 to 1 against the nearest background that is opaque.
    const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) => part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [.2126, .7152, .0722][i], 0);
    const back = (one) => {
        for (; one; one = one.parentElement) {
            const colour = parse(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const seen = new Set();
    while (walk.nextNode()) {
        const one = walk.currentNode.parentElement;
        if (!walk.currentNode.textContent.trim() || !visible(one) || seen.has(one) || one.closest(':disabled, svg, noscript, option')) continue;
        seen.add(one);
        const [a, b] = [light(parse(getComputedStyle(one).color)), light(back(one))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) say('contrast ' + ((a + .05) / (b + .05)).toFixed(2), one);
    }
    return found;
})()
"""

FOCUS = """
(() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const style = getComputedStyle(one);
    return { html: one.outerHTML.slice(0, 120), shown: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
})()
"""


def broken_rules(page):
    return page.run(RULES)


def fetch_axe(directory):
    """The text of axe-core, or (None, why not)."""
    if not shutil.which("npm"):
        return None, "npm is not installed"
    try:
        done = subprocess.run(
            [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                directory,
                AXE,
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=90,
        )
    except subprocess.TimeoutExpired:
        return None, "the npm registry does not answer"
    if done.returncode != 0:
        return None, f"the npm registry cannot be reached: {done.stderr.strip().splitlines()[-1:]}"
    return (pathlib.Path(directory) / "node_modules/axe-core/axe.min.js").read_text(), None


def broken_in_axe(page, axe):
    """What axe-core finds, one line each."""
    page.run(axe + "; 0")
    return page.run(
        "axe.run(document, { resultTypes: ['violations'] }).then((all) => "
        "all.violations.flatMap((rule) =>"
        " rule.nodes.map((node) => rule.id + ': ' + node.html.slice(0, 160))))"
    )
