# SPDX-License-Identifier: MIT
"""The console in Chromium: each page and role, /docs, headers.

Whatever a page's console or policy complains of fails its test. Pictures are left in build/console."""
import gzip
import json
import shutil
import subprocess
import uuid

import pytest
from gantry_testing import merkle
from gantry_testing.accessible import FOCUS, broken_in_axe, broken_rules, fetch_axe
from gantry_testing.browser import PROGRAMS, Browser, deaf_to_interfaces
from gantry_testing.http import Client
from gantry_testing.letters import put_letter
from gantry_testing.stack import ROOT
from gantry_testing.wait import wait_until

PICTURES = ROOT / "build/console"
PAGES = ROOT / "gateway/console/pages"


@pytest.fixture(scope="module")
def browser():
    if not any(map(shutil.which, PROGRAMS)):
        pytest.skip("Chromium is not installed")
    running = Browser()
    yield running
    running.close()
    wait_until(lambda: not running.left(), 10, "no process of the browser is left")


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
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-cache"
    assert anonymous.get("/console/main.c").ok(404).code == "not_found"
    assert anonymous.get("/console/..%2fconsole.h").ok(404)
    assert anonymous.post("/console").ok(405)
    assert anonymous.get("/healthz").ok().headers["Cache-Control"] == "no-store"


def test_unchanged_files_are_not_sent_again(stack):
    anonymous = stack.anonymous()
    plain = anonymous.get("/console/main.js").ok()
    packed = anonymous.request("GET", "/console/main.js", headers={"Accept-Encoding": "gzip, br"}).ok()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.body == (PAGES / "main.js").read_bytes()
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == "Accept-Encoding"
    again = anonymous.request("GET", "/console/main.js", headers={"If-None-Match": plain.headers["ETag"]}).ok(304)
    assert again.body == b""
    assert again.headers["ETag"] == plain.headers["ETag"]
    assert "Content-Length" not in again.headers
    anonymous.request("GET", "/console/main.js", headers={"If-None-Match": '"other"'}).ok(200)
    head = anonymous.request("HEAD", "/console/main.js").ok()
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(plain.body))


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
    assert "<script>" not in markup
    assert "<style" not in markup
    assert "onload" not in markup


# --- who asks -----------------------------------------------------------------------------------------

def test_whoami_and_overview(stack):
    before = set()
    for role, scopes in (("viewer", 2), ("developer", 5), ("admin", 10)):
        client = stack.client(role)
        who = client.get("/whoami").ok().json
        assert who["role"] == role
        assert before < set(who["scopes"])
        before = set(who["scopes"])
        assert len(before) == scopes or (role == "admin" and len(before) > scopes), "an admin's grow"
        assert who["tenant_id"] == "default"
        assert who["key_id"] == client.key[9:21]
    client = stack.client("viewer", "apart")
    before = client.get("/ai/overview").ok().json["requests"]
    client.get("/memory/nothing").ok(404)
    after = client.get("/ai/overview").ok().json["requests"]
    assert (after["count"], after["refused"]) == (before["count"] + 2, before["refused"] + 1), "its own alone"
    assert sum(after["durations"]) == after["count"]
    assert len(after["durations"]) == len(after["duration_bounds_ms"]) + 1
    queues = client.get("/ai/overview").ok().json["queues"]
    assert queues.pop("audit") >= 0, "each of these requests is an event"
    assert queues == {"memory": 0, "tasks": 0, "dead_letters": 0}
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
    dark.wait(
        "[...document.querySelectorAll('.tile')].some((one) => /^Dead letters[0-9]/.test(one.textContent))"
    )
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
    assert "skip" in stops[0], stops
    assert len(set(stops)) > 4, stops


def test_a_key_that_is_revoked_ends_the_session(stack, console):
    made = stack.client().post("/keys", {"role": "viewer", "name": "short"}).ok(201).json
    page = console(None)
    page.fill("API key", made["key"])
    page.click("Sign in", "button")
    page.wait_text("Sign out")
    stack.client().delete(f"/keys/{made['key_id']}").ok(204)
    page.wait_text("not valid any more", 30)


# --- jobs ---------------------------------------------------------------------------------------------

