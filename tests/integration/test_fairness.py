# SPDX-License-Identifier: MIT
"""What one workspace can fill, hold or keep busy in a worker, another does not wait for."""
import base64
import json
import time
import uuid

import pytest
from gantry_testing import echo, servers
from gantry_testing.echo import Echo
from gantry_testing.streams import (
    Done,
    events,
    ingest,
    left,
    operator,
    provisioned,
    start_until_it_survives,
)

MALFORMED = b'{"scope":"z","text":"x"'
SUBJECT = "gantry.v1.w1.memory.ingest"


@pytest.fixture(scope="module")
def program():
    return echo.build()


@pytest.fixture(scope="module")
def server():
    with provisioned() as running:
        yield running


@pytest.fixture
def bus(server):
    with operator(server) as client:
        yield client


def flood(client, count, payload=MALFORMED, headers=None):
    """As an attacker's client: published as fast as it goes, nobody waits for the PubAck."""
    for _ in range(count):
        client.publish(
            SUBJECT, payload, headers={"Nats-Msg-Id": str(uuid.uuid4()), **(headers or {})}
        )
    client.flush()


def letters(client, workspace="w1"):
    info = client.api("STREAM.INFO.DEAD", {"subjects_filter": f"gantry.v1.{workspace}.dead.ingest"})
    return sum((info["state"].get("subjects") or {}).values())


def served(client, count=20):
    """Another workspace's commands are answered, one after the other."""
    heard = Done(client)
    for i in range(count):
        command = ingest(client, f"neighbour {i}", workspace="w2")
        while heard.next()[0] != command:
            pass
    client.unsubscribe(heard.sid)


def test_a_full_dead_loses_the_oldest_and_stops_nobody(server, bus, program):
    """15,000 malformed commands without a limit of the rate: DEAD has room for 10,000 of a
    workspace."""
    with (
        Echo(program, server, RATE_LIMIT_PER_MINUTE="0") as worker,
        server.connect("operator") as neighbour,
    ):
        metrics = bus.subscribe("gantry.sys.metrics.ingest.*")
        before = bus.api("STREAM.INFO.MEMORY")["state"]["last_seq"]
        for _ in range(15):  # MEMORY has room for 10,000: more at once would not be taken
            flood(bus, 1000)
            served(neighbour, 2)
            servers.wait_until(lambda: left(bus, "MEMORY") < 5000, 120, "there is room")
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 120, "the flood is settled")
        taken = bus.api("STREAM.INFO.MEMORY")["state"]["last_seq"] - before - 15 * 2
        assert taken == 15000
        assert letters(bus) == 10000
        assert letters(bus, "w2") == 0
        assert worker.said('"dead letter"') < 1000, "one line a letter"

        # What was lost is told after what lost it; the metric says the same.
        last = {"last_by_subj": "gantry.v1.w1.audit.request.ingest"}

        def told():
            event = json.loads(
                base64.b64decode(bus.api("STREAM.MSG.GET.AUDIT", last)["message"]["data"])
            )
            return isinstance(event, dict) and event["action"] == "dead_letters.lost" and event

        event = servers.wait_until(told, 60, "the audit log hears of it")
        assert (event["status"], event["target"]) == ("failed", "ingest")
        values = {}
        while values.get("dead_letters", 0) < taken:
            values = json.loads(bus.next(60, metrics).data)["values"]
        assert values["dead_lost"] == taken - 10000
        assert worker.process.poll() is None


def test_malformed_commands_count_against_the_limit(server, bus, program):
    """The default: 600 a minute and process. Beyond it they are refused, told and recorded."""
    with Echo(program, server), server.connect("operator") as neighbour:
        start = time.monotonic()
        flood(bus, 15000)
        served(neighbour)
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 120, "the flood is settled")
        assert 600 <= letters(bus) < 1000 + 10 * (time.monotonic() - start)
        done = Done(bus)
        mine = {str(uuid.uuid4()) for _ in range(1000)}  # more than came back meanwhile
        body = json.dumps({"scope": "s", "text": "well-formed"}).encode()
        bus.publish_all([(SUBJECT, body, {"Nats-Msg-Id": command}, None) for command in mine])
        answers = [done.next() for _ in mine]
        assert {heard for heard, _ in answers} == mine
        refused = [answer for _, answer in answers if answer["status"] != 200]
        assert refused
        assert all((a["status"], a["body"]["code"]) == (429, "rate_limited") for a in refused)
        # The gateway has its own limit: its commands go on.
        command = ingest(bus, "from the gateway")
        assert done.next() == (
            command,
            {
                "status": 200,
                "body": {
                    "id": command,
                    "echo": "from the gateway",
                    "workspace": "w1",
                    "key_id": "AAAAAAAAAAAA",
                    "direct": False,
                },
            },
        )


