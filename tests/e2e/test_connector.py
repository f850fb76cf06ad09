# SPDX-License-Identifier: MIT
"""Actions that reach services (docs/connectors.md), against stand-ins for them."""

import base64
import ctypes
import email
import email.policy
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import uuid

import pytest
from gantry_testing import canary
from gantry_testing import services as stand_ins
from gantry_testing.mcp import Mcp
from gantry_testing.stack import ROOT, Stack
from gantry_testing.wait import wait_until

CANARY = "xoxb-canary-5d1f0b7c9a34"
ACTIONS = [
    "ping",
    "slack.post",
    "github.issue",
    "gmail.send",
    "outlook.send",
    "task.create",
    "http.request",
    "slack_post",
    "memory.store",
]
GMAIL = {
    "client_id": "the-client",
    "client_secret": "canary-client-secret-77",
    "refresh_token": "canary-refresh-88",
}
SLACK = {"type": "slack.post", "channel": "C1", "text": "hello"}
ISSUE = {"type": "github.issue", "owner": "o", "repo": "r", "title": "t"}


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def actions_dir():
    """The actions that there are, and two whose tools over MCP have names of others."""
    with tempfile.TemporaryDirectory(prefix="gantry-actions-") as made:
        folder = pathlib.Path(made)
        folder.chmod(0o755)
        shutil.copytree(ROOT / "workers/connector/actions", folder, dirs_exist_ok=True)
        for name in ("slack_post", "memory.store"):
            manifest = json.loads((folder / "slack.post/manifest.json").read_text())
            (folder / name).mkdir()
            (folder / name / "manifest.json").write_text(json.dumps({**manifest, "name": name}))
        yield folder


@pytest.fixture(scope="module")
def stack(services, actions_dir):
    with Stack(
        ALLOW_ACTIONS_DEFAULT=",".join(ACTIONS),
        CONNECTOR_ACTIONS_DIR=actions_dir,
        **services.settings(),
    ) as running:
        set_secret(running, "default", "slack", CANARY)
        set_secret(running, "default", "github", "ghp-canary-token-1")
        set_secret(running, "default", "gmail", json.dumps(GMAIL))
        set_secret(running, "default", "google_tasks", json.dumps(GMAIL))
        set_secret(
            running,
            "default",
            "outlook",
            json.dumps({"tenant": "a tenant", "client_id": "c", "client_secret": "s"}),
        )
        running.gantry("workspace", "egress", "default", *stand_ins.HOSTS)
        yield running


@pytest.fixture(autouse=True)
def fresh(services):
    services.forget()


def set_secret(stack, workspace, name, value):
    done = subprocess.run(
        [ROOT / "build" / "gantry", "secret", "set", workspace, name, "--json"],
        input=value + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", **stack.env},
    )
    assert done.returncode == 0, done.stderr
    assert value not in done.stdout + done.stderr
    return json.loads(done.stdout)


def run(stack, task, workspace="default", **members):
    client = stack.client(workspace=workspace)
    return (
        client.post("/webhook/executor/run", {"task": task, **members}, prefer="wait=60").ok().json
    )


def ends(answer, outcome):
    assert answer["outcome"] == outcome, answer
    assert answer["status"] == ("success" if outcome == "ok" else "failed")
    return answer["output"]


# --- secrets -------------------------------------------------------------------------------------


def test_a_secret_is_set_and_never_shown(stack):
    client = stack.client(workspace="hidden")
    first = client.request("PUT", "/secrets/a_token", {"value": "first value"}).ok().json
    assert (first["name"], first["version"]) == ("a_token", 1)
    second = client.request("PUT", "/secrets/a_token", {"value": "second value"}).ok().json
    assert (second["version"], second["created_at"]) == (2, first["created_at"])
    assert client.get("/secrets/a_token").ok().json == second
    assert client.get("/secrets").ok().json == {"items": [second], "count": 1}
    assert stack.client().get("/secrets/a_token").status == 404  # another workspace's
    client.delete("/secrets/a_token").ok(204)
    assert client.get("/secrets/a_token").status == client.delete("/secrets/a_token").status == 404


