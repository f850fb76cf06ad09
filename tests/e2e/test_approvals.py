# SPDX-License-Identifier: MIT
"""Actions that wait until somebody has approved them (docs/policy.md)."""

import concurrent.futures
import json
import os
import subprocess
import uuid

import pytest
from gantry_testing import wait_until
from gantry_testing.events import Stream
from gantry_testing.http import Client
from gantry_testing.stack import ROOT

ASK = {
    "rules": [
        {"name": "code needs a look", "when": {"action": "code.*"}, "then": "requires_approval"}
    ]
}
TASK = {"type": "code.python", "code": "print('it ran')"}


@pytest.fixture
def space(stack):
    name = "a" + uuid.uuid4().hex[:12]
    stack.key("admin", name)
    stack.gantry("workspace", "allow", name, "ping", "code.python")
    stack.client("admin", name).request("PUT", "/policy", ASK).ok()
    return name


@pytest.fixture
def approver(stack, space):
    return stack.client("admin", space)


@pytest.fixture
def asker(stack, space):
    return stack.client("developer", space)


def ask(client, **more):
    return client.post("/webhook/executor/run", {"task": TASK, **more}, Prefer="wait=30").ok(202)


def job(client, job_id, *states):
    return wait_until(
        lambda: (found := client.get("/ai/jobs/" + job_id)).status == 200
        and found.json["status"] in states
        and found.json,
        60,
        f"job {states}",
    )


def decide(client, job_id, decision="approve", **more):
    return client.post("/ai/approvals/" + job_id, {"decision": decision, **more})


def sql(stack, text, *values):
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute(text, values)
    connection.close()


def event(client, action, target):
    """The audit event of an approval."""

    def look():
        items = client.get("/ai/audit?action=" + action).ok().json["items"]
        return [one for one in items if one["target"] == target]

    return wait_until(look, 60, action)[0]


def test_what_is_approved_runs_as_it_was_shown(approver, asker):
    answer = ask(asker, scope="user:1")
    job_id = answer.json["job_id"]
    assert answer.json["status"] == "waiting_approval"
    assert answer.json["policy"]["rule"] == "code needs a look"
    assert answer.headers["Location"] == "/ai/jobs/" + job_id
    assert job(asker, job_id, "waiting_approval")["action"] == "code.python"
    listed = approver.get("/ai/approvals").ok().json
    assert [one["id"] for one in listed["items"]] == [job_id]
    shown = approver.get("/ai/approvals/" + job_id).ok().json
    assert shown["params"] == {"code": "print('it ran')"}
    assert shown["scope"] == "user:1"
    assert (shown["state"], shown["own"]) == ("waiting", False)
    decided = decide(approver, job_id, hash=shown["hash"], comment="fine").ok().json
    assert (decided["state"], decided["comment"]) == ("approved", "fine")
    done = job(asker, job_id, "completed")
    assert done["result"]["stdout"] == "it ran\n"
    ran = wait_until(
        lambda: (found := approver.get("/ai/audit/events/" + job_id)).status == 200 and found.json,
        60,
        "the event of the run",
    )
    assert ran["policy"]["approved_by"] == decided["decided_by"]
    assert ran["policy"]["decision"] == "requires_approval"
    assert ran["key_id"] == shown["requested_by"]
    assert event(approver, "approval.asked", job_id)["decision"] == "requires_approval"
    told = event(approver, "approval.decided", job_id)
    assert (told["decision"], told["key_id"]) == ("allowed", decided["decided_by"])
    wait_until(
        lambda: approver.get("/ai/approvals/" + job_id).ok().json["params"] is None,
        60,
        "the parameters are forgotten once they have been sent",
    )


def test_what_is_denied_does_not_run(approver, asker):
    job_id = ask(asker).json["job_id"]
    assert decide(approver, job_id, "deny", comment="no").ok().json["state"] == "denied"
    ended = job(asker, job_id, "failed")
    assert ended["error"].startswith("approval_denied")
    assert event(approver, "approval.decided", job_id)["decision"] == "denied"
    assert decide(approver, job_id).code == "approval_decided"


