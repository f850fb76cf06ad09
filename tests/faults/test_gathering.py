# SPDX-License-Identifier: MIT
"""Messages for whose effect nobody waits are gathered: here for ten minutes, unless something comes
that somebody waits for."""

import json
import uuid

import pytest
from gantry_testing import echo, servers
from gantry_testing.streams import Done, left, operator, provisioned, shorten

WORKSPACE = "w1"
SUBJECT = f"gantry.v1.{WORKSPACE}.audit."
CONSUMER = f"CONSUMER.INFO.AUDIT.audit_{WORKSPACE}"
APPEND = {"actor": "a", "action": "b", "target": "hurried", "decision": "allowed"}


@pytest.fixture(scope="module")
def program():
    return echo.build("fault")


@pytest.fixture(scope="module")
def server():
    with provisioned() as running:
        yield running


@pytest.fixture
def bus(server):
    with operator(server) as client:
        shorten(client, consumers=[f"AUDIT.audit_{WORKSPACE}"])
        yield client


@pytest.fixture
def worker(server, program, bus):
    with echo.Echo(program, server, role="audit", FAULT_GATHER_MS="600000") as running:
        # until the server has said that nothing is outstanding, nothing is gathered
        servers.wait_until(lambda: unsettled(bus, report(bus, "first")), what="it gathers")
        hurry(bus)
        servers.wait_until(lambda: left(bus, "AUDIT") == 0, what="all are settled")
        yield running
        running.stop()  # a pull request that is left behind would take a message with it


def publish(bus, command, body, msg_id):
    payload = json.dumps(body).encode()
    headers = {}
    subject = SUBJECT + command
    if command == "append":
        headers["Gantry-Actor"] = echo.claim(subject, payload, msg_id)
    assert "error" not in bus.js_publish(subject, payload, msg_id, headers)


def report(bus, target):
    """A request event, as a worker publishes it; returns its id."""
    event_id = str(uuid.uuid4())
    event = {
        "v": 1,
        "type": "request",
        "event_id": event_id,
        "actor_type": "key",
        "key_id": None,
        "action": "memory.ingest",
        "target": target,
        "decision": "allowed",
        "status": "success",
        "http_status": 200,
        "time": "2026-01-02T03:04:05Z",
        "count": 1,
    }
    publish(bus, "request.ingest", event, f"{event_id}.audit")
    return event_id


def hurry(bus):
    command_id = str(uuid.uuid4())
    publish(bus, "append", APPEND, command_id)
    return command_id


def unsettled(bus, _=None, count=1):
    """The worker has them, and has not handled them."""
    info = bus.api(CONSUMER)
    return info["num_pending"] == 0 and info["num_ack_pending"] >= count


def gather(bus, worker):
    """Three of them, each in the worker's hands before the next is published."""
    before = len(worker.calls())
    for count in (1, 2, 3):
        report(bus, f"event {count}")
        servers.wait_until(lambda n=count: unsettled(bus, count=n), what=f"{count} are delivered")
    assert worker.calls()[before:] == []
    return before


def together(worker, before):
    return [call[3:] for call in worker.calls()[before:] if call[4].startswith("event")]


BATCH = [(3, f"event {count}") for count in (1, 2, 3)]


def test_a_command_that_somebody_waits_for_ends_the_gathering(bus, worker):
    before = gather(bus, worker)
    done = Done(bus)
    command = hurry(bus)
    assert done.next()[0] == command
    servers.wait_until(lambda: left(bus, "AUDIT") == 0, what="all are settled")
    assert together(worker, before) == BATCH


def test_a_core_request_sees_what_was_gathered_before_it(bus, worker):
    before = gather(bus, worker)
    bus.request(SUBJECT + "list", b"{}")
    calls = worker.calls()[before:]
    assert [call[4] for call in calls] == ["event 1", "event 2", "event 3", ""]
    assert together(worker, before) == BATCH


def test_what_was_gathered_is_handled_by_the_drain(bus, worker):
    before = gather(bus, worker)
    assert worker.stop() == 0
    assert together(worker, before) == BATCH
    assert left(bus, "AUDIT") == 0


def test_many_are_not_gathered_for_long(bus, worker):
    before = len(worker.calls())
    for count in range(20):
        report(bus, f"event {count}")
    servers.wait_until(lambda: len(worker.calls()) - before >= 16, what="the first are handled")


def test_what_was_gathered_when_the_worker_died_comes_again(bus, worker):
    before = gather(bus, worker)
    worker.process.kill()
    worker.process.wait()
    worker.start(FAULT_GATHER_MS="0")
    servers.wait_until(lambda: left(bus, "AUDIT") == 0, 60, what="all are settled")
    assert sorted(call[4] for call in worker.calls()[before:]) == ["event 1", "event 2", "event 3"]
