# SPDX-License-Identifier: MIT
"""GET /ai/events and GET /ai/jobs/{id}?wait=: what happens is told, to the right listeners, and
nothing waits for a poll. No test judges by time: what must not come is followed by something that
must."""

import concurrent.futures
import json
import signal
import socket
import uuid
from urllib.parse import urlsplit

import pytest
from gantry_testing.events import Stream
from gantry_testing.http import Client
from gantry_testing.keys import short_lived
from gantry_testing.mcp import Mcp
from gantry_testing.stack import free_ports
from gantry_testing.wait import wait_until

SLEEP = {"code": "import time; time.sleep(290)"}
LONG = {"timeout_seconds": 300}  # a job that lasts until the test cancels it


@pytest.fixture(scope="module")
def two(make_stack):
    """A stack of its own with two gateways, and small shares of listeners."""
    stack = make_stack(
        ALLOW_ACTIONS_DEFAULT="ping,code.python", MAX_KEY_LISTENERS=3, MAX_WORKSPACE_LISTENERS=5
    )
    stack.second_url = second_gateway(stack)
    return stack


def second_gateway(stack):
    """A service gateway-2 beside the first: the same but for its ports."""
    port, admin_port = free_ports(2)
    script = (stack.directory / "services" / "gateway").read_text()
    script = script.replace(f"127.0.0.1:{stack.ports['GATEWAY_PORT']}", f"127.0.0.1:{port}")
    script = script.replace(f"127.0.0.1:{stack.ports['ADMIN_PORT']}", f"127.0.0.1:{admin_port}")
    service = stack.directory / "services" / "gateway-2"
    service.write_text(script)
    service.chmod(0o700)
    stack._hup()
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(url), 40, "the second gateway is ready")
    return url


def answers(url):
    try:
        return Client(url).get("/readyz").status == 200
    except OSError:
        return False


def listen(stack, key=None, **more):
    stream = Stream(stack.url, key or stack.api_key, **more)
    assert stream.status == 200, stream.answer.read()
    assert stream.headers["Content-Type"] == "text/event-stream"
    return stream


def run(client, action="ping", **params):
    answer = client.post("/ai/execute", {"actions": [{"action": action, "params": params}]}).ok(202)
    return answer.json["job_ids"][0]


def run_long(client):
    task = {"task": {"type": "code.python", **SLEEP}, **LONG}
    answer = client.post("/webhook/executor/run", task, prefer="respond-async").ok(202)
    return answer.json["job_id"]


def ended(client, job):
    return wait_until(
        lambda: (
            client.get(f"/ai/jobs/{job}?wait=30").ok().json["status"] not in ("pending", "running")
        ),
        60,
    )


def states(stream, job):
    """The states of a job up to its end, in order; "pending" is left out where the executor was
    faster."""
    seen = []
    for name, data, _ in stream:
        if name == "job" and data["job_id"] == job:
            seen += [data["status"]] if data["status"] != "pending" else []
            if data["status"] not in ("pending", "running"):
                return seen


def test_the_states_of_a_job(stack, client):
    with listen(stack) as stream:
        name, data, first_id = next(stream)
        assert name == "ready"
        assert data == {"resumed": False, "window": 512, "heartbeat_seconds": 15}
        assert first_id
        assert states(stream, run(client)) == ["running", "completed"]
        assert (
            states(stream, run(client, "code.python", code="raise SystemExit(3)"))[-1] == "failed"
        )


def test_a_cancelled_job(stack, client):
    with listen(stack) as stream:
        job = run_long(client)
        stream.until("job", job_id=job, status="running")
        client.delete(f"/ai/jobs/{job}")
        assert states(stream, job) == ["cancelled"]


