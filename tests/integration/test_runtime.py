# SPDX-License-Identifier: MIT
"""The worker runtime: what becomes of a message, whatever happens to it or to the worker."""
import functools
import json
import signal
import time
import uuid

import pytest
from gantry_testing import echo, nats_files, servers
from gantry_testing.echo import Echo, claim
from gantry_testing.nats import Nats, NatsError
from gantry_testing.stack import ROOT
from gantry_testing.streams import (
    Done,
    events,
    ingest,
    left,
    operator,
    provisioned,
    shorten,
    start_until_it_survives,
    stored,
)


@pytest.fixture(scope="module")
def program():
    return echo.build()


@pytest.fixture(scope="module")
def server():
    with provisioned('{ user: AAAAAAAAAAAA, password: pclient }') as running:
        yield running


@pytest.fixture
def bus(server):
    with operator(server) as client:
        yield client


def test_a_command_is_done_answered_audited_acknowledged(server, bus, program):
    done = Done(bus)
    with Echo(program, server) as worker:
        one = ingest(bus, "hello")
        assert done.next() == (
            one,
            {
                "status": 200,
                "body": {
                    "id": one,
                    "echo": "hello",
                    "workspace": "w1",
                    "key_id": "AAAAAAAAAAAA",
                    "direct": False,
                },
            },
        )
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        two = ingest(bus, "hello", signed=False, workspace="w2")
        answer = done.next()
        assert answer[0] == two
        assert answer[1]["body"]["direct"]
        assert answer[1]["body"]["key_id"] == ""
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        assert worker.stop() == 0
    first, second = events(bus)
    assert first["event_id"] == one
    assert first["action"] == "memory.ingest"
    assert first["http_status"] == 200
    assert first["key_id"] == "AAAAAAAAAAAA"
    assert first["status"] == "success"
    assert first["region"] == "test"
    assert first["actor_type"] == "key"
    assert first["duration_ms"] >= 0
    assert second["event_id"] == two
    assert second["actor_type"] == "nats"
    assert second["key_id"] is None
    assert second["http_status"] is None
    subject, headers, _ = stored(bus, "AUDIT")[0]
    assert subject == "gantry.v1.w1.audit.request.ingest"
    assert headers["Nats-Msg-Id"] == f"{one}.audit"
    assert left(bus, "DEAD") == 0


def test_events_of_one_turn_share_a_message(server, bus, program):
    """Of one workspace, and no more than fit; a command alone has a message of its own."""
    wanted = {
        ingest(bus, f"text {i}", workspace=f"w{1 + i % 2}"): f"w{1 + i % 2}" for i in range(300)
    }
    with Echo(program, server):
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 30, "everything settled")
        alone = ingest(bus, "alone")
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 30, "everything settled")
    *together, (_, headers, data) = stored(bus, "AUDIT")
    assert json.loads(data)["event_id"] == alone
    assert headers["Nats-Msg-Id"] == f"{alone}.audit"
    seen = {}
    for subject, headers, data in together:
        body = json.loads(data)
        items = body if isinstance(body, list) else [body]
        assert isinstance(body, dict) or 1 < len(body) <= 64
        assert headers["Nats-Msg-Id"].startswith(items[0]["event_id"] + ".")
        for item in items:
            assert item["event_id"] not in seen
            seen[item["event_id"]] = subject.split(".")[2]
    assert seen == wanted
    assert len(together) < 100


