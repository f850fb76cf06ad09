# SPDX-License-Identifier: MIT
"""Actions that wait until somebody has approved them (docs/policy.md)."""

import concurrent.futures
import json
import os
import subprocess
import urllib.request
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


def query(stack, text, *values):
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        rows = cursor.fetchall()
    connection.close()
    return rows


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


def test_keys_of_one_owner_made_by_hand_and_over_http(stack, space, approver):
    """gantry key create --owner; the list shows it, here and over HTTP."""
    by_hand = stack.gantry(
        "key", "create", "--workspace", space, "--role", "admin", "--owner", "Ada Ünal"
    )
    assert by_hand["owner"] == "Ada Ünal"
    made = approver.post("/keys", {"role": "developer", "owner": "Ada Ünal"}).ok(201).json
    other = stack.gantry("key", "create", "--workspace", space, "--role", "admin", "--owner", "Bo")
    for listed in (
        stack.gantry("key", "list", "--workspace", space)["items"],
        approver.get("/keys").ok().json["items"],
    ):
        owners = {one["key_id"]: one.get("owner") for one in listed}
        assert owners[by_hand["key_id"]] == owners[made["key_id"]] == "Ada Ünal"
        assert owners[other["key_id"]] == "Bo"
        assert None in owners.values()
    ada, hers, bo = (Client(stack.url, one["key"]) for one in (by_hand, made, other))
    for client in (ada, hers, bo):
        wait_until(lambda client=client: client.get("/whoami").status == 200, 30, "the keys")
    job_id = ask(hers).json["job_id"]
    assert decide(ada, job_id).code == "approver_not_allowed"
    assert decide(bo, job_id).ok().json["state"] == "approved"
    turned = stack.gantry("key", "rotate", by_hand["key_id"], "--workspace", space)
    listed = stack.gantry("key", "list", "--workspace", space)["items"]
    assert {one["key_id"]: one.get("owner") for one in listed}[turned["key_id"]] == "Ada Ünal"


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
    ended = job(asker, other, "failed")
    assert ended["error"].startswith("approval_failed")
    told = event(approver, "approval.decided", other)
    assert (told["decision"], told["error_reason"]) == ("denied", "approval_failed")
    settled = (
        "SELECT sealed IS NULL AND due_at > now() + interval '80 days' FROM approval WHERE id = %s"
    )
    wait_until(lambda: query(stack, settled, other)[0][0], 60, "nobody tries it again")
    assert approver.get("/ai/approvals?state=failed").ok().json["items"][0]["id"] == other
    # What cannot be decrypted may be another gateway's, but not for ever.
    decide(approver, one)
    assert approver.get("/ai/approvals?state=approved").ok().json["items"][0]["id"] == one
    sql(stack, "UPDATE approval SET expires_at = now(), due_at = now() WHERE id = %s", one)
    assert job(asker, one, "failed")["error"].startswith("approval_failed")
    assert event(approver, "approval.decided", one)["error_reason"] == "approval_failed"


def test_what_was_cancelled_after_its_approval_has_ended(stack, space, approver, asker):
    """Between the decision and the publishing: as a cancelling over NATS alone leaves it."""
    job_id = ask(asker).json["job_id"]
    answer = stack.nats("developer", space).request(
        f"gantry.v1.{space}.jobs.cancel", json.dumps({"id": job_id}).encode(), timeout=30
    )
    assert json.loads(answer.data)["status"] == "cancelled"
    sealed = query(stack, "SELECT sealed FROM approval WHERE id = %s", job_id)[0][0]
    decided = decide(approver, job_id).ok().json
    assert decided["state"] == "approved"
    ended = wait_until(
        lambda: (found := approver.get("/ai/audit/events/" + job_id)).status == 200 and found.json,
        60,
        "the event of its end",
    )
    assert (ended["action"], ended["target"]) == ("executor.run", "code.python")
    assert (ended["status"], ended["error_reason"]) == ("failed", "cancelled")
    assert ended["policy"]["approved_by"] == decided["decided_by"]
    assert event(approver, "approval.decided", job_id)["decision"] == "allowed"
    assert asker.get("/ai/jobs/" + job_id).ok().json["status"] == "cancelled"
    # Told once, however often somebody looks at the row.
    again = (
        "UPDATE approval SET sealed = %s, carried_out = false, decided_told = false, due_at = now()"
        " WHERE id = %s"
    )
    wait_until(lambda: settled_row(stack, job_id), 60, "it is settled")
    sql(stack, again, sealed, job_id)
    wait_until(lambda: settled_row(stack, job_id), 60, "it is settled again")
    ask(asker)  # a later event, behind which the others are known
    for action in ("executor.run", "approval.decided"):
        items = approver.get(f"/ai/audit?action={action}&limit=100").ok().json["items"]
        mine = [one for one in items if job_id in (one["target"], one["event_id"])]
        assert len(mine) == 1, mine


