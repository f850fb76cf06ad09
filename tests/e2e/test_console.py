# SPDX-License-Identifier: MIT
"""The console in Chromium: sign-in, what each role is offered, the overview, /docs, headers.

Whatever a page's console or policy complains of fails its test. Pictures are left in build/console."""
import gzip
import shutil
import subprocess

import pytest
from gantry_testing.accessible import FOCUS, broken_rules
from gantry_testing.browser import PROGRAMS, Browser
from gantry_testing.stack import ROOT

PICTURES = ROOT / "build/console"
PAGES = ROOT / "gateway/console/pages"


@pytest.fixture(scope="module")
def browser():
    if not any(map(shutil.which, PROGRAMS)):
        pytest.skip("Chromium is not installed")
    running = Browser()
    yield running
    running.close()


@pytest.fixture
def console(stack, browser):
    """console(role, width, dark): a page that is signed in; None as role: not yet. Checked at the end."""
    opened = []

    def open_page(role="admin", width=1280, dark=False):
        page = browser.page(stack.url + "/console/", width=width, dark=dark)
        opened.append(page)
        page.wait_text("API key")
        if role:
            page.fill("API key", stack.key(role))
            page.click("Sign in", "button")
            page.wait_text("Sign out")
        return page

    yield open_page
    for page in opened:
        page.assert_quiet()
        page.close()


def look(page, name):
    """Both widths: a picture, and nothing that breaks a rule."""
    width = page.width
    for size in (1280, 390):
        page.size(size)
        page.screenshot(PICTURES / f"{name}-{size}.png")
        broken = broken_rules(page)
        assert not broken, f"{name} at {size}: {broken}"
    page.size(width)


# --- files ------------------------------------------------------------------------------------------

def test_headers_and_types(stack):
    anonymous = stack.anonymous()
    for path, kind in (("/console", "text/html"), ("/console/", "text/html"), ("/console/main.js", "text/javascript"),
                       ("/console/console.css", "text/css"), ("/console/icon.svg", "image/svg+xml"), ("/docs", "text/html")):
        answer = anonymous.get(path).ok()
        assert answer.headers["Content-Type"].startswith(kind), path
        policy = answer.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
                     "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"):
            assert part in policy
        assert "unsafe" not in policy and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-cache"
    assert anonymous.get("/console/main.c").ok(404).code == "not_found"
    assert anonymous.get("/console/..%2fconsole.h").ok(404)
    assert anonymous.post("/console").ok(405)
    assert anonymous.get("/healthz").ok().headers["Cache-Control"] == "no-store"


def test_unchanged_files_are_not_sent_again(stack):
    anonymous = stack.anonymous()
    plain = anonymous.get("/console/main.js").ok()
    packed = anonymous.request("GET", "/console/main.js", headers={"Accept-Encoding": "gzip, br"}).ok()
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert plain.body == (PAGES / "main.js").read_bytes()
    assert packed.headers["ETag"] != plain.headers["ETag"] and packed.headers["Vary"] == "Accept-Encoding"
    again = anonymous.request("GET", "/console/main.js", headers={"If-None-Match": plain.headers["ETag"]}).ok(304)
    assert again.body == b"" and again.headers["ETag"] == plain.headers["ETag"] and "Content-Length" not in again.headers
    anonymous.request("GET", "/console/main.js", headers={"If-None-Match": '"other"'}).ok(200)
    head = anonymous.request("HEAD", "/console/main.js").ok()
    assert head.body == b"" and head.headers["Content-Length"] == str(len(plain.body))


