# SPDX-License-Identifier: MIT
"""kill -9 around a request to a service: the stand-in counts what it is asked. At most one effect
wherever the service takes our key, and elsewhere an honest unknown, not a second request."""

import contextlib
import hashlib
import hmac
import json
import pathlib
import signal
import subprocess
import threading
import uuid

import pytest
import redis
from gantry_testing import canary
from gantry_testing import services as stand_ins
from gantry_testing.stack import ROOT, Stack
from gantry_testing.wait import wait_until
from gantry_testing.webhooks import by_secret

ENDED = ("completed", "failed", "cancelled", "dead")


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(services):
    actions = "http.request,slack.post,task.create"
    with Stack(ALLOW_ACTIONS_DEFAULT=actions, **services.settings()) as running:
        running.gantry("workspace", "egress", "default", *stand_ins.HOSTS)
        yield running


def queue(stack, path, **params):
    """Two jobs: one whose service takes our key, and one whose does not. Taken as soon as the
    gateway, which tries once a second, has PostgreSQL again."""
    url = f"https://plain.example{path}"
    plain = {"method": "POST", "url": f"{url}-plain", "json": {"n": 1}, **params}
    keyed = {**plain, "url": f"{url}-keyed", "idempotency_header": "Idempotency-Key"}
    actions = [{"action": "http.request", "params": one} for one in (plain, keyed)]
    client, key = stack.client(), str(uuid.uuid4())

    def ask():
        answer = client.post("/ai/execute", {"actions": actions}, idempotency_key=key)
        return answer.status != 503 and answer

    answer = wait_until(ask, 60, "they are taken")
    return answer.ok(202).json["job_ids"]


def ended(stack, job_id, seconds=150):
    def look():
        answer = stack.client().get(f"/ai/jobs/{job_id}")
        return answer.status == 200 and answer.json["status"] in ENDED and answer.json

    return wait_until(look, seconds, "the job ends")


def redis_is(stack, state):
    return stack.anonymous().get("/readyz").json["dependencies"]["redis"] == state


def both_sent(services, path):
    return len(services.asked(f"plain.example{path}")) >= 2


def test_the_connector_dies_while_it_waits_for_the_answer(stack, services):
    services.say("plain.example/c-plain", services.hold)
    services.say("plain.example/c-keyed", services.hold)
    plain, keyed = queue(stack, "/c")
    wait_until(lambda: both_sent(services, "/c"), 60, "both are sent")
    stack.restart("connector")
    unknown, good = ended(stack, plain), ended(stack, keyed)
    assert (unknown["status"], unknown["result"]["outcome"]) == ("failed", "unknown"), unknown
    assert "not sent a second time" in unknown["result"]["message"]
    assert good["result"]["outcome"] == "ok", good
    assert len(services.asked("plain.example/c-plain")) == 1
    again = services.asked("plain.example/c-keyed")
    assert [request.headers["Idempotency-Key"] for request in again] == [keyed, keyed]


def test_what_was_sent_is_not_called_cancelled(stack, services):
    stack.wait_ready()
    services.say("plain.example/x-plain", services.hold)
    services.say("plain.example/x-keyed", services.hold)
    jobs = queue(stack, "/x")
    wait_until(lambda: both_sent(services, "/x"), 60, "both are sent")
    stack.pause("connector")
    for job_id in jobs:
        stack.client().delete(f"/ai/jobs/{job_id}")
    stack.restart("connector")
    for job_id in jobs:
        job = ended(stack, job_id)
        assert (job["status"], job["result"]["outcome"]) == ("failed", "unknown"), job
    assert len(services.asked("plain.example/x")) == 2