def test_the_requester_does_not_decide(stack, space, approver):
    """Not with the same key, nor with what it was rotated to, nor with a key of the same owner."""
    made = approver.post("/keys", {"role": "admin", "owner": "ada", "name": "one"}).ok(201).json
    same = approver.post("/keys", {"role": "admin", "owner": "ada", "name": "two"}).ok(201).json
    first, second = (Client(stack.url, one["key"]) for one in (made, same))
    wait_until(lambda: second.get("/whoami").status == 200, 30, "the keys")
    job_id = ask(first).json["job_id"]
    rotated = approver.post(f"/keys/{made['key_id']}/rotate", {}).ok().json
    third = Client(stack.url, rotated["key"])
    wait_until(lambda: third.get("/whoami").status == 200, 30, "the new key")
    for client in (first, second, third):
        assert client.get("/ai/approvals/" + job_id).ok().json["own"] is True
        for verb in ("approve", "deny"):
            assert decide(client, job_id, verb).code == "approver_not_allowed"
    assert approver.get("/ai/approvals/" + job_id).ok().json["own"] is False
    assert decide(approver, job_id).ok().json["state"] == "approved"


def test_only_who_has_the_scope(asker):
    job_id = ask(asker).json["job_id"]
    assert asker.get("/ai/approvals").code == "missing_scope"
    assert asker.get("/ai/approvals/" + job_id).code == "missing_scope"
    assert decide(asker, job_id).code == "missing_scope"


def test_another_workspace_sees_and_decides_nothing(stack, asker, approver):
    job_id = ask(asker).json["job_id"]
    other = stack.client("admin")
    assert other.get("/ai/approvals/" + job_id).status == 404
    assert decide(other, job_id).status == 404
    assert job_id not in [one["id"] for one in other.get("/ai/approvals").ok().json["items"]]
    assert approver.get("/ai/approvals/" + job_id).ok().json["state"] == "waiting"


def test_another_hash_is_not_what_was_shown(approver, asker):
    one, other = ask(asker).json["job_id"], ask(asker).json["job_id"]
    wrong = approver.get("/ai/approvals/" + other).ok().json["hash"]
    assert decide(approver, one, hash=wrong).code == "approval_changed"
    assert approver.get("/ai/approvals/" + one).ok().json["state"] == "waiting"


def test_two_at_once_make_one_decision(stack, space, approver, asker):
    others = [approver.post("/keys", {"role": "admin"}).ok(201).json["key"] for _ in range(6)]
    clients = [Client(stack.url, key) for key in others]
    for client in clients:
        wait_until(lambda client=client: client.get("/whoami").status == 200, 30, "the key")
    job_id = ask(asker).json["job_id"]
    verbs = ["approve", "deny"] * 3
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda c, v: decide(c, job_id, v), clients, verbs))
    assert sorted(one.status for one in answers) == [200, 409, 409, 409, 409, 409]
    assert {one.code for one in answers if one.status == 409} == {"approval_decided"}
    state = approver.get("/ai/approvals/" + job_id).ok().json["state"]
    job(asker, job_id, "completed" if state == "approved" else "failed")


def test_a_job_that_waits_can_be_cancelled(approver, asker):
    job_id = ask(asker).json["job_id"]
    assert asker.delete("/ai/jobs/" + job_id).ok().json["status"] == "cancelled"
    assert approver.get("/ai/approvals/" + job_id).ok().json["state"] == "cancelled"
    assert decide(approver, job_id).code == "approval_decided"
    assert job(asker, job_id, "cancelled")


def test_a_call_of_several_holds_those_that_need_it(approver, asker):
    actions = [
        {"action": "ping"},
        {"action": "code.python", "params": {"code": "print(2)"}, "client_request_id": "k"},
    ]
    answer = asker.post("/ai/execute", {"actions": actions}).ok(202).json
    free, held = answer["job_ids"]
    assert [one["policy"]["decision"] for one in answer["policy"]] == ["allow", "requires_approval"]
    assert job(asker, free, "completed")
    assert job(asker, held, "waiting_approval")
    again = asker.post("/ai/execute", {"actions": actions[1:]}).ok(202).json
    assert again["job_ids"] == [held]
    assert approver.get("/ai/approvals").ok().json["count"] == 1
    decide(approver, held).ok()
    assert job(asker, held, "completed")["result"]["stdout"] == "2\n"


def test_a_preview_that_needs_approval(approver, asker):
    shown = asker.post(
        "/ai/preview", {"action": "code.python", "params": {"code": "print(3)"}}
    ).ok().json
    assert shown["allowed"] is True
    assert "approved" in shown["warnings"][0]
    held = asker.post("/ai/execute", {"preview_id": shown["preview_id"]}).ok(202).json["job_ids"][0]
    assert approver.get("/ai/approvals/" + held).ok().json["params"] == {"code": "print(3)"}
    decide(approver, held).ok()
    assert job(asker, held, "completed")


