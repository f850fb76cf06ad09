# SPDX-License-Identifier: MIT
"""Webhooks out (docs/webhooks.md), against a receiver that verifies with code of its own."""

import base64
import json
import subprocess
import time
import uuid

import pytest
from gantry_testing import services as stand_ins
from gantry_testing.events import Stream
from gantry_testing.npm import KEPT, install, npm
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until
from gantry_testing.webhooks import arrived, by_secret, signatures

ALL = ["job.ended", "memory.*", "audit.*"]


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(services):
    with Stack(
        ALLOW_ACTIONS_DEFAULT="ping", WEBHOOK_RETRIES="0 1", **services.settings()
    ) as running:
        running.gantry("workspace", "egress", "default", "plain.example", "other.example")
        yield running


@pytest.fixture
def path():
    return f"hook-{uuid.uuid4().hex[:8]}"


def subscribe(
    stack, path, events=("memory.stored",), workspace="default", host="plain.example", **more
):
    body = {"url": f"https://{host}/{path}", "events": list(events), **more}
    return stack.client(workspace=workspace).post("/webhooks", body).ok(201).json


def store(stack, workspace="default", **more):
    body = {"scope": f"s:{uuid.uuid4().hex[:6]}", "text": f"note {uuid.uuid4()}", **more}
    return stack.client(workspace=workspace).post("/webhook/memory/ingest", body).ok().json["id"]


def ids(deliveries):
    return [one["data"].get("job_id") or one["data"]["event_id"] for one in deliveries]


