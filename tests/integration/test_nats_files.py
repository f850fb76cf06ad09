# SPDX-License-Identifier: MIT
"""nats/: the server takes its configuration, JetStream its bodies, and each user has only its
rights."""

import functools
import json

import pytest
from gantry_testing import nats_files
from gantry_testing.nats import Nats, NatsError
from gantry_testing.wait import wait_until


@pytest.fixture(scope="module")
def server():
    extra = '{ user: client, password: pclient }'
    with nats_files.server(extra) as running:
        nats_files.provision(running, ["w1", "w2"])
        yield running


def test_bodies_are_taken_twice_and_kept_as_they_are(server):
    nats_files.provision(server, ["w1"])
    with server.connect("operator") as client:
        for _, text in nats_files.bodies("streams"):
            wanted = json.loads(text)
            kept = client.api(f"STREAM.INFO.{wanted['name']}")["config"]
            for name, value in wanted.items():
                assert kept.get(name, False if value is False else 0) == value, name
        kept = client.api("CONSUMER.INFO.TASKS.executor_w2")["config"]
        assert kept["filter_subject"] == "gantry.v1.w2.executor.run"
        assert kept["max_deliver"] == -1


def test_one_workspace_fills_only_its_own_share(server):
    with server.connect("operator") as client:
        body = next(
            json.loads(t) for p, t in nats_files.bodies("streams") if p.endswith("TASKS.json")
        )
        nats_files.taken(client.api("STREAM.UPDATE.TASKS", dict(body, max_msgs_per_subject=2)))
        subject = "gantry.v1.{}.executor.run"
        for _ in range(2):
            nats_files.taken(client.js_publish(subject.format("w1"), b"{}"))
        assert client.js_publish(subject.format("w1"), b"{}")["error"]["err_code"] == 10077
        nats_files.taken(client.js_publish(subject.format("w2"), b"{}"))
        nats_files.taken(client.api("STREAM.PURGE.TASKS"))
        nats_files.taken(client.api("STREAM.UPDATE.TASKS", body))


FORBIDDEN = {
    "gateway": [
        "$JS.API.STREAM.PURGE.AUDIT",
        "gantry.v1.w1.audit.request.ingest",
        "gantry.v1.w1.dead.ingest",
        "$JS.ACK.MEMORY.ingest_w1.1.1.1.1.1",
    ],
    "ingest": [
        "$JS.API.STREAM.PURGE.MEMORY",
        "gantry.v1.w1.memory.search",
        "gantry.v1.w1.audit.append",
        "$JS.API.CONSUMER.MSG.NEXT.AUDIT.audit_w1",
        "gantry.v1.w1.audit.request.gateway",
    ],
    "search": [
        "gantry.v1.w1.memory.ingest",
        "$JS.API.CONSUMER.MSG.NEXT.MEMORY.ingest_w1",
        "gantry.v1.w1.memory.1.done",
    ],
    "audit": [
        "$JS.API.STREAM.DELETE.AUDIT",
        "gantry.v1.w1.memory.ingest",
        "$JS.API.CONSUMER.DELETE.AUDIT.audit_w1",
        "gantry.v1.w1.memory.1.done",
    ],
    "executor": [
        "gantry.v1.w1.executor.run",
        "$JS.API.CONSUMER.CREATE.TASKS",
        "gantry.v1.w1.memory.1.done",
        "$JS.ACK.MEMORY.ingest_w1.1.1.1.1.1",
    ],
    "kick": ["gantry.v1.w1.memory.ingest", "$SYS.REQ.SERVER.PING.VARZ"],
    "callout": ["gantry.v1.w1.memory.ingest", "$JS.API.INFO"],
}


@pytest.mark.parametrize("user", sorted(FORBIDDEN))
def test_each_user_has_only_its_rights(server, user):
    with server.connect(user) as client:
        for subject in FORBIDDEN[user]:
            client.errors.clear()
            client.publish(subject, b"{}")
            client.flush()
            assert any("Permissions Violation" in e for e in client.errors), subject
        for subject in ("gantry.v1.>", "_INBOX.>", "$JS.API.>"):
            client.errors.clear()
            client.subscribe(subject)
            client.flush()
            assert any("Permissions Violation" in e for e in client.errors), subject