def test_answers_are_not_failures(server, bus, program):
    done = Done(bus)
    with Echo(program, server) as worker:
        one = ingest(bus, "missing")
        command, answer = done.next()
        assert (command, answer["status"], answer["body"]["code"]) == (one, 404, "not_found")
        two = ingest(bus, "x", colour="green")  # breaks the schema: no handler sees it
        command, answer = done.next()
        assert (command, answer["status"], answer["body"]["code"]) == (two, 422, "invalid_request")
        assert answer["body"]["errors"][0]["field"] == "colour"
        ingest(bus, "x", tenant_id="w2")
        assert done.next()[1]["body"]["code"] == "tenant_mismatch"
        body = json.dumps({"id": str(uuid.uuid4())}).encode()
        subject, command = "gantry.v1.w1.memory.delete", str(uuid.uuid4())
        bus.js_publish(subject, body, command + ".1",
                       {"Gantry-Actor": claim(subject, body, command, role="viewer")})
        assert done.next()[1]["body"]["code"] == "missing_scope"
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        assert worker.texts() == ["missing"]
    assert [e["status"] for e in events(bus)] == ["failed", "failed", "denied", "denied"]
    assert left(bus, "DEAD") == 0


def test_dead_letters(server, bus, program):
    done = Done(bus)
    with Echo(program, server):
        bug = ingest(bus, "bug")
        command, answer = done.next()
        assert command == bug
        assert answer["status"] == 500
        subject = "gantry.v1.w1.memory.ingest"
        bus.js_publish(subject, b"{nonsense", str(uuid.uuid4()))
        payload, command = b'{"scope":"s","text":"forged"}', str(uuid.uuid4())
        right = claim(subject, payload, command)
        bus.js_publish(subject, payload + b" ", command + ".1", {"Gantry-Actor": right})
        bus.js_publish(
            "gantry.v1.w2.memory.ingest", payload, command + ".2", {"Gantry-Actor": right}
        )
        forged = claim(
            subject, payload, command, key=echo.actor_key("search")
        )  # a taken over worker's
        bus.js_publish(subject, payload, command + ".3", {"Gantry-Actor": forged})
        bus.js_publish(
            "gantry.v1.w1.memory.patch", b"{}", str(uuid.uuid4())
        )  # no route of this worker
        servers.wait_until(
            lambda: left(bus, "MEMORY") == 0 and left(bus, "DEAD") == 6, what="dead letters"
        )
    letters = stored(bus, "DEAD")  # many die at once: in any order
    (subject, headers, data), = [letter for letter in letters if b'"bug"' in letter[2]]
    assert subject == "gantry.v1.w1.dead.ingest"
    assert json.loads(data) == {"scope": "s", "text": "bug"}
    assert headers["Gantry-Reason"] == "an invariant"
    assert headers["Gantry-Deliveries"] == "1"
    assert headers["Gantry-Subject"] == "gantry.v1.w1.memory.ingest"
    assert headers["Gantry-Msg-Id"] == f"{bug}.1"
    assert "Gantry-Actor" in headers
    assert headers["Gantry-Scope-Hash"] == echo.hashlib.sha256(b"w1\0s").hexdigest()
    assert headers["Gantry-Time"].endswith("Z")
    reasons = sorted(h["Gantry-Reason"] for _, h, _ in letters)
    assert sum("does not fit the message" in reason for reason in reasons) == 3, reasons
    for part in ("malformed", "no command of this program", "an invariant"):
        assert sum(part in reason for reason in reasons) == 1, reasons
    assert [letter[0] for letter in letters].count("gantry.v1.w2.dead.ingest") == 1
    seen = events(bus)
    assert len(seen) == 5
    assert all(e["error_reason"] == "dead_letter" for e in seen)
    assert sorted(e["status"] for e in seen) == ["denied"] * 3 + ["failed"] * 2


def test_a_command_without_a_usable_id_gets_one(server, bus, program):
    """It follows from the message's place in the stream; the .done event names it."""
    done = Done(bus)
    with Echo(program, server) as worker:
        for message_id in (None, "order-1"):
            bus.js_publish("gantry.v1.w1.memory.ingest", b'{"scope":"s","text":"t"}', message_id)
            command, answer = done.next()
            assert answer["status"] == 200
            assert answer["body"]["id"] == command
            assert uuid.UUID(command).version == 8
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        assert len({call[1] for call in worker.calls()}) == 2
    assert left(bus, "DEAD") == 0