def test_run_an_action_after_its_preview(stack, console):
    page = console("developer")
    page.click("Jobs", "nav a")
    page.click("Run an action", "button")
    page.fill("Action", "code.python")
    page.fill("code", "print('<b>bold</b> from the sandbox')\nresult = {'answer': 42}")
    page.fill("files", "{not json")
    page.click("Preview", "button")
    page.wait_text("files is not JSON")
    page.fill("files", "")
    page.click("Preview", "button")
    page.wait_text("It would:")
    look(page, "jobs-preview")
    assert "Nothing has run." in page.text()
    page.click("Run it", "button")
    page.wait("/jobs.[0-9a-f]/.test(location.hash) && document.querySelector('main .badge').textContent === 'completed'", 40)
    page.wait_text("Standard output")
    page.wait_text("<b>bold</b> from the sandbox")
    assert page.run("document.querySelector('main b')") is None, "output is text"
    page.wait_text('"answer": 42')
    look(page, "job")
    page.click("All jobs", "a")
    page.wait("document.querySelector('tbody a')")
    look(page, "jobs")
    page.fill("State", "dead")
    page.wait_text("No job is in this state.")
    page.fill("State", "completed")
    page.wait("[...document.querySelectorAll('tbody .badge')].length > 0 && [...document.querySelectorAll('tbody .badge')].every((one) => one.textContent === 'completed')")


def test_jobs_are_live(stack, console):
    """A job that somebody else runs is there before the page would ask by itself."""
    page = console("viewer")
    page.run("window.honestTimeout = setTimeout; window.setTimeout = (fn, ms) => ms > 5000 ? 0 : honestTimeout(fn, ms)")
    page.click("Jobs", "nav a")
    page.wait("document.querySelector('tbody a, .empty')")
    before = page.run("document.querySelectorAll('tbody a').length")
    job = stack.client("developer").post("/webhook/executor/run", {"task": {"type": "ping"}}).ok().json["job_id"]
    page.wait(f"document.querySelector('tbody a[href$=\"{job}\"]')")
    page.wait(f"document.querySelector('tbody a[href$=\"{job}\"]').closest('tr').querySelector('.badge').textContent === 'completed'")
    assert page.run("document.querySelectorAll('tbody a').length") >= min(before, 24)


def test_cancel_a_running_job(stack, console):
    page = console("developer")
    made = stack.client("developer").post("/webhook/executor/run", {
        "task": {"type": "code.python", "code": "print('begun')\nimport time\ntime.sleep(290)"},
        "timeout_seconds": 300}, prefer="respond-async").ok(202).json
    page.go(stack.url + "/console/?again#/jobs/" + made["job_id"])
    page.wait_text("running", 40)
    page.click("Cancel the job", "button")
    page.wait("document.querySelector('dialog').open")
    assert page.run("document.activeElement.closest('dialog') !== null"), "the question has the focus"
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    page.click("Cancel the job", "button")
    page.click("Cancel it", "dialog button")
    page.wait_text("cancelled", 40)


def test_a_viewer_is_offered_what_a_viewer_may(stack, console):
    page = console("viewer")
    assert page.run("[...document.querySelectorAll('nav a')].map((one) => one.textContent)") == ["Overview", "Jobs", "Memory"]
    page.click("Jobs", "nav a")
    page.wait_text("Jobs")
    assert "Run an action" not in page.text()
    page.click("Memory", "nav a")
    page.wait_text("Search")
    assert "Add a memory" not in page.text()
    assert "Forget" not in page.text()
    page.go(stack.url + "/console/?again#/keys")  # not its page: the first one
    page.wait_text("Overview")
    page.wait("document.querySelector('h1').textContent === 'Overview'")


def test_a_developer_is_offered_no_audit_and_no_keys(stack, console):
    page = console("developer")
    assert page.run("[...document.querySelectorAll('nav a')].map((one) => one.textContent)") == ["Overview", "Jobs", "Memory"]
    page.click("Memory", "nav a")
    page.wait_text("Add a memory")
    assert "Forget" not in page.text()


# --- memory -------------------------------------------------------------------------------------------

HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script> {{7*7}} the harbour crane"


