# SPDX-License-Identifier: MIT
"""Policies of workspaces (docs/policy.md)."""

import json
import uuid

import pytest
from gantry_testing import wait_until

DENY_SHELL = {
    "name": "no shell",
    "when": {"action": "code.*", "parameters": {"/code": {"matches": "*shutdown*"}}},
    "then": "deny",
}


@pytest.fixture
def space(stack):
    """A workspace of its own."""
    name = "p" + uuid.uuid4().hex[:12]
    stack.key("admin", name)
    stack.gantry("workspace", "allow", name, "ping", "code.python")
    return name


@pytest.fixture
def admin(stack, space):
    return stack.client("admin", space)


def put(client, document, **headers):
    return client.request("PUT", "/policy", document, headers)


def run(client, code="print(1)"):
    return client.post(
        "/webhook/executor/run", {"task": {"type": "code.python", "code": code}}, Prefer="wait=60"
    )


def test_without_a_policy_the_allowlist_alone_decides(admin):
    policy = admin.get("/policy").ok().json
    assert (policy["version"], policy["source"], policy["rules"]) == (0, "none", [])
    assert run(admin, "print('shutdown')").ok().json["status"] == "success"


def test_what_was_got_can_be_changed_and_set_again(admin):
    first = put(admin, {"rules": [DENY_SHELL]}).ok()
    assert first.json["version"] == 1
    assert first.headers["ETag"] == '"1"'
    document = admin.get("/policy").ok().json
    assert document["rules"] == [DENY_SHELL]
    assert document["set_by"]
    document["rules"][0]["then"] = "allow"
    assert put(admin, document).ok().json["version"] == 2
    assert put(admin, document).code == "version_conflict"
    assert put(admin, {"rules": []}, **{"If-Match": '"1"'}).code == "version_conflict"
    assert put(admin, {"rules": []}, **{"If-Match": '"2"'}).ok().json["version"] == 3
    assert admin.get("/policy/versions/1").ok().json["rules"] == [DENY_SHELL]
    assert admin.get("/policy/versions/9").status == 404
    page = admin.get("/policy/versions?limit=2").ok().json
    assert [one["version"] for one in page["items"]] == [3, 2]
    rest = admin.get("/policy/versions?cursor=" + page["next_cursor"]).ok().json
    assert [one["version"] for one in rest["items"]] == [1]


def test_what_is_wrong_with_a_policy_is_named_by_its_pointer(admin):
    answer = put(admin, {"rules": [{"name": "a", "when": {"acton": "x"}, "then": "deny"}]})
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "/rules/0/when/acton"
    assert admin.get("/policy").ok().json["version"] == 0


def test_who_may_set_and_who_may_read(stack, space):
    developer = stack.client("developer", space)
    assert put(developer, {"rules": []}).code == "missing_scope"
    assert developer.get("/policy").ok().json["version"] == 0
    assert developer.post("/policy/test", {"action": "ping"}).status == 200


def test_a_denied_action_names_its_rule_and_nothing_runs(stack, admin, space):
    put(admin, {"rules": [DENY_SHELL]}).ok()
    answer = run(admin, "print('shutdown')")
    assert (answer.status, answer.code) == (403, "action_not_allowed")
    assert "no shell" in answer.json["detail"]
    assert answer.json["policy"]["decision"] == "deny"
    assert answer.json["policy"]["rule"] == "no shell"
    assert run(admin).ok().json["status"] == "success"
    queued = admin.post(
        "/ai/execute",
        {
            "actions": [
                {"action": "ping"},
                {"action": "code.python", "params": {"code": "shutdown"}},
            ]
        },
    )
    assert queued.status == 403
    assert admin.get("/ai/jobs").ok().json["count"] == 1
    denied = wait_until(
        lambda: [
            one
            for one in admin.get("/ai/audit?action=executor.run&status=denied").ok().json["items"]
            if one.get("policy")
        ],
        30,
        "the event of the refusal",
    )
    assert denied[0]["decision"] == "denied"
    assert denied[0]["policy"]["rule"] == "no shell"
    assert denied[0]["policy"]["version"] == 1