def test_nobody_connects_without_a_user(server):
    for user, password in ((None, None), ("gateway", "wrong"), ("operator", "")):
        with pytest.raises(NatsError):
            Nats(f"nats://127.0.0.1:{server.port}", user=user, password=password)


def test_clients_reach_commands_and_nothing_else(server):
    with server.connect("client") as client, server.connect("operator") as operator:
        ack = client.js_publish("gantry.v1.w1.memory.ingest", b"{}", msg_id="a")
        assert ack["stream"] == "MEMORY"
        assert "error" not in ack
        message = operator.api("STREAM.MSG.GET.MEMORY", {"seq": ack["seq"]})["message"]
        assert message["subject"] == "gantry.v1.w1.memory.ingest"
        assert client.api("STREAM.PURGE.AUDIT")["error"]["err_code"] == 10039  # no JetStream here
        for subject in ("gantry.v1.w1.audit.request.gateway", "gantry.v1.w1.audit.event",
                        "gantry.sys.allowlist.w1"):
            with pytest.raises(NatsError):
                client.request(subject, b"{}")
        # A reply subject acts in the client's own account: nothing is purged by a PubAck.
        client.publish("gantry.v1.w1.memory.ingest", b"{}", reply="$JS.API.STREAM.PURGE.MEMORY")
        client.flush()
        stored = functools.partial(operator.api, "STREAM.INFO.MEMORY")
        wait_until(lambda: stored()["state"]["messages"] == 2, what="it is stored")
        client.js_publish("gantry.v1.w1.memory.ingest", b"{}")
        assert stored()["state"]["messages"] == 3


def test_the_server_tells_who_asks(server):
    with server.connect("client") as client, server.connect("search") as search:
        sid = search.subscribe("gantry.v1.*.memory.search", "search")
        search.flush()
        client.publish("gantry.v1.w1.memory.search", b"{}", reply="_INBOX.client.x",
                       headers={"Nats-Request-Info": '{"user":"forged"}'})
        message = search.next(60, sid)
        assert json.loads(message.headers["Nats-Request-Info"])["user"] == "client"
        own = client.subscribe("_INBOX.client.x")
        client.flush()
        search.publish(message.reply, b"answer")
        assert client.next(60, own).data == b"answer"


ASKED = [("search", "memory.search"), ("audit", "audit.list"), ("executor", "jobs.get")]


@pytest.mark.parametrize("asker", ["client", "gateway", "operator"])
@pytest.mark.parametrize("program,command", ASKED)
def test_programs_may_answer_whoever_may_ask(server, program, command, asker):
    with server.connect(asker) as client, server.connect(program) as worker:
        subject = f"gantry.v1.w1.{command}"
        sid = worker.subscribe(f"gantry.v1.*.{command}", program)
        own = client.subscribe(f"_INBOX.{asker}.y")
        worker.flush()
        client.publish(subject, b"{}", reply=f"_INBOX.{asker}.y")
        message = worker.next(60, sid)
        worker.publish(message.reply, b"answer")
        assert client.next(60, own).data == b"answer"
        assert not worker.errors


def test_kick_lists_and_ends_connections_from_outside_the_system_account(server):
    with server.connect("kick") as kick, server.connect("client") as client:
        def listed(subject):
            answer = json.loads(kick.request(subject, {"auth": True, "acc": "CLIENTS"}).data)
            return answer["server"]["id"], [c["cid"] for c in answer["data"]["connections"]]

        server_id, mine = listed("$SYS.REQ.SERVER.PING.CONNZ")
        assert mine
        assert listed(f"gantry.sys.connz.{server_id}") == (server_id, mine)
        for cid in mine:
            kick.request(f"$SYS.REQ.SERVER.{server_id}.KICK", {"cid": cid})
        assert client.wait_closed()