def settled_row(stack, job_id):
    row = "SELECT carried_out AND decided_told FROM approval WHERE id = %s"
    return query(stack, row, job_id)[0][0]


def test_asked_says_what_was_decided_when_it_was_asked(stack, space, approver, asker):
    """Also when the approver is faster than whoever tells of it."""
    with Stream(stack.url, stack.key("admin", space)) as stream:
        job_id = ask(asker).json["job_id"]
        assert stream.until("approval", id=job_id)["state"] == "waiting"  # told for the first time
        event(approver, "approval.asked", job_id)
        row = "SELECT asked_told FROM approval WHERE id = %s"
        wait_until(lambda: query(stack, row, job_id)[0][0], 60, "it is told")
        sql(
            stack,
            "UPDATE approval SET state = 'approved', decided_by = %s, decided_at = now(),"
            " asked_told = false, asked_event = gen_random_uuid(), due_at = now() WHERE id = %s",
            approver.get("/whoami").ok().json["key_id"],
            job_id,
        )
        assert stream.until("approval", id=job_id)["state"] == "waiting"
        assert stream.until("approval", id=job_id)["state"] == "approved"
    job(asker, job_id, "completed")

    def asked():
        items = approver.get("/ai/audit?action=approval.asked").ok().json["items"]
        return [one["decision"] for one in items if one["target"] == job_id]

    wait_until(lambda: len(asked()) == 2, 60, "both events")
    assert asked() == ["requires_approval"] * 2


def test_a_list_waits_as_a_whole_or_not_at_all(stack, space, approver, asker):
    """There is room for one more, and the list has two."""
    sql(
        stack,
        "INSERT INTO approval (workspace, id, action, command, key_id, role, accepted_ms,"
        " request_id, idem_hash, policy_version, decision, hash, expires_at, asked_told, due_at)"
        " SELECT %s, gen_random_uuid(), 'x', 'executor.run', 'nobody', 'viewer', 0, '', '', 1,"
        " '{}', 'x', now() + interval '1 hour', true, NULL FROM generate_series(1, 999)",
        space,
    )
    one = {"action": "code.python", "params": {"code": "print(1)"}}
    answer = asker.post("/ai/execute", {"actions": [one, one]})
    assert answer.status == 503
    assert "too many actions" in answer.json["detail"]
    count = "SELECT count(*) FROM approval WHERE workspace = %s"
    assert query(stack, count, space) == [(999,)]
    asker.post("/ai/execute", {"actions": [one]}).ok(202)
    assert query(stack, count, space) == [(1000,)]
    sql(stack, "DELETE FROM approval WHERE workspace = %s AND key_id = 'nobody'", space)


def test_how_many_wait(stack, space, asker):
    """In the metrics and in gantry status; other tests have approvals that wait, too."""
    for _ in range(3):
        ask(asker)
    assert stack.gantry("status")["approvals_waiting"] >= 3

    def told():
        with urllib.request.urlopen(stack.env["GANTRY_ADMIN_URL"] + "/metrics", timeout=30) as page:
            lines = page.read().decode().splitlines()
        found = [line.rsplit(" ", 1) for line in lines if "approvals_waiting" in line]
        return {name: int(n) for name, n in found if not name.startswith("# ") and n.isdigit()}

    each = "gantry_workspace_approvals_waiting{workspace=\"%s\"}"
    seen = wait_until(
        lambda: ((now := told()).get(each % space) == 3 or each % "_others" in now) and now,
        60,
        "they are counted",
    )
    by_workspace = [n for name, n in seen.items() if "{" in name]
    assert seen["gantry_approvals_waiting"] == sum(by_workspace)
    assert len(by_workspace) <= 21


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