def test_search_in_three_modes(stack, console):
    client = stack.client("developer", "looking")
    client.ingest("ship:1", "The crane lifts containers from the ship in the harbour.", tags=["port"]).ok()
    client.ingest("ship:1", "Cranes are birds that dance.", tags=["nature"]).ok()
    client.ingest("ship:2", HOSTILE).ok()
    page = console(None)
    page.fill("API key", stack.key("developer", "looking"))
    page.click("Sign in", "button")
    page.click("Memory", "nav a")
    page.wait_text("Cranes are birds")
    page.fill("What to look for", "harbour crane")
    for mode, words in (("Meaning and words", "weighted and added"), ("Meaning", "cosine distance of the two"), ("Words", "BM25 r as")):
        page.click(mode, "label")
        page.click("Search", "button")
        page.wait_text(words)
        page.wait("document.querySelectorAll('mark').length > 1")
        assert page.run("[...document.querySelectorAll('mark')].every((one) => /^(crane|harbour)/i.test(one.textContent))")
        assert page.run("document.querySelectorAll('meter').length > 0")
    page.click("Meaning and words", "label")
    page.click("Search", "button")
    page.wait_text("weighted and added")
    look(page, "memory-search")
    assert HOSTILE in page.text()
    assert page.run("window.hacked === undefined && !document.querySelector('main img, main script')")
    page.fill("Tags", "nature")
    page.click("Search", "button")
    page.wait_text("1 found")
    page.fill("Tags", "nothing")
    page.click("Search", "button")
    page.wait_text("No memory passes.")


def test_add_edit_and_delete_a_memory(stack, console):
    page = console("admin")
    page.click("Memory", "nav a")
    page.click("Add a memory", "button")
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    page.fill("Text", "the token is " + token)
    page.fill("Scope of the memory", "console:1")
    page.click("Store it", "button")
    page.wait_text("secret_in_text")  # the problem document's words
    assert token not in page.run("document.querySelector('.failure').textContent")
    look(page, "memory-refused")
    page.fill("Text", "Tea is served at four.")
    page.fill("Tags of the memory", "tea, time")
    page.click("Store it", "button")
    page.wait_text("Stored.")
    page.wait_text("Tea is served at four.")
    page.run("[...document.querySelectorAll('.items li')].find((one) => one.textContent.includes('Tea is served')).querySelector('a').click()")
    page.wait_text("About it")
    page.click("Edit", "button")
    page.fill("Text", "Tea is served at five.")
    page.click("Save", "button")
    page.wait_text("Changed.")
    page.wait_text("Tea is served at five.")
    page.wait("[...document.querySelectorAll('.pairs div')].some((one) => one.textContent === 'Version2')")
    page.wait_text("Earlier versions")
    assert "Tea is served at four." in page.text()
    assert "Version 1, until" in page.text()
    look(page, "memory-one")
    page.click("Delete", "button")
    look(page, "memory-delete")
    page.click("Delete it", "dialog button")
    page.wait("document.querySelector('h1').textContent === 'Memory' && location.hash === '#/memory'")


def test_facts_are_shown(stack, console):
    made = stack.client().post("/webhook/memory/ingest", {
        "scope": "facts", "text": "Ada likes tea.", "metadata": {"from": "<i>chat</i>"},
        "facts": [{"subject": "Ada", "predicate": "likes", "object": "tea", "confidence": 0.9}]}).ok().json
    page = console("viewer")
    page.go(stack.url + "/console/?again#/memory/" + made["id"])
    page.wait_text("likes")
    page.wait_text("<i>chat</i>")
    page.go(stack.url + "/console/?once#/memory/00000000-0000-7000-8000-000000000000")
    page.wait_text("not_found")
    look(page, "memory-none")