def test_the_end_of_a_job_by_a_worker_of_the_version_before(stack):
    """Only the body says how it ended, and what the task printed is no part of that."""
    output = {"stdout": '"outcome":"ok"\0', "outcome": "ok"}
    worker = stack.nats_as("executor")
    with listen(stack) as stream:
        next(stream)
        for outcome, state in (("ok", "completed"), ("cancelled", "cancelled"), ("t", "failed")):
            job = str(uuid.uuid4())
            body = {"output": output, "status": "failed", "outcome": outcome, "job_id": job}
            worker.publish(
                f"gantry.v1.default.job.{job}.done",
                json.dumps(body).encode(),
                {"Gantry-Event": "done", "Gantry-Status": "200"},
            )
            worker.flush()
            assert states(stream, job) == [state]
    worker.close()


def test_states_that_come_in_one_read_keep_their_order(two):
    """A gateway that was stopped finds a job's state and its end together."""
    job, worker = str(uuid.uuid4()), two.nats_as("executor")
    with listen(two) as stream:
        next(stream)
        two.pause("gateway")
        try:
            state, end = {"status": "running", "action": "ping"}, {"outcome": "ok", "output": {}}
            worker.publish(f"gantry.sys.jobs.default.{job}", json.dumps(state).encode())
            worker.publish(
                f"gantry.v1.default.job.{job}.done",
                json.dumps(end).encode(),
                {
                    "Gantry-Event": "done",
                    "Gantry-Status": "200",
                    "Gantry-Job-Status": "completed",
                },
            )
            worker.flush()
        finally:
            two.resume("gateway")
        assert states(stream, job) == ["running", "completed"]
    worker.close()


def test_ends_of_commands(stack, client):
    with listen(stack) as stream:
        memory = client.ingest("events:1", "the listener hears of it").ok().json["id"]
        told = stream.until("command", family="memory", id=memory)
        assert told["http_status"] == 200
        assert told["code"] is None
        event = client.post(
            "/webhook/audit/append",
            {"actor": "a", "action": "b", "target": "c", "decision": "allowed"},
        )
        stream.until("command", family="audit", id=event.ok().json["event_id"])


def test_scopes_and_workspaces(stack, client):
    other = stack.client("admin", "elsewhere")
    with listen(stack, stack.key("viewer")) as mine:
        foreign = run(other)
        ended(other, foreign)
        memory = client.ingest("events:2", "a viewer may not hear of commands").ok().json["id"]
        job = run(client)
        seen = []
        for name, data, _ in mine:
            seen.append((name, data.get("job_id") or data.get("id")))
            if name == "job" and data["job_id"] == job and data["status"] == "completed":
                break
        assert ("command", memory) not in seen
        assert ("job", foreign) not in seen
        assert {name for name, _ in seen} == {"ready", "job"}


def test_resuming(stack, client):
    with listen(stack) as stream:
        next(stream)
        job = run(client)
        stream.until("job", job_id=job, status="running")
        here = stream.last_id
    ended(client, job)
    with listen(stack, last_id=here) as stream:
        name, data, _ = next(stream)
        assert name == "ready"
        assert data["resumed"] is True
        assert states(stream, job) == ["completed"]


@pytest.mark.parametrize(
    "last_id", ["0123456789abcdef.1", "nonsense", "0123456789abcdef.99999999999999999999"]
)
def test_what_cannot_be_resumed_is_said(stack, last_id):
    with listen(stack, last_id=last_id) as stream:
        assert next(stream)[:2][0] == "ready"
        name, data, own = next(stream)
        assert name == "missed"
        assert "list again" in data["detail"]
        assert own != last_id


def number_of(event_id):
    return int(event_id.split(".")[1])


def test_beyond_the_window(stack, client):
    with listen(stack) as stream:
        next(stream)
        here = stream.last_id
        while number_of(stream.last_id) <= number_of(here) + 512:
            actions = [{"action": "ping", "params": {}} for _ in range(100)]
            left = set(client.post("/ai/execute", {"actions": actions}).ok(202).json["job_ids"])
            while left:
                left.discard(stream.until("job", status="completed")["job_id"])
        now = stream.last_id
    with listen(stack, last_id=here) as stream:
        assert next(stream)[0] == "ready"
        assert next(stream)[0] == "missed"
    with listen(stack, last_id=now) as stream:
        assert next(stream)[1]["resumed"] is True