def test_the_decision_is_in_the_event_of_what_ran(admin):
    put(admin, {"rules": [], "risk": {"terms": [{"name": "t", "when": {}, "add": 3}]}}).ok()
    job = run(admin).ok().json["job_id"]
    event = wait_until(
        lambda: (found := admin.get("/ai/audit/events/" + job)).status == 200 and found.json,
        30,
        "the event",
    )
    assert event["policy"] == {
        "decision": "allow",
        "reasons": ["t +3"],
        "rule": None,
        "score": 3,
        "version": 1,
    }


def test_a_preview_says_what_would_be_decided(admin):
    put(admin, {"rules": [DENY_SHELL]}).ok()
    shown = admin.post(
        "/ai/preview", {"action": "code.python", "params": {"code": "shutdown"}}
    ).ok().json
    assert shown["allowed"] is False
    assert shown["policy"]["rule"] == "no shell"
    assert "policy" in shown["warnings"][0]
    used = admin.post("/ai/execute", {"preview_id": shown["preview_id"]})
    assert used.status == 403
    fine = admin.post("/ai/preview", {"action": "ping", "params": {}}).ok().json
    assert fine["allowed"] is True
    assert fine["policy"]["decision"] == "allow"


def test_a_decision_is_explained_without_doing_anything(admin):
    put(admin, {"rules": [DENY_SHELL]}).ok()
    asked = {"action": "code.python", "params": {"code": "shutdown"}}
    told = admin.post("/policy/test", asked).ok().json
    assert told["policy"]["decision"] == "deny"
    assert told["allowlisted"] is True
    draft = {
        "rules": [],
        "risk": {
            "terms": [{"name": "x", "when": {"scope": "admin:*"}, "add": 50}],
            "deny_from": 50,
        },
    }
    told = admin.post("/policy/test", {**asked, "scope": "admin:1", "policy": draft}).ok().json
    assert (told["policy"]["decision"], told["policy"]["score"]) == ("deny", 50)
    wrong = admin.post("/policy/test", {**asked, "policy": {"rules": 1}})
    assert wrong.json["errors"][0]["field"] == "/policy/rules"
    assert admin.get("/ai/jobs").ok().json["count"] == 0


def test_a_policy_never_widens_the_allowlist(admin):
    everything = {"name": "all", "when": {}, "then": "allow"}
    put(admin, {"rules": [everything]}).ok()
    answer = admin.post("/webhook/executor/run", {"task": {"type": "code.shell", "code": "id"}})
    assert (answer.status, answer.json["detail"]) == (403, "Action 'code.shell' not allowed")


def test_the_executor_refuses_what_did_not_pass_the_gateway(stack, admin, space):
    """A direct client's command: the worker evaluates the same policy."""
    put(admin, {"rules": [DENY_SHELL]}).ok()
    nats = stack.nats("developer", space)
    job = str(uuid.uuid4())
    payload = json.dumps({"task": {"type": "code.python", "code": "print('shutdown')"}}).encode()
    nats.js_publish(f"gantry.v1.{space}.executor.run", payload, job)
    ended = wait_until(
        lambda: (found := admin.get("/ai/jobs/" + job)).status == 200
        and found.json["status"] == "failed"
        and found.json,
        60,
        "the refusal",
    )
    assert "no shell" in ended["error"]


def test_another_workspaces_policy_is_its_own(stack, admin):
    other = stack.client("admin")
    before = [other.get(path).ok().json for path in ("/policy", "/policy/versions")]
    put(admin, {"rules": [DENY_SHELL]}).ok()
    assert [other.get(path).ok().json for path in ("/policy", "/policy/versions")] == before