@pytest.mark.parametrize("name", ["gateway", "nats", "postgres", "redis"])
def test_a_server_dies_while_the_service_thinks(stack, services, name):
    """The connector lives: there is one request, and its answer is kept when the server is back."""
    stack.wait_ready()
    path = f"/{name}-{uuid.uuid4().hex[:6]}"
    release = []

    def think(handler):
        wait_until(lambda: release, 100, "the server is killed")
        handler.answer(200, {"done": True})

    services.say(f"plain.example{path}-plain", think)
    services.say(f"plain.example{path}-keyed", think)
    plain, keyed = queue(stack, path)
    wait_until(lambda: both_sent(services, path), 60, "both are sent")
    old = stack.kill(name)
    wait_until(lambda: stack.pid(name) not in (0, old), 60, f"{name} is started again")
    release.append(True)
    stack.wait_started_again(name, old)
    stack.wait_ready(120)
    for job_id in (plain, keyed):
        job = ended(stack, job_id)
        assert job["result"]["outcome"] == "ok", job
    assert len(services.asked(f"plain.example{path}-plain")) == 1
    keys = {one.headers["Idempotency-Key"] for one in services.asked(f"plain.example{path}-keyed")}
    assert keys == {keyed}


def test_without_redis_nothing_is_sent(stack, services):
    """The mark comes before the first byte: no mark, no request. When Redis is back, one."""
    stack.wait_ready()
    services.say("plain.example/mark-plain", *[(200, {"n": n}) for n in range(5)])
    with contextlib.ExitStack() as without_redis:
        with stack.paused("connector"):
            plain, _ = queue(stack, "/mark")
            without_redis.enter_context(stack.paused("redis"))
        # The connector has the time in which the gateway gives Redis up.
        wait_until(lambda: redis_is(stack, "down"), 60, "Redis is missed")
        assert not services.asked("plain.example/mark-plain")
    assert ended(stack, plain)["result"]["outcome"] == "ok"
    assert len(services.asked("plain.example/mark-plain")) == 1


def test_redis_loses_the_mark_of_what_was_sent(stack, services):
    """The connector dies while it sends, and Redis forgets everything: not a second request."""
    stack.wait_ready()
    services.say("plain.example/lost-plain", services.hold)
    services.say("plain.example/lost-keyed", services.hold, (200, {}))
    plain, keyed = queue(stack, "/lost")
    wait_until(lambda: both_sent(services, "/lost"), 60, "both are sent")
    stack.pause("connector")
    with redis.Redis.from_url(stack.redis_url()) as server:
        server.flushall()
    stack.restart("connector")
    unknown, good = ended(stack, plain), ended(stack, keyed)
    assert (unknown["status"], unknown["result"]["outcome"]) == ("failed", "unknown"), unknown
    assert "Redis has lost the record" in unknown["result"]["message"]
    assert good["result"]["outcome"] == "ok", good
    assert len(services.asked("plain.example/lost-plain")) == 1
    again = services.asked("plain.example/lost-keyed")
    assert [request.headers["Idempotency-Key"] for request in again] == [keyed, keyed]


# For rows as another program, or a backup, has left them.
WITHOUT_TRIGGER = "SET session_replication_role = replica"


def rows(stack):
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute("SELECT name, encode(key, 'hex'), version FROM connector_secret")
        return {name: (key, version) for name, key, version in cursor.fetchall()}


def set_secret(stack, name, value):
    subprocess.run(
        [ROOT / "build" / "gantry", "secret", "set", "default", name],
        input=value,
        text=True,
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **stack.env},
    )


def google(services, token, refresh):
    services.say(
        "oauth2.googleapis.com/token",
        (200, {"access_token": token, "expires_in": 3600, "refresh_token": refresh}),
    )


def signing(stack):
    """A webhook and a hook after a rotation, with both secrets of each, and a webhook with a
    private key."""
    client, made = stack.client(), {}
    for signature in ("hmac", "ed25519"):
        path = f"sealed-{signature}"
        body = {"url": f"https://plain.example/{path}", "events": ["audit.never.happens"]}
        hook = client.post("/webhooks", {**body, "signature": signature}).ok(201).json
        after = client.post(f"/webhooks/{hook['id']}/rotate", {}).ok().json
        made[signature] = (path, hook["id"], [public(hook), public(after)])
    template = {"actor": "a", "action": "sealed", "target": "{/body/n}", "decision": "allowed"}
    body = {"scheme": "github", "command": "audit.append", "template": template}
    hook = client.post("/hooks", body).ok(201).json
    after = client.post(f"{hook['path']}/rotate", {}).ok().json
    made["hook"] = (hook["path"], hook["id"], [hook["secret"], after["secret"]])
    return made


