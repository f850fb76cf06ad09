# SPDX-License-Identifier: MIT
"""Each bound that no other test fills is filled by one workspace: /readyz, the metrics, the log and
`gantry status` name it, and another workspace is served (docs/security.md has the table)."""

import concurrent.futures
import contextlib
import json
import random
import socket
import uuid

import pytest
from gantry_testing.flood import made_up
from gantry_testing.wait import wait_until

HELD, IN_HAND, CORE, UNREAD, CHECKS = 256, 1024, 8192, 1 << 20, 32
CORE_SHARE = 2048
FAIL_FOR_NOW = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END $$;
CREATE TRIGGER hold BEFORE INSERT ON memory FOR EACH ROW
    WHEN (NEW.workspace = 'hog') EXECUTE FUNCTION hold()
"""


@pytest.fixture(scope="module")
def system(make_stack):
    stack = make_stack(KEY_HASH_THREADS=1, MAX_BUFFERED_BYTES=UNREAD)
    for workspace in ("hog", "neighbour"):
        stack.client("admin", workspace).get("/memory?limit=1").ok()
    return stack


def is_named(stack, bound, program, whose="hog"):
    name = "gantry_gateway_full" if program == "gateway" else "gantry_worker_full"

    def told():
        values = {
            metric.split("{")[0]: int(value)
            for metric, value in stack.metrics().items()
            if metric.startswith(name) and f'bound="{bound}"' in metric
            if program == "gateway" or f'program="{program}"' in metric
        }
        return values.get(name) == 1 and values.get(f"{name}_refusals_total", 0) >= 1

    wait_until(told, 20, f"the metrics name {bound}")
    assert stack.whose_bound(bound, program) == {whose}


def publish(nats, count, command, body, reply=None, workspace="hog"):
    for _ in range(count):
        nats.publish(
            f"gantry.v1.{workspace}.{command}",
            json.dumps(body()),
            headers=None if reply else {"Nats-Msg-Id": str(uuid.uuid4())},
            reply=reply,
        )
    nats.flush()


def lock(stack, table):
    """A connection that holds it, as soon as it has it."""
    database = stack.database()
    database.autocommit = False
    database.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    return database


def waiting(stack, table):
    """How many wait for it."""
    with contextlib.closing(stack.database()) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted", (table,)
        )
        return cursor.fetchone()[0]


def stored(client, text, scope="s"):
    body = {"scope": scope, "text": text}
    client.post("/webhook/memory/ingest", body, prefer="wait=60").ok(200)


def settled(stack, stream):
    with contextlib.closing(stack.operator()) as operator:
        wait_until(
            lambda: operator.api(f"STREAM.INFO.{stream}")["state"]["messages"] <= 1,
            120,
            f"{stream} is settled",
        )


def memory():
    return {"scope": "s", "text": f"row {uuid.uuid4()}"}


def test_commands_held_for_another_attempt(system):
    neighbour = system.client("admin", "neighbour")
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute(FAIL_FOR_NOW)
        with contextlib.closing(system.nats("admin", "hog")) as nats:
            publish(nats, HELD + 100, "memory.ingest", memory)
        is_named(system, "held", "ingest")
        stored(neighbour, f"beside it {uuid.uuid4()}")
        cursor.execute("DROP TRIGGER hold ON memory")
    settled(system, "MEMORY")


def in_hand_of_hog(stack):
    """Whether the worker comes to have its share of them while a batch waits."""
    with contextlib.closing(stack.operator()) as operator:

        def full():
            info = operator.api("CONSUMER.INFO.AUDIT.audit_hog")
            return info["num_ack_pending"] >= IN_HAND

        try:
            return wait_until(full, 1, "its share")
        except AssertionError:
            return False


def test_events_in_hand_and_requests_that_wait(system):
    """Nobody reads or writes the log: one workspace's events fill the worker up to its share, its
    requests up to theirs, and several workspaces' the bound of all. The first batch is what came
    until then and may wait twice (it is tried as the log's continuation first); whole ones
    follow."""
    event = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
    others = [f"crowd{number}" for number in range(CORE // CORE_SHARE)]
    for other in others:  # before requests begin to wait: they do not for ever
        system.key("admin", other)
    with (
        concurrent.futures.ThreadPoolExecutor(1) as threads,
        contextlib.closing(system.nats("admin", "hog")) as nats,
    ):
        answers = f"{nats.inbox}.answers"
        sid = nats.subscribe(answers)
        held = lock(system, "audit_log")
        publish(nats, IN_HAND + 4000, "audit.append", lambda: event)
        for _ in range(6):
            wait_until(lambda: waiting(system, "audit_log") == 1, 20, "a batch waits")
            if in_hand_of_hog(system):
                break
            following = threads.submit(lock, system, "audit_log")
            wait_until(lambda: waiting(system, "audit_log") == 2, 20, "the next lock, too")
            held.close()
            held = following.result(60)
        with contextlib.closing(held):
            is_named(system, "in_hand", "audit")
            publish(nats, CORE_SHARE + 100, "audit.list", lambda: {"limit": 1}, answers)
            is_named(system, "core_requests", "audit")
            refused = nats.next(60, sid)
            assert refused.headers["Nats-Service-Error-Code"] == "503"
            assert b"Too many requests of this workspace wait already" in refused.data
            for other in others:
                with contextlib.closing(system.nats("admin", other)) as client:
                    publish(client, CORE_SHARE, "audit.list", lambda: {"limit": 1},
                            f"{client.inbox}.answers", other)
            is_named(system, "direct_requests", "audit", others[-1])
            stored(system.client("admin", "neighbour"), f"beside it {uuid.uuid4()}")


def test_answers_that_are_not_read(system):
    hog, neighbour = system.client("admin", "hog"), system.client("admin", "neighbour")
    for number in range(100):  # more than a socket takes at once
        stored(hog, f"{number} {uuid.uuid4()}" + " row" * 15000, "long")
    request = (
        f"GET /memory?scope=long&limit=100 HTTP/1.1\r\nHost: x\r\nX-API-Key: {hog.key}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as links:
        for _ in range(3):
            link = links.enter_context(socket.socket())
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", int(system.ports["GATEWAY_PORT"])))
            link.sendall(request)
        is_named(system, "answers", "gateway", "")
        neighbour.get("/memory?limit=1").ok()


def test_keys_that_wait_for_their_check(system):
    """Made-up secrets for the id of a key, from one address: each costs Argon2."""
    rng = random.Random(14)
    viewer = system.gantry("key", "create", "--workspace", "hog", "--role", "viewer")["key"]
    with contextlib.ExitStack() as links:
        address = ("127.0.0.1", int(system.ports["GATEWAY_PORT"]))
        waiting = [
            links.enter_context(socket.create_connection(address, 60)) for _ in range(3 * CHECKS)
        ]
        requests = [
            b"GET /memory HTTP/1.1\r\nHost: x\r\nX-API-Key: "
            + made_up(rng, viewer[9:21]).encode()
            + b"\r\n\r\n"
            for _ in waiting
        ]
        for link, request in zip(waiting, requests, strict=True):  # faster than they are checked
            link.sendall(request)
        is_named(system, "key_checks", "gateway", "")
        system.client("admin", "neighbour").get("/memory?limit=1").ok()