def test_a_publisher_hears_of_a_refusal(server, bus, program):
    """What is wrong, in the .done event of the id that it chose."""
    done = Done(bus)
    with Echo(program, server):
        for payload, status, code in ((b'{"scope":"s","txt":"t"}', 422, "invalid_request"),
                                      (b'{"scope":"s"', 400, "malformed_json"),
                                      (b"", 422, "invalid_request")):
            command = str(uuid.uuid4())
            bus.js_publish("gantry.v1.w1.memory.ingest", payload, command)
            heard, answer = done.next()
            assert heard == command
            assert (answer["status"], answer["body"]["code"]) == (status, code), payload
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")


def test_the_form_of_an_answer_is_the_one_its_publisher_reads(server, bus, program):
    """A gateway of the version before reads protocol 1; a direct client always gets the plain
    form."""
    sid = bus.subscribe("gantry.v1.*.*.*.done")
    bus.flush()
    with Echo(program, server):
        for headers, signed in (
            ({}, True),
            ({"Gantry-Protocol": "1"}, True),
            ({"Gantry-Protocol": "2"}, True),
            ({}, False),
        ):
            for text, status in (("hello", 200), ("missing", 404)):
                ingest(bus, text, signed=signed, headers=headers)
                event = bus.next(60, sid)
                body = json.loads(event.data)
                if signed and headers.get("Gantry-Protocol") != "2":
                    assert "Gantry-Status" not in event.headers
                    assert body["status"] == status
                    continue
                assert event.headers["Gantry-Status"] == str(status)
                assert event.headers.get("Nats-Service-Error") == (
                    None if status == 200 else "not_found"
                )
                assert body["code" if status == 404 else "echo"] in ("not_found", "hello")


@pytest.mark.parametrize("settings,wanted", [
    ({}, ["new"]),
    ({"ACTOR_KEY_PREVIOUS": echo.actor_key("ingest", bytes(32)).hex()}, ["new", "before"]),
    ({"ACTOR_PUBLIC_KEY": echo.PUBLIC}, ["new", "signed"]),
], ids=["plain", "rotated", "upgraded"])
def test_claims_of_before(server, bus, program, settings, wanted):
    """What waits in the stream when a worker starts with other keys, or of a version that knows the
    MAC: carried out where the keys of before are given, a dead letter otherwise, which a replay
    brings back."""
    subject = "gantry.v1.w1.memory.ingest"
    claims = {
        "new": claim,
        "before": lambda *what: claim(*what, key=echo.actor_key("ingest", bytes(32))),
        "signed": echo.signed_claim,
    }
    for text, make in claims.items():
        payload, command = json.dumps({"scope": "s", "text": text}).encode(), str(uuid.uuid4())
        nats_files.taken(
            bus.js_publish(
                subject, payload, command + ".1", {"Gantry-Actor": make(subject, payload, command)}
            )
        )
    with Echo(program, server, **settings) as worker:
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")
        assert sorted(worker.texts()) == sorted(wanted)
    letters = stored(bus, "DEAD")
    assert sorted(json.loads(data)["text"] for _, _, data in letters) == sorted(
        set(claims) - set(wanted)
    )
    for _, headers, data in letters:
        again = {"Gantry-Actor": headers["Gantry-Actor"]}
        nats_files.taken(
            bus.js_publish(
                headers["Gantry-Subject"], data, headers["Gantry-Msg-Id"] + ".replay", again
            )
        )
    every = {
        "ACTOR_KEY_PREVIOUS": echo.actor_key("ingest", bytes(32)).hex(),
        "ACTOR_PUBLIC_KEY": echo.PUBLIC,
    }
    with Echo(program, server, **every) as worker:
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")
        assert sorted(worker.texts()) == sorted(set(claims) - set(wanted))
    assert len(stored(bus, "DEAD")) == len(letters)
    assert {event["actor_type"] for event in events(bus) if event["status"] == "success"} == {"key"}