def test_secrets_are_for_admins(stack):
    for role in ("viewer", "developer"):
        client = stack.client(role)
        for method, path, body in [
            ("PUT", "/secrets/a", {"value": "v"}),
            ("GET", "/secrets", None),
            ("GET", "/secrets/a", None),
            ("DELETE", "/secrets/a", None),
        ]:
            assert client.request(method, path, body).code == "missing_scope", (role, method, path)
    for name, body in [
        ("A", {"value": "v"}),
        ("a", {}),
        ("a", {"value": ""}),
        ("a", {"value": "1234567"}),
        ("a", {"value": "x" * 16385}),
        ("a", {"value": 5}),
        ("a" * 64, {"value": "v"}),
    ]:
        answer = stack.client().request("PUT", f"/secrets/{name}", body)
        assert answer.code == "invalid_request"
        assert "x" * 99 not in answer.body.decode()


SET_BOX = "UPDATE connector_secret SET sealed = %s, seal_version = %s WHERE workspace = %s"


def put_back(stack, workspace, sealed, version):
    """As the owner of the table, who can switch its trigger off."""
    with stack.database() as owner, owner.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(SET_BOX, (sealed, version, workspace))


def box(stack, workspace):
    with stack.database() as owner, owner.cursor() as cursor:
        cursor.execute(
            "SELECT sealed, seal_version, key FROM connector_secret WHERE workspace = %s",
            (workspace,),
        )
        return cursor.fetchone()


def workspace_with_slack(stack, value):
    name = "w" + uuid.uuid4().hex[:8]
    stack.key(workspace=name)
    stack.gantry("workspace", "egress", name, "slack.com")
    set_secret(stack, name, "slack", value)
    return name


def test_an_older_value_that_is_put_back_is_refused(stack, services):
    """A box is bound to its version: the one before is not the secret of now, nor one of a form
    without versions."""
    name = workspace_with_slack(stack, "xoxb-revoked-token")
    old, old_version, _ = box(stack, name)
    set_secret(stack, name, "slack", "xoxb-valid-token")
    new, new_version, _ = box(stack, name)
    assert new_version > old_version > 0
    for sealed, version in ((old, new_version), (new, old_version), (old, 0), (new, 0)):
        put_back(stack, name, sealed, version)
        output = ends(run(stack, SLACK, name), "secret_unreadable")
        assert "'slack'" in output["message"]
    assert not services.asked()
    put_back(stack, name, new, new_version)
    ends(run(stack, SLACK, name), "ok")
    (request,) = services.asked()
    assert request.headers["Authorization"] == "Bearer xoxb-valid-token"


def sealed_before(key, context, value):
    """XChaCha20-Poly1305 as the release before used it: nonce and box."""
    sodium = ctypes.CDLL("libsodium.so.23")
    nonce, length = os.urandom(24), ctypes.c_ulonglong()
    out = ctypes.create_string_buffer(len(value) + 16)
    done = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        out,
        ctypes.byref(length),
        value,
        ctypes.c_ulonglong(len(value)),
        context,
        ctypes.c_ulonglong(len(context)),
        None,
        nonce,
        key,
    )
    assert done == 0
    return nonce + out.raw


def test_what_the_release_before_has_sealed_is_sealed_anew(stack, services):
    name = workspace_with_slack(stack, "xoxb-to-be-replaced")
    key = bytes.fromhex(stack.secret("SECRET_KEY"))
    old = sealed_before(key, f"secret {name} slack".encode(), b"xoxb-of-the-release-before")
    put_back(stack, name, old, 0)
    ends(run(stack, SLACK, name), "ok")  # before and after it is sealed anew
    wait_until(lambda: box(stack, name)[1] > 0, 60, "it is sealed anew")
    assert bytes(box(stack, name)[0]) != old
    ends(run(stack, SLACK, name), "ok")
    assert {request.headers["Authorization"] for request in services.asked()} == {
        "Bearer xoxb-of-the-release-before"
    }


