# SPDX-License-Identifier: MIT
"""One idempotency key, many clients, and processes killed in the middle: one job, one result, one
answer. FAULT_ROUNDS=50 is the long form; by default each process is killed once."""
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import threading
import uuid
from urllib.parse import urlsplit

import pytest
from gantry_testing import wait_until

VICTIMS = os.environ.get("FAULT_VICTIMS", "gateway executor redis nats").split()
ROUNDS = int(os.environ.get("FAULT_ROUNDS", len(VICTIMS)))
PATIENCE_S = 600


async def post_once(url, key, body, wait):
    """(status, document) of one request on a connection of its own; (0, None) when it broke."""
    parts = urlsplit(url)
    data = json.dumps(body).encode()
    writer = None
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            b"POST /webhook/executor/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrefer: "
            b"wait=%d\r\n" % wait
            + b"Content-Type: application/json\r\nX-API-Key: "
            + key.encode()
            + b"\r\nContent-Length: "
            + str(len(data)).encode()
            + b"\r\n\r\n"
            + data
        )
        raw = await asyncio.wait_for(reader.read(), wait + 60)
        head, _, content = raw.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content)
    except (OSError, asyncio.TimeoutError, IndexError, ValueError):
        return 0, None
    finally:
        if writer:
            writer.close()


async def insist(url, key, body, wait=20):
    """Ask until there is an answer that is not "try again"."""
    deadline, seen = asyncio.get_running_loop().time() + PATIENCE_S, []
    while True:
        status, answer = await post_once(url, key, body, wait)
        again = status in (0, 503, 504) or (
            status == 409 and answer["code"] == "request_in_progress"
        )
        if not again:
            return status, answer
        seen.append((status, answer and answer["detail"]))
        assert asyncio.get_running_loop().time() < deadline, (
            f"no answer, but {collections.Counter(seen)}, last {seen[-1]}"
        )
        await asyncio.sleep(0.05 + random.random() * 0.3)


def without_request_id(answer):
    return json.dumps({**answer, "request_id": None}, sort_keys=True)


def jobs_of(stack, action="code.shell"):
    redis = pytest.importorskip("redis").Redis.from_url(stack.redis_url())
    return [
        key
        for key in redis.scan_iter(match="job:default:*", count=1000)
        if redis.hget(key, "action") == action.encode()
    ]


def once(seconds):
    """A task whose every run prints something else."""
    return {"type": "code.shell", "code": f"sleep {seconds}; cat /proc/sys/kernel/random/uuid"}


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack(ALLOW_ACTIONS_DEFAULT="code.shell", EXECUTOR_SLOTS=8)


def test_a_thousand_at_once_make_one_job(stack):
    before = len(jobs_of(stack))
    body = {"task": once(0.5), "client_request_id": str(uuid.uuid4())}

    async def all_of_them():
        one = (stack.url, stack.api_key, body, 60)  # however slow the machine: no 202
        return await asyncio.gather(*[insist(*one) for _ in range(1000)])

    answers = asyncio.run(all_of_them())
    assert {status for status, _ in answers} == {200}
    assert len({without_request_id(answer) for _, answer in answers}) == 1
    assert len(jobs_of(stack)) == before + 1