def test_a_dead_letter_of_the_largest_message_is_cut_to_fit(server, bus, program):
    """DEAD has the same bound for a message as the others: what fills it leaves no room for the
    reason."""
    subject, bound = "gantry.v1.w1.memory.ingest", 1 << 20
    room = bound - len(f"NATS/1.0\r\nNats-Msg-Id: {uuid.uuid4()}\r\n\r\n")
    with Echo(program, server):
        bus.js_publish(subject, b"{" * room, str(uuid.uuid4()))
        bus.js_publish(
            subject, b"[" * (room - 16400), str(uuid.uuid4()), {"Gantry-Actor": "x" * 16384}
        )
        servers.wait_until(
            lambda: left(bus, "MEMORY") == 0 and left(bus, "DEAD") == 2, what="dead letters"
        )
    letters = {data[:1]: (headers, data) for _, headers, data in stored(bus, "DEAD")}
    headers, data = letters[b"{"]
    assert headers["Gantry-Cut"] == str(room)
    assert bound - 1000 < len(data) < room
    assert set(data) == {ord("{")}
    headers, data = letters[b"["]
    assert "malformed" in headers["Gantry-Reason"]
    assert "Gantry-Actor" not in headers
    assert "Gantry-Cut" not in headers
    assert len(data) == room - 16400


def test_temporary_failures_are_retried_with_growing_delay(server, bus, program):
    done = Done(bus)
    with Echo(program, server) as worker:
        start = time.monotonic()
        one = ingest(bus, "temp:3")
        two = ingest(bus, "neighbour")
        assert done.next()[0] == two
        assert done.next()[0] == one
        assert time.monotonic() - start > 6.5  # 1 + 2 + 4 seconds
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        mine = [c for c in worker.calls() if c[1] == one]
        # kept alive here: never delivered again, although ack_wait passed several times
        assert [c[2] for c in mine] == [1, 1, 1, 1]


def test_poison_becomes_a_dead_letter_and_condemns_nobody(server, bus, program):
    """The limit counts deliveries; each crash costs one. The neighbours come through."""
    done = Done(bus)
    neighbours = [ingest(bus, f"good {i}") for i in range(10)]
    poison = ingest(bus, "die")
    neighbours += [ingest(bus, f"good {i}") for i in range(10, 30)]
    worker = Echo(program, server, DELIVERY_LIMIT="3")
    try:
        start_until_it_survives(worker, bus)
        answers = {}
        while len(answers) < 31:  # who was answered and not acknowledged is answered again
            answers.update([done.next()])
        assert answers.pop(poison)["status"] == 500
        assert set(answers) == set(neighbours)
        assert all(a["status"] == 200 for a in answers.values())
    finally:
        worker.__exit__()
    deaths = [c for c in worker.calls() if c[1] == poison]
    assert [c[2] for c in deaths] == [1, 2, 3]
    assert all(c[3] == 1 for c in worker.calls() if c[2] > 1), (
        "a redelivered message is handled alone"
    )
    assert stored(bus, "DEAD")[0][1]["Gantry-Reason"].startswith("delivered 4 times")
    assert left(bus, "DEAD") == 1


def test_killed_under_load_everything_is_done(server, bus, program):
    done = Done(bus)
    first = Echo(program, server).start()
    second = Echo(program, server).start()
    wanted = set()
    try:
        for i in range(300):
            wanted.add(ingest(bus, "slow:1" if i % 3 else f"text {i}"))
            if i in (60, 140, 220):
                first.process.kill()
                first.process.wait()
                first.start(wait=False)
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, 60, "everything settled")
    finally:
        first.__exit__()
        second.__exit__()
    seen = set()
    while seen != wanted:
        seen.add(done.next()[0])
    assert sorted(e["event_id"] for e in events(bus)) == sorted(wanted)  # one event each
    assert left(bus, "DEAD") == 0