def test_forget_needs_the_scope_typed(stack, console):
    stack.client().ingest("to-forget", "one").ok()
    stack.client().ingest("to-forget", "two").ok()
    page = console("admin")
    page.click("Memory", "nav a")
    page.fill("Scope", "to-forget")
    page.click("Forget to-forget", "button")
    page.wait("document.querySelector('dialog').open")
    assert page.run("findByText('dialog button', 'Forget it').disabled")
    page.fill("Type to-forget to confirm", "to-forge")
    assert page.run("findByText('dialog button', 'Forget it').disabled")
    page.fill("Type to-forget to confirm", "to-forget")
    look(page, "memory-forget")
    page.click("Forget it", "dialog button")
    page.wait_text("2 memories of to-forget are deleted.")
    page.wait_text("This scope has no memory.")


# --- audit --------------------------------------------------------------------------------------------

def test_an_event_is_proved_in_the_browser(stack, console):
    admin = stack.client()
    made = admin.post("/webhook/audit/append", {"actor": "ada", "action": "door.open", "target": "gate <7>", "decision": "allowed",
                                                "payload": {"\u20ac": 1.5, "a": ["<b>", None, True], "\ufb33": "\u0007", "z": 1e21}}).ok().json
    page = console("admin")
    page.click("Audit", "nav a")
    page.wait_text("The signature: give the log")
    page.fill("Verifier key", stack.env["GANTRY_AUDIT_VKEY"])
    page.wait_text("The checkpoint is signed by the key that you gave")
    page.fill("Action", "door.open")
    page.click("Show", "button")
    page.wait_text("gate <7>")
    look(page, "audit")
    page.run("document.querySelector('tbody a').click()")
    page.wait_text("Verify it here")
    page.click("Verify it here", "button")
    page.wait("document.querySelectorAll('.steps li.good').length === 3")
    look(page, "audit-event")
    assert made["event_id"] in page.text()
    # What the server says is not believed: an event that differs in one letter, a wrong proof.
    page.go(stack.url + "/console/?lie#/audit/" + made["event_id"])
    page.wait_text("Verify it here")
    page.run("""window.honest = fetch;
        window.fetch = async (path, options) => {
            const answer = await honest(path, options);
            if (!/proof/.test(path)) return answer;
            const doc = await answer.json();
            doc.audit_path[0] = 'ab'.repeat(32);
            return new Response(JSON.stringify(doc), { status: 200 });
        }""")
    page.click("Verify it here", "button")
    page.wait_text("the event is not in this log")
    page.run("""window.fetch = async (path, options) => {
            const answer = await honest(path, options);
            if (!/events/.test(path)) return answer;
            return new Response((await answer.text()).replace('door.open', 'door.shut'), { status: 200 });
        }""")
    page.run("location.hash = '#/audit'")
    page.wait_text("Checkpoint")
    page.run(f"location.hash = '#/audit/{made['event_id']}'")
    page.wait_text("door.shut")
    page.click("Verify it here", "button")
    page.wait_text("it was changed")


def test_a_held_checkpoint_is_compared(stack, console):
    admin = stack.client()
    held = admin.get("/ai/audit/checkpoint").ok().body.decode()
    for number in range(3):
        admin.ingest("grow", f"event {number}").ok()
    page = console("admin")
    page.click("Audit", "nav a")
    page.fill("Verifier key", stack.env["GANTRY_AUDIT_VKEY"])
    page.click("Compare with a checkpoint that you hold", "summary")
    page.fill("Held checkpoint", held)
    page.click("Compare", "button")
    page.wait_text("none was changed or taken out")
    look(page, "audit-compare")
    lines = held.split("\n")
    root = lines[2]
    lines[2] = ("A" if root[0] != "A" else "B") + root[1:]
    page.fill("Held checkpoint", "\n".join(lines))
    page.click("Compare", "button")
    page.wait_text("The signature does not fit the checkpoint")
    page.wait_text("events that you hold were changed or taken out")
    page.fill("Held checkpoint", "nothing")
    page.click("Compare", "button")
    page.wait_text("This is not a checkpoint")
    page.fill("Verifier key", stack.env["GANTRY_AUDIT_VKEY"].replace("+A", "+B"))
    page.wait_text("verifier key")