async def one_round(stack, victim, keys=4, clients=20):
    bodies = [{"task": once(0.2), "client_request_id": str(uuid.uuid4())} for _ in range(keys)]
    asking = [
        asyncio.create_task(insist(stack.url, stack.api_key, body))
        for body in bodies
        for _ in range(clients)
    ]
    await asyncio.sleep(random.random() * 0.5)
    stack.kill(victim, signal.SIGKILL)
    answers = await asyncio.gather(*asking)
    return [answers[i * clients:(i + 1) * clients] for i in range(keys)]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_kills_in_the_middle(stack, number):
    victim = VICTIMS[number % len(VICTIMS)]
    before = len(jobs_of(stack))
    for answers in asyncio.run(one_round(stack, victim)):
        statuses = {status for status, _ in answers}
        assert len(statuses) == 1, (victim, answers[:3])
        assert statuses <= {200, 202}, (victim, answers[:3])
        different = {without_request_id(answer) for _, answer in answers}
        assert len(different) == 1, (victim, different)
        job_id = answers[0][1]["job_id"]
        done = wait_until(
            lambda job_id=job_id: (
                (found := stack.client().get("/ai/jobs/" + job_id).ok().json)["status"]
                in ("completed", "failed", "dead")
                and found
            ),
            120,
            "the job ends",
        )
        assert done["status"] == "completed", done
        if 200 in statuses:
            assert answers[0][1]["output"]["stdout"] == done["result"]["stdout"]
    assert len(jobs_of(stack)) == before + 4
    wait_until(lambda: stack.pid(victim), 60, f"{victim} is back")
    stack.wait_ready()


def test_a_running_job_survives_the_death_of_its_executor(stack):
    """The command is delivered again once the server gives up on the dead one (ack_wait 30 s). Each
    run stays until its sleep is ended from here: the first is under way however slow we are."""
    client = stack.client()
    seconds = long_time()
    body = {"task": once(seconds)}
    job_id = (
        client.post("/webhook/executor/run", body, Prefer="respond-async").ok(202).json["job_id"]
    )

    def sleeps():
        return {pid for pid, words in processes() if words == f"sleep\0{seconds}\0"}

    first = wait_until(sleeps, 60, "it runs")
    assert client.get("/ai/jobs/" + job_id).ok().json["status"] == "running"
    stack.kill("executor")
    again = wait_until(lambda: sleeps() - first, 120, "it runs again")
    for pid in again:
        os.kill(pid, signal.SIGKILL)
    done = wait_until(lambda: (found := client.get("/ai/jobs/" + job_id)).status == 200 and
                      found.json["status"] == "completed" and found.json, 120, "it ends")
    assert len(done["result"]["stdout"]) == 37


def test_no_task_outlives_its_executor(stack):
    client, seconds = stack.client(), long_time()
    client.post(
        "/webhook/executor/run",
        {"task": {"type": "code.shell", "code": f"exec -a outlive sleep {seconds}"}},
        Prefer="respond-async",
    ).ok(202)

    def lives():
        return any(words == f"outlive\0{seconds}\0" for _, words in processes())

    wait_until(lives, 30, "it runs")
    stack.kill("executor")
    wait_until(lambda: not lives(), 60, "it is gone")
    wait_until(lambda: stack.pid("executor"), 60, "the executor is back")


def events_of(stack, condition):
    view = stack.database()
    with view.cursor() as cursor:
        cursor.execute(
            "select convert_from(event, 'UTF8')::json from audit_log where kind = 'request' and "
            + condition
        )
        found = [row[0] for row in cursor.fetchall()]
    view.close()
    return found


def test_a_repeat_after_a_crash_has_one_event_of_its_own(stack):
    """The gateway dies with the key reserved and its message lost with NATS: the repeat carries the
    command out. That makes two requests, each with one event."""
    body = {"task": once(0), "client_request_id": str(uuid.uuid4())}
    before = reserved(stack)
    stack.pause("nats")

    def ask_and_break():
        headers = {"X-Request-ID": "first-of-two", "Prefer": "wait=5"}
        with contextlib.suppress(OSError):
            stack.client().post("/webhook/executor/run", body, **headers)

    first = threading.Thread(target=ask_and_break)
    first.start()
    wait_until(lambda: reserved(stack) - before, 60, "the key is reserved")
    stack.kill("gateway")
    stack.kill("nats")
    first.join()
    wait_until(lambda: stack.pid("gateway") and stack.pid("nats"), 60, "both are back")
    stack.wait_ready()
    client = stack.client()
    answer = wait_until(
        lambda: (
            (
                got := client.post(
                    "/webhook/executor/run", body, **{"X-Request-ID": "second-of-two"}
                )
            ).status
            == 200
            and got
        ),
        60,
        "the lease ends",
    )
    wait_until(
        lambda: events_of(stack, f"event_id = '{answer.json['job_id']}'"),
        20,
        "the command is recorded",
    )
    named = "convert_from(event, 'UTF8')::json->>'request_id' = 'second-of-two'"
    carried_out = wait_until(
        lambda: [e for e in events_of(stack, named) if e["http_status"] == 200],
        20,
        "so is the repeat",
    )
    assert len(carried_out) == 1, carried_out
    assert carried_out[0]["event_id"] != answer.json["job_id"], carried_out