def listed(stack, hook, workspace="default", **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return (
        stack.client(workspace=workspace)
        .get(f"/webhooks/{hook['id']}/deliveries?{text}")
        .ok()
        .json["items"]
    )


def settled(stack, hook, count, state):
    return wait_until(
        lambda: len(found := listed(stack, hook, state=state)) >= count and found,
        60,
        f"{count} deliveries are {state}: {listed(stack, hook)}",
    )


# --- subscriptions -------------------------------------------------------------------------------


def test_a_webhook_is_made_shown_changed_and_deleted(stack, path):
    client = stack.client()
    made = subscribe(stack, path, description="for the test", ordered=True)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["signature"] == "hmac"
    assert made["public_key"] is None
    assert client.get(f"/webhooks/{made['id']}").ok().json == made
    assert made in client.get("/webhooks").ok().json["items"]
    changed = (
        client.request(
            "PATCH",
            f"/webhooks/{made['id']}",
            {"events": ["audit.*"], "ordered": False, "enabled": False},
        )
        .ok()
        .json
    )
    assert changed == {
        **made,
        "events": ["audit.*"],
        "ordered": False,
        "enabled": False,
        "disabled_reason": "by_hand",
        "updated_at": changed["updated_at"],
    }
    client.delete(f"/webhooks/{made['id']}").ok(204)
    for method, tail, body in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "", {"enabled": True}),
        ("POST", "/rotate", {}),
        ("POST", "/test", {}),
        ("GET", "/deliveries", None),
        ("POST", f"/deliveries/{uuid.uuid4()}/replay", {}),
    ]:
        answer = client.request(method, f"/webhooks/{made['id']}{tail}", body)
        assert answer.code == "not_found", (method, tail)
    with stack.database() as owner, owner.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM connector_secret WHERE name LIKE %s", (f"%{made['id']}%",)
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://plain.example/x"}, "url"),
        ({"url": "https://elsewhere.example/x"}, "url"),
        ({"url": "https://user@plain.example/x"}, "url"),
        ({"url": "https://127.0.0.1/x"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["memory.read"]}, "events[0]"),
        ({"events": ["audit.a*b"]}, "events[0]"),
        ({"signature": "rsa"}, "signature"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_named(stack, path, change, field):
    body = {"url": f"https://plain.example/{path}", "events": ["job.ended"], **change}
    answer = stack.client().post("/webhooks", body)
    assert answer.code == "invalid_request"
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_webhooks_are_for_admins_of_the_workspace(stack, path):
    made = subscribe(stack, path)
    place = f"/webhooks/{made['id']}"
    routes = [
        ("POST", "/webhooks", {"url": "https://plain.example/x", "events": ["job.ended"]}),
        ("GET", "/webhooks", None),
        ("GET", place, None),
        ("PATCH", place, {"enabled": False}),
        ("DELETE", place, None),
        ("POST", f"{place}/rotate", {}),
        ("POST", f"{place}/test", {}),
        ("GET", f"{place}/deliveries", None),
        ("POST", f"{place}/deliveries/{uuid.uuid4()}/replay", {}),
    ]
    for role in ("viewer", "developer"):
        for method, where, body in routes:
            assert stack.client(role).request(method, where, body).code == "missing_scope", where
    stranger = stack.client(workspace="stranger")
    assert stranger.get("/webhooks").ok().json == {"items": [], "count": 0}
    for method, where, body in routes[2:]:
        assert stranger.request(method, where, body).code == "not_found", (method, where)
    assert stack.client().get(place).ok().json["enabled"]


def test_a_request_that_is_repeated_makes_one(stack, path):
    body = {"url": f"https://plain.example/{path}", "events": ["job.ended"]}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = stack.client().request("POST", "/webhooks", body, key).ok(201)
    again = stack.client().request("POST", "/webhooks", body, key).ok(201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert "secret" not in again.json  # as of keys: the record holds no content
    urls = [item["url"] for item in stack.client().get("/webhooks").ok().json["items"]]
    assert urls.count(body["url"]) == 1
    rotate = f"/webhooks/{first.json['id']}/rotate"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    stack.client().request("POST", rotate, {}, key).ok()
    stack.client().request("POST", rotate, {}, key).ok()


def test_a_workspace_has_twenty(stack):
    client = stack.client(workspace="many")
    stack.gantry("workspace", "egress", "many", "plain.example")
    body = {"url": "https://plain.example/many", "events": ["job.ended"]}
    for _ in range(20):
        last = client.post("/webhooks", body).ok(201).json
    assert client.post("/webhooks", body).code == "invalid_request"
    client.delete(f"/webhooks/{last['id']}").ok(204)
    client.post("/webhooks", body).ok(201)


# --- what is delivered ----------------------------------------------------------------------------


def test_events_arrive_signed(stack, services, path):
    hook = subscribe(stack, path, ALL)
    memory = store(stack)
    stack.client().delete(f"/memory/{memory}").ok(204)
    job = (
        stack.client()
        .post("/webhook/executor/run", {"task": {"type": "ping"}})
        .ok()
        .json["job_id"]
    )
    appended = {"actor": "bot", "action": "deploy.done", "target": "web", "decision": "allowed"}
    event = stack.client().post("/webhook/audit/append", appended).ok().json

    def all_there():
        found = {one["type"]: one for one in arrived(services, path, hook["secret"])}
        wanted = {"memory.stored", "memory.forgotten", "job.ended", "audit.deploy.done"}
        return wanted <= set(found) and found

    found = wait_until(all_there, 60, "the events arrive")
    stored, ended = found["memory.stored"], found["job.ended"]
    assert stored["data"]["action"] == "memory.ingest"
    assert stored["data"]["workspace"] == "default"
    assert found["memory.forgotten"]["data"]["target"] == memory
    assert ended["data"]["job_id"] == job
    assert ended["data"]["outcome"] == "ok"
    assert ended["data"]["action"] == "ping"
    assert found["audit.deploy.done"]["data"]["leaf_index"] == event["leaf_index"]
    assert found["audit.deploy.done"]["data"]["actor"] == "bot"
    request = services.asked(f"plain.example/{path}")[0]
    assert set(json.loads(request.body)) == {"type", "timestamp", "data"}
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 300
    assert request.headers["Content-Type"] == "application/json"
    tampered = type(request).__new__(type(request))
    tampered.headers, tampered.body = request.headers, request.body + b" "
    assert not by_secret(tampered, hook["secret"])


def test_an_action_that_waits_is_told_of_once(stack, services, path):
    """With the job's id; previews and tests of a policy are no approvals. What is not approved is a
    job that has ended."""
    name = "w" + uuid.uuid4().hex[:8]
    admin, asker = stack.client(workspace=name), stack.client("developer", name)
    stack.gantry("workspace", "egress", name, "plain.example")
    rule = {"name": "look", "when": {"action": "ping"}, "then": "requires_approval"}
    admin.request("PUT", "/policy", {"rules": [rule]}).ok()
    hook = subscribe(stack, path, ["approval.asked", "job.ended"], name)
    one = {"action": "ping", "params": {}}
    asker.post("/ai/preview", one).ok()
    asker.post("/policy/test", one).ok()
    jobs = [asker.post("/webhook/executor/run", {"task": {"type": "ping"}}).ok(202).json["job_id"]]
    jobs += asker.post("/ai/execute", {"actions": [one, one]}).ok(202).json["job_ids"]
    admin.post(f"/ai/approvals/{jobs[0]}", {"decision": "deny"}).ok()
    admin.post(f"/ai/approvals/{jobs[1]}", {"decision": "approve"}).ok()
    asker.delete(f"/ai/jobs/{jobs[2]}").ok()

    def told(kind):
        found = arrived(services, path, hook["secret"])
        return [deliver["data"] for deliver in found if deliver["type"] == kind]

    wait_until(lambda: len(told("job.ended")) >= 3, 60, "three jobs have ended")
    asked = told("approval.asked")
    assert sorted(data["job_id"] for data in asked) == sorted(jobs), asked
    assert {data["decision"] for data in asked} == {"requires_approval"}
    ended = {data["job_id"]: data["outcome"] for data in told("job.ended")}
    assert ended == {jobs[0]: "approval_denied", jobs[1]: "ok", jobs[2]: "approval_cancelled"}
    assert len(listed(stack, hook, name)) == 6


LEAF = (
    "INSERT INTO audit_log (leaf_index, leaf_hash, event, kind, workspace, event_id, time, "
    "recorded_at) SELECT coalesce(max(leaf_index), -1) + 1, sha256(%s), %s, 'event', %s, "
    "gen_random_uuid(), now(), now() FROM audit_log"
)


def test_what_cannot_be_read_stops_nobody(stack, path):
    """A leaf that is no JSON is passed over, and a webhook that fails holds up no other one."""
    ill, name = ("w" + uuid.uuid4().hex[:8] for _ in range(2))
    for workspace in (ill, name):
        stack.client(workspace=workspace)
        stack.gantry("workspace", "egress", workspace, "plain.example")
    bad, good = (subscribe(stack, path, ["audit.*"], workspace) for workspace in (ill, name))
    made = {}
    with stack.database() as connection, connection.cursor() as cursor:
        connection.autocommit = False  # all of it is undone
        cursor.execute("LOCK TABLE audit_log IN EXCLUSIVE MODE")  # the next number is ours
        for workspace, event in (
            (ill, b'{"action":"one","x":"\\u0000"}'),
            (ill, b"{"),
            (ill, b'{"action":"\xff"}'),
            (ill, b'{"action":"two"}'),
            (name, b'{"action":"three"}'),
        ):
            cursor.execute(LEAF, (event, event, workspace))
        cursor.execute("SELECT webhook_collect(500, 1000)")
        for hook in (bad, good):
            cursor.execute(
                "SELECT type FROM webhook_delivery WHERE webhook = %s ORDER BY number DESC LIMIT 1",
                (hook["id"],),
            )
            made[hook["id"]] = cursor.fetchone()
        cursor.execute("UPDATE webhook SET cursor = cursor - 1 WHERE id = %s", (bad["id"],))
        cursor.execute("DELETE FROM webhook_delivery WHERE webhook = %s", (good["id"],))
        cursor.execute("UPDATE webhook SET cursor = cursor - 1 WHERE id = %s", (good["id"],))
        cursor.execute("SELECT webhook_collect(500, 1000)")
        cursor.execute("SELECT count(*) FROM webhook_delivery WHERE webhook = %s", (good["id"],))
        again = cursor.fetchone()
        connection.rollback()
    assert made == {bad["id"]: ("audit.two",), good["id"]: ("audit.three",)}
    assert again == (1,)


def test_nothing_of_the_memory_is_in_a_delivery(stack, services, path):
    subscribe(stack, path, ALL)
    memory = store(
        stack, text="the canary sings 4711", tags=["canary-tag"], metadata={"m": "canary-m"}
    )
    wait_until(lambda: "memory.stored" in str(arrived(services, path)), 60, "it arrives")
    assert memory
    assert "canary" not in str(arrived(services, path))


def test_only_what_was_asked_for(stack, services, path):
    hook = subscribe(stack, path, ["audit.memory.ingest", "memory.stored"])
    stack.client().get("/memory").ok()
    store(stack)
    wait_until(lambda: len(arrived(services, path)) == 2, 60, "both arrive")
    store(stack)
    wait_until(lambda: len(arrived(services, path)) == 4, 60, "both arrive")
    assert {one["type"] for one in arrived(services, path)} == {
        "audit.memory.ingest",
        "memory.stored",
    }
    assert len({one["id"] for one in arrived(services, path)}) == 4
    assert [one["type"] for one in listed(stack, hook, limit=1)] == ["memory.stored"]


def test_ed25519_and_another_key(stack, services, path):
    hook = subscribe(stack, path, signature="ed25519")
    assert "secret" not in hook
    assert hook["public_key"].startswith("whpk_")
    store(stack)
    (request,) = wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it arrives")
    assert [version for version, _ in signatures(request.headers)] == ["v1a"]
    assert by_secret(request, hook["public_key"])
    turned = stack.client().post(f"/webhooks/{hook['id']}/rotate", {}).ok().json
    assert turned["public_key"] != hook["public_key"]
    services.forget()
    store(stack)
    (request,) = wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it arrives")
    assert by_secret(request, hook["public_key"])
    assert by_secret(request, turned["public_key"])


def test_two_secrets_sign_during_a_rotation(stack, services, path):
    hook = subscribe(stack, path)
    turned = (
        stack.client().post(f"/webhooks/{hook['id']}/rotate", {"overlap_seconds": 3600}).ok().json
    )
    assert turned["previous_valid_until"]
    store(stack)
    (request,) = wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it arrives")
    assert len(signatures(request.headers)) == 2
    assert by_secret(request, hook["secret"])
    assert by_secret(request, turned["secret"])
    last = stack.client().post(f"/webhooks/{hook['id']}/rotate", {"overlap_seconds": 0}).ok().json
    services.forget()
    store(stack)
    (request,) = wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it arrives")
    assert len(signatures(request.headers)) == 1
    assert by_secret(request, last["secret"])
    assert not by_secret(request, turned["secret"])


def test_no_workspace_hears_of_another(stack, services, path):
    stack.key(workspace="hears")
    stack.gantry("workspace", "egress", "hears", "plain.example")
    subscribe(stack, path, ALL, workspace="hears")
    store(stack)
    store(stack, workspace="hears")
    wait_until(lambda: "memory.stored" in str(arrived(services, path)), 60, "its own arrives")
    assert {one["data"]["workspace"] for one in arrived(services, path)} == {"hears"}


# --- receivers that fail --------------------------------------------------------------------------


def test_tried_again_until_it_is_taken(stack, services, path):
    hook = subscribe(stack, path)
    services.say(f"plain.example/{path}", (500, None), services.hang_up)
    store(stack)
    (delivery,) = settled(stack, hook, 1, "delivered")
    assert delivery["attempts"] == 3
    assert (delivery["http_status"], delivery["error"]) == (200, None)
    requests = services.asked(f"plain.example/{path}")
    assert [by_secret(request, hook["secret"]) for request in requests] == [True] * 3
    assert {request.headers["webhook-id"] for request in requests} == {delivery["id"]}
    assert stack.client().get(f"/webhooks/{hook['id']}").ok().json["delivered_at"]


def test_a_receiver_that_fails_for_good_is_disabled_and_can_come_back(stack, services, path):
    hook = subscribe(stack, path)
    other = subscribe(stack, "watch-" + path, ["audit.webhooks.disable"])
    services.say(f"plain.example/{path}", *[(500, None)] * 3)
    store(stack)
    (delivery,) = settled(stack, hook, 1, "failed")
    assert (delivery["attempts"], delivery["http_status"]) == (3, 500)
    assert delivery["error"] == "the receiver answers 500"
    shown = stack.client().get(f"/webhooks/{hook['id']}").ok().json
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "failing")
    (told,) = wait_until(lambda: arrived(services, "watch-" + path), 60, "the others hear of it")
    assert told["data"]["target"] == hook["id"]
    assert told["data"]["error_reason"] == "failing"
    event = stack.client().get(f"/ai/audit/events/{told['data']['event_id']}").ok().json
    assert event["actor_type"] == "program"
    # What happens meanwhile waits in the log.
    store(stack)
    stack.client().request("PATCH", f"/webhooks/{hook['id']}", {"enabled": True}).ok()
    settled(stack, hook, 1, "delivered")
    again = f"/webhooks/{hook['id']}/deliveries/{delivery['id']}/replay"
    assert stack.client().post(again, {}).ok().json == {"id": delivery["id"], "state": "pending"}
    settled(stack, hook, 2, "delivered")
    assert len({one["id"] for one in arrived(services, path, hook["secret"])}) == 2
    assert stack.client().get(f"/webhooks/{other['id']}").ok().json["enabled"]


def until_released(release, status):
    def think(handler):
        wait_until(lambda: release, 100, "the test goes on")
        handler.answer(status)

    return think


def test_a_replay_of_what_is_being_sent(stack, services, path):
    """It is sent again when that has ended, not beside it, and no result of the first counts as one
    of the second."""
    hook = subscribe(stack, path, ["audit.never.happens"])
    other = subscribe(stack, "beside-" + path, ["audit.never.happens"])
    release = []
    fails = until_released(release, 500)
    services.say(f"plain.example/{path}", fails, (500, None), (500, None))
    client = stack.client()
    delivery = client.post(f"/webhooks/{hook['id']}/test", {}).ok().json["id"]
    wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it is being sent")
    again = f"/webhooks/{hook['id']}/deliveries/{delivery}/replay"
    assert client.post(again, {}).ok().json == {"id": delivery, "state": "pending"}
    client.post(f"/webhooks/{other['id']}/test", {}).ok()
    settled(stack, other, 1, "delivered")  # a round of sending is over
    assert len(services.asked(f"plain.example/{path}")) == 1
    release.append(True)
    (shown,) = settled(stack, hook, 1, "delivered")
    # The replay has its three attempts: the first sending is not counted among them.
    assert shown["attempts"] == 3
    requests = services.asked(f"plain.example/{path}")
    assert [request.headers["webhook-id"] for request in requests] == [delivery] * 4
    assert client.get(f"/webhooks/{hook['id']}").ok().json["enabled"]
    for one in (hook, other):
        client.delete(f"/webhooks/{one['id']}").ok(204)


def test_a_sending_whose_lease_has_ended_settles_nothing(stack, services, path):
    hook = subscribe(stack, path, ["audit.never.happens"])
    first, second = [], []
    services.say(
        f"plain.example/{path}", until_released(first, 410), until_released(second, 200)
    )
    client = stack.client()
    delivery = client.post(f"/webhooks/{hook['id']}/test", {}).ok().json["id"]
    wait_until(lambda: len(services.asked(f"plain.example/{path}")) == 1, 60, "it is being sent")
    with stack.database() as owner, owner.cursor() as cursor:
        cursor.execute(
            "UPDATE webhook_delivery SET leased_until = now(), next_at = now() + interval '1 hour'"
            " WHERE id = %s",
            (delivery,),
        )
    client.post(f"/webhooks/{hook['id']}/deliveries/{delivery}/replay", {}).ok()
    wait_until(lambda: len(services.asked(f"plain.example/{path}")) == 2, 60, "it is sent again")

    def refused():
        name = "gantry_worker_webhooks_refused_total"
        return sum(float(n) for key, n in stack.metrics().items() if key.startswith(name))

    before = refused()
    first.append(True)
    wait_until(lambda: refused() > before, 60, "the end of the first is heard of")
    (shown,) = listed(stack, hook)
    assert (shown["state"], shown["attempts"], shown["http_status"]) == ("pending", 1, None)
    second.append(True)
    settled(stack, hook, 1, "delivered")
    assert client.get(f"/webhooks/{hook['id']}").ok().json["enabled"]
    client.delete(f"/webhooks/{hook['id']}").ok(204)


def test_a_sending_without_a_lease_does_not_settle_a_replay(stack, services, path):
    """Nobody has begun the replay yet: the receiver gets it all the same."""
    hook = subscribe(stack, path, ["audit.never.happens"])
    first = []
    services.say(f"plain.example/{path}", until_released(first, 200))
    client = stack.client()
    delivery = client.post(f"/webhooks/{hook['id']}/test", {}).ok().json["id"]
    wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "it is being sent")
    client.request("PATCH", f"/webhooks/{hook['id']}", {"enabled": False}).ok()
    with stack.database() as owner, owner.cursor() as cursor:
        cursor.execute(
            "UPDATE webhook_delivery SET leased_until = now() WHERE id = %s", (delivery,)
        )
    client.post(f"/webhooks/{hook['id']}/deliveries/{delivery}/replay", {}).ok()

    def delivered():
        name = "gantry_worker_webhooks_delivered_total"
        return sum(float(n) for key, n in stack.metrics().items() if key.startswith(name))

    before = delivered()
    first.append(True)
    wait_until(lambda: delivered() > before, 60, "the end of the first is heard of")
    (shown,) = listed(stack, hook)
    assert (shown["state"], shown["http_status"]) == ("pending", None)
    client.request("PATCH", f"/webhooks/{hook['id']}", {"enabled": True}).ok()
    settled(stack, hook, 1, "delivered")
    assert len(services.asked(f"plain.example/{path}")) == 2
    client.delete(f"/webhooks/{hook['id']}").ok(204)