def public(hook):
    return hook.get("secret") or hook["public_key"]


def still_sign(stack, services, made):
    """Deliveries carry the signatures of both, and requests with either are taken."""
    for path, hook, secrets in (made["hmac"], made["ed25519"]):
        services.forget()
        stack.client().post(f"/webhooks/{hook}/test", {}).ok()
        wait_until(lambda path=path: services.asked(f"plain.example/{path}"), 60, "it arrives")
        (request,) = services.asked(f"plain.example/{path}")
        assert [by_secret(request, secret) for secret in secrets] == [True, True]
    path, _, secrets = made["hook"]
    for secret in secrets:
        body = json.dumps({"n": str(uuid.uuid4())}).encode()
        mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={mac}"}
        # On a slow machine it is taken before it is carried out.
        assert stack.anonymous().request("POST", path, body, headers).status in (200, 202)


def test_secrets_are_sealed_under_a_new_key(stack, services):
    made = signing(stack)
    for name in ("slack", "other"):
        set_secret(stack, name, "xoxb-before-rotation")
    client = {"client_id": "id", "client_secret": "hush-hush", "refresh_token": "first-one"}
    set_secret(stack, "google_tasks", json.dumps(client))
    before = rows(stack)
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(
            "SELECT key, sealed, seal_version FROM connector_secret WHERE name = 'google_tasks'"
        )
        old_box = cursor.fetchone()
        cursor.execute(WITHOUT_TRIGGER)
        # One that no key opens comes first, and holds up no other.
        cursor.execute(
            "INSERT INTO connector_secret (workspace, name, key, sealed)"
            " VALUES ('default', 'aaa', '\\x01', '\\x02')"
        )
    old_key = stack.secret("SECRET_KEY")
    before_up = len(stack.log("connector"))
    stack.up(SECRET_KEY="5a" * 32, SECRET_KEY_PREVIOUS=old_key)

    def log():
        return stack.log("connector")[before_up:]

    wait_until(lambda: "with neither" in log(), 60, "the rest is sealed anew")
    assert "all secrets are encrypted" not in log()
    after = rows(stack)
    assert after.pop("aaa") == ("01", 1)
    # A row of the key before, as it is while rotation is under way: the refresh token that the
    # service gives in place of the first is kept so that it can be opened.
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(WITHOUT_TRIGGER)
        cursor.execute(
            "UPDATE connector_secret SET key = %s, sealed = %s, seal_version = %s"
            " WHERE name = 'google_tasks'",
            old_box,
        )
    task = {"type": "task.create", "title": "t"}
    for token, refresh in (("token-a", "second-one"), ("token-b", "third-one")):
        google(services, token, refresh)
        answer = stack.client().post("/webhook/executor/run", {"task": task}, prefer="wait=60").ok()
        assert answer.json["outcome"] == "ok", answer.json
        with stack.database() as db, db.cursor() as cursor:
            cursor.execute("UPDATE connector_secret SET token = NULL, token_expires_at = NULL")
    asked = [one.form["refresh_token"] for one in services.asked("oauth2.googleapis.com")]
    assert asked[-2:] == ["first-one", "second-one"]
    assert rows(stack)["google_tasks"] == after["google_tasks"]
    assert {name: version for name, (_, version) in after.items()} == {
        name: version for name, (_, version) in before.items()
    }
    assert len({key for key, _ in before.values()} | {key for key, _ in after.values()}) == 2
    # Those of webhooks and hooks, too.
    assert {name for name in after if ":" in name} == {
        f"{kind}:{made[which][1]}{before}"
        for kind, which in (("webhook", "hmac"), ("webhook", "ed25519"), ("hook", "hook"))
        for before in ("", ":before")
    }
    stack.up(SECRET_KEY_PREVIOUS="")
    still_sign(stack, services, made)
    task = {"type": "slack.post", "channel": "C", "text": "t"}
    answer = stack.client().post("/webhook/executor/run", {"task": task}, prefer="wait=60").ok()
    assert answer.json["outcome"] == "ok", answer.json
    sent = services.asked("slack.com")[-1]
    assert sent.headers["Authorization"] == "Bearer xoxb-before-rotation"
    # A key that sealed nothing: the outcome names the secret, and the program goes on.
    stack.up(SECRET_KEY="77" * 32)
    answer = stack.client().post("/webhook/executor/run", {"task": task}, prefer="wait=60").ok()
    assert answer.json["outcome"] == "secret_unreadable"
    assert "'slack'" in json.dumps(answer.json)