def test_a_repeat_waits_as_the_same_job(approver, asker):
    body = {"task": TASK}
    first, second = (
        asker.post("/webhook/executor/run", body, Idempotency_Key="once") for _ in range(2)
    )
    assert (first.status, second.status) == (202, 202)
    assert first.json["job_id"] == second.json["job_id"]
    assert approver.get("/ai/approvals").ok().json["count"] == 1


def test_a_policy_that_denies_meanwhile_wins(approver, asker):
    job_id = ask(asker).json["job_id"]
    deny = {"rules": [{"name": "not any more", "when": {"action": "code.*"}, "then": "deny"}]}
    approver.request("PUT", "/policy", deny).ok()
    decide(approver, job_id).ok()
    ended = job(asker, job_id, "failed")
    assert "not any more" in ended["error"]


def test_a_policy_that_still_asks_takes_the_approval(approver, asker):
    job_id = ask(asker).json["job_id"]
    approver.request("PUT", "/policy", {**ASK, "note": "another version"}).ok()
    decide(approver, job_id).ok()
    assert job(asker, job_id, "completed")


def test_what_has_expired_is_not_approved(stack, space, approver, asker):
    job_id = ask(asker).json["job_id"]
    sql(stack, "UPDATE approval SET expires_at = now(), due_at = now() WHERE id = %s", job_id)
    assert decide(approver, job_id).code == "approval_decided"
    assert job(asker, job_id, "failed")["error"].startswith("approval_expired")
    assert approver.get("/ai/approvals/" + job_id).ok().json["state"] == "expired"
    assert event(approver, "approval.decided", job_id)["error_reason"] == "approval_expired"


def test_a_changed_row_is_not_carried_out(stack, space, approver, asker):
    """Whoever writes the database can move rows, but not make one run as another."""
    one, other = ask(asker).json["job_id"], ask(asker).json["job_id"]
    sql(
        stack,
        "UPDATE approval SET sealed = (SELECT sealed FROM approval WHERE id = %s) WHERE id = %s",
        other,
        one,
    )
    assert approver.get("/ai/approvals/" + one).status == 500
    sql(stack, "UPDATE approval SET policy_version = 9 WHERE id = %s", other)
    decide(approver, other).ok()
    wait_until(lambda: "the row was changed" in stack.log("gateway"), 60, "the gateway notices")
    assert asker.get("/ai/jobs/" + other).ok().json["status"] in ("pending", "waiting_approval")


def test_the_executor_takes_no_claim_without_an_approval(stack, space, approver):
    """A direct client's command, and one with another job's approval."""
    nats = stack.nats("developer", space)
    job_id = str(uuid.uuid4())
    nats.js_publish(f"gantry.v1.{space}.executor.run", json.dumps({"task": TASK}).encode(), job_id)
    assert "must be approved" in job(approver, job_id, "failed")["error"]


def test_the_command_line(stack, space, approver, asker):
    job_id = ask(asker).json["job_id"]
    env = {"GANTRY_API_KEY": stack.key("admin", space)}
    listed = gantry(stack, env, "approval", "list")
    assert [one["id"] for one in listed["items"]] == [job_id]
    assert gantry(stack, env, "approval", "show", job_id)["params"] == {"code": "print('it ran')"}
    decided = gantry(stack, env, "approval", "deny", job_id, "--comment=not today")
    assert (decided["state"], decided["comment"]) == ("denied", "not today")
    assert stack.gantry("policy", "get", space) == ASK
    assert stack.gantry("policy", "set", space, "default")["version"] == 2
    assert stack.gantry("policy", "get", space, "--version=1") == ASK
    assert [one["version"] for one in stack.gantry("policy", "versions", space)] == [2, 1]
    told = gantry(stack, env, "policy", "test", "ping", "--scope=admin:1")
    assert told["policy"]["score"] == 10


def gantry(stack, env, *words):
    done = subprocess.run(
        [ROOT / "build" / "gantry", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], **stack.env, **env},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_listeners_are_told(approver, asker, stack, space):
    with Stream(stack.url, stack.key("admin", space)) as stream:
        job_id = ask(asker).json["job_id"]
        asked = stream.until("approval", id=job_id)
        assert asked == {"id": job_id, "state": "waiting", "action": "code.python"}
        decide(approver, job_id, "deny").ok()
        assert stream.until("approval", id=job_id, state="denied")