def test_gone_is_gone(stack, services, path):
    """And those who listen hear of it, if they may see webhooks."""
    hook = subscribe(stack, path)
    services.say(f"plain.example/{path}", (410, None))
    listeners = [Stream(stack.url, stack.key(role)) for role in ("admin", "developer")]
    with listeners[0] as admin, listeners[1] as developer:
        store(stack)
        (delivery,) = settled(stack, hook, 1, "failed")
        told = admin.until("webhook", id=hook["id"])
        assert (told["state"], told["reason"]) == ("disabled", "gone")
        event = stack.client().get("/ai/audit?action=webhooks.disable&limit=100").ok().json
        assert hook["id"] in {one["target"] for one in event["items"]}  # the log had it before
        job = run_ping(stack)
        for name, data, _ in developer:
            assert name != "webhook"
            if name == "job" and data["job_id"] == job:
                break
    assert delivery["attempts"] == 1
    shown = stack.client().get(f"/webhooks/{hook['id']}").ok().json
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    counted = stack.gantry("status")["webhooks"]
    assert counted["count"] >= counted["disabled"] >= 1


def run_ping(stack):
    actions = [{"action": "ping", "params": {}}]
    return stack.client().post("/ai/execute", {"actions": actions}).ok(202).json["job_ids"][0]


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass


def test_hostile_receivers(stack, services, path):
    """Each is a failure of its own kind, and nobody else is asked."""
    ways = {
        "redirect": (
            lambda handler: handler.answer(307, None, {"Location": "https://127.0.0.1/"}),
            "307",
        ),
        "inside": (
            lambda handler: handler.answer(302, None, {"Location": "https://plain.example/inside"}),
            "302",
        ),
        "endless": (endless, "larger than its bound"),
        "broken": (services.hang_up, "broke"),
    }
    hooks = {}
    for name, (way, _) in ways.items():
        hooks[name] = subscribe(stack, f"{path}-{name}", ["audit.never.happens"])
        services.say(f"plain.example/{path}-{name}", way, way, way)
    hooks["name"] = subscribe(stack, path, ["audit.never.happens"], host="other.example")
    for hook in hooks.values():
        stack.client().post(f"/webhooks/{hook['id']}/test", {}).ok()
    for name, hook in hooks.items():
        (delivery,) = settled(stack, hook, 1, "failed")
        wanted = ways[name][1] if name in ways else "certificate"
        assert wanted in delivery["error"], (name, delivery)
        assert delivery["type"] == "webhook.test"
    assert not services.asked("plain.example/inside")
    assert not services.asked("other.example")


def test_a_host_that_is_taken_off_the_list_is_not_asked(stack, services, path):
    stack.key(workspace="shrinks")
    stack.gantry("workspace", "egress", "shrinks", "plain.example")
    hook = subscribe(stack, path, workspace="shrinks")
    stack.gantry("workspace", "egress", "shrinks", "other.example")
    store(stack, workspace="shrinks")
    refusal = "not on the list"
    wait_until(lambda: refusal in str(listed(stack, hook, "shrinks")), 60, "it is refused")
    assert not services.asked(f"plain.example/{path}")


