# SPDX-License-Identifier: MIT
"""What one workspace may fill of Redis: beyond its share it is refused, by name; others notice
nothing."""

import contextlib
import json
import uuid

import pytest
from gantry_testing.wait import wait_until

SHARE = 2 << 20
PREVIEW = {
    "action": "code.python",
    "params": {"code": "print(1)", "files": {f"f{i}": "x" * 6000 for i in range(20)}},
}
PRINTS = {"task": {"type": "code.python", "code": "print('x' * 60000)"}}
PING = {"task": {"type": "ping", "message": "m"}}


@pytest.fixture(scope="module")
def system(make_stack):
    return make_stack(
        ALLOW_ACTIONS_DEFAULT="ping,code.python",
        REDIS_SHARE_BYTES=SHARE,
        IDEMPOTENCY_SHARE_BYTES=SHARE,
    )


def used(stack, workspace, kind="jobs"):
    return int(stack.redis("hget", f"{kind}:share:{workspace}", "total") or 0)


def refused(answer):
    assert (answer.status, answer.code) == (503, "unavailable"), answer
    assert "the workspace's share of Redis is used up (REDIS_SHARE_BYTES)" in answer.json["detail"]
    assert answer.headers["Retry-After"] == "60"


def test_direct_clients_have_the_same_share(system):
    """No gateway refuses their jobs: the executor does, and keeps nothing of them. First of all
    tests here: the log names the workspace with which a bound begins to be full."""
    share, ping = "jobs:share:direct", json.dumps(PING).encode()
    with contextlib.closing(system.nats("developer", "direct")) as nats:
        sid = nats.subscribe("gantry.v1.direct.job.*.done")
        nats.flush()

        def run():
            job = str(uuid.uuid4())
            nats.js_publish("gantry.v1.direct.executor.run", ping, msg_id=job)
            while (done := nats.next(60, sid)).subject.split(".")[-2] != job:
                pass
            return job, json.loads(done.data)

        assert run()[1]["status"] == "success"
        ends = next(one for one in system.redis("hkeys", share).split() if one.isdigit())
        system.redis("hset", share, ends, str(2 * SHARE), "total", str(2 * SHARE))
        ready, refused = system.anonymous(), []
        assert "job_records" not in ready.get("/readyz").json["full"]
        wait_until(
            lambda: refused.append(run()) or "job_records" in ready.get("/readyz").json["full"],
            60,
            "it is named",
        )
        assert "direct" in system.whose_bound("job_records", "executor")
        assert any(
            name.startswith("gantry_worker_full{") and 'bound="job_records"' in name
            for name, value in system.metrics().items()
            if value == "1"
        )
        job, answer = run()
        assert (answer["status"], answer["code"]) == (503, "unavailable"), answer
        assert {one["status"] for _, one in refused} == {503}
        assert "REDIS_SHARE_BYTES" in answer["detail"]
        assert system.redis("exists", f"job:direct:{job}") == "0"
        # What has expired counts no more.
        system.redis("hdel", share, ends)
        system.redis("hset", share, "1", str(2 * SHARE), "total", str(2 * SHARE))
        assert run()[1]["status"] == "success"


def test_previews_fill_their_own_share_only(system):
    viewer, other = system.client("viewer", "filler"), system.client("developer", "neighbour")
    answers = [viewer.post("/ai/preview", PREVIEW) for _ in range(30)]
    kept = [one for one in answers if one.status == 200]
    assert 10 <= len(kept) <= 17, "120 KB each, and 2 MB"
    for answer in answers[len(kept) :]:
        refused(answer)
    assert SHARE - 130000 < used(system, "filler") <= SHARE
    # A neighbour: previews, tasks, execute calls.
    assert other.post("/ai/preview", PREVIEW).status == 200
    assert other.post("/webhook/executor/run", PING).status == 200
    assert (
        other.post(
            "/ai/execute", {"actions": [{"action": "ping", "params": {"message": "m"}}]}
        ).status
        == 202
    )
    assert system.anonymous().get("/readyz").json["dependencies"]["redis"] == "up"


def test_results_count(system):
    client = system.client("developer", "printer")
    assert client.post("/webhook/executor/run", PRINTS).status == 200
    assert 60000 < used(system, "printer") < 70000
    answers = []
    wait_until(
        lambda: (
            answers.append(client.post("/webhook/executor/run", PRINTS))
            or answers[-1].headers.get("Retry-After") == "60"
        ),
        200,
        "the share is used up, and the gateway, which looks once a second, knows it",
    )
    assert {one.status for one in answers} == {200, 503}
    refused(answers[-1])
    assert used(system, "printer") < 1.5 * SHARE + 70000
    refused(client.post("/ai/preview", {"action": "ping", "params": {"message": "m"}}))
    refused(
        client.post("/ai/execute", {"actions": [{"action": "ping", "params": {"message": "m"}}]})
    )
    assert system.client("developer", "reader").post("/webhook/executor/run", PING).status == 200
    # What is there can be read, and what is ended can be listed. The tasks that ended before the
    # gateway knew may have filled the executor's share and a half, too.
    (last,) = client.get("/ai/jobs?limit=1").ok().json["jobs"]
    assert last["status"] == "completed" or "result could not be kept" in last["error"]


