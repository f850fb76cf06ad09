# SPDX-License-Identifier: MIT
"""Approvals and kill -9: what waits goes on waiting, what was approved runs, once."""

import contextlib
import threading
import uuid

import pytest
from gantry_testing import wait_until

ASK = {
    "rules": [{"name": "look", "when": {"action": "code.shell"}, "then": "requires_approval"}]
}
PRINT = "cat /proc/sys/kernel/random/uuid"


@pytest.fixture(scope="module")
def stack(make_stack):
    stack = make_stack(ALLOW_ACTIONS_DEFAULT="ping,code.shell")
    stack.client().request("PUT", "/policy", ASK).ok()
    return stack


def ask(stack):
    body = {"task": {"type": "code.shell", "code": PRINT}}
    client = stack.client("developer")
    return wait_until(
        lambda: (answer := client.post("/webhook/executor/run", body)).status == 202
        and answer.json["job_id"],
        120,
        "the job waits",
    )


def printed(stack, job_id):
    """What the job has printed once it is completed."""
    client = stack.client()

    def look():
        found = client.get("/ai/jobs/" + job_id)
        return found.status == 200 and found.json["status"] == "completed" and found.json

    return wait_until(look, 180, "the job")["result"]["stdout"]


def query(stack, text, *values):
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


def recorded(stack):
    """Nothing that was told to AUDIT is on its way to the log any more."""

    def empty():
        with contextlib.closing(stack.operator()) as nats:
            return nats.api("STREAM.INFO.AUDIT")["state"]["messages"] == 0

    wait_until(empty, 150, "the AUDIT stream is empty", interval=0.2)


def events(stack, action, job_id):
    items = stack.client().get(f"/ai/audit?action={action}&limit=100").ok().json["items"]
    return [one for one in items if one["target"] == job_id]


@pytest.mark.parametrize("name", ["gateway", "executor", "redis", "nats", "postgres"])
def test_what_waits_outlives_each_process(stack, name):
    job_id = ask(stack)
    stack.restart(name)
    client = stack.client()
    shown = wait_until(
        lambda: (found := client.get("/ai/approvals/" + job_id)).status == 200 and found.json,
        120,
        "it waits still",
    )
    assert shown["state"] == "waiting"
    wait_until(
        lambda: client.post(
            "/ai/approvals/" + job_id, {"decision": "approve", "hash": shown["hash"]}
        ).status
        in (200, 409),
        120,
        "it is approved",
    )
    assert uuid.UUID(printed(stack, job_id).strip())


def test_an_approval_outlives_a_redis_that_has_lost_everything(stack):
    job_id = ask(stack)
    redis = pytest.importorskip("redis").Redis.from_url(stack.redis_url())
    redis.delete(*redis.scan_iter(match="job*", count=1000))
    assert stack.client().get("/ai/jobs/" + job_id).status == 404
    stack.client().post("/ai/approvals/" + job_id, {"decision": "approve"}).ok()
    assert printed(stack, job_id)


def test_what_was_decided_by_a_gateway_that_was_killed_right_then_runs(stack):
    """The row as such a gateway leaves it: decided, and nothing else done."""
    job_id = ask(stack)
    (key,) = query(stack, "SELECT key_id FROM api_key WHERE role = 'admin' LIMIT 1")[0]
    verdict = query(
        stack,
        "SELECT set_config('gantry.workspace', 'default', false),"
        " approval_decide(%s, true, %s, NULL, NULL)",
        job_id,
        key,
    )
    assert verdict[0][1] == "ok"
    assert printed(stack, job_id)
    wait_until(lambda: len(events(stack, "approval.decided", job_id)) == 1, 60, "its event")


def test_what_was_published_by_a_gateway_that_was_killed_before_it_said_so_runs_once(stack):
    job_id = ask(stack)
    sealed = query(stack, "SELECT sealed FROM approval WHERE id = %s", job_id)[0][0]
    stack.client().post("/ai/approvals/" + job_id, {"decision": "approve"}).ok()
    first = printed(stack, job_id)
    settled = "SELECT sealed IS NULL FROM approval WHERE id = %s"
    wait_until(lambda: query(stack, settled, job_id)[0][0], 60, "it is settled")
    query(
        stack,
        "UPDATE approval SET sealed = %s, carried_out = false, asked_told = false,"
        " decided_told = false, due_at = now() WHERE id = %s",
        sealed,
        job_id,
    )
    wait_until(lambda: query(stack, settled, job_id)[0][0], 60, "it is settled again")
    assert printed(stack, job_id) == first
    recorded(stack)
    assert len(events(stack, "approval.asked", job_id)) == 1
    assert len(events(stack, "approval.decided", job_id)) == 1


def test_approved_while_everything_is_killed(stack):
    """Whatever was answered: it is approved and runs, or it waits and can be approved."""
    jobs = [ask(stack) for _ in range(4)]
    client = stack.client()

    def approve(job_id):
        other = stack.client()
        while True:
            try:
                answer = other.post("/ai/approvals/" + job_id, {"decision": "approve"})
                if answer.status in (200, 409):
                    return
            except OSError:
                pass

    threads = [threading.Thread(target=approve, args=(job_id,)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for name in ("gateway", "nats", "gateway", "redis"):
        wait_until(lambda name=name: stack.pid(name), 60, f"{name} runs")
        stack.kill(name)
    stack.wait_ready(120)
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert len({printed(stack, job_id) for job_id in jobs}) == len(jobs)
    assert client.get("/ai/approvals").ok().json["count"] == 0