def test_one_after_the_other_if_asked_for(stack, services, path):
    hook = subscribe(stack, path, ordered=True)
    services.say(f"plain.example/{path}", (503, None), (200, None), (500, None))
    for _ in range(4):
        store(stack)
    settled(stack, hook, 4, "delivered")
    leaves = [one["data"]["leaf_index"] for one in arrived(services, path, hook["secret"])]
    assert len(leaves) == 6
    assert leaves == sorted(leaves)


def test_a_slow_receiver_holds_up_nobody_else(stack, services, path):
    """Half of the slots at most are one workspace's."""
    stack.key(workspace="slow")
    stack.gantry("workspace", "egress", "slow", "plain.example")
    slow = [subscribe(stack, f"{path}-{n}", workspace="slow") for n in range(10)]
    for n in range(10):
        services.say(f"plain.example/{path}-{n}", services.hold)
    hook = subscribe(stack, path)
    store(stack, workspace="slow")
    wait_until(lambda: len(services.asked(f"plain.example/{path}-")) >= 4, 60, "they are asked")
    store(stack)
    settled(stack, hook, 1, "delivered")
    assert len(services.asked(f"plain.example/{path}-")) <= 10
    for one in slow:
        stack.client(workspace="slow").delete(f"/webhooks/{one['id']}").ok(204)
    services.over.set()
    services.over.clear()