def test_drain_finishes_what_is_in_hand(server, bus, program):
    shorten(bus, 10)  # longer than all of it takes: nothing comes again because it took too long
    done = Done(bus)
    with Echo(program, server) as worker:
        sent = {ingest(bus, "slow:20") for _ in range(40)}
        servers.wait_until(lambda: worker.calls(), what="working")
        assert worker.stop() == 0
        answered = set()
        while len(answered) < len(sent) - left(bus, "MEMORY"):
            answered.add(done.next()[0])
        assert left(bus, "MEMORY") + len(answered) == len(sent)
        assert len(answered) > 0
        worker.start()
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="the rest")
        assert {c[1] for c in worker.calls()} == sent
        # Nothing was taken and dropped: what the first did not do came for the first time. (What
        # the server hands out in the very moment of the end may have to come again.)
        assert sum(c[2] > 1 for c in worker.calls()) <= 2


def test_survives_a_restart_of_the_server(server, bus, program):
    with Echo(program, server) as worker:
        ingest(bus, "before")
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="done")
        server.restart(signal.SIGKILL)
        with server.connect("operator") as client:
            shorten(client)
            done = Done(client)
            after = ingest(client, "after")
            assert done.next()[0] == after
            servers.wait_until(lambda: left(client, "MEMORY") == 0, what="acknowledged")
        assert worker.texts() == ["before", "after"]


def test_the_audit_stream_down_holds_everything(server, bus, program):
    """A command is answered when its effect is durable, acknowledged when its event is stored;
    until then its workspace gets no new work, and other workspaces do."""
    body = next(json.loads(t) for p, t in nats_files.bodies("streams") if p.endswith("AUDIT.json"))
    done = Done(bus)
    with Echo(program, server) as ingester, Echo(program, server, role="search"):
        nats_files.taken(bus.api("STREAM.UPDATE.AUDIT", dict(body, max_msgs_per_subject=1)))
        first = ingest(bus, "first")
        assert done.next()[0] == first
        # Its event is in AUDIT: else the second's might go with it, in one message.
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")
        second = ingest(bus, "second")
        assert done.next()[0] == second
        # Its event waits up to 10 ms for others before AUDIT is asked.
        servers.wait_until(lambda: ingester.said("AUDIT did not take"), what="refused")
        third = ingest(bus, "third")
        other = ingest(bus, "other", workspace="w2")
        assert done.next()[0] == other
        with pytest.raises(NatsError):
            done.next(1.5)
        assert left(bus, "MEMORY") == 2
        assert "third" not in ingester.texts()
        request(bus, "one")
        refused = request(bus, "two")
        assert refused.headers["Nats-Service-Error-Code"] == "503"
        nats_files.taken(bus.api("STREAM.UPDATE.AUDIT", body))
        assert done.next()[0] == third
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="acknowledged")


def request(client, query, workspace="w1", headers=None, raw=None, signed=False):
    subject = f"gantry.v1.{workspace}.memory.search"
    payload = raw if raw is not None else json.dumps({"query": query}).encode()
    headers = dict(headers or {})
    if signed:
        headers["Gantry-Actor"] = claim(subject, payload, str(uuid.uuid4()), role="viewer")
    return client.request(subject, payload, headers)


def test_core_requests(server, bus, program):
    with Echo(program, server, role="search"):
        answer = request(bus, "hello", signed=True)
        assert json.loads(answer.data)["echo"] == "hello"
        assert "Nats-Service-Error" not in answer.headers
        missing = request(bus, "missing")
        assert missing.headers["Nats-Service-Error"] == "not_found"
        assert missing.headers["Nats-Service-Error-Code"] == "404"
        assert json.loads(missing.data)["code"] == "not_found"
        assert request(bus, "", raw=b"{").headers["Nats-Service-Error-Code"] == "400"
        assert request(bus, "", raw=b'{"k":1}').headers["Nats-Service-Error-Code"] == "422"
        assert request(bus, "temp:1").headers["Nats-Service-Error-Code"] == "503"
        assert request(bus, "bug").headers["Nats-Service-Error-Code"] == "500"
        payload = json.dumps({"query": "x"}).encode()
        wrong = claim(
            "gantry.v1.w1.memory.search", payload, str(uuid.uuid4()), key=echo.actor_key("ingest")
        )
        for value in ("bm8.bm8", wrong):
            forged = request(bus, "x", headers={"Gantry-Actor": value}, raw=payload)
            assert forged.headers["Nats-Service-Error-Code"] == "401"
    seen = events(bus)
    assert [e["status"] for e in seen] == [
        "success",
        "failed",
        "failed",
        "failed",
        "failed",
        "failed",
        "denied",
        "denied",
    ]
    assert seen[0]["key_id"] == "AAAAAAAAAAAA"
    assert seen[0]["http_status"] == 200
    assert all(e["program"] == "search" if "program" in e else True for e in seen)


