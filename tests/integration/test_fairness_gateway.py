# SPDX-License-Identifier: MIT
"""What one workspace can fill of the gateway and of NATS's connections: at its share it is refused,
by name, and another workspace is served (docs/security.md has the table)."""
import concurrent.futures
import contextlib
import json
import socket
import statistics
import time
import urllib.request
import uuid

import pytest
from gantry_testing.nats import Nats, NatsError
from gantry_testing.wait import wait_until

REQUESTS, BYTES, CONNECTIONS, SUBSCRIPTIONS, KEY_CHANGES, SEARCHES = (
    100,
    1 << 20,
    30,
    1000,
    64,
    1024,
)


@pytest.fixture(scope="module")
def system(make_stack):
    stack = make_stack(MAX_WORKSPACE_REQUESTS=REQUESTS, MAX_WORKSPACE_BUFFERED_BYTES=BYTES,
                       MAX_WORKSPACE_NATS_CONNECTIONS=CONNECTIONS)
    for workspace in ("hog", "neighbour"):
        stack.client("admin", workspace).get("/memory?limit=1").ok()  # the key is verified
    return stack


@contextlib.contextmanager
def without_ingest(stack):
    stack.take_down("ingest")
    try:
        yield
    finally:
        stack.bring_back("ingest")


def all_answered(links, status):
    for link in links:
        assert link.recv(65536).startswith(b"HTTP/1.1 %d " % status)
        link.close()


def full(stack, bound):
    """Where it can be seen that a bound is full, and how often it refused."""
    assert stack.whose_bound(bound, "gateway") == {"hog"}
    values = stack.metrics()
    assert values[f'gantry_gateway_full{{bound="{bound}"}}'] == "1"
    return int(values[f'gantry_gateway_full_refusals_total{{bound="{bound}"}}'])