def test_a_job_that_changes_answers_at_once(stack, client):
    job, other = run_long(client), run_long(client)
    for one in (job, other):
        at = f"/ai/jobs/{one}"
        wait_until(lambda at=at: client.get(at).ok().json["status"] == "running", 60)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        before = pool.submit(stack.client().get, f"/ai/jobs/{other}?wait=60")
        waiting = pool.submit(stack.client().get, f"/ai/jobs/{job}?wait=60")
        client.delete(f"/ai/jobs/{job}")
        assert waiting.result().ok().json["status"] == "cancelled"
        early = before.done()
        client.delete(f"/ai/jobs/{other}")
        assert not early, "a wait that began earlier would have run out"
        before.result().ok()
    assert (
        client.get(f"/ai/jobs/{job}?wait=60").ok().json["status"] == "cancelled"
    )  # it has ended: at once


def test_a_wait_that_runs_out(stack, client):
    job = run_long(client)
    wait_until(lambda: client.get(f"/ai/jobs/{job}").ok().json["status"] == "running", 60)
    assert client.get(f"/ai/jobs/{job}?wait=1").ok().json["status"] == "running"
    client.delete(f"/ai/jobs/{job}")


def test_bad_waits(stack, client):
    nothing = uuid.uuid4()
    assert client.get(f"/ai/jobs/{nothing}?wait=30").ok(404).code == "not_found"
    for bad in ("61", "-1", "x", "1.5"):
        assert client.get(f"/ai/jobs/{nothing}?wait={bad}").ok(422).code == "invalid_request"


def test_a_waited_for_job_is_recorded_once(stack, client):
    job = run(client)
    answer = client.get(f"/ai/jobs/{job}?wait=30", X_Request_ID=f"wait-{uuid.uuid4().hex}").ok()
    ended(client, job)

    def events():
        page = client.get("/ai/audit?limit=100&action=jobs.get").ok().json["items"]
        return [one for one in page if one.get("request_id") == answer.headers["X-Request-ID"]]

    wait_until(events, 30)
    assert len(events()) == 1


def test_another_gateway_tells_the_same(two):
    here, there = two.url, two.second_url
    with Stream(here, two.api_key) as a, Stream(there, two.api_key) as b:
        assert next(a)[0] == next(b)[0] == "ready"
        job = run(two.client())
        assert states(a, job) == states(b, job) == ["running", "completed"]
        here_id = a.last_id
    with Stream(there, two.api_key, last_id=here_id) as stream:
        assert next(stream)[0] == "ready"
        assert next(stream)[0] == "missed"


def listen_again(stack, key=None):
    """Once the gateway has seen that the listeners of tests before have gone."""

    def heard():
        stream = Stream(stack.url, key or stack.api_key)
        if stream.status == 200:
            return stream
        stream.close()
        return None

    return wait_until(heard, 60, "a place for a listener")