def test_pages_of_deliveries(stack, services, path):
    hook = subscribe(stack, path, ["audit.never.happens"])
    for _ in range(5):
        stack.client().post(f"/webhooks/{hook['id']}/test", {}).ok()
    settled(stack, hook, 5, "delivered")
    seen, cursor = [], ""
    while True:
        page = stack.client().get(f"/webhooks/{hook['id']}/deliveries?limit=2{cursor}").ok().json
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 5
    assert sorted(seen) == sorted(one["id"] for one in arrived(services, path, hook["secret"]))


def test_the_command_line(stack, services, path):
    url = f"https://plain.example/{path}"
    made = stack.gantry("webhook", "create", "default", url, "audit.never.happens", "job.ended")
    assert made["events"] == ["audit.never.happens", "job.ended"]
    row = {one["id"]: one for one in stack.gantry("webhook", "list", "default")["items"]}
    assert row[made["id"]]["enabled"]
    test = stack.gantry("webhook", "test", "default", made["id"])["id"]
    settled(stack, made, 1, "delivered")
    assert stack.gantry("webhook", "deliveries", "default", made["id"])["items"][0]["id"] == test
    stack.gantry("webhook", "replay", "default", made["id"], test)
    turned = stack.gantry("webhook", "rotate", "default", made["id"])
    assert turned["secret"] != made["secret"]
    assert stack.gantry("webhook", "enable", "default", made["id"])["enabled"]
    stack.gantry("webhook", "delete", "default", made["id"])
    gone = stack.gantry("webhook", "delete", "default", made["id"], check=False)
    assert gone.returncode == 1
    wrong = stack.gantry("webhook", "create", "default", url, "nonsense", check=False)
    assert wrong.returncode == 1 or wrong.returncode == 2