def begin(stack, body, path="/webhook/memory/ingest", wait=60):
    """A request whose answer nobody reads yet."""
    link = socket.create_connection(("127.0.0.1", int(stack.ports["GATEWAY_PORT"])), 60)
    link.sendall((f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {stack.key('admin', 'hog')}\r\n"
                  f"Prefer: wait={wait}\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
    return link


def memory(pad=0):
    return json.dumps({"scope": "s", "text": f"waits {uuid.uuid4()}"}) + " " * pad


def times(client):
    taken = []
    for _ in range(40):
        start = time.monotonic()
        client.get("/memory?limit=1").ok()
        taken.append(time.monotonic() - start)
    return statistics.quantiles(taken, n=100)[98] * 1000


def refused(answer, words):
    assert (answer.status, answer.code) == (503, "unavailable"), answer
    assert words in answer.json["detail"]
    assert answer.headers["Retry-After"] == "1"


def test_waiting_requests(system):
    hog, neighbour = system.client("admin", "hog"), system.client("admin", "neighbour")
    quiet = times(neighbour)
    with without_ingest(system):
        waiting = [begin(system, memory()) for _ in range(REQUESTS)]
        wait_until(lambda: system.in_flight() >= REQUESTS, 20, "all wait")
        for _ in range(3):
            refused(hog.get("/memory?limit=1"), "MAX_WORKSPACE_REQUESTS")
        print(f"p99 of the neighbour: {quiet:.1f} ms alone, {times(neighbour):.1f} ms beside it")
        neighbour.post(
            "/webhook/memory/ingest", {"scope": "s", "text": "accepted"}, prefer="respond-async"
        ).ok(202)
        assert full(system, "requests") >= 3
    all_answered(waiting, 200)
    hog.get("/memory?limit=1").ok()
    wait_until(
        lambda: "requests" not in system.anonymous().get("/readyz").json["full"], 30, "it is over"
    )


def slow_consumers(stack):
    with urllib.request.urlopen(stack.env["NATS_MONITOR_URL"] + "/varz", timeout=10) as answer:
        return json.load(answer)["slow_consumers"]


def test_bytes_of_answers_under_way(system):
    """30 lists of 4 MB and more at once, which is more than NATS keeps for a connection (64 MiB)
    before it ends it, and with it every workspace's answers."""
    hog, neighbour = system.client("admin", "hog"), system.client("admin", "neighbour")
    for number in range(12):  # each is six times as long in an answer
        hog.ingest("large", "\x01" * 65000 + f"{number} {uuid.uuid4()}").ok()
    one = hog.get("/memory?scope=large&limit=100").ok()
    assert len(json.dumps(one.json)) > 4 << 20
    before = slow_consumers(system)
    with concurrent.futures.ThreadPoolExecutor(30) as threads:
        lists = [
            threads.submit(
                system.client("admin", "hog", timeout=120).get,
                "/memory?scope=large&limit=100",
                prefer="wait=60",
            )
            for _ in range(30)
        ]
        wait_until(
            lambda: "answer_bytes" in system.anonymous().get("/readyz").json["full"],
            60,
            "a list waits for room",
        )
        assert full(system, "answer_bytes") >= 1
        while not all(one.done() for one in lists):
            neighbour.get("/memory?limit=1", prefer="wait=60").ok()
    for answer in (one.result() for one in lists):
        assert answer.status == 200, answer
        assert answer.json == one.json
    assert slow_consumers(system) == before
    page = hog.get("/memory?scope=large&limit=2").ok()  # smaller than the last ones: asked once
    assert len(page.json["items"]) == 2


def test_bodies_in_memory(system):
    hog, neighbour = system.client("admin", "hog"), system.client("admin", "neighbour")
    with without_ingest(system):
        waiting = [begin(system, memory(500_000)) for _ in range(2)]
        wait_until(lambda: system.debug()["buffered_bytes"] > 1_000_000, 20, "both are whole")
        refused(hog.post("/webhook/memory/ingest", memory(500_000)), "MAX_WORKSPACE_BUFFERED_BYTES")
        hog.get("/memory?limit=1").ok()
        neighbour.post("/webhook/memory/ingest", memory(500_000), prefer="respond-async").ok(202)
        assert full(system, "bodies") >= 1
    all_answered(waiting, 200)
    hog.post("/webhook/memory/ingest", memory(500_000)).ok()


def test_changes_of_keys(system):
    """They wait for PostgreSQL in one line, of which a workspace has a part."""
    neighbour = system.client("admin", "neighbour")
    database = system.database()
    database.autocommit = False
    with concurrent.futures.ThreadPoolExecutor(3) as threads, database.cursor() as cursor:
        cursor.execute("LOCK TABLE api_key IN SHARE MODE")  # reads go on
        body = '{"role":"viewer"}'
        waiting = [begin(system, body, path="/keys") for _ in range(KEY_CHANGES)]
        wait_until(lambda: system.in_flight() >= KEY_CHANGES, 20, "all wait")
        refused(system.client("admin", "hog").post("/keys", body), "too many changes of keys")
        made = threads.submit(neighbour.post, "/keys", body)
        wait_until(lambda: system.in_flight() > KEY_CHANGES, 20, "the neighbour waits, too")
        assert full(system, "key_changes") >= 1
        database.rollback()
        made.result(60).ok(201)
    all_answered(waiting, 201)
    database.close()


def connections(stack, workspace):
    key = stack.key("admin", workspace)[9:21]
    with urllib.request.urlopen(
        stack.env["NATS_MONITOR_URL"] + "/connz?auth=1&limit=1024", timeout=10
    ) as answer:
        return sum(one.get("authorized_user") == key for one in json.load(answer)["connections"])


def test_connections_to_nats(system):
    held = []

    def one_more():
        try:
            held.append(system.nats("admin", "hog"))
        except NatsError:
            return False
        return True

    while one_more():
        assert len(held) <= 3 * CONNECTIONS, "no bound"
    assert len(held) >= CONNECTIONS
    with_key = system.key("admin", "neighbour")
    other = Nats(system.env["NATS_URL"], token=with_key)
    assert full(system, "nats_connections") >= 1
    # Logins are only slowed down; what comes to be too many is ended, the newest first.
    wait_until(lambda: one_more() and len(held) > CONNECTIONS + 5, 60, "more than its share")
    wait_until(lambda: connections(system, "hog") <= CONNECTIONS, 60, "the surplus is ended")
    assert connections(system, "hog") >= CONNECTIONS - 1
    held[0].flush()
    answer = json.loads(other.request("gantry.v1.neighbour.memory.list", b'{"limit":1}').data)
    assert "items" in answer
    for link in held:
        link.close()


def test_subscriptions_of_a_connection(system):
    wait_until(lambda: connections(system, "hog") == 0, 30, "those of the test before are gone")
    link = wait_until(lambda: login_slowly(system), 60, "it may log in again")
    subject = f"_INBOX.{system.key('admin', 'hog')[9:21]}."
    for number in range(SUBSCRIPTIONS + 20):
        link.subscribe(subject + str(number))
    link.flush()
    wait_until(lambda: full(system, "nats_subscriptions") >= 1, 40, "a sweep sees it")
    assert len(link.errors) == 20
    assert {error.lower() for error in link.errors} == {"maximum subscriptions exceeded"}
    assert (
        system.nats("admin", "neighbour")
        .request("gantry.v1.neighbour.memory.list", b'{"limit":1}')
        .data
    )


def login_slowly(stack):
    try:
        return stack.nats("admin", "hog")
    except NatsError:
        return None


def test_searches_that_wait(system):
    hog, neighbour = system.nats("admin", "hog"), system.nats("admin", "neighbour")
    database = system.database()
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("LOCK TABLE memory")  # no search comes to an end
        sid = hog.subscribe(f"{hog.inbox}.answers")
        for _ in range(SEARCHES + 200):
            hog.publish(
                "gantry.v1.hog.memory.search", b'{"query":"tea"}', reply=f"{hog.inbox}.answers"
            )
        answers = [hog.next(60, sid) for _ in range(100)]
        assert {answer.headers["Nats-Service-Error-Code"] for answer in answers} == {"503"}
        assert b"workspace" in answers[0].data
        mine = neighbour.subscribe(f"{neighbour.inbox}.answer")
        neighbour.publish(
            "gantry.v1.neighbour.memory.search",
            b'{"query":"tea"}',
            reply=f"{neighbour.inbox}.answer",
        )
        neighbour.flush()
        database.rollback()
    assert json.loads(neighbour.next(60, mine).data)["status"] == "success"
    database.close()
