# SPDX-License-Identifier: MIT
"""What `gantry provision` mends in NATS: it looks twice, and may be killed in between."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import pytest
from gantry_testing import nats_files
from gantry_testing.building import ROOT, make
from gantry_testing.keeper import keep

CONSUMER = "MEMORY.ingest_w1"
PULL = f"$JS.API.CONSUMER.MSG.NEXT.{CONSUMER}"
LOOK = "$JS.API.STREAM.MSG.GET.MEMORY"
MINE, OTHER = "gantry.v1.w1.memory.ingest", "gantry.v1.w2.memory.ingest"


@pytest.fixture(scope="module")
def program():
    make("MODE=fault", "build/fault/gantry")
    return pathlib.Path(ROOT, "build/fault/gantry")


@pytest.fixture
def server():
    with nats_files.server() as running:
        nats_files.provision(running, ["w1"])
        yield running


@pytest.fixture
def bus(server):
    with server.connect("operator") as client:
        yield client


@pytest.fixture
def provision(program, server):
    @contextlib.contextmanager
    def run(*words, **settings):
        process = subprocess.Popen(
            [program, "provision", "--json", *words],
            env={**os.environ, "GANTRY_NATS_OPERATOR_URL": server.url("operator"), **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        with keep(process) as kept:
            yield kept

    return run


def repaired(process):
    assert process.wait(120) == 0
    return json.load(process.stdout)["consumers_repaired"]


def names(bus, stream="MEMORY"):
    return bus.api(f"CONSUMER.NAMES.{stream}")["consumers"] or []


def template(filter_subject=None):
    text = pathlib.Path(ROOT, "nats/consumers/ingest.template.json").read_text()
    body = json.loads(text.replace("@WORKSPACE@", "w1"))
    if filter_subject:
        body["config"]["filter_subject"] = filter_subject
    return json.dumps(body)


def left_behind(bus, count=1):
    """So many messages that their consumer takes for settled, as after a kill of the server; their
    sequences. (It took those of another workspace when it settled a later one.)"""
    nats_files.taken(bus.api(f"CONSUMER.DELETE.{CONSUMER}"))
    nats_files.make_consumer(bus, template("gantry.v1.w2.memory.*"))
    sequences = [bus.js_publish(MINE, f"{n}".encode())["seq"] for n in range(count)]
    bus.js_publish(OTHER, b"later")
    bus.request(bus.request(PULL, b'{"batch": 1}').reply, b"+ACK")
    nats_files.make_consumer(bus, template())
    info = bus.api(f"CONSUMER.INFO.{CONSUMER}")
    assert info["ack_floor"]["stream_seq"] > sequences[-1]
    assert info["num_pending"] == 0
    return sequences


def test_a_message_that_is_seen_twice(bus, provision):
    left_behind(bus, 2)
    with provision("--repair-only") as process:
        assert repaired(process) == 1
    assert [bus.request(PULL, b'{"batch": 1}').data for _ in range(2)] == [b"0", b"1"]


@pytest.mark.parametrize("others", [0, 1], ids=["none", "another"])
def test_a_message_that_is_seen_once(bus, provision, others):
    """It was just being settled; at the second look there is none, or another one."""
    first = left_behind(bus, 1 + others)[0]
    looks = bus.subscribe(LOOK)
    bus.flush()
    with provision("--repair-only", FAULT_LOOK_AGAIN_MS="10000") as process:
        bus.next(sid=looks)
        nats_files.taken(bus.api("STREAM.MSG.DELETE.MEMORY", {"seq": first, "no_erase": True}))
        assert repaired(process) == 0
    bus.next(sid=looks)
    assert bus.api("STREAM.INFO.MEMORY")["state"]["messages"] == others


@pytest.mark.parametrize("look", ["--repair-only", "--no-workspaces"])
def test_killed_between_deleting_a_consumer_and_making_it_anew(bus, provision, look):
    before = names(bus)
    left_behind(bus)
    with provision("--repair-only", FAULT_POINT="consumer_deleted") as process:
        assert process.wait(120) == -signal.SIGKILL
    assert names(bus) == []
    with provision(look) as process:
        assert repaired(process) == 1
    assert names(bus) == before
    wanted, made = json.loads(template())["config"], bus.api(f"CONSUMER.INFO.{CONSUMER}")["config"]
    assert {key: made[key] for key in wanted} == wanted
    assert bus.request(PULL, b'{"batch": 1}').data == b"0"
    with provision(look) as process:
        assert repaired(process) == 0


def test_every_missing_consumer_is_made(bus, provision):
    """Of a workspace that has one left, and the one of no workspace."""
    mine = json.loads(template("gantry.v1.other.memory.forget"))  # no program's
    mine["config"] |= {"durable_name": "mine_other", "name": "mine_other"}
    nats_files.make_consumer(bus, json.dumps(mine))
    kept = {stream: names(bus, stream) for stream in ("AUDIT", "CONNECTOR", "MEMORY", "TASKS")}
    assert "audit__none" in kept["AUDIT"]
    gone = ["AUDIT.audit__none", "AUDIT.audit_w1", "MEMORY.ingest_w1", "CONNECTOR.connector_w1"]
    for consumer in gone:
        nats_files.taken(bus.api(f"CONSUMER.DELETE.{consumer}"))
    with provision("--repair-only") as process:
        assert repaired(process) == 4
    assert {stream: names(bus, stream) for stream in kept} == kept


def test_a_stream_that_was_not_asked_for_gets_none(bus, provision):
    """CONNECTOR is made when --connector asks for it."""
    nats_files.taken(bus.api("STREAM.DELETE.CONNECTOR"))
    with provision("--repair-only") as process:
        assert repaired(process) == 0
    assert "CONNECTOR" not in bus.api("STREAM.NAMES")["streams"]