# --- the libraries of Standard Webhooks -----------------------------------------------------------

PYTHON_VERIFIES = """
import json, sys
from standardwebhooks import Webhook
given = json.load(sys.stdin)
try:
    print(json.dumps(Webhook(given["secret"]).verify(given["body"], given["headers"])))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
NODE_VERIFIES = """
const { Webhook } = require("standardwebhooks");
const given = JSON.parse(require("fs").readFileSync(0));
try {
    console.log(JSON.stringify(new Webhook(given.secret).verify(given.body, given.headers)));
} catch (error) {
    console.log(JSON.stringify(error.constructor.name));
}
"""


def python_package():
    python = str(KEPT / "standardwebhooks-python" / "bin" / "python")
    install(
        "standardwebhooks-python",
        ["/usr/bin/python3", "-m", "venv", "standardwebhooks-python"],
        [python, "-m", "pip", "install", "-q", "--retries", "1", "standardwebhooks~=1.0"],
    )
    return [python, "-c", PYTHON_VERIFIES], KEPT


def npm_package():
    folder = npm("standardwebhooks-npm", "standardwebhooks@1")
    return ["node", "-e", NODE_VERIFIES], folder


@pytest.mark.parametrize("package", [python_package, npm_package])
def test_the_packages_of_the_registries_verify_it(stack, services, path, package):
    command, folder = package()
    name = "w" + uuid.uuid4().hex[:8]
    client = stack.client(workspace=name)
    stack.gantry("workspace", "egress", name, "plain.example")
    hook = subscribe(stack, path, workspace=name)
    old = hook["secret"]
    new = client.post(f"/webhooks/{hook['id']}/rotate", {}).ok().json["secret"]
    client.post(f"/webhooks/{hook['id']}/test", {}).ok()
    (request,) = wait_until(lambda: services.asked(f"plain.example/{path}"), 60, "the delivery")

    def verified(secret, body):
        headers = {name.lower(): value for name, value in request.headers.items()}
        given = json.dumps({"secret": secret, "body": body, "headers": headers})
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    body = request.body.decode()
    assert verified(old, body) == verified(new, body) == json.loads(body)
    refused = "WebhookVerificationError"
    assert verified(new, body.replace("webhook.test", "webhook.best")) == refused
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert verified(other, body) == refused