def test_the_command_line(stack):
    made = set_secret(stack, "default", "by_hand", "value of by_hand")
    assert made["version"] == 1
    assert [item["name"] for item in stack.gantry("secret", "list", "default")["items"]].count(
        "by_hand"
    ) == 1
    stack.gantry("secret", "delete", "default", "by_hand")
    assert stack.gantry("secret", "delete", "default", "by_hand", check=False).returncode == 1
    assert stack.gantry("workspace", "egress", "default", "Not a host", check=False).returncode == 2
    row = [
        item
        for item in stack.gantry("workspace", "list")["items"]
        if item["workspace"] == "default"
    ][0]
    assert row["egress"] == sorted(stand_ins.HOSTS)
    wait_until(
        lambda: stack.gantry("status")["workers"].get("gantry-connector") == 1, 60, "it answers"
    )
    assert stack.anonymous().get("/readyz").json["dependencies"]["connector"] == "up"


# --- the built-in actions ------------------------------------------------------------------------


def test_slack(stack, services):
    output = ends(run(stack, SLACK), "ok")
    assert output == {
        "http_status": 200,
        "result": {"channel": "C1", "ts": "1700000000.000100"},
        "message": None,
        "attempts": 1,
    }
    (request,) = services.asked()
    assert request.headers["Authorization"] == f"Bearer {CANARY}"
    assert request.json == {"channel": "C1", "text": "hello"}
    services.say(
        "slack.com/api/chat.postMessage", (200, {"ok": False, "error": f"not_in_channel {CANARY}"})
    )
    output = ends(
        run(stack, SLACK), "http_error"
    )  # a refusal that comes with 200; and what it repeats is masked
    assert output["result"] == {"ok": False, "error": "not_in_channel (secret)"}


def test_github(stack, services):
    output = ends(run(stack, {**ISSUE, "labels": ["bug"], "body": 'a "quoted"\nline'}), "ok")
    assert output["result"] == {"number": 7, "url": "https://github.example/7"}
    (request,) = services.asked()
    assert request.path == "/repos/o/r/issues"
    assert request.json == {"title": "t", "labels": ["bug"], "body": 'a "quoted"\nline'}
    services.say("api.github.com/repos/o/r/issues", (422, {"message": "Validation Failed"}))
    assert ends(run(stack, ISSUE), "http_error")["http_status"] == 422
    services.say(
        "api.github.com/repos/o/r/issues",
        (401, {"message": "Bad credentials"}),
        (401, {"message": "Bad credentials"}),
    )
    assert ends(run(stack, ISSUE), "http_error")["http_status"] == 401


def test_gmail_refreshes_once_for_all(stack, services):
    mail = {
        "type": "gmail.send",
        "to": ["a@example.com"],
        "bcc": ["b@example.com"],
        "subject": "Grüße\r\nCc: evil@example.com",
        "text": "Hallo",
        "attachments": [
            {"name": "ä.txt", "type": "text/plain", "data": base64.b64encode(b"data").decode()}
        ],
    }
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(run(stack, mail))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ends(answer, "ok")["result"]["message_id"] for answer in answers] == ["msg-1"] * 6
    (token,) = services.asked("oauth2.googleapis.com/token")
    assert token.form == {"grant_type": "refresh_token", **GMAIL}
    sent = services.asked("gmail.googleapis.com")
    assert len(sent) == 6
    assert {request.headers["Authorization"] for request in sent} == {"Bearer access-token-1"}
    message = email.message_from_bytes(
        base64.urlsafe_b64decode(sent[0].json["raw"] + "=="), policy=email.policy.default
    )
    assert (message["To"], message["Bcc"], message["Cc"]) == (
        "a@example.com",
        "b@example.com",
        None,
    )
    assert message["Subject"].replace("\r", "").replace("\n", "") == "GrüßeCc: evil@example.com"
    assert message.get_body().get_content() == "Hallo"
    (attachment,) = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("ä.txt", "data")


