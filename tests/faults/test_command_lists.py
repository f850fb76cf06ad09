# SPDX-License-Identifier: MIT
"""Several commands in one message of a stream: each is done, answered and recorded as if it had
come alone, whatever becomes of its neighbours, of the message or of the worker."""

import hashlib
import json
import uuid

import pytest
from gantry_testing import echo, nats_files, servers
from gantry_testing.echo import PARENT, listed
from gantry_testing.streams import Done, events, left, operator, provisioned, stored

SUBJECT = "gantry.v1.w1.memory.ingest"


@pytest.fixture(scope="module")
def program():
    return echo.build("fault")


@pytest.fixture(scope="module")
def server():
    with provisioned("{ user: AAAAAAAAAAAA, password: pAAAAAAAAAAAA }") as running:
        yield running


@pytest.fixture
def bus(server):
    with operator(server) as client:
        yield client


def send(bus, texts, key=None, protocol="2"):
    payload, ids = listed(texts)
    headers = {
        "Gantry-Actor": echo.claim(SUBJECT, payload, ids[0], key=key),
        "Gantry-Protocol": protocol,
        "Gantry-List": str(len(ids)),
    }
    nats_files.taken(bus.js_publish(SUBJECT, payload, f"{ids[0]}.1.l{len(ids)}", headers))
    return ids


def answers(done, count):
    got = {}
    while len(got) < count:
        command, answer = done.next()
        got[command] = answer["status"]
    return got


def settled(bus):
    servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")


def dies(worker):
    servers.wait_until(lambda: worker.process.poll() is not None, what="dead")
    assert worker.process.returncode == -9


def test_each_command_has_its_own_answer_event_and_letter(server, bus, program):
    done = Done(bus)
    with echo.Echo(program, server) as worker:
        ids = send(bus, ["one", "bug", "three", "temp:1"])
        assert answers(done, 4) == dict(zip(ids, [200, 500, 200, 200], strict=True))
        settled(bus)
        first = [call for call in worker.calls() if call[1] == ids[0]]
        assert [call[3] for call in first] == [4], "handled together"
    assert sorted(event["event_id"] for event in events(bus)) == sorted(ids)
    ((subject, headers, data),) = stored(bus, "DEAD")
    assert subject == "gantry.v1.w1.dead.ingest"
    assert json.loads(data)["text"] == "bug"
    assert headers["Gantry-Subject"] == SUBJECT
    assert headers["Gantry-Msg-Id"] == f"{ids[1]}.1"
    assert headers["Gantry-Actor"].split(",")[1] == ids[1]


def answered_together(message):
    """{id: (status, code, body)} of a message of answers, read by a second implementation."""
    assert message.headers["Gantry-Event"] == "answers"
    answers, text = {}, message.data
    while text:
        head, text = text.split(b"\n", 1)
        command, status, code, length = head.decode().split(" ")
        assert text[int(length) : int(length) + 1] == b"\n"
        answers[command] = (int(status), code, json.loads(text[: int(length)]))
        text = text[int(length) + 1 :]
    return answers


def test_a_gateway_that_asks_for_it_is_answered_together(server, bus, program):
    """It hears no command's own event then; clients and the operator hear nothing else."""
    with (
        server.connect("gateway") as gateway,
        server.connect("AAAAAAAAAAAA") as client,
        echo.Echo(program, server),
    ):
        together = gateway.subscribe("gantry.v1.*.answers.memory")
        own = gateway.subscribe("gantry.v1.*.memory.*.done")
        gateway.flush()
        hearing = [Done(bus), Done(client)]
        ids = send(bus, ["one", "bug", "three"], protocol="3")
        got = {}
        while len(got) < 3:
            message = gateway.next(60, together)
            assert message.subject == "gantry.v1.w1.answers.memory"
            got.update(answered_together(message))
        assert [got[command][:2] for command in ids] == [(200, "-"), (500, "internal"), (200, "-")]
        assert got[ids[1]][2]["code"] == "internal"
        for done in hearing:
            assert answers(done, 3) == dict(zip(ids, [200, 500, 200], strict=True))
        settled(bus)
        alone = str(uuid.uuid4())
        payload = json.dumps({"scope": "s", "text": "alone"}).encode()
        bus.js_publish(SUBJECT, payload, alone)
        message = gateway.next(60, own)
        assert message.subject.split(".")[4] == alone, "the first that it heard by itself"


@pytest.mark.parametrize(
    "points",
    [
        ["before_handler"],
        ["after_effect"],
        ["after_answer:2"],
        ["after_audit:2"],
        ["before_ack"],
        ["before_handler", "taking_apart:3"],
        ["before_handler", "after_parts"],
        ["after_audit:2", "after_parts"],
    ],
)
@pytest.mark.parametrize("protocol", ["2", "3"])
def test_dies_at(server, bus, program, points, protocol):
    done = Done(bus)
    worker = echo.Echo(program, server)
    try:
        ids = send(bus, ["one", "two", "three", "four"], protocol=protocol)
        for point in points:
            worker.start(wait=False, FAULT_POINT=point)
            dies(worker)
        worker.start()
        settled(bus)
        assert answers(done, 4) == dict.fromkeys(ids, 200)
        assert sorted(event["event_id"] for event in events(bus)) == sorted(ids)
        assert left(bus, "DEAD") == 0
        # (Parts are delivered for the first time: if the list is settled before they are fetched,
        # nothing is outstanding, and they may be fetched together.)
        alone = all(call[3] == 1 for call in worker.calls()[4:])
        assert alone or "after_parts" in points, "what comes again is handled alone"
    finally:
        worker.__exit__()