def waits_for_a_row(stack):
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'gantry_connector' AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] == 1


def test_a_refresh_token_put_meanwhile_is_not_sealed_over(stack, services):
    """The row changes between rotation's reading and writing: what was put stays, and is sealed
    anew in the next round."""
    stack.wait_ready()
    old_key = stack.settings.get("SECRET_KEY") or stack.secret("SECRET_KEY")
    set_secret(stack, "slack", "xoxb-put-meanwhile")
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(
            "SELECT key, sealed, seal_version FROM connector_secret WHERE name = 'slack'"
        )
        key, *put = cursor.fetchone()
    set_secret(stack, "slack", "xoxb-read-before")
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(WITHOUT_TRIGGER)
        cursor.execute("BEGIN")
        # As token_put does it in a program that has the key before: the version stays.
        cursor.execute(
            "UPDATE connector_secret SET sealed = %s, seal_version = %s WHERE name = 'slack'", put
        )
        settings = {"SECRET_KEY": "3c" * 32, "SECRET_KEY_PREVIOUS": old_key}
        starts = threading.Thread(target=stack.up, kwargs=settings)
        starts.start()
        wait_until(lambda: waits_for_a_row(stack), 120, "the rotation comes to the row")
        cursor.execute("COMMIT")
    starts.join()
    wait_until(lambda: rows(stack)["slack"][0] != bytes(key).hex(), 60, "it is sealed anew")
    stack.wait_ready()
    task = {"type": "slack.post", "channel": "C", "text": "t"}
    answer = stack.client().post("/webhook/executor/run", {"task": task}, prefer="wait=60").ok()
    assert answer.json["outcome"] == "ok", answer.json
    sent = services.asked("slack.com")[-1]
    assert sent.headers["Authorization"] == "Bearer xoxb-put-meanwhile"


def test_the_program_is_confined(stack):
    """No root, no exec, no core dumps, and its port list is empty."""
    status = (stack.directory / f"/proc/{stack.pid('connector')}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Seccomp"] == "2"
    assert fields["NoNewPrivs"] == "1"
    assert fields["CapEff"] == "0000000000000000"
    assert fields["Uid"].split()[0] != "0"
    limits = (stack.directory / f"/proc/{stack.pid('connector')}/limits").read_text()
    assert "Max core file size        0" in limits


def test_a_crash_leaves_no_core_file(stack, services):
    """SIGSEGV while a secret is in use: a core file would have it."""
    stack.wait_ready()
    set_secret(stack, "slack", "xoxb-in-no-core-file")
    services.say("slack.com/api/chat.postMessage", services.hold)
    actions = [{"action": "slack.post", "params": {"channel": "C", "text": "t"}}]
    (job,) = stack.client().post("/ai/execute", {"actions": actions}).ok(202).json["job_ids"]
    wait_until(lambda: services.asked("slack.com"), 60, "it is sent")
    folders = [stack.directory, pathlib.Path(f"/proc/{stack.pid('connector')}/cwd").resolve()]
    stack.restart("connector", signal.SIGSEGV)
    assert ended(stack, job)["result"]["outcome"] == "unknown"
    for folder in folders:
        files = [one.name for one in folder.iterdir() if one.is_file()]
        assert not [name for name in files if name.startswith(("core.", "core-")) or name == "core"]
    assert canary.places(stack, ["xoxb-in-no-core-file"]) == {"xoxb-in-no-core-file": []}