def test_an_expired_token_is_refreshed_and_a_refused_one_named(stack, services):
    mail = {"type": "gmail.send", "to": ["a@example.com"], "subject": "s"}
    ends(run(stack, mail), "ok")
    services.forget()
    services.say(
        "gmail.googleapis.com/gmail/v1/users/me/messages/send", (401, {"error": {"code": 401}})
    )
    assert ends(run(stack, mail), "ok")["attempts"] == 2
    assert len(services.asked("oauth2.googleapis.com")) == 1
    set_secret(
        stack, "default", "gmail", json.dumps({**GMAIL, "refresh_token": "revoked-refresh-99"})
    )
    services.say(
        "oauth2.googleapis.com/token",
        (400, {"error": "invalid_grant", "error_description": "revoked-refresh-99"}),
    )
    services.requests.clear()
    output = ends(run(stack, mail), "secret_refused")
    assert "'gmail'" in output["message"]
    assert "invalid_grant" in output["message"]
    assert "revoked-refresh-99" not in json.dumps(output)
    assert not services.asked("gmail.googleapis.com")
    set_secret(stack, "default", "gmail", json.dumps(GMAIL))


def test_a_refresh_token_that_changes_is_kept(stack, services):
    services.say(
        "oauth2.googleapis.com/token",
        (
            200,
            {
                "access_token": "short-lived-token",
                "expires_in": 1,
                "refresh_token": "the-next-refresh",
            },
        ),
    )
    set_secret(stack, "default", "gmail", json.dumps(GMAIL))
    mail = {"type": "gmail.send", "to": ["a@example.com"], "subject": "s"}
    ends(run(stack, mail), "ok")
    ends(run(stack, mail), "ok")  # the token is too old by now
    assert [request.form["refresh_token"] for request in services.asked("oauth2")] == [
        GMAIL["refresh_token"],
        "the-next-refresh",
    ]


def test_outlook_waits_when_told_to(stack, services):
    place = "graph.microsoft.com/v1.0/users/me%40example.com/sendMail"
    services.say(place, (429, {"error": {"code": "ApplicationThrottled"}}, {"Retry-After": "1"}))
    output = ends(
        run(
            stack,
            {
                "type": "outlook.send",
                "from": "me@example.com",
                "to": ["a@example.com"],
                "subject": "s",
            },
        ),
        "ok",
    )
    assert (output["http_status"], output["attempts"]) == (202, 2)
    (token,) = services.asked("login.microsoftonline.com")
    assert token.path == "/a%20tenant/oauth2/v2.0/token"
    assert token.form["grant_type"] == "client_credentials"
    assert services.asked(place)[0].json["message"]["toRecipients"] == [
        {"emailAddress": {"address": "a@example.com"}}
    ]


def test_google_tasks(stack, services):
    output = ends(run(stack, {"type": "task.create", "title": "Buy tea", "list": "a/../b"}), "ok")
    assert output["result"]["task_id"] == "task-1"
    assert services.asked("tasks")[0].path == "/tasks/v1/lists/a%2F..%2Fb/tasks"


# --- what may leave ------------------------------------------------------------------------------


def test_nothing_leaves_without_a_list(stack, services):
    stack.key(workspace="closed")
    get = {"type": "http.request", "method": "GET", "url": "https://plain.example/x"}
    assert "not on the list" in ends(run(stack, get, "closed"), "egress_denied")["message"]
    stack.gantry("workspace", "egress", "closed", "slack.com")
    ends(run(stack, get, "closed"), "egress_denied")
    stack.gantry("workspace", "egress", "closed", "*.example")
    wait_until(lambda: run(stack, get, "closed")["outcome"] == "ok", 10, "the new list is heard of")
    services.forget()
    # A name that stands for an inner address, by any road.
    for task in [{**get, "url": "https://inner.example/"}, {**get, "url": "https://127.0.0.1/"}]:
        ends(run(stack, task, "closed"), "egress_denied")
    assert not services.asked()
    for there in [
        "https://inner.example/",
        "https://127.0.0.1/",
        "http://plain.example/",
        "https://slack.com/",
    ]:
        services.say("plain.example/x", (302, None, {"Location": there}))
        ends(run(stack, get, "closed"), "egress_denied")
    assert {request.host for request in services.asked()} == {"plain.example"}
    # The action's own hosts bind as well: slack.com is not where github.issue goes.
    assert not services.asked("slack.com")


