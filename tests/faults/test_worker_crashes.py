# SPDX-License-Identifier: MIT
"""A worker dies at every kill point of the runtime; the command is done all the same, once
recorded."""

import pytest
from gantry_testing import echo, servers
from gantry_testing.streams import (
    Done,
    events,
    ingest,
    left,
    operator,
    provisioned,
    shorten,
    stored,
)

POINTS = [
    "before_handler",
    "after_effect",
    "after_audit",
    "after_answer",
    "event_waits",
    "before_ack",
    "ack_waits",
]
ONE_BY_ONE = (
    "before_handler",
    "after_effect",
    "ack_waits",
)  # passed once for a batch, or when nothing else is in hand


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
        yield client


def dies(worker):
    servers.wait_until(lambda: worker.process.poll() is not None, what="dead")
    assert worker.process.returncode == -9


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 3])
def test_dies_at(server, bus, program, point, nth):
    done = Done(bus)
    worker = echo.Echo(program, server).start(FAULT_POINT=f"{point}:{nth}")
    try:
        wanted = set()
        for i in range(5):
            wanted.add(ingest(bus, f"text {i}"))
            if point in ONE_BY_ONE:
                servers.wait_until(
                    lambda: left(bus, "MEMORY") == 0 or worker.process.poll() is not None,
                    what="settled",
                )
        dies(worker)
        worker.start()
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")
        answered = set()
        while answered != wanted:
            answered.add(done.next()[0])
        assert sorted(e["event_id"] for e in events(bus)) == sorted(wanted)
        assert all(e["status"] == "success" for e in events(bus))
        assert left(bus, "DEAD") == 0
        handled = [call[1] for call in worker.calls()]
        assert all(handled.count(command) <= 2 for command in wanted)
    finally:
        worker.__exit__()


def test_the_last_acknowledgement_does_not_wait_for_ever(server, bus, program):
    """test_dies_at[ack_waits] shows that it waits; here nothing comes after it."""
    done = Done(bus)
    with echo.Echo(program, server) as worker:
        command = ingest(bus, "the last one")
        assert done.next()[0] == command
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        assert [call[2] for call in worker.calls()] == [1]


def test_the_last_acknowledgement_is_sent_by_the_drain(server, bus, program):
    shorten(bus, ack_wait=300)  # a third of that is longer than a drain
    done = Done(bus)
    worker = echo.Echo(program, server).start(FAULT_LATE_ACK_MS="600000")
    try:
        for text in ("one", "two", "three"):
            command = ingest(bus, text)
            assert done.next()[0] == command
        assert worker.stop() == 0
        assert left(bus, "MEMORY") == 0
        assert [call[2] for call in worker.calls()] == [1, 1, 1]
    finally:
        worker.__exit__()


def test_an_event_that_waits_for_others_is_sent_by_the_drain(server, bus, program):
    done = Done(bus)
    worker = echo.Echo(program, server).start(FAULT_EVENTS_MS="600000")
    try:
        commands = [ingest(bus, "first")]  # perhaps while it is careful, and so sent at once
        assert done.next()[0] == commands[0]
        for text in ("one", "two", "three"):
            commands.append(ingest(bus, text))
            assert done.next()[0] == commands[-1]
        assert left(bus, "MEMORY") >= 3, "not acknowledged before the event is stored"
        assert not {event["event_id"] for event in events(bus)} & set(commands[1:])
        assert worker.stop() == 0
        assert left(bus, "MEMORY") == 0
        assert sorted(event["event_id"] for event in events(bus)) == sorted(commands)
    finally:
        worker.__exit__()


def test_dies_after_the_dead_letter(server, bus, program):
    done = Done(bus)
    worker = echo.Echo(program, server).start(FAULT_POINT="after_dead")
    try:
        command = ingest(bus, "bug")
        dies(worker)
        assert left(bus, "DEAD") == 1
        assert left(bus, "MEMORY") == 1
        worker.start()
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="terminated")
        assert done.next()[0] == command
        assert left(bus, "DEAD") == 1, "a dead letter twice, stored once"
        assert [e["error_reason"] for e in events(bus)] == ["dead_letter"]
    finally:
        worker.__exit__()


def test_gives_up_after_the_time_for_retries(server, bus, program):
    """24 hours of waiting between attempts, here 4 seconds; deliveries have nothing to do with
    it."""
    done = Done(bus)
    worker = echo.Echo(program, server, DELIVERY_LIMIT="2").start(FAULT_GIVE_UP_MS="4000")
    try:
        command = ingest(bus, "temp:99")
        assert done.next()[1]["status"] == 500
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="terminated")
        attempts = [c for c in worker.calls() if c[1] == command]
        assert [c[2] for c in attempts] == [1, 1, 1], (
            "1 + 2 seconds waited, 4 more would be too long"
        )
        letter, = stored(bus, "DEAD")
        assert letter[1]["Gantry-Reason"] == "failed for 24 hours: not yet"
        assert letter[1]["Gantry-Deliveries"] == "1"
    finally:
        worker.__exit__()


def test_a_failing_message_outlives_restarts_up_to_the_limit(server, bus, program):
    """A restart costs one delivery; past the limit the next receipt is the end."""
    done = Done(bus)
    worker = echo.Echo(program, server, DELIVERY_LIMIT="3").start()
    try:
        command = ingest(bus, "temp:99")
        for _ in range(3):
            seen = len(worker.calls())
            servers.wait_until(lambda: len(worker.calls()) > seen, what="tried")
            assert worker.stop() == 0
            worker.start()
        answer = done.next()
        assert answer[0] == command
        assert answer[1]["status"] == 500
        assert sorted({c[2] for c in worker.calls()}) == [1, 2, 3]
        assert stored(bus, "DEAD")[0][1]["Gantry-Deliveries"] == "4"
    finally:
        worker.__exit__()