def test_clients_are_named_by_the_server(server, bus, program):
    with Echo(program, server, role="search"):
        client = Nats(
            f"nats://AAAAAAAAAAAA:pclient@127.0.0.1:{server.port}", inbox="_INBOX.AAAAAAAAAAAA"
        )
        answer = json.loads(request(client, "who am I").data)
        client.close()
        assert answer["direct"]
        assert answer["key_id"] == "AAAAAAAAAAAA"
    event, = events(bus)
    assert event["actor_type"] == "key"
    assert event["key_id"] == "AAAAAAAAAAAA"


def test_service_discovery_and_metrics(server, bus, program):
    sid = bus.subscribe("gantry.sys.metrics.ingest.*")
    bus.flush()
    with Echo(program, server) as worker:
        ping = json.loads(bus.request("$SRV.PING.gantry-ingest", b"").data)
        assert ping["type"] == "io.nats.micro.v1.ping_response"
        assert ping["name"] == "gantry-ingest"
        info = json.loads(bus.request(f"$SRV.INFO.gantry-ingest.{ping['id']}", b"").data)
        assert [e["subject"] for e in info["endpoints"]] == [
            "gantry.v1.*.memory.ingest", "gantry.v1.*.memory.delete"]
        ingest(bus, "counted")
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="done")
        # Acknowledged, then counted: the stream is empty a moment earlier.
        stats = json.loads(
            servers.wait_until(
                lambda: (
                    (data := bus.request("$SRV.STATS", b"").data)
                    and b'"num_requests":1' in data
                    and data
                ),
                what="counted",
            )
        )
        ingested, deleted = stats["endpoints"]
        assert ingested["num_requests"] == 1
        assert ingested["num_errors"] == 0
        assert ingested["last_error"] == ""
        assert ingested["average_processing_time"] == ingested["processing_time"] > 0
        assert (
            deleted["num_requests"]
            == deleted["processing_time"]
            == deleted["average_processing_time"]
            == 0
        )
        values = {}
        while values.get("calls") != 1:
            values = json.loads(bus.next(60, sid).data)["values"]
        assert values["healthy"] == 1
        assert worker.process.poll() is None


def test_a_missing_right_is_a_configuration_error(server, bus, program):
    """The user of another program may not pull: exit 100, loudly, instead of endless time-outs."""
    worker = Echo(program, server, role="ingest", user="search")
    worker.env["NATS_URL"] = server.url("search")
    worker.start(wait=False)
    assert worker.process.wait(60) == 100
    assert worker.said("nats/server.conf") == 1


def test_whoever_asks_is_answered_in_any_inbox_and_nowhere_else(server, bus, program):
    with Echo(program, server) as worker:
        for reply in ("$JS.API.STREAM.PURGE.MEMORY", "gantry.v1.acme.memory.ingest", "some.where"):
            bus.publish("$SRV.PING.gantry-ingest", b"", reply=reply)
        servers.wait_until(lambda: worker.said("could not be delivered") == 1, what="told")
        sid = bus.subscribe("_INBOX.of.another.library")
        bus.publish("$SRV.PING.gantry-ingest", b"", reply="_INBOX.of.another.library")
        assert json.loads(bus.next(60, sid).data)["name"] == "gantry-ingest"
        assert (
            json.loads(bus.request("$SRV.PING.gantry-ingest", b"").data)["name"] == "gantry-ingest"
        )
        assert worker.stop() == 0