def test_a_certificate_of_another_name(stack, services):
    stack.gantry("workspace", "egress", "default", *stand_ins.HOSTS, "other.example")
    wait_until(
        lambda: (
            run(stack, {"type": "http.request", "method": "GET", "url": "https://other.example/"})[
                "outcome"
            ]
            == "tls_error"
        ),
        10,
        "it is refused for its certificate",
    )
    assert not services.asked()


def test_requests_of_the_callers_making(stack, services):
    output = ends(
        run(
            stack,
            {
                "type": "http.request",
                "method": "POST",
                "url": "https://plain.example/p?a=1",
                "query": {"q": "x&y=z"},
                "json": {"k": [1, None]},
            },
        ),
        "ok",
    )
    assert output["result"]["json"]["path"] == "/p?a=1&q=x%26y%3Dz"
    assert services.asked()[0].json == {"k": [1, None]}
    for wrong in [
        {"url": "https://u:p@plain.example/"},
        {"url": "http://plain.example/"},
        {"method": "TRACE"},
        {"accept": "a\r\nX: y"},
        {"other": 1},
    ]:
        task = {"type": "http.request", "method": "GET", "url": "https://plain.example/", **wrong}
        answer = stack.client().post("/webhook/executor/run", {"task": task}, prefer="wait=30")
        assert answer.code == "invalid_request", (wrong, answer)
    assert len(services.asked()) == 1


def test_missing_secrets_are_named(stack):
    stack.key(workspace="bare")
    stack.gantry("workspace", "egress", "bare", "slack.com")
    output = ends(run(stack, SLACK, "bare"), "secret_missing")
    assert "'slack'" in output["message"]


# --- once, or an honest answer -------------------------------------------------------------------


def test_an_answer_that_is_lost(stack, services):
    place = "slack.com/api/chat.postMessage"
    for lost in [services.hang_up, (500, {"ok": False}), (502, None), (503, None)]:
        services.forget()
        services.say(place, lost)
        ends(run(stack, SLACK), "unknown")
        assert len(services.asked(place)) == 1
    services.forget()
    services.say(place, (503, None, {"Retry-After": "1"}))  # the service says that it has not
    assert ends(run(stack, SLACK), "ok")["attempts"] == 2
    services.forget()
    services.say("plain.example/k", services.hang_up, (502, None))
    keyed = {
        "type": "http.request",
        "method": "POST",
        "url": "https://plain.example/k",
        "idempotency_header": "Idempotency-Key",
    }
    answer = run(stack, keyed)
    assert ends(answer, "ok")["attempts"] == 3
    assert {request.headers["Idempotency-Key"] for request in services.asked()} == {
        answer["job_id"]
    }
    services.say("plain.example/k", *[services.hang_up] * 9)
    ends(run(stack, keyed), "unknown")
    services.forget()
    # The second says no, but the first may have been taken.
    services.say("plain.example/k", services.hang_up, (409, {"error": "busy"}))
    output = ends(run(stack, keyed), "unknown")
    assert (output["http_status"], output["attempts"]) == (409, 2)
    assert "may have been done" in output["message"]


def test_a_token_that_is_refused_is_not_tried_again(stack, services):
    services.say("api.github.com/repos/o/r/issues", *[(401, {"message": "Bad credentials"})] * 2)
    task = {"type": "github.issue", "owner": "o", "repo": "r", "title": "t"}
    assert ends(run(stack, task), "http_error")["attempts"] == 1