def test_tree_mathematics_against_the_reference(stack, console):
    """Every index and pair of sizes of small trees, with the reference of the tests."""
    page = console("viewer")
    leaves = [f"{number:064x}" for number in range(1, 20)]
    tree = merkle.Tree([bytes.fromhex(leaf) for leaf in leaves])
    cases, pairs = [], []
    for size in range(1, 20):
        for index in range(size):
            cases.append([index, size, leaves[index], [step.hex() for step in tree.inclusion(index, size)], tree.root(size).hex()])
        for older in range(1, size + 1):
            pairs.append([older, size, tree.root(older).hex(), [step.hex() for step in tree.consistency(older, size)], tree.root(size).hex()])
    wrong = page.run(f"""import('/console/proof.js').then(async (proof) => {{
        const wrong = [];
        for (const [index, size, leaf, path, root] of {json.dumps(cases)}) {{
            const steps = path.map(proof.fromHex);
            const mine = await proof.rootOfInclusion(index, size, proof.fromHex(leaf), steps);
            if (!mine || proof.toHex(mine) !== root) wrong.push(['inclusion', index, size]);
            const longer = await proof.rootOfInclusion(index, size, proof.fromHex(leaf), [...steps, proof.fromHex(leaf)]);
            if (longer) wrong.push(['longer', index, size]);
            if (steps.length && await proof.rootOfInclusion(index, size, proof.fromHex(leaf), steps.slice(1))) wrong.push(['shorter', index, size]);
        }}
        for (const [older, size, from, path, root] of {json.dumps(pairs)}) {{
            const roots = await proof.rootsOfConsistency(older, size, proof.fromHex(from), path.map(proof.fromHex));
            if (!roots || proof.toHex(roots[0]) !== from || proof.toHex(roots[1]) !== root) wrong.push(['consistency', older, size]);
        }}
        return wrong;
    }})""")
    assert wrong == []


# --- keys, dead letters -------------------------------------------------------------------------------

def test_keys(stack, console):
    page = console("admin")
    page.click("Keys", "nav a")
    page.wait_text("(this one)")
    name = "robot " + uuid.uuid4().hex[:6]
    page.fill("Name", name)
    page.fill("Role", "developer")
    page.fill("Days until it ends", "30")
    page.click("Create", "button")
    page.wait("document.getElementById('secret')")
    secret = page.run("document.getElementById('secret').textContent")
    who = Client(stack.url, secret).get("/whoami").ok().json
    assert who["role"] == "developer"
    look(page, "keys")
    page.click("I have stored it", "button")
    page.wait("!document.getElementById('secret')")
    assert secret not in page.run("document.documentElement.outerHTML + JSON.stringify(sessionStorage)")
    page.wait(f"findByText('tr', {json.dumps(name)})")
    page.run(f"findByText('tr', {json.dumps(name)}).querySelector('button').click()")
    page.click("Rotate", "dialog button")
    page.wait_text("The key before it is good until")
    rotated = page.run("document.getElementById('secret').textContent")
    assert rotated != secret
    assert Client(stack.url, rotated).get("/whoami").ok()
    page.click("I have stored it", "button")
    page.run(f"[...findByText('tr', {json.dumps(rotated[9:21])}).querySelectorAll('button')].pop().click()")
    page.fill(f"Type {rotated[9:21]} to confirm", rotated[9:21])
    page.click("Revoke", "dialog button")
    page.wait(f"findByText('tr', {json.dumps(rotated[9:21])}).textContent.includes('revoked')")
    wait_until(lambda: Client(stack.url, rotated).get("/whoami").status == 401)


def test_dead_letters(stack, console):
    text = "was lost <i>once</i>"
    made = [put_letter(stack, "default", {"scope": "dead", "text": text}, msg_id=str(uuid.uuid4()), reason="<b>no room</b>"),
            put_letter(stack, "default", b"\xff no json", program="executor")]
    page = console("admin")
    page.click("Dead letters", "nav a")
    page.wait_text("<b>no room</b>")
    page.run(f"document.querySelector('[aria-label=\"Read letter {made[0]}\"]').click()")
    page.wait_text(text)
    look(page, "dead-letters")
    page.click("Send it again", "button")
    page.wait_text("was sent again")
    wait_until(lambda: [one for one in stack.client().get("/memory?scope=dead").ok().json["items"] if one["content"] == text])
    page.fill("Program", "executor")
    page.wait(f"document.querySelector('[aria-label=\"Read letter {made[1]}\"]')")
    page.run(f"document.querySelector('[aria-label=\"Read letter {made[1]}\"]').click()")
    page.wait_text("which is not JSON")
    page.click("Discard it", "button")
    page.click("Discard it", "dialog button")
    page.wait_text("is discarded")
    page.wait_text("This program has given up nothing.")