@pytest.mark.parametrize("kind", ["a wrong claim", "a wrong schema", "no id"])
def test_every_kind_of_bad_command_counts(server, bus, program, kind):
    with Echo(program, server, RATE_LIMIT_PER_MINUTE="50"), server.connect("operator") as neighbour:
        if kind == "a wrong claim":
            flood(bus, 3000, b"{}", {"Gantry-Actor": "bm8.bm8"})
        elif kind == "a wrong schema":
            flood(bus, 3000, b'{"txt":1}')
        else:
            for _ in range(3000):
                bus.publish(SUBJECT, MALFORMED)
            bus.flush()
        served(neighbour, 5)
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 60, "settled")
        assert letters(bus) < 500
        reasons = [e["error_reason"] for e in events(bus)]
        assert reasons.count("rate_limited") > 2500


def test_held_messages_of_one_workspace_leave_room_for_others(server, bus, program):
    """Commands that fail for now wait in the worker, so many of a workspace; then it alone is not
    fetched."""
    with Echo(program, server), server.connect("operator") as neighbour:
        for _ in range(400):
            ingest(bus, "temp:99")
        servers.wait_until(
            lambda: bus.api("CONSUMER.INFO.MEMORY.ingest_w1")["num_ack_pending"] >= 256, 30, "held"
        )
        served(neighbour)
        info = bus.api("CONSUMER.INFO.MEMORY.ingest_w1")
        assert info["num_pending"] + info["num_ack_pending"] == 400
        assert info["num_ack_pending"] < 400, "bounded"


def test_a_backlog_of_one_workspace_is_not_in_front_of_others(server, bus, program):
    """5,000 waiting commands of 1 ms each: the neighbour's is answered among the first."""
    for _ in range(3000):
        ingest_fast(bus)
    bus.flush()
    done = Done(bus)
    mine = ingest(bus, "late", workspace="w2")
    with Echo(program, server):
        place = next(n for n in range(3001) if done.next()[0] == mine)
        assert place < 1000, "it waited for the whole backlog"


def test_requests_of_one_workspace_are_not_in_front_of_others(server, bus, program):
    """4,000 requests of 20 ms come at once, without a limit of the rate: what is beyond a
    workspace's share is refused. The neighbour's ten, which come behind them, are answered in turn
    with them: long before the share of 2,048 is done. All are made before and sent together, so
    that the order does not depend on how fast this test is."""
    hog, neighbour = f"{bus.inbox}.hog", f"{bus.inbox}.neighbour"
    bus.subscribe(f"{bus.inbox}.*")
    with Echo(program, server, role="search", RATE_LIMIT_PER_MINUTE="0"):
        wanted = [asking("w1", "slow:20", hog) for _ in range(4000)]
        wanted += [asking("w2", "slow:0", neighbour) for _ in range(10)]
        bus.publish_all(wanted)
        done = refused = answered = 0
        while answered < 10:
            message = bus.next(60)
            code = message.headers.get("Nats-Service-Error-Code")
            if message.subject == neighbour:
                assert code is None
                answered += 1
            elif code == "503":
                refused += 1
            else:
                done += 1
        assert done < 1500, "behind the other's queue"
        assert 0 < refused < 2000


def asking(workspace, text, reply):
    """subject, body, headers, reply"""
    subject, body = f"gantry.v1.{workspace}.memory.search", json.dumps({"query": text}).encode()
    return subject, body, {"Gantry-Actor": echo.claim(subject, body, str(uuid.uuid4()))}, reply


def ingest_fast(client):
    command = str(uuid.uuid4())
    body = json.dumps({"scope": "s", "text": "slow:1"}).encode()
    client.publish(SUBJECT, body, headers={
        "Nats-Msg-Id": command + ".1", "Gantry-Actor": echo.claim(SUBJECT, body, command)})


def test_a_killer_of_one_workspace_costs_others_no_letter(server, bus, program):
    """It kills the worker again and again; the neighbours' commands are done, none is given up."""
    done = Done(bus)
    wanted = {ingest(bus, f"good {i}", workspace=f"w{2 + i % 2}") for i in range(40)}
    ingest(bus, "die")
    worker = Echo(program, server, DELIVERY_LIMIT="3")
    try:
        start_until_it_survives(worker, bus)
        answered = set()
        while not wanted <= answered:
            command, answer = done.next()
            assert command not in wanted or answer["status"] == 200
            answered.add(command)
        assert letters(bus) == 1
        assert letters(bus, "w2") == letters(bus, "w3") == 0
    finally:
        worker.__exit__()
