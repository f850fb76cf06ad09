# SPDX-License-Identifier: MIT
"""A worker dies at every kill point of the runtime; the command is done all the same, once recorded."""
import pytest

from gantry_testing import echo, nats_files, servers
from gantry_testing.streams import Done, empty, events, ingest, left, shorten

POINTS = ["before_handler", "after_effect", "after_audit", "after_answer", "before_ack"]


@pytest.fixture(scope="module")
def program():
    return echo.build("fault")


@pytest.fixture(scope="module")
def server():
    with nats_files.server() as running:
        nats_files.provision(running, ["w1", "w2", "w3"])
        yield running


@pytest.fixture
def bus(server):
    with server.connect("operator") as client:
        shorten(client)
        empty(client)
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
            if point in ("before_handler", "after_effect"):  # calls, not jobs: one at a time
                servers.wait_until(lambda: left(bus, "MEMORY") == 0 or worker.process.poll() is not None,
                                   what="settled")
        dies(worker)
        worker.start()
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")
        answered = set()
        while answered != wanted:
            answered.add(done.next(5)[0])
        assert sorted(e["event_id"] for e in events(bus)) == sorted(wanted)
        assert all(e["status"] == "success" for e in events(bus))
        assert left(bus, "DEAD") == 0
        handled = [call[1] for call in worker.calls()]
        assert all(handled.count(command) <= 2 for command in wanted)
    finally:
        worker.__exit__()


def test_dies_after_the_dead_letter(server, bus, program):
    done = Done(bus)
    worker = echo.Echo(program, server).start(FAULT_POINT="after_dead")
    try:
        command = ingest(bus, "bug")
        dies(worker)
        assert left(bus, "DEAD") == 1 and left(bus, "MEMORY") == 1
        worker.start()
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="terminated")
        assert done.next()[0] == command
        assert left(bus, "DEAD") == 1, "buried twice, stored once"
        assert [e["error_reason"] for e in events(bus)] == ["dead_letter"]
    finally:
        worker.__exit__()