def test_sources():
    """Every script is a module that parses, and makes no markup of text."""
    for file in sorted(PAGES.glob("*.js")):
        text = file.read_text()
        for word in ("innerHTML", "outerHTML", "dangerouslySetInnerHTML", "insertAdjacentHTML", "document.write", "eval(",
                     "new Function", "localStorage", "style:"):
            assert word not in text, f"{file.name}: {word}"
        if shutil.which("node"):
            done = subprocess.run(["node", "--check", "--input-type=module"], input=text, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{file.name}: {done.stderr}"
    markup = (PAGES / "index.html").read_text()
    assert "<script>" not in markup and "<style" not in markup and "onload" not in markup


# --- who asks -----------------------------------------------------------------------------------------

def test_whoami_and_overview(stack):
    for role, scopes in (("viewer", 2), ("developer", 5), ("admin", 9)):
        client = stack.client(role)
        who = client.get("/whoami").ok().json
        assert who["role"] == role and len(who["scopes"]) == scopes and who["tenant_id"] == "default"
        assert who["key_id"] == client.key[9:21]
    client = stack.client("viewer", "apart")
    before = client.get("/ai/overview").ok().json["requests"]
    client.get("/memory/nothing").ok(404)
    after = client.get("/ai/overview").ok().json["requests"]
    assert (after["count"], after["refused"]) == (before["count"] + 2, before["refused"] + 1), "its own alone"
    assert sum(after["durations"]) == after["count"] and len(after["durations"]) == len(after["duration_bounds_ms"]) + 1
    client.get("/whoami?a=1").ok(422)
    stack.anonymous().get("/whoami").ok(401)


# --- pages --------------------------------------------------------------------------------------------

def test_sign_in(stack, console):
    page = console(None)
    look(page, "sign-in")
    page.fill("API key", "relay_sk_nothing")
    page.click("Sign in", "button")
    page.wait_text("a valid API key is needed")
    page.run("findLabelled('API key').select()")
    page.run("findLabelled('API key').focus()")
    page.type(stack.key("viewer"))
    page.press("Enter")
    page.wait_text("Sign out")
    assert stack.key("viewer") not in page.run("location.href + document.cookie + JSON.stringify(localStorage) + document.title")
    page.go(stack.url + "/console/?#/overview")
    page.wait_text("Sign out")  # the same tab: still signed in
    page.click("Sign out", "button")
    page.wait_text("You are signed out.")
    assert page.run("sessionStorage.length") == 0
    page.send("Page.reload")
    page.wait_text("API key")


def test_overview(stack, console):
    page = console("viewer")
    page.wait("[...document.querySelectorAll('tbody th')].some((one) => one.textContent === 'ingest')", 30)
    page.wait("document.querySelectorAll('svg path.line').length === 3")
    page.wait("/\\d\\/s/.test(document.querySelector('.tile dd').textContent)", 30)
    look(page, "overview")
    dark = console("admin", dark=True)
    dark.wait_text("Programs")
    look(dark, "overview-dark")


def test_keyboard(stack, console):
    """Every stop of Tab shows that it has the focus, and the first skips the pages' list."""
    page = console("admin")
    page.wait_text("Programs")
    page.run("document.activeElement.blur()")
    stops = []
    for _ in range(8):
        page.press("Tab")
        stop = page.run(FOCUS)
        if stop:
            assert stop["shown"], stop
            stops.append(stop["html"])
    assert "skip" in stops[0] and len(set(stops)) > 4, stops


def test_a_key_that_is_revoked_ends_the_session(stack, console):
    made = stack.client().post("/keys", {"role": "viewer", "name": "short"}).ok(201).json
    page = console(None)
    page.fill("API key", made["key"])
    page.click("Sign in", "button")
    page.wait_text("Sign out")
    stack.client().delete(f"/keys/{made['key_id']}").ok(204)
    page.wait_text("not valid any more", 30)


def test_docs(stack, browser):
    page = browser.page(stack.url + "/docs")
    document = stack.anonymous().get("/openapi.json").ok().json
    operations = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert page.run("[...document.querySelectorAll('section article')].map((one) => one.id)") == \
        operations_by_tag(document) + ["schema-" + name for name in document["components"]["schemas"]]
    assert len(operations) > 25
    broken = page.run("[...document.querySelectorAll('a[href^=\"#\"]')].map((one) => one.hash.slice(1)).filter((id) => !document.getElementById(id))")
    assert broken == []
    look(page, "docs")
    page.assert_quiet()
    page.close()


def operations_by_tag(document):
    return [operation["operationId"] for tag in document["tags"] for item in document["paths"].values()
            for method in ("get", "post", "patch", "delete") for operation in [item.get(method)]
            if operation and operation["tags"][0] == tag["name"]]