def test_an_empty_command_costs_its_neighbours_nothing(server, bus, program):
    """For the server an empty message would be the end of a pull's answers (docs/protocol.md): the
    header that it adds to what clients publish keeps the rest of the batch coming."""
    client = Nats(
        f"nats://AAAAAAAAAAAA:pclient@127.0.0.1:{server.port}", inbox="_INBOX.AAAAAAAAAAAA"
    )
    for i in range(60):
        if i % 3 == 0:
            client.publish("gantry.v1.w1.memory.ingest", b"")
        else:
            client.publish("gantry.v1.w1.memory.ingest", {"scope": "s", "text": f"neighbour {i}"},
                           headers={"Nats-Msg-Id": str(uuid.uuid4())})
    client.flush()
    client.close()
    servers.wait_until(lambda: left(bus, "MEMORY") == 60, what="stored")
    with Echo(program, server) as worker:
        servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="done")
    assert len(worker.texts()) == 40
    assert {call[2] for call in worker.calls()} == {1}, "delivered once"
    assert [e["error_reason"] for e in events(bus)].count("invalid_request") == 20
    assert left(bus, "DEAD") == 0


def test_configuration_problems_are_told_at_once(server, program):
    import subprocess
    run = subprocess.run([program, "--check-config"], capture_output=True, text=True,
                         env={"ECHO_ROLE": "database", "LOG_LEVEL": "loud"})
    assert run.returncode == 100
    for name in ("NATS_URL", "DATABASE_URL", "ACTOR_KEY", "LOG_LEVEL"):
        assert name in run.stderr
    # its own variables and the common ones are one list, with one count
    run = subprocess.run(
        [f"{ROOT}/build/gantry-ingest", "--check-config"],
        capture_output=True,
        text=True,
        env={"GANTRY_NONSENSE": "1", "EMBED_PROVIDER": "nobody"},
    )
    lines = run.stderr.splitlines()
    assert run.returncode == 100
    assert len(lines) == len(set(lines)) == 6
    assert lines[-1] == "gantry-ingest: 5 problems in the configuration"
    assert "configuration: GANTRY_NONSENSE: no such setting" in lines
    worker = Echo(program, server)
    run = subprocess.run(
        [program, "--print-config"], capture_output=True, text=True, env=worker.env
    )
    assert run.returncode == 0
    assert "(set)" in run.stdout
    assert echo.actor_key("ingest").hex() not in run.stdout
    assert "pingest" not in run.stdout
    for argument, code in (
        ("--help", 0),
        ("--version", 0),
        ("--document-config", 0),
        ("--nonsense", 2),
    ):
        assert (
            subprocess.run([program, argument], capture_output=True, env=worker.env).returncode
            == code
        )


def task(client, workspace, ms):
    command, subject = str(uuid.uuid4()), f"gantry.v1.{workspace}.executor.run"
    payload = json.dumps({"task": {"type": "ping", "message": str(ms)}}).encode()
    ack = client.js_publish(subject, payload, command + ".1",
                            {"Gantry-Actor": claim(subject, payload, command)})
    nats_files.taken(ack)
    return command


def test_slots_are_handed_round_robin(server, bus, program):
    """One workspace with a long queue does not delay the others: each gets its share of two
    slots."""
    done = Done(bus)
    flood = [task(bus, "w1", 100) for _ in range(30)]
    with Echo(program, server, role="executor") as worker:
        for _ in range(4):
            done.next()
        late = [task(bus, w, 100) for w in ("w2", "w3", "w2", "w3")]
        begun = len(worker.calls())  # of the flood more, the longer it took to send these
        for _ in range(len(flood) + len(late) - 4):
            done.next()
        order = [call[1] for call in worker.calls()]
        places = [order.index(command) - begun for command in late]
        assert max(places) <= 8, places
        servers.wait_until(lambda: left(bus, "TASKS") == 0, what="acknowledged")