# --- approvals ----------------------------------------------------------------------------------------

def test_approvals(stack, console):
    """What waits is shown exactly; whoever asked is offered no decision."""
    stack.client().request("PUT", "/policy", {"rules": [{
        "name": "look", "when": {"action": "json.query", "parameters": {"/query": {"matches": ".approve*"}}},
        "then": "requires_approval"}]}).ok()
    task = {"type": "json.query", "query": ".approve-<b>me</b>"}
    other, own = (stack.client(role).post("/webhook/executor/run", {"task": task}).ok(202).json["job_id"] for role in ("developer", "admin"))
    page = console("admin")
    page.run("location.hash = '#/approvals'")
    page.wait(f"document.querySelector('[aria-label=\"Look at json.query {own}\"]')")
    page.run(f"document.querySelector('[aria-label=\"Look at json.query {own}\"]').click()")
    page.wait_text("somebody else decides")
    assert page.run("[...document.querySelectorAll('button')].every((one) => one.textContent !== 'Approve')")
    page.run(f"document.querySelector('[aria-label=\"Look at json.query {other}\"]').click()")
    page.wait_text("exactly as they would run")
    page.wait_text(".approve-<b>me</b>")
    look(page, "approvals")
    page.fill("Comment", "seen")
    page.click("Deny", "button")
    page.wait_text("is denied")
    shown = stack.client().get("/ai/approvals/" + other).ok().json
    assert (shown["state"], shown["comment"]) == ("denied", "seen")
    stack.client().delete("/ai/jobs/" + own).ok()
    stack.client().request("PUT", "/policy", {"rules": []}).ok()


# --- webhooks: with a connector in test_console_webhooks.py ---------------------------------------------

def test_webhooks_without_a_connector(console):
    page = console("admin")
    page.click("Webhooks", "nav a")
    page.wait_text("Webhooks are off: no gantry-connector answers.")
    look(page, "webhooks-off")
    page.click("Ask again", "button")
    page.wait_text("CONNECTOR_ENABLED=1")


# --- all of it ----------------------------------------------------------------------------------------

def test_axe(stack, console, tmp_path):
    """axe-core, which npm fetches for this test, finds nothing on any page."""
    axe, why = fetch_axe(tmp_path)
    if not axe:
        pytest.skip(why)
    for dark in (False, True):
        page = console("admin", dark=dark)
        for name in ("overview", "jobs", "memory", "audit", "webhooks", "keys", "dead"):
            page.run(f"location.hash = '#/{name}'")
            page.wait("!document.querySelector('.waiting') && document.querySelector('h1')")
            broken = broken_in_axe(page, axe)
            assert not broken, (name, dark, broken)


def test_what_is_slow_or_down_blocks_nothing(stack, console):
    """A list of jobs that never comes, and a gateway that does not answer: the rest goes on and says so."""
    page = console("admin")
    page.run("""window.honest = fetch;
        window.fetch = (path, options) => /jobs/.test(path) ? new Promise(() => {}) : honest(path, options)""")
    page.run("location.hash = '#/memory'")
    page.run("location.hash = '#/overview'")
    page.wait_text("Reading jobs")
    page.wait_text("Programs")
    page.run("window.fetch = () => Promise.reject(new TypeError('network is down'))")
    page.run("location.hash = '#/keys'")
    page.wait_text("The gateway does not answer")
    look(page, "no-answer")
    page.run("window.fetch = honest")


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
            for operation in item.values() if operation["tags"][0] == tag["name"]]


def test_the_browser_hears_of_no_interface():
    """Or containers that start meanwhile make it give up what it loads."""
    script = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"
    ended = subprocess.run(
        ["/usr/bin/python3", "-c", script], preexec_fn=deaf_to_interfaces, capture_output=True
    )
    assert b"[Errno 97]" in ended.stderr, ended