def test_shares_of_listeners(two):
    client = two.client()
    keys = [client.post("/keys", {"role": "viewer"}).ok(201).json for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor():
        streams = [listen_again(two) for _ in range(3)]
        over = Stream(two.url, two.api_key)
        assert over.status == 503
        assert over.headers["Retry-After"]
        assert b"MAX_KEY_LISTENERS" in over.answer.read()
        streams += [listen_again(two, keys[0]["key"]) for _ in range(2)]
        over = Stream(two.url, keys[1]["key"])
        assert over.status == 503
        assert b"MAX_WORKSPACE_LISTENERS" in over.answer.read()
        assert "listeners" in two.anonymous().get("/readyz").json["full"]
        run(client)  # requests have a share of their own
        for stream in streams:
            stream.close()
    wait_until(lambda: Stream(two.url, keys[1]["key"]).status == 200, 30)


def test_an_expired_key_hears_no_more(stack, client):
    """Also where something is told all the time, so that no heartbeat is due."""

    def heard(key):
        stream = Stream(stack.url, key)
        return stream if stream.status == 200 else None

    stream, _ = short_lived(stack, heard)
    with stream, concurrent.futures.ThreadPoolExecutor(1) as pool:
        end = pool.submit(stream.until, "end")

        def told():
            run(client)
            return end.done()

        wait_until(told, 60, "the stream ends", interval=0.2)
        assert end.result()


def test_a_revoked_key_hears_no_more(stack, client):
    made = client.post("/keys", {"role": "viewer"}).ok(201).json
    with listen(stack, made["key"]) as stream:
        assert next(stream)[0] == "ready"
        client.delete(f"/keys/{made['key_id']}").ok(204)
        assert [name for name, _, _ in stream if name][-1] == "end"


def raw(stack, version):
    parts = urlsplit(stack.url)
    sock = socket.create_connection((parts.hostname, parts.port), timeout=120)
    sock.sendall(
        f"GET /ai/events HTTP/{version}\r\nHost: x\r\nX-API-Key: {stack.api_key}\r\n\r\n".encode()
    )
    return sock


def read_to(sock, mark):
    data = b""
    while mark not in data:
        piece = sock.recv(65536)
        if not piece:
            break
        data += piece
    return data


def test_framing_of_both_versions(stack):
    new = raw(stack, "1.1")
    head, _, body = read_to(new, b"heartbeat_seconds").partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert b"X-Accel-Buffering: no" in head
    assert b"Connection: close" not in head
    old = raw(stack, "1.0")
    head, _, body = read_to(old, b"heartbeat_seconds").partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert body.startswith(b"retry: ")
    new.close()
    old.close()


def test_a_connection_that_served_before(stack, client):
    """What the answers before it left in the connection does not count as unread."""
    one = client.clone()
    one.get("/ai/actions").ok()
    one._connection.request("GET", "/ai/events", headers={"X-API-Key": one.key})
    answer = one._connection.getresponse()
    assert answer.status == 200
    assert answer.readline()
    one._connection.close()


def test_head_has_no_stream(stack, client):
    assert client.request("HEAD", "/ai/events").ok().headers["Content-Type"] == "text/event-stream"
    assert client.get("/healthz").ok()  # on the same connection


def test_a_gateway_that_ends_says_so(make_stack):
    one = make_stack(ALLOW_ACTIONS_DEFAULT="ping,code.python", EXECUTOR=1)
    client = one.client()
    job = run_long(client)
    wait_until(lambda: client.get(f"/ai/jobs/{job}").ok().json["status"] == "running", 60)
    with listen(one) as stream, concurrent.futures.ThreadPoolExecutor() as pool:
        assert next(stream)[0] == "ready"
        waiting = pool.submit(one.client().get, f"/ai/jobs/{job}?wait=60")
        task = {"task": {"type": "code.python", **SLEEP}, **LONG}
        long = pool.submit(one.client().post, "/webhook/executor/run", task, prefer="wait=60")
        call = pool.submit(
            Mcp(one.client()).stream, "code_python", {**SLEEP, **LONG}, {"progressToken": 1}
        )
        # What is in flight may not have its body yet: each job tells of one that has.
        wait_until(lambda: client.get("/ai/jobs").ok().json["count"] == 3, 60, "three jobs")
        wait_until(lambda: one.in_flight() >= 5, 60)  # the call and the run that is in it
        old = one.kill("gateway", signal.SIGTERM)
        told = [name for name, _, _ in stream if name and name != "job"]
        assert told == ["end"]  # and the last chunk: no IncompleteRead
        assert waiting.result().ok().json["status"] == "running"
        # The longest waits are twice as long as the drain: they are cut short, not off.
        jobs = [long.result().ok(202).json["job_id"]]
        result = call.result()[-1]["result"]
        assert not result["isError"], result
        jobs += [result["structuredContent"]["job_id"], job]
    wait_until(lambda: one.pid("gateway") not in (0, old), 40, "the next gateway")
    assert "requests were not finished" not in one.log("gateway")
    one.wait_ready()
    for job in jobs:
        one.client().delete(f"/ai/jobs/{job}")  # else the stack's end waits for it