def reserved(stack):
    """The records of idempotency keys."""
    redis = pytest.importorskip("redis").Redis.from_url(stack.redis_url())
    return set(redis.scan_iter(match="idem:default:*", count=1000))


def long_time():
    """A number of seconds that no process on this machine has in its words."""
    return f"9876.{random.randrange(10**6, 10**7)}"


def processes():
    """(pid, words, each with its NUL) of everything that runs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                found.append((int(pid), file.read()))
    return found


# --- Redis ----------------------------------------------------------------------------------------


def jobs_again(client):
    wait_until(
        lambda: client.get("/ai/jobs").status == 200, 60, "gateway and executor have Redis again"
    )


def test_a_preview_survives_a_restart_of_redis(stack):
    client = stack.client()
    jobs_again(client)
    preview = (
        client.post("/ai/preview", {"action": "code.shell", "params": {"code": "echo kept"}})
        .ok()
        .json
    )
    stack.restart("redis")
    jobs_again(client)
    done = client.post("/ai/execute", {"preview_id": preview["preview_id"]}).ok(202).json
    wait_until(
        lambda: client.get("/ai/jobs/" + done["job_ids"][0]).ok().json["status"] == "completed",
        60,
        "it ran",
    )
    stack.restart("redis")
    jobs_again(client)
    again = client.post("/ai/execute", {"preview_id": preview["preview_id"]})
    assert (again.status, again.code) == (409, "preview_used")


def test_without_redis_there_are_no_jobs_but_everything_else(stack):
    client = stack.client()
    stack.take_down("redis")
    try:
        wait_until(lambda: client.get("/ai/jobs").status == 503, 40, "jobs are refused")
        for answer in (
            client.post("/webhook/executor/run", {"task": once(0)}),
            client.post(
                "/ai/execute", {"actions": [{"action": "code.shell", "params": {"code": "true"}}]}
            ),
            client.post("/ai/preview", {"action": "code.shell", "params": {"code": "true"}}),
            client.get("/ai/jobs/" + str(uuid.uuid4())),
        ):
            assert (answer.status, answer.code) == (503, "unavailable")
        memory = {"scope": "s", "text": "without Redis"}
        client.post("/webhook/memory/ingest", memory, prefer="wait=60").ok()
    finally:
        stack.bring_back("redis")
    jobs_again(client)
    done = client.post("/webhook/executor/run", {"task": once(0)}, prefer="wait=60").ok()
    assert done.json["outcome"] == "ok"


def test_no_new_jobs_when_redis_is_nearly_full(stack):
    redis = pytest.importorskip("redis").Redis.from_url(stack.redis_url())
    client = stack.client()
    jobs_again(client)
    body = {"task": once(0)}

    def refused():
        """Nearly full of what is in use now: buffers of connections come and go."""
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.22))
        return client.post("/webhook/executor/run", body, Prefer="respond-async").status == 503

    try:
        wait_until(refused, 40, "no room", interval=0.5)
        assert client.get("/ai/jobs").status == 200
    finally:
        redis.config_set("maxmemory", 512 << 20)
    wait_until(lambda: client.post("/webhook/executor/run", body).status == 200, 40, "room again")