def test_a_new_workspace_is_served_without_a_restart(server, bus, program):
    done = Done(bus)
    with Echo(program, server, role="executor"):
        nats_files.provision(server, ["later"])
        one = task(bus, "later", 1)
        assert done.next()[0] == one


def test_nothing_is_fetched_while_the_database_is_down(server, bus, program):
    """An outage costs no delivery, and the worker goes on by itself afterwards."""
    done = Done(bus)
    with servers.postgres() as database:
        with Echo(program, server, role="database", DATABASE_URL=database.url) as worker:
            first = ingest(bus, "before")
            assert done.next()[0] == first
            database.stop(signal.SIGQUIT)
            servers.wait_until(lambda: worker.said("a dependency is down"), what="noticed")
            consumer = functools.partial(bus.api, "CONSUMER.INFO.MEMORY.ingest_w1")
            servers.wait_until(
                lambda: consumer()["num_waiting"] == 0, what="requests to the consumer have ended"
            )
            waiting = [ingest(bus, f"during {i}") for i in range(5)]
            time.sleep(3)
            assert (consumer()["num_pending"], consumer()["num_waiting"]) == (5, 0)
            assert worker.texts() == ["before"]
            database.start()
            assert {done.next()[0] for _ in waiting} == set(waiting)
            assert all(c[2] == 1 for c in worker.calls())


def test_an_upgrade_from_consumers_that_all_shared(program):
    """Workers take from the shared consumer while it is there, and from those of the workspaces
    when they come: whatever arrived before, meanwhile or after is carried out."""
    with nats_files.server('{ user: AAAAAAAAAAAA, password: pclient }') as running:
        nats_files.provision(running)
        with running.connect("operator") as bus, Echo(program, running) as worker:
            nats_files.taken(
                bus.api(
                    "CONSUMER.DURABLE.CREATE.MEMORY.ingest",
                    {
                        "stream_name": "MEMORY",
                        "config": {
                            "durable_name": "ingest",
                            "ack_policy": "explicit",
                            "max_ack_pending": 5000,
                            "max_waiting": 512,
                        },
                    },
                )
            )
            ingest(bus, "bug")
            sent = {
                f"text {i}": ingest(bus, f"text {i}", workspace=f"w{1 + i % 2}") for i in range(100)
            }
            servers.wait_until(
                lambda: left(bus, "MEMORY") == 0 and left(bus, "DEAD") == 1, 30, "settled"
            )
            sent.update(
                {
                    f"text {i}": ingest(bus, f"text {i}", workspace=f"w{1 + i % 2}")
                    for i in range(100, 400)
                }
            )
            nats_files.taken(bus.api("CONSUMER.DELETE.MEMORY.ingest"))
            for workspace in ("w1", "w2"):
                nats_files.provision_workspace(bus, workspace)
            sent.update(
                {
                    f"text {i}": ingest(bus, f"text {i}", workspace=f"w{1 + i % 2}")
                    for i in range(400, 500)
                }
            )
            servers.wait_until(lambda: left(bus, "MEMORY") == 0, 60, "settled")
            assert set(worker.texts()) == {"bug", *sent}
            assert {e["event_id"] for e in events(bus)} >= set(sent.values())


def test_waits_for_servers_that_start_later(server, bus, program):
    with servers.postgres() as database:
        database.stop()
        worker = Echo(program, server, role="database", DATABASE_URL=database.url)
        try:
            worker.start(wait=False)
            servers.wait_until(lambda: worker.said("waiting for a server"), what="waiting")
            database.start()
            servers.wait_until(lambda: worker.said('"ready"'), what="ready")
            assert worker.stop() == 0
            database.stop()
            worker.start(wait=False)
            servers.wait_until(lambda: worker.said("waiting for a server") > 1, what="waiting")
            assert worker.stop() == 0, "SIGTERM ends the waiting"
        finally:
            worker.__exit__()
