# SPDX-License-Identifier: MIT
"""The audit log when things die, are unavailable or full: fail closed, nothing missing, nothing
double."""

import contextlib
import http.client
import json
import random
import threading
import time
import uuid

import pytest
from gantry_testing.wait import wait_until

APPEND = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}


@pytest.fixture(scope="module")
def system(make_stack):
    return make_stack(AUDIT=2, EXECUTOR=0, AUDIT_RETENTION_SECONDS=0)


def rows(stack, query, *values):
    connection = stack.database()
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall()
    finally:
        connection.close()


class Load:
    """Threads that append events, each with an id of its own, until stopped."""

    def __init__(self, stack, threads=4):
        self.stack, self.stopping = stack, threading.Event()
        self.answered, self.refused, self.lock = {}, 0, threading.Lock()
        self.threads = [
            threading.Thread(target=self.run, args=(stack.client(),)) for _ in range(threads)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        while not self.stopping.is_set():
            request_id = f"load-{uuid.uuid4()}"
            try:
                answer = client.request(
                    "POST", "/webhook/audit/append", APPEND, {"X-Request-ID": request_id}
                )
            except (OSError, http.client.HTTPException):
                client = self.stack.client()
                time.sleep(0.05)
                continue
            with self.lock:
                if answer.status in (200, 202):
                    self.answered[request_id] = answer.json["event_id"]
                else:
                    self.refused += 1

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(70)


def settled(stack):
    """Nothing waits in the stream any more."""
    def empty():
        with contextlib.closing(stack.operator()) as nats:
            info = json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT", b"").data)
        return info["state"]["messages"] == 0
    wait_until(empty, 150, "the AUDIT stream is empty", interval=0.2)


def check(stack, load):
    """Each answered event is there once, with one request event, and the log is one tree."""
    settled(stack)
    logged = rows(
        stack,
        "SELECT event_id::text, kind, event->>'request_id' FROM audit_events WHERE "
        "event->>'request_id' LIKE 'load-%'",
    )
    by_kind = {kind: [(e, r) for e, k, r in logged if k == kind] for kind in ("event", "request")}
    for kind in by_kind:
        assert len(set(by_kind[kind])) == len(by_kind[kind]), f"double {kind}"
    missing = set(load.answered.items()) - {(r, e) for e, r in by_kind["event"]}
    assert not missing, f"{len(missing)} of {len(load.answered)} answered events are missing"
    requests = [r for _, r in by_kind["request"]]
    assert len(set(requests)) == len(requests)
    assert not set(load.answered) - set(requests)
    result = stack.gantry("audit", "verify")
    assert result["ok"], result
    assert rows(stack, "SELECT count(*), max(leaf_index) + 1 FROM audit_log") == [
        (result["leaves"], result["leaves"])
    ]


def test_two_replicas_killed_again_and_again(system):
    load = Load(system)
    try:
        for _ in range(6):
            wait_until(lambda: system.pid("audit") and system.pid("audit-2"), 150, "both run")
            for name in random.sample(["audit", "audit-2"], random.choice([1, 2])):
                system.kill(name)
            time.sleep(random.uniform(0.1, 0.6))
        wait_until(lambda: system.pid("audit") and system.pid("audit-2"), 150, "both run")
        enough = max(100, len(load.answered) + 50)
        wait_until(lambda: len(load.answered) > enough, 150, "events are answered again")
    finally:
        load.stop()
    check(system, load)


def test_gateway_and_servers_killed(system):
    load = Load(system)
    try:
        for name in ("gateway", "nats", "postgres", "gateway", "redis", "nats"):
            time.sleep(0.5)
            system.restart(name)
        before = len(load.answered)
        wait_until(lambda: len(load.answered) > before + 50, 150, "events are answered again")
    finally:
        load.stop()
    check(system, load)


def test_gateway_killed_while_it_changes_keys(system):
    """Keys are made by the gateway itself: each that is there has exactly one event, also when the
    gateway died between making it and saying so."""
    stop, made = threading.Event(), []

    def run():
        client = system.client()
        while not stop.is_set():
            name = f"made-{uuid.uuid4()}"
            try:
                if client.post("/keys", {"role": "viewer", "name": name}).status == 201:
                    made.append(name)
            except (OSError, http.client.HTTPException):
                client = system.client()
                time.sleep(0.05)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            time.sleep(random.uniform(0.3, 1.0))
            system.restart("gateway")
        wait_until(lambda: len(made) > 4, 150, "keys are made")
    finally:
        stop.set()
        for thread in threads:
            thread.join(90)
    there = {name for (name,) in rows(system, "SELECT name FROM api_key WHERE name LIKE 'made-%'")}
    assert set(made) <= there

    def told():
        events = rows(
            system, "SELECT target, error_reason FROM audit_events WHERE target LIKE 'made-%'"
        )
        return events if there <= {target for target, _ in events} else None

    events = wait_until(told, 150, "every key has its event", interval=0.5)
    settled(system)
    events = rows(
        system, "SELECT target, error_reason FROM audit_events WHERE target LIKE 'made-%'"
    )
    assert len(events) == len({target for target, _ in events})
    assert all(reason is None for target, reason in events if target in made)


def test_a_full_audit_stream_closes_everything(system):
    """No event, no answer: 503 on every route with a key, and not ready; what could not be written
    then is written later."""
    client = system.client()
    with contextlib.closing(system.operator()) as nats:
        config = json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT", b"").data)["config"]
        change = lambda **what: json.loads(  # noqa: E731
            nats.request(
                "$JS.API.STREAM.UPDATE.AUDIT", json.dumps({**config, **what}).encode()
            ).data
        )
        assert "error" not in change(max_bytes=1)
        try:
            assert client.get("/memory").status == 503
            assert system.anonymous().get("/healthz").status == 200
            ready = wait_until(lambda: system.anonymous().get("/readyz").ok(503), 40)
            assert ready.json["dependencies"]["audit"] == "down"
            for method, path, body in [
                ("GET", "/memory", None),
                ("POST", "/webhook/memory/search", {"query": "x"}),
                ("POST", "/webhook/audit/append", APPEND),
                ("GET", "/keys", None),
                ("GET", "/none", None),
            ]:
                answer = client.request(method, path, body, {"X-Request-ID": "closed-1"})
                assert (answer.status, answer.code) == (503, "unavailable"), (path, answer)
        finally:
            assert "error" not in change(max_bytes=config["max_bytes"])
    system.wait_ready()
    assert wait_until(lambda: client.get("/memory").status == 200, 60)
    settled(system)

    def counted():
        return rows(
            system,
            "SELECT coalesce(sum((event->>'count')::int), 0) FROM audit_events"
            " WHERE event->>'error_reason' = 'unavailable'"
            " AND http_status = 503 AND key_id IS NOT NULL AND event->>'request_id' IS NULL",
        )[0][0]

    wait_until(lambda: counted() >= 4, 60, "the refusals are told of")


def test_events_past_their_retention_are_pruned(make_stack, tmp_path):
    stack = make_stack(EXECUTOR=0, AUDIT_RETENTION_SECONDS=4)
    client = stack.client()

    def append():
        return client.post("/webhook/audit/append", APPEND, prefer="wait=60").ok().json

    old = [append() for _ in range(30)]
    held = tmp_path / "checkpoint"
    held.write_text(client.get("/ai/audit/checkpoint").ok().body.decode())
    wait_until(
        lambda: rows(stack, "SELECT count(*) FROM audit_log WHERE event IS NULL")[0][0] >= 60,
        120,
        "old events are gone",
    )
    assert client.get(f"/ai/audit/events/{old[0]['event_id']}").status == 404
    assert rows(
        stack,
        "SELECT count(*) FROM audit_log WHERE leaf_hash = %s",
        bytes.fromhex(old[3]["leaf_hash"]),
    ) == [(1,)]
    prune = rows(
        stack, "SELECT event FROM audit_events WHERE kind = 'prune' ORDER BY leaf_index LIMIT 1"
    )[0][0]
    assert prune["retention_seconds"] == 4
    assert prune["reason"] == "retention"
    assert prune["up_to"] > 0
    result = stack.gantry("audit", "verify", "--checkpoint", str(held))
    assert result["ok"], result
    assert result["pruned"] >= 60, result
    # An event that no prune leaf covers is missed. (On a slow machine one may be quicker: try
    # again.)
    for _ in range(5):
        fresh = append()["leaf_index"]
        stack.take_down("audit")
        covered = rows(
            stack,
            "SELECT coalesce(max((event->>'up_to')::bigint), 0) FROM audit_events WHERE kind = "
            "'prune'",
        )[0][0]
        if covered <= fresh:
            break
        stack.bring_back("audit")
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_log DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_log SET event = NULL, kind = NULL, workspace = NULL, event_id = NULL, "
            "time = NULL,"
            " recorded_at = NULL, actor = NULL, action = NULL, status = NULL WHERE leaf_index = %s",
            (fresh,),
        )
    connection.close()
    done = stack.gantry("audit", "verify", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problem"].startswith(f"leaf {fresh}: the event is missing")


def test_a_full_share_closes_its_workspace_only(system):
    """The events of one workspace do not fit any more: it gets 503, the others go on."""
    full, other = system.client(workspace="full"), system.client(workspace="free")
    with contextlib.closing(system.operator()) as nats:
        config = json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT", b"").data)["config"]
        change = lambda **what: json.loads(  # noqa: E731
            nats.request(
                "$JS.API.STREAM.UPDATE.AUDIT", json.dumps({**config, **what}).encode()
            ).data
        )
        for name in ("audit", "audit-2"):
            system.take_down(name)
        assert "error" not in change(max_msgs_per_subject=20)
        try:
            answers = [full.get("/none").status for _ in range(30)]
            assert answers == [404] * 20 + [503] * 10
            assert other.get("/none").status == 404
            assert system.anonymous().get("/readyz").status == 200
        finally:
            assert "error" not in change(max_msgs_per_subject=config["max_msgs_per_subject"])
            for name in ("audit", "audit-2"):
                system.bring_back(name)
    assert wait_until(lambda: full.get("/none").status == 404, 60)

    def counted():
        return rows(
            system,
            "SELECT coalesce(sum((event->>'count')::int), 0) FROM audit_events"
            " WHERE workspace_id = 'full' AND event->>'error_reason' = 'unavailable'",
        )[0][0]

    wait_until(lambda: counted() >= 10, 60, "the refusals are told of")
    assert counted() == 10