def test_a_part_keeps_its_place_in_time(server, bus, program):
    """Else a command could outlive a forget that came after it."""
    worker = echo.Echo(program, server)
    try:
        ids = send(bus, ["one", "two"])
        for point in ("before_handler", "after_parts"):
            worker.start(wait=False, FAULT_POINT=point)
            dies(worker)
        message, *parts = stored(bus, "MEMORY")
        assert message[1]["Gantry-List"] == "2"
        assert [part[1]["Nats-Msg-Id"] for part in parts] == [f"{command}.1" for command in ids]
        first, second = (int(part[1]["Gantry-Stored"]) for part in parts)
        assert second == first + 1
        assert all(
            part[1]["traceparent"] == PARENT and part[1]["tracestate"] == "a=1" for part in parts
        )
        assert all(
            "Gantry-List" not in part[1] and json.loads(part[2])["scope"] == "s" for part in parts
        )
    finally:
        worker.__exit__()


def test_poison_in_a_list_condemns_no_neighbour(server, bus, program):
    done = Done(bus)
    worker = echo.Echo(program, server, DELIVERY_LIMIT="2")
    try:
        ids = send(bus, ["one", "die", "three", "die", "five"])
        for _ in range(20):
            worker.start(wait=False)
            servers.wait_until(
                lambda: worker.process.poll() is not None or left(bus, "MEMORY") == 0,
                what="dead or done",
            )
            if worker.process.poll() is None:
                break
        assert worker.process.poll() is None, "the poison went on and on"
        assert answers(done, 5) == dict(zip(ids, [200, 500, 200, 500, 200], strict=True))
        assert sorted(letter[1]["Gantry-Msg-Id"] for letter in stored(bus, "DEAD")) == sorted(
            [f"{ids[1]}.1", f"{ids[3]}.1"]
        )
        assert all(letter[1]["Gantry-Deliveries"] == "3" for letter in stored(bus, "DEAD"))
    finally:
        worker.__exit__()


def test_a_drain_with_a_command_that_waits(server, bus, program):
    """One that fails for now does not keep the worker from ending; the rest is not done again."""
    done = Done(bus)
    worker = echo.Echo(program, server).start()
    try:
        ids = send(bus, ["one", "temp:99", "three"])
        assert answers(done, 2) == {ids[0]: 200, ids[2]: 200}
        assert worker.stop() == 0
        assert left(bus, "MEMORY") == 1
        worker.start()
        servers.wait_until(
            lambda: (
                left(bus, "MEMORY") == 1 and sum(call[1] == ids[1] for call in worker.calls()) > 1
            ),
            what="it waits alone now",
        )
        assert worker.stop() == 0
        assert sorted(event["event_id"] for event in events(bus)) == sorted([ids[0], ids[2]])
    finally:
        worker.__exit__()


def test_only_the_gateway_sends_lists(server, bus, program):
    with echo.Echo(program, server) as worker:
        payload, ids = listed(["a", "b"])
        for headers in (
            {},
            {"Gantry-Actor": echo.claim(SUBJECT, payload, ids[0], key=echo.actor_key("search"))},
            {"Gantry-Actor": echo.claim(SUBJECT, payload + b" ", ids[0])},
        ):
            bus.js_publish(SUBJECT, payload, str(uuid.uuid4()), {**headers, "Gantry-List": "2"})
        for malformed in (b"", payload[:-3], payload * 33):
            headers = {"Gantry-Actor": echo.claim(SUBJECT, malformed, ids[0]), "Gantry-List": "2"}
            bus.js_publish(SUBJECT, malformed, str(uuid.uuid4()), headers)
        servers.wait_until(
            lambda: left(bus, "MEMORY") == 0 and left(bus, "DEAD") == 9, what="dead letters"
        )
        assert worker.calls() == []
    # Of what is well-formed each command has a letter of its own; the rest stays what it was.
    letters = [headers for _, headers, _ in stored(bus, "DEAD")]
    scope = hashlib.sha256(b"w1\0s").hexdigest()
    alone = [one for one in letters if "Gantry-List" not in one]
    assert sorted(one["Gantry-Msg-Id"] for one in alone) == sorted(
        3 * [f"{command}.1" for command in ids]
    )
    assert all(one["Gantry-Scope-Hash"] == scope for one in alone)
    whole = [one for one in letters if "Gantry-List" in one]
    assert [one["Gantry-List"] for one in whole] == ["2", "2", "2"]
    assert all("Gantry-Scope-Hash" not in one for one in whole)


def test_a_rejected_list_that_comes_again_is_not_carried_out(server, bus, program):
    """Each of its commands has a claim that is right, but nobody vouches for the list."""
    done = Done(bus)
    worker = echo.Echo(program, server)
    try:
        ids = send(bus, ["one", "two"], key=echo.actor_key("search"))
        worker.start(wait=False, FAULT_POINT="after_dead")
        dies(worker)
        worker.start()
        settled(bus)
        assert answers(done, 2) == dict.fromkeys(ids, 401)
        assert worker.calls() == []
        assert left(bus, "DEAD") == 2
    finally:
        worker.__exit__()