def test_the_same_request_again(stack, services):
    client, key = stack.client(), str(uuid.uuid4())
    first = client.post(
        "/webhook/executor/run", {"task": SLACK}, idempotency_key=key, prefer="wait=60"
    ).ok()
    again = client.post(
        "/webhook/executor/run", {"task": SLACK}, idempotency_key=key, prefer="wait=60"
    ).ok()
    assert first.json["job_id"] == again.json["job_id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["output"] == first.json["output"]
    assert len(services.asked()) == 1


def test_preview_execute_job_audit(stack, services):
    client = stack.client()
    kinds = {action["action"]: action for action in client.get("/ai/actions").ok().json["actions"]}
    assert (kinds["ping"]["kind"], kinds["slack.post"]["kind"]) == ("task", "connector")
    assert kinds["slack.post"]["risk"] == {"network": 40}
    assert kinds["slack.post"]["secrets"] == ["slack"]
    wrong = client.post("/ai/preview", {"action": "slack.post", "params": {"channel": "C1"}})
    assert wrong.code == "invalid_request"
    assert wrong.json["errors"][0]["field"] == "params.text"
    preview = (
        client.post(
            "/ai/preview",
            {"action": "slack.post", "params": {"channel": "C1", "text": "by preview"}},
        )
        .ok()
        .json
    )
    assert preview["summary"] == "Post to C1: by preview"
    assert not services.asked()
    (job_id,) = (
        client.post("/ai/execute", {"preview_id": preview["preview_id"]}).ok(202).json["job_ids"]
    )
    job = wait_until(
        lambda: (lambda j: j["status"] == "completed" and j)(client.get(f"/ai/jobs/{job_id}").json),
        60,
        "it is done",
    )
    assert job["result"]["outcome"] == "ok"
    assert job["result"]["result"]["channel"] == "C1"
    event = wait_until(
        lambda: (lambda found: found and found[0])(
            client.get("/ai/audit?action=connector.run&limit=100").json["items"]
        ),
        30,
        "its event",
    )
    assert (event["program"], event["target"]) == ("connector", "slack.post")


def test_a_job_is_cancelled(stack, services):
    client = stack.client()
    services.say("plain.example/slow", services.hold)
    actions = [
        {"action": "http.request", "params": {"method": "GET", "url": "https://plain.example/slow"}}
    ]
    (job_id,) = client.post("/ai/execute", {"actions": actions}).ok(202).json["job_ids"]
    wait_until(lambda: services.asked("plain.example/slow"), 30, "it is sent")
    client.delete(f"/ai/jobs/{job_id}")
    wait_until(
        lambda: client.get(f"/ai/jobs/{job_id}").json["status"] == "cancelled",
        60,
        "it is cancelled",
    )


def test_straight_over_nats(stack, services):
    nats = stack.nats("developer")
    done, id_ = nats.subscribe("gantry.v1.default.job.*.done"), str(uuid.uuid4())
    nats.js_publish("gantry.v1.default.connector.run", {"task": SLACK}, msg_id=id_)
    message = nats.next(60, done)
    nats.close()
    assert json.loads(message.data)["outcome"] == "ok"
    assert id_ in message.subject
    assert len(services.asked()) == 1


# --- as tools of an agent program ----------------------------------------------------------------


def test_hints_of_tools(stack):
    """What a manifest does not say is assumed to change the service."""
    tools = Mcp(stack.client()).tools()

    def hints(name):
        said = tools[name]["annotations"].items()
        return {key.removesuffix("Hint"): value for key, value in said}

    sandboxed = {"readOnly": False, "destructive": False, "idempotent": False, "openWorld": False}
    assert hints("ping") == sandboxed
    assert hints("slack_post") == {**sandboxed, "openWorld": True}
    assert hints("http_request") == {**sandboxed, "openWorld": True, "destructive": True}
    assert "reaches a service" in tools["http_request"]["description"]
    assert "sandbox" not in tools["http_request"]["description"]


def test_a_tool_has_one_action(stack, services):
    """slack.post and slack_post: the tool is the first, always, and the list says that the other
    has none."""
    mcp = Mcp(stack.client())
    for _ in range(2):
        result = mcp.ask("tools/list")
        titles = {tool["name"]: tool["title"] for tool in result["tools"]}
        assert len(titles) == len(result["tools"])
        assert titles["slack_post"] == "slack.post"
        assert titles["memory_store"] == "Store a memory"
        assert result["_meta"]["gantry/hidden"] == ["memory.store", "slack_post"]
    called = mcp.call("slack_post", {"channel": "C1", "text": "by a tool"})
    assert called["structuredContent"]["output"]["result"]["channel"] == "C1", called
    job = stack.client().get(f"/ai/jobs/{called['structuredContent']['job_id']}").ok().json
    assert job["action"] == "slack.post"
    assert len(services.asked()) == 1


# --- the canary ----------------------------------------------------------------------------------


def signing_secrets(stack, services):
    """Of webhooks and hooks: made by us and by others, before and after a rotation, used."""
    client, made = stack.client(), []
    given = "hook-canary-from-the-service-" + uuid.uuid4().hex
    template = {"actor": "a", "action": "canary", "target": "{/body/t}", "decision": "allowed"}
    for signature in ("hmac", "ed25519"):
        body = {"url": "https://plain.example/canary", "events": ["audit.*"]}
        hook = client.post("/webhooks", {**body, "signature": signature}).ok(201).json
        turned = client.post(f"/webhooks/{hook['id']}/rotate", {}).ok().json
        client.post(f"/webhooks/{hook['id']}/test", {}).ok()
        made += [one["secret"] for one in (hook, turned) if "secret" in one]
    for more in ({}, {"secret": given}):
        body = {"scheme": "github", "command": "audit.append", "template": template, **more}
        hook = client.post("/hooks", body).ok(201).json
        made += [hook.get("secret", given)]
        body = json.dumps({"t": str(uuid.uuid4())}).encode()
        mac = hmac.new(made[-1].encode(), body, hashlib.sha256).hexdigest()
        signed = {"X-Hub-Signature-256": f"sha256={mac}"}
        stack.anonymous().request("POST", hook["path"], body, signed).ok()
        made += [client.post(f"{hook['path']}/rotate", {}).ok().json["secret"]]
    wait_until(lambda: len(services.asked("plain.example/canary")) >= 2, 60, "both are delivered")
    return made


def test_the_secret_is_nowhere(stack, services):
    """Last: after all of the above, failures included. In no file of the servers either."""
    set_secret(stack, "default", "slack", CANARY)
    secrets = [
        CANARY,
        GMAIL["client_secret"],
        GMAIL["refresh_token"],
        "access-token-",
        "ghp-canary-token-1",
        "xoxb-valid-token",
        "xoxb-of-the-release-before",
        *signing_secrets(stack, services),
    ]
    assert len(secrets) == 13
    # What is there is found: the payload of an event, which is bytes in the audit log.
    control = "control-" + uuid.uuid4().hex[:6]
    event = {"actor": "a", "action": "control", "target": "t", "decision": "allowed"}
    stack.client().post("/webhook/audit/append", {**event, "payload": {"seen": control}}).ok()
    assert "table audit_log" in canary.places(stack, [control])[control]
    found = canary.places(stack, secrets)
    assert found == {secret: [] for secret in secrets}
    client = stack.client()
    for path in (
        "/ai/jobs?limit=100",
        "/ai/audit?limit=100",
        "/secrets",
        "/secrets/slack",
        "/ai/actions",
        "/webhooks",
        "/hooks",
    ):
        answer = client.get(path).ok().body.decode()
        assert not [secret for secret in secrets if secret in answer], path


def test_the_policy_that_comes_along_holds_what_reaches_a_service(stack, services):
    """Nothing leaves before somebody else has approved it; then it leaves once."""
    admin, developer = stack.client("admin"), stack.client("developer")
    shipped = json.loads((ROOT / "common/policy/default.json").read_text())
    admin.request("PUT", "/policy", shipped).ok()  # it counts at once where it was put
    try:
        held = developer.post("/webhook/executor/run", {"task": SLACK}).ok(202).json
        assert held["policy"]["score"] == 40
        shown = admin.get("/ai/approvals/" + held["job_id"]).ok().json
        assert (shown["kind"], shown["params"]) == ("connector", {"channel": "C1", "text": "hello"})
        assert services.asked("slack.com") == []
        decision = {"decision": "approve", "hash": shown["hash"]}
        admin.post("/ai/approvals/" + held["job_id"], decision).ok()
        wait_until(
            lambda: admin.get("/ai/jobs/" + held["job_id"]).ok().json["status"] == "completed",
            60,
            "the message",
        )
        assert len(services.asked("slack.com")) == 1
        assert developer.post("/webhook/executor/run", {"task": {"type": "ping"}}).status == 200
    finally:
        admin.request("PUT", "/policy", {"rules": []}).ok()


# --- redirects and the policy --------------------------------------------------------------------

GET = {"type": "http.request", "method": "GET", "url": "https://plain.example/from"}
THERE = "https://api.github.com/repos/there"


@pytest.fixture
def fence(stack):
    """A function that makes a workspace which may reach two hosts, under a policy."""

    def make(*rules):
        name = "f" + uuid.uuid4().hex[:10]
        stack.key(workspace=name)
        stack.gantry("workspace", "egress", name, "plain.example", "api.github.com")
        named = [{"name": f"rule {n}", **rule} for n, rule in enumerate(rules)]
        stack.client(workspace=name).request("PUT", "/policy", {"rules": named}).ok()
        return name

    return make


def redirect(services, place):
    services.say("plain.example/from", (302, None, {"Location": place}))


def test_a_redirect_without_a_rule_about_its_host(stack, services, fence):
    redirect(services, THERE)
    name = fence({"when": {"host": "other.example"}, "then": "deny"})
    ends(run(stack, GET, name), "ok")
    assert len(services.asked("api.github.com")) == 1


@pytest.mark.parametrize("then", ["deny", "requires_approval"])
def test_a_redirect_to_a_host_of_the_policy(stack, services, fence, then):
    name = fence({"when": {"host": "api.github.com"}, "then": then})
    redirect(services, THERE)
    output = ends(run(stack, GET, name), "policy_denied")
    assert "api.github.com" in output["message"]
    assert "rule 0" in output["message"]
    assert ("ask for that URL itself" in output["message"]) == (then != "deny")
    assert (output["http_status"], output["result"]) == (None, None)
    assert len(services.asked("plain.example/from")) == 1
    assert services.asked("api.github.com") == []
    answer = stack.client(workspace=name).post(
        "/webhook/executor/run", {"task": {**GET, "url": THERE}}
    )
    assert answer.status == (403 if then == "deny" else 202)


def test_a_redirect_from_the_one_host_that_is_allowed(stack, services, fence):
    """The last of several hops, in another writing; and a rule about the URL holds for a target."""
    where = {"host": "plain.example", "parameters": {"/url": {"matches": "*/no*"}}}
    name = fence(
        {"when": where, "then": "deny"},
        {"when": {"host": "plain.example"}, "then": "allow"},
        {"when": {}, "then": "deny"},
    )
    redirect(services, "/on")
    ends(run(stack, GET, name), "ok")
    services.say("plain.example/on", (307, None, {"Location": "https://API.GitHub.com:443/x"}))
    redirect(services, "/on")
    assert "rule 2" in ends(run(stack, GET, name), "policy_denied")["message"]
    assert services.asked("api.github.com") == []
    redirect(services, "/no/entry")
    assert "rule 0" in ends(run(stack, GET, name), "policy_denied")["message"]
    assert services.asked("plain.example/no") == []


def test_an_approval_covers_the_host_that_was_shown(stack, services, fence):
    name = fence({"when": {"action": "http.request"}, "then": "requires_approval"})
    admin, developer = (stack.client(role, name) for role in ("admin", "developer"))

    def approved():
        held = developer.post("/webhook/executor/run", {"task": GET}).ok(202).json["job_id"]
        admin.post("/ai/approvals/" + held, {"decision": "approve"}).ok()
        job = wait_until(
            lambda: (found := developer.get("/ai/jobs/" + held).ok().json)["status"]
            in ("completed", "failed")
            and found,
            60,
            "it ends",
        )
        return job["result"]

    redirect(services, "/on")
    assert approved()["outcome"] == "ok"
    assert len(services.asked("plain.example/on")) == 1
    redirect(services, THERE)
    refused = approved()
    assert refused["outcome"] == "policy_denied"
    assert "ask for that URL itself" in refused["message"]
    assert services.asked("api.github.com") == []
