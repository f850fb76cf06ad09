# SPDX-License-Identifier: MIT
"""Webhooks in (docs/webhooks.md): what services send, with signatures of their own making."""

import base64
import contextlib
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid

import pytest
from gantry_testing.http import Client
from gantry_testing.nats import NatsError
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until
from gantry_testing.webhooks import sign

INGEST = {
    "scope": "hooks",
    "text": "{/headers/x-github-event}: {/body/title|nothing}",
    "tags": ["from:{/body/who|somebody}"],
}


@pytest.fixture(scope="module")
def stack():
    with Stack(ALLOW_ACTIONS_DEFAULT="ping", CONNECTOR=1) as running:
        yield running


def make(
    stack, scheme="github", command="memory.ingest", template=None, workspace="default", **more
):
    body = {"scheme": scheme, "command": command, "template": template or INGEST, **more}
    made = stack.client(workspace=workspace).post("/hooks", body).ok(201).json
    return {**made, "secret": made.get("secret") or more["secret"]}


def mac(secret, data):
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def send(stack, hook, document, headers=None, secret=None, now=None):
    """As the hook's service does."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    secret, now = secret or hook["secret"], int(now or time.time())
    signed = {
        "github": lambda: {
            "X-Hub-Signature-256": "sha256=" + mac(secret, body),
            "X-GitHub-Event": "issues",
        },
        "stripe": lambda: {
            "Stripe-Signature": f"t={now},v1=" + mac(secret, f"{now}.".encode() + body)
        },
        "slack": lambda: {
            "X-Slack-Request-Timestamp": str(now),
            "X-Slack-Signature": "v0=" + mac(secret, f"v0:{now}:".encode() + body),
        },
        "standard": lambda: {
            "webhook-id": (headers or {}).get("webhook-id", "msg_1"),
            "webhook-timestamp": str(now),
            "webhook-signature": sign(
                secret, (headers or {}).get("webhook-id", "msg_1"), now, body
            ),
        },
        "hmac": lambda: {
            "X-Sig": "mac=" + base64.b64encode(bytes.fromhex(mac(secret, body))).decode()
        },
    }[hook["scheme"]]()
    return stack.anonymous().request("POST", hook["path"], body, {**signed, **(headers or {})})


def document():
    return {"title": f"note {uuid.uuid4()}", "who": "octocat", "id": str(uuid.uuid4())}


def memories(stack, text, workspace="default"):
    items = (
        stack.client(workspace=workspace).get("/memory?scope=hooks&limit=100").ok().json["items"]
    )
    return [item for item in items if text in item["content"]]


SCHEMES = [
    ("github", {}),
    ("stripe", {"secret": "whsec_of_stripe"}),
    ("slack", {"secret": "8f742231b10e8888abcd99yyyzzz85a5"}),
    ("standard", {}),
    ("hmac", {"header": "X-Sig", "encoding": "base64", "prefix": "mac="}),
]


@pytest.mark.parametrize(("scheme", "more"), SCHEMES)
def test_each_scheme(stack, scheme, more):
    hook = make(stack, scheme, **more)
    sent = document()
    first = {"webhook-id": f"msg_{uuid.uuid4()}"} if scheme == "standard" else {}
    answer = send(stack, hook, sent, first).ok()
    assert answer.json["status"] == "success"
    (memory,) = memories(stack, sent["title"])
    assert memory["id"] == answer.json["id"]
    assert memory["tags"] == ["from:octocat"]
    # Sent again it is the same, and has no second effect.
    again = send(stack, hook, sent, first).ok()
    assert again.json["id"] == answer.json["id"]
    assert not again.json["deduplicated"]
    # Not by this secret, not this body, not this hook.
    other = {**sent, "title": f"forged {uuid.uuid4()}"}
    wrong = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for refused in (
        send(stack, hook, other, secret=wrong),
        send(stack, {**hook, "path": "/hooks/" + "A" * 12}, other),
        send(
            stack,
            hook,
            other,
            {
                "X-Hub-Signature-256": "sha256=" + "0" * 64,
                "X-Sig": "mac=",
                "Stripe-Signature": "t=1,v1=0",
                "X-Slack-Signature": "v0=",
                "webhook-signature": "v1,",
            },
        ),
        stack.anonymous().request("POST", hook["path"], other),
    ):
        assert refused.status == 401
        assert refused.code == "unauthorized"
        assert refused.json["detail"].startswith("there is no such hook, or the signature is wrong")
    assert not memories(stack, "forged")
    if scheme in ("stripe", "slack", "standard"):
        for late in (-301, 360):  # a minute passes until it is looked at, where much goes on
            answer = send(
                stack, hook, other, first and {"webhook-id": "msg_other"}, now=time.time() + late
            )
            assert answer.status == 401
    assert not memories(stack, "forged")


def test_the_audit_log_names_the_hook(stack):
    hook = make(stack)
    sent = document()
    answer = send(stack, hook, sent).ok()
    path = f"/ai/audit?actor={hook['id']}"
    events = wait_until(lambda: stack.client().get(path).ok().json["items"], 60, "its event")
    assert [event["action"] for event in events] == ["memory.ingest"]
    assert events[0]["status"] == "success"
    send(stack, hook, sent, secret="wrong secret").ok(401)

    def counted():
        with stack.database() as owner, owner.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM audit_log WHERE action = 'POST /hooks/{id}' AND status = "
                "'denied'"
            )
            return cursor.fetchone()[0]

    wait_until(counted, 60, "the refusal is counted")
    assert answer.json["tenant_id"] == "default"


def test_a_job_and_an_audit_event(stack):
    hook = make(
        stack,
        command="executor.run",
        template={"task": {"type": "ping", "message": "{/body/title}"}},
    )
    sent = document()
    answer = send(stack, hook, sent).ok(202)
    again = send(stack, hook, sent).ok(202)
    assert again.json["job_id"] == answer.json["job_id"]
    job = stack.client().get(f"/ai/jobs/{answer.json['job_id']}?wait=30").ok().json
    assert job["action"] == "ping"
    template = {
        "actor": "{/body/who}",
        "action": "deploy",
        "target": "{/hook}",
        "decision": "allowed",
    }
    hook = make(stack, command="audit.append", template=template)
    event = send(stack, hook, document()).ok().json["event_id"]
    shown = stack.client().get(f"/ai/audit/events/{event}").ok().json
    assert (shown["actor"], shown["target"]) == ("octocat", hook["id"])


def test_who_can_sign_does_not_approve(stack):
    """Neither who made the hook nor who has changed its secret approves what it asks for."""
    name = "h" + uuid.uuid4().hex[:8]
    maker = stack.client(workspace=name)
    keys = [maker.post("/keys", {"role": "admin"}).ok(201).json["key"] for _ in range(2)]
    changer, approver = (Client(stack.url, key) for key in keys)
    rule = {"name": "look", "when": {"action": "ping"}, "then": "requires_approval"}
    maker.request("PUT", "/policy", {"rules": [rule]}).ok()
    run = {"task": {"type": "ping", "message": "{/body/title}"}}
    hook = make(stack, command="executor.run", template=run, workspace=name)

    def asked():
        answer = send(stack, hook, document()).ok(202).json
        assert answer["status"] == "waiting_approval"
        return answer["job_id"]

    def decided(client, job):
        answer = client.post(f"/ai/approvals/{job}", {"decision": "approve"})
        return answer.code if answer.status != 200 else answer.json["state"]

    first = asked()
    assert decided(maker, first) == "approver_not_allowed"
    assert decided(changer, first) == "approved"
    rotated = changer.post(f"/hooks/{hook['id']}/rotate", {"overlap_seconds": 0}).ok().json
    hook["secret"] = rotated["secret"]
    second = asked()
    for client in (maker, changer):
        assert decided(client, second) == "approver_not_allowed"
    assert approver.get(f"/ai/approvals/{second}").ok().json["own"] is False
    assert decided(approver, second) == "approved"
    assert maker.get(f"/ai/jobs/{second}?wait=30").ok().json["action"] == "ping"
    third = asked()
    maker.delete(f"/hooks/{hook['id']}").ok(204)
    assert decided(approver, third) == "approver_not_allowed"


def test_what_is_refused_after_the_signature(stack):
    hook = make(stack)
    assert send(stack, hook, b"{broken").code == "invalid_request"
    assert send(stack, hook, {"title": {"an": "object"}}).code == "invalid_request"
    secret = "the key is AKIA" + "IOSFODNN7EXAMPLE and sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
    assert send(stack, hook, {"title": secret}).code == "secret_in_text"
    wrong = make(stack, template={"scope": "hooks"})
    answer = send(stack, wrong, document())
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.json["errors"][0]["field"] == "text"
    run = make(stack, command="executor.run", template={"task": {"type": "{/body/type}"}})
    assert send(stack, run, {"type": "code.python"}).code == "action_not_allowed"


def test_forms_of_github_and_slack(stack):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    hook, sent = make(stack), document()
    body = urllib.parse.urlencode({"payload": json.dumps(sent)}).encode()
    send(stack, hook, body, form).ok()
    assert len(memories(stack, sent["title"])) == 1
    hook = make(
        stack,
        "slack",
        secret="slack-signing-secret",
        template={"scope": "hooks", "text": "{/body/command} {/body/text}"},
    )
    body = urllib.parse.urlencode({"command": "/note", "text": sent["id"]}).encode()
    send(stack, hook, body, form).ok()
    assert memories(stack, sent["id"])[0]["content"] == f"/note {sent['id']}"


def test_slack_is_answered_its_challenge_if_it_signs(stack):
    hook = make(stack, "slack", secret="slack-signing-secret")
    question = {"type": "url_verification", "challenge": "3eZbrw1aB", "token": "t"}
    assert send(stack, hook, question).ok().json == {"challenge": "3eZbrw1aB"}
    assert send(stack, hook, question, secret="another secret").status == 401


def test_only_what_is_wanted(stack):
    hook = make(
        stack, only={"/headers/x-github-event": ["issues"], "/body/who": ["octocat", "mona"]}
    )
    assert send(stack, hook, document()).ok().json["status"] == "success"
    ping = {"X-GitHub-Event": "ping"}
    assert send(stack, hook, document(), ping).ok().json == {"status": "ignored"}
    assert send(stack, hook, {**document(), "who": "x"}).ok().json == {"status": "ignored"}


def test_standard_webhooks_names_the_delivery(stack):
    """By webhook-id, which is signed: the same body under another id is another delivery, and
    another body under the same id none."""
    event = {"actor": "{/body/who}", "action": "a", "target": "t", "decision": "allowed"}
    hook, sent = make(stack, "standard", "audit.append", event), document()
    first, second = ({"webhook-id": f"msg_{uuid.uuid4()}"} for _ in range(2))
    made = send(stack, hook, sent, first).ok().json["event_id"]
    assert send(stack, hook, {**sent, "more": 1}, first).ok().json["event_id"] == made
    assert send(stack, hook, {"who": "x"}, first).code == "idempotency_key_reused"
    assert send(stack, hook, sent, second).ok().json["event_id"] != made


def test_one_delivery_by_its_id(stack):
    hook = make(stack, delivery_id="/id")
    one, two = document(), document()
    first = send(stack, hook, one).ok().json["id"]
    assert send(stack, hook, {**two, "id": one["id"]}).code == "idempotency_key_reused"
    assert send(stack, hook, {**one, "more": 1}).ok().json["id"] == first


def test_another_secret(stack):
    hook = make(stack)
    turned = stack.client().post(f"{hook['path']}/rotate", {"overlap_seconds": 3600}).ok().json
    assert turned["secret"] != hook["secret"]
    send(stack, hook, document()).ok()
    send(stack, {**hook, "secret": turned["secret"]}, document()).ok()
    given = {"secret": "chosen by the service"}
    last = (
        stack.client()
        .post(
            f"{hook['path']}/rotate",
            {"secret": given["secret"].replace(" ", "-"), "overlap_seconds": 0},
        )
        .ok()
        .json
    )
    assert "secret" not in last
    send(stack, {**hook, "secret": turned["secret"]}, document()).ok(401)
    send(stack, {**hook, "secret": "chosen-by-the-service"}, document()).ok()


def test_hooks_are_for_admins_of_the_workspace(stack):
    hook = make(stack)
    body = {"scheme": "github", "command": "audit.append", "template": {}}
    for role in ("viewer", "developer"):
        client = stack.client(role)
        for method, path, sent in [
            ("POST", "/hooks", body),
            ("GET", "/hooks", None),
            ("DELETE", hook["path"], None),
            ("POST", f"{hook['path']}/rotate", {}),
        ]:
            assert client.request(method, path, sent).code == "missing_scope"
    stranger = stack.client(workspace="stranger")
    assert stranger.get("/hooks").ok().json == {"items": [], "count": 0}
    assert stranger.delete(hook["path"]).code == "not_found"
    assert stranger.post(f"{hook['path']}/rotate", {}).code == "not_found"
    (shown,) = [
        one for one in stack.client().get("/hooks").ok().json["items"] if one["id"] == hook["id"]
    ]
    assert "secret" not in shown
    assert shown["definition"] == {"template": INGEST}
    # It acts in its own workspace, whatever the body says.
    sent = {**document(), "tenant_id": "stranger"}
    send(stack, hook, sent).ok()
    assert memories(stack, sent["title"])
    assert not memories(stack, sent["title"], "stranger")
    stack.client().delete(hook["path"]).ok(204)
    send(stack, hook, document()).ok(401)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scheme": "stripe"}, "secret"),
        ({"scheme": "slack"}, "secret"),
        ({"scheme": "standard", "secret": "whsec_short1"}, "secret"),
        ({"scheme": "hmac"}, "header"),
        ({"scheme": "rot13"}, "scheme"),
        ({"command": "memory.forget"}, "command"),
        ({"only": {"x": ["y"]}}, "only"),
        ({"only": {"/x": [1]}}, "only"),
        ({"delivery_id": "id"}, "delivery_id"),
        ({"template": []}, "template"),
    ],
)
def test_what_is_wrong_with_a_hook_is_named(stack, change, field):
    body = {"scheme": "github", "command": "memory.ingest", "template": INGEST, **change}
    answer = stack.client().post("/hooks", body)
    assert answer.code == "invalid_request"
    assert field in [error["field"] for error in answer.json["errors"]]


def test_the_command_line(stack, tmp_path):
    file = tmp_path / "hook.json"
    file.write_text(
        json.dumps({"scheme": "github", "command": "memory.ingest", "template": INGEST})
    )
    made = stack.gantry("hook", "create", "default", str(file))
    send(stack, made, document()).ok()
    shown = [
        one for one in stack.gantry("hook", "list", "default")["items"] if one["id"] == made["id"]
    ]
    assert shown[0]["created_by"] == "operator"
    turned = stack.gantry("hook", "rotate", "default", made["id"])
    send(stack, {**made, "secret": turned["secret"]}, document()).ok()
    stack.gantry("hook", "delete", "default", made["id"])
    send(stack, made, document()).ok(401)


def test_a_hook_with_a_long_answer_is_asked_for_once(stack):
    """The gateway asks for reads again where the answer is longer than it had guessed: not for
    changes."""
    template = {**INGEST, "text": "x" * 12000}
    with contextlib.closing(stack.nats_as("connector")) as bus:
        asked = bus.subscribe("gantry.v1.long.hooks.create")
        bus.flush()
        made = make(stack, template=template, workspace="long")
        bus.flush()
        bus.next(60, sid=asked)
        with pytest.raises(NatsError):
            bus.next(0, sid=asked)
    assert made["definition"]["template"] == template
    (listed,) = stack.client(workspace="long").get("/hooks").ok().json["items"]
    assert listed["definition"]["template"] == template