def test_what_waits_when_the_share_is_used_up(system):
    """Accepted tasks run; a long result beyond a share and a half is not kept, and the job says
    so."""
    client = system.client("developer", "queuer")
    ids = []
    for _ in range(80):
        answer = client.request(
            "POST", "/webhook/executor/run", PRINTS, {"Prefer": "respond-async"}
        )
        if answer.status == 202:
            ids.append(answer.json["job_id"])
    ended = {}

    def all_ended():
        for one in ids:
            if one not in ended:
                job = client.get(f"/ai/jobs/{one}").ok().json
                if job["status"] in ("completed", "failed"):
                    ended[one] = job
        return len(ended) == len(ids)

    wait_until(all_ended, 300, "all tasks have ended")
    assert used(system, "queuer") < 1.5 * SHARE + 100 * 1024
    lost = [job for job in ended.values() if job["status"] == "failed"]
    assert all("share of Redis is used up" in job["error"] for job in lost)
    assert len(ended) - len(lost) >= 30


def test_jobs_that_never_run_count(system):
    """Cancelled before they ran, and dead letters: each leaves its record for the retention."""
    client, job = system.client("developer", "idler"), str(uuid.uuid4())
    fields = ["status", "pending", "action", "ping", "enqueued", "1"]
    system.redis("hset", f"job:idler:{job}", *fields)
    assert client.delete(f"/ai/jobs/{job}").ok().json["status"] == "cancelled"
    assert used(system, "idler") == 600
    with contextlib.closing(system.nats("developer", "idler")) as nats:
        nats.js_publish("gantry.v1.idler.executor.run", b'{"task":', msg_id=str(uuid.uuid4()))
    wait_until(lambda: used(system, "idler") == 1200, 60, "the dead job is counted")


def test_a_question_that_redis_refuses_is_no_outage(system):
    system.redis("set", "jobs:odd", "not a list of jobs")
    answer = system.client("viewer", "odd").get("/ai/jobs").ok(503)
    assert "Redis refuses" in answer.json["detail"]

    def reasons():
        lines = system.log("executor").splitlines()
        return [json.loads(line).get("reason", "") for line in lines]

    wait_until(lambda: any("WRONGTYPE" in reason for reason in reasons()), 60, "the log says why")


INGEST = "/webhook/memory/ingest"
PING_ACTION = {"action": "ping", "params": {"message": "m"}, "client_request_id": "x"}


def keyed(client, key, text="a memory"):
    return client.post(INGEST, {"scope": "s", "text": text}, idempotency_key=key)


def test_idempotency_records_count(system):
    client = system.client("developer", "keyed")
    keyed(client, "first").ok()
    one = used(system, "keyed", "idem")
    records = system.redis("--scan", "--pattern", "idem:keyed:*").split()
    assert 650 <= one < 700
    assert int(system.redis("memory", "usage", records[0])) < 1.1 * one
    assert keyed(client, "first").ok().headers["Idempotency-Replayed"] == "true"
    assert used(system, "keyed", "idem") == one, "a replay takes nothing"
    # Each action's own key has a record, and the answer of the call is a longer one.
    actions = [
        {"action": "ping", "params": {"message": "m"}, "client_request_id": f"a{i}"}
        for i in range(20)
    ]
    client.post("/ai/execute", {"actions": actions}, idempotency_key="third").ok(202)
    wait_until(lambda: used(system, "keyed", "idem") > one + 21 * 650 + 500, 30, "they are counted")
    assert used(system, "keyed") < 21 * 700, "jobs have a share of their own"


def test_at_the_share_only_new_keys_are_refused(system):
    client, other = (
        system.client("developer", "full-of-keys"),
        system.client("developer", "neighbour"),
    )
    first = keyed(client, "first").ok().json["id"]
    share = "idem:share:full-of-keys"
    ends = next(one for one in system.redis("hkeys", share).split() if one.isdigit())
    system.redis(
        "hset", share, ends, str(SHARE - 700), "total", str(SHARE - 700)
    )  # room for one more
    keyed(client, "second").ok()
    for answer in (keyed(client, "third"), client.post("/ai/execute", {"actions": [PING_ACTION]})):
        assert (answer.status, answer.code) == (503, "unavailable"), answer
        assert (
            "share of idempotency records is used up (IDEMPOTENCY_SHARE_BYTES)"
            in answer.json["detail"]
        )
        assert answer.headers["Retry-After"]
    assert "idempotency_share" in system.anonymous().get("/readyz").json["full"]
    # What was answered under a key is answered again; without a key all goes on, and so does a
    # neighbour.
    assert keyed(client, "first").ok().json["id"] == first
    client.post(INGEST, {"scope": "s", "text": "without a key"}).ok()
    client.post("/webhook/executor/run", PING).ok()
    for number in range(20):
        keyed(other, f"other {number}").ok()
    # What has expired counts no more.
    system.redis("hdel", share, ends)
    system.redis("hset", share, "1", str(SHARE), "total", str(SHARE), "swept", "0")
    wait_until(lambda: keyed(client, "third").status == 200, 20, "there is room again")
