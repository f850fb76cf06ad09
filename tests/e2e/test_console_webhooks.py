# SPDX-License-Identifier: MIT
"""The console's page of webhooks and hooks, in Chromium, with a connector and without one."""

import hashlib
import hmac
import json
import shutil
import uuid

import pytest
from gantry_testing import services as stand_ins
from gantry_testing.accessible import broken_in_axe, broken_rules, fetch_axe
from gantry_testing.browser import PROGRAMS, Browser
from gantry_testing.stack import ROOT, Stack
from gantry_testing.wait import wait_until
from gantry_testing.webhooks import arrived


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(services):
    with Stack(ALLOW_ACTIONS_DEFAULT="ping", WEBHOOK_RETRIES="0", **services.settings()) as running:
        running.gantry("workspace", "egress", "default", "plain.example")
        yield running


@pytest.fixture(scope="module")
def browser():
    if not any(map(shutil.which, PROGRAMS)):
        pytest.skip("Chromium is not installed")
    running = Browser()
    yield running
    running.close()


def sign_in(stack, browser, role="admin"):
    page = browser.page(stack.url + "/console/")
    page.wait_text("API key")
    page.fill("API key", stack.key(role))
    page.click("Sign in", "button")
    page.wait_text("Sign out")
    return page


@pytest.fixture
def page(stack, browser):
    opened = sign_in(stack, browser)
    opened.click("Webhooks", "nav a")
    opened.wait_text("There is no hook.")
    yield opened
    opened.assert_quiet()
    opened.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """axe-core, and why there is none: then the rules of accessible.py are looked at alone."""
    text, why = fetch_axe(tmp_path_factory.mktemp("axe"))
    if not text:
        print("axe-core is left out:", why)
    return text


def look(page, axe, name):
    for size in (1280, 390):
        page.size(size)
        page.screenshot(ROOT / f"build/console/{name}-{size}.png")
        broken = broken_rules(page) or (axe and broken_in_axe(page, axe))
        assert not broken, f"{name} at {size}: {broken}"
    page.size(1280)


def test_a_webhook_from_its_creation_to_its_end(stack, services, page, axe):
    client, path = stack.client(), f"console-{uuid.uuid4().hex[:8]}"
    page.wait_text("There is no webhook.")
    page.fill("URL", f"https://plain.example/{path}")
    page.fill("Events", "job.ended\nmemory.*")
    page.fill("Description", "for <b>them</b>")
    page.click("Create the webhook", "button")
    page.wait("document.getElementById('secret')")
    secret = page.run("document.getElementById('secret').textContent")
    page.wait_text("job.ended memory.*")
    look(page, axe, "webhooks")
    page.click("I have stored it", "button")
    page.wait("!document.getElementById('secret')")
    assert secret not in page.run("document.documentElement.outerHTML")
    (hook,) = client.get("/webhooks").ok().json["items"]
    assert (hook["events"], hook["description"]) == (["job.ended", "memory.*"], "for <b>them</b>")

    page.click("Look", "td a")
    page.wait_text("Nothing was delivered yet.")
    page.wait_text("for <b>them</b>")
    page.click("Send a test", "button")
    wait_until(lambda: arrived(services, path, secret), 60, "the test")
    page.wait_text("webhook.test", 60)
    badges = "[...document.querySelectorAll('td .badge')]"
    page.wait(f"{badges}.some((one) => one.textContent === 'delivered')", 60)
    look(page, axe, "webhook")
    page.click("Replay", "td button")
    page.wait_text("under its old id")
    first, again = wait_until(
        lambda: len(found := arrived(services, path, secret)) == 2 and found, 60, "the replay"
    )
    assert first["id"] == again["id"]

    page.click("Change", "button")
    page.fill("Events", "audit.*")
    page.click("Save", "button")
    page.wait_text("It is changed.")
    page.click("Disable", "button")
    page.wait_text("disabled (by hand)")
    shown = client.get(f"/webhooks/{hook['id']}").ok().json
    assert (shown["events"], shown["enabled"]) == (["audit.*"], False)
    page.click("Enable", "button")
    page.wait_text("goes on where it stopped")
    page.click("Rotate", "button")
    page.click("Rotate", "dialog button")
    page.wait_text("The secret before it is good until")
    assert page.run("document.getElementById('secret').textContent") != secret
    page.click("Delete", "button")
    page.click("Delete", "dialog button")
    page.wait_text("There is no webhook.")
    assert client.get("/webhooks").ok().json["items"] == []


def test_a_hook_takes_what_its_service_signs(stack, page, axe):
    client = stack.client()
    page.fill("What it is for", "issues")
    page.fill("Template", '{"scope": "console", "text": "{/body/title}"}')
    page.click("Create the hook", "button")
    page.wait("document.getElementById('secret')")
    secret = page.run("document.getElementById('secret').textContent")
    page.wait("document.querySelector('[aria-label^=\"Delete /hooks/\"]')")
    (hook,) = client.get("/hooks").ok().json["items"]
    look(page, axe, "hooks")
    body = json.dumps({"title": "from a service"}).encode()
    mac = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    stack.anonymous().request("POST", hook["path"], body, {"X-Hub-Signature-256": mac}).ok()
    page.click("I have stored it", "button")
    page.wait("!document.getElementById('secret')")
    page.run("document.querySelector('[aria-label^=\"Rotate the secret of /hooks/\"]').click()")
    page.wait_text("taken for another day")
    page.click("Rotate", "dialog button")
    page.wait("document.getElementById('secret')")
    page.wait_text("The secret before it is good until")
    turned = page.run("document.getElementById('secret').textContent")
    assert turned != secret
    for one in (secret, turned):
        body = json.dumps({"title": f"signed with {one[:4]}"}).encode()
        mac = "sha256=" + hmac.new(one.encode(), body, hashlib.sha256).hexdigest()
        stack.anonymous().request("POST", hook["path"], body, {"X-Hub-Signature-256": mac}).ok()
    page.run("document.querySelector('[aria-label^=\"Delete /hooks/\"]').click()")
    page.click("Delete", "dialog button")
    page.wait_text("There is no hook.")
    assert client.get("/hooks").ok().json["items"] == []


def test_a_webhook_that_is_disabled_shows_itself(stack, services, page, axe):
    """Without a reload: the event of GET /ai/events has the list read anew."""
    client, path = stack.client(), f"console-{uuid.uuid4().hex[:8]}"
    body = {"url": f"https://plain.example/{path}", "events": ["audit.never.happens"]}
    hook = client.post("/webhooks", body).ok(201).json
    page.click("Overview", "nav a")
    page.click("Webhooks", "nav a")
    page.wait_text(path)
    services.say(f"plain.example/{path}", (410, None))
    client.post(f"/webhooks/{hook['id']}/test", {}).ok()
    page.wait_text("disabled (gone)", 60)
    page.wait_text("its receiver refuses its deliveries")
    look(page, axe, "webhook-disabled")
    client.delete(f"/webhooks/{hook['id']}").ok(204)


def test_what_is_refused_is_said_where_it_was_asked_for(page):
    page.fill("Template", "{")
    page.click("Create the hook", "button")
    page.wait_text("Template is not JSON")


def test_it_is_offered_to_those_who_may(stack, browser):
    page = sign_in(stack, browser, "developer")
    assert "Webhooks" not in page.run("document.querySelector('nav').textContent")
    page.assert_quiet()
    page.close()
