# SPDX-License-Identifier: MIT
"""What each program's user and each role's key may do in NATS: the whole list of subjects,
everything that is not granted tried, and hostile reply subjects.

What replies of every kind can do is in test_blast_radius_replies.py.
"""
import json
import re
import time
import uuid

import pytest
from gantry_testing.nats import NatsError
from gantry_testing.rights import (
    COMMANDS,
    EVENTS,
    ID,
    LISTENS,
    PROGRAMS,
    ROLES,
    UNIVERSE,
    WILDCARDS,
    covered,
)
from gantry_testing.wait import wait_until


def violations(client, send):
    """Send for every item, then wait once; returns the subjects that the server refused."""
    client.errors.clear()
    send()
    client.flush()
    return {
        m[1]
        for e in client.errors
        if (m := re.search(r'Permissions Violation for \w+ to "([^"]+)"', e))
    }


def tries(client, subjects, reply=None):
    return violations(client, lambda: [client.publish(s, b"{}", reply=reply) for s in subjects])


def listens(client, subjects):
    sids = []
    refused = violations(client, lambda: sids.extend(client.subscribe(s) for s in subjects))
    for sid in sids:
        client.unsubscribe(sid)
    return refused


def state(operator):
    """What an attack would change: configuration, what was purged or deleted, consumers."""
    found = {}
    for name in operator.api("STREAM.NAMES")["streams"]:
        info = operator.api(f"STREAM.INFO.{name}", {"deleted_details": True})
        found[name] = info["config"]
        found[name, "consumers"] = sorted(operator.api(f"CONSUMER.NAMES.{name}")["consumers"] or [])
    dead = operator.api("STREAM.INFO.DEAD")["state"]
    found["dead"] = dead["first_seq"], dead["messages"], dead.get("num_deleted", 0)
    return found


@pytest.fixture(scope="module")
def operator(stack):
    with_dead = stack.operator()
    stack.key("viewer", "other")
    # Something that a purge would take away.
    with_dead.js_publish(
        "gantry.v1.default.dead.ingest",
        b"{}",
        msg_id=str(uuid.uuid4()),
        headers={"Gantry-Reason": "blast"},
    )
    yield with_dead
    with_dead.close()


# --- our own programs -----------------------------------------------------------------------------
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_program_publishes_only_its_own(stack, operator, program):
    before = state(operator)
    forbidden = [s for s in UNIVERSE if not covered(s, PROGRAMS[program])]
    client = program_client(stack, program)
    assert set(forbidden) - tries(client, forbidden) == set()
    assert not client.closed
    client.close()
    assert state(operator) == before


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_program_hears_only_its_own(stack, program):
    own = (
        LISTENS[program]
        + [f"_INBOX.{program}.>"]
        + ([] if program in ("callout", "kick") else ["$SRV.>"])
    )
    forbidden = [s for s in UNIVERSE + WILDCARDS if not covered(s, own)]
    client = program_client(stack, program)
    assert set(forbidden) - listens(client, forbidden) == set()
    client.close()


def program_client(stack, program):
    from gantry_testing.nats import Nats

    return Nats(stack.nats_url(program), inbox=f"_INBOX.{program}")


def test_no_program_logs_in_with_anothers_password(stack):
    from gantry_testing.nats import Nats

    url = f"nats://127.0.0.1:{stack.ports['NATS_PORT']}"
    for program in PROGRAMS:
        for other in [*PROGRAMS, "operator"]:
            if other != program:
                with pytest.raises(NatsError):
                    Nats(url, user=other, password=stack.secret("nats_" + program))


# --- keys -----------------------------------------------------------------------------------------
def granted(role, workspace):
    return [
        f"gantry.v1.{workspace}.{tail}" for tail, scope in COMMANDS.items() if scope in ROLES[role]
    ]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_key_publishes_and_hears_only_its_scopes(stack, operator, role):
    before = state(operator)
    client = stack.nats(role)
    # What a key publishes as an event is mapped to a place that nobody hears, before its rights are
    # looked at: tests/integration/test_blast_radius_replies.py listens.
    forbidden = [s for s in UNIVERSE + [f"{client.inbox}.x"]
                 if not covered(s, granted(role, "default")) and not s.endswith(".done")]
    assert set(forbidden) - tries(client, forbidden) == set()
    own = [
        f"{client.inbox}.>",
        *(
            f"gantry.v1.default.{family}.*.done"
            for family, scope in EVENTS.items()
            if scope in ROLES[role]
        ),
    ]
    forbidden = [s for s in UNIVERSE + WILDCARDS + ["$SRV.PING"] if not covered(s, own)]
    assert set(forbidden) - listens(client, forbidden) == set()
    assert listens(client, own) == set()
    client.close()
    assert state(operator) == before


@pytest.mark.parametrize("role", sorted(ROLES))
def test_what_is_granted_is_reached(stack, role):
    client = stack.nats(role)
    for subject in granted(role, "default"):
        if subject.endswith(
            (".search", ".get", ".list", ".checkpoint", ".proof", ".consistency", ".cancel")
        ):
            answer = client.request(subject, b"{}")
            if subject.endswith(".checkpoint"):
                assert answer.data.startswith(b"gantry/"), subject
            else:
                assert isinstance(json.loads(answer.data), dict), subject
    assert not client.errors
    client.close()


HOSTILE = [
    "$JS.API.STREAM.PURGE.AUDIT",
    "$JS.API.STREAM.PURGE.DEAD",
    "$JS.API.STREAM.PURGE.MEMORY",
    "$JS.API.STREAM.DELETE.MEMORY",
    "$JS.API.CONSUMER.DELETE.MEMORY.ingest_default",
    "gantry.v1.other.memory.ingest",
    "gantry.v1.other.memory.forget",
    "gantry.v1.other.executor.run",
    f"gantry.v1.default.memory.{ID}.done",
    f"gantry.v1.other.job.{ID}.done",
    f"gantry.v1.default.job.{ID}.done",
    "gantry.v1.default.audit.request.gateway",
    "gantry.v1.default.dead.ingest",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.AUTH",
    "$SYS.REQ.SERVER.x.KICK",
    "gantry.sys.allowlist.default",
    "_INBOX.gateway.x",
    "_INBOX.ingest.j.1",
]


def test_hostile_reply_subjects_do_nothing(stack, operator):
    """A reply acts with the responder's rights: it must never leave the account of the clients."""
    client = stack.nats("admin")
    victims = {operator.subscribe(subject): subject for subject in HOSTILE}
    # The watch works: what the operator itself sends is seen.
    operator.publish("gantry.v1.other.job.control.done", b"seen")
    control = operator.subscribe("gantry.v1.other.job.control.done")
    operator.publish("gantry.v1.other.job.control.done", b"seen")
    assert operator.next(60, control).data == b"seen"
    before = state(operator)
    for reply in HOSTILE:
        for tail, body in (
            ("memory.search", {"query": "x"}),
            ("jobs.list", {}),
            ("audit.list", {}),
            ("memory.ingest", {"scope": "blast", "text": f"reply to {reply}"}),
            ("audit.append", {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}),
            ("nothing.there", {}),
        ):
            client.publish(
                f"gantry.v1.default.{tail}",
                body,
                reply=reply,
                headers={"Nats-Msg-Id": str(uuid.uuid4())},
            )
    client.flush()
    time.sleep(2)
    operator.flush()
    seen = []
    while True:
        try:
            message = operator.next(0.2)
        except NatsError:
            break
        # The executor's own events of the workspace are none of ours.
        if message.sid in victims and message.headers.get("Gantry-Event") != "done":
            seen.append((message.subject, message.data[:200]))
    assert seen == []
    assert state(operator) == before
    client.close()
    for sid in victims:
        operator.unsubscribe(sid)
    operator.unsubscribe(control)


def test_another_keys_inbox_gets_at_most_the_senders_own_answer(stack, operator):
    """Reply subjects are not checked by the server, so who knows another key's id can have its own
    answers sent there (docs/security.md). Nothing of the other is read or changed by that."""
    before = state(operator)
    mine, other = stack.nats("admin"), stack.nats("viewer", "other")
    heard = other.subscribe(f"{other.inbox}.>")
    other.flush()
    mine.publish(
        "gantry.v1.default.memory.search", {"query": "secret of default"}, reply=f"{other.inbox}.x"
    )
    mine.publish(
        "gantry.v1.default.memory.ingest",
        {"scope": "s", "text": "t"},
        reply=f"{other.inbox}.x",
        headers={"Nats-Msg-Id": str(uuid.uuid4())},
    )
    mine.flush()
    own = json.loads(other.request("gantry.v1.other.memory.search", {"query": "of other"}).data)
    assert own["query"] == "of other"
    assert own["tenant_id"] == "other"
    for message in [m for m in other._pending if m.sid == heard and m.subject.endswith(".x")]:
        answer = json.loads(message.data)
        assert answer.get("query") == "secret of default" or answer.get("stream") == "MEMORY", (
            answer
        )
    mine.close(), other.close()
    assert state(operator) == before


def test_messages_that_claim_to_be_the_gateways(stack):
    """Claims are signed; names of users are the server's; events carry a header that no reply
    has."""
    client = stack.nats("developer")
    job = str(uuid.uuid4())
    for name, value in (("Gantry-Actor", "e30.AAAA"), ("Gantry-Actor", "")):
        answer = client.request(
            "gantry.v1.default.memory.search", {"query": "x"}, headers={name: value}
        )
        assert json.loads(answer.data)["status"] in (400, 401), answer.data
    forged = json.dumps({"acc": "GANTRY", "user": "gateway", "name": "gateway"})
    answer = client.request(
        "gantry.v1.default.memory.search", {"query": "x"}, headers={"Nats-Request-Info": forged}
    )
    assert json.loads(answer.data)["status"] == "success"
    client.publish(
        "gantry.v1.default.memory.ingest", {"scope": "s", "text": "t"}, headers={"Nats-Msg-Id": job}
    )
    client.flush()
    client.close()


def test_two_workspaces_with_the_same_ids_do_not_disturb_each_other(stack):
    stack.key("developer", "other")
    one, two = stack.nats("developer"), stack.nats("developer", "other")
    same = str(uuid.uuid4())
    first = one.js_publish(
        "gantry.v1.default.memory.ingest", {"scope": "same", "text": "of default"}, msg_id=same
    )
    second = two.js_publish(
        "gantry.v1.other.memory.ingest", {"scope": "same", "text": "of other"}, msg_id=same
    )
    assert "error" not in first
    assert not first.get("duplicate")
    if second.get("duplicate"):  # contract: the id is deduplicated stream-wide; take a new one
        second = two.js_publish(
            "gantry.v1.other.memory.ingest",
            {"scope": "same", "text": "of other"},
            msg_id=str(uuid.uuid4()),
        )
    assert "error" not in second
    assert not second.get("duplicate")
    for client, text in (
        (stack.client("developer"), "of default"),
        (stack.client("developer", "other"), "of other"),
    ):
        found = wait_until(
            lambda client=client: client.search("of", scope="same").ok().json["results"],
            what="it is found",
        )
        assert [item["content"] for item in found] == [text]
    body = {"scope": "same2", "text": "x", "client_request_id": same}
    answers = [
        stack.client("developer", ws).post("/webhook/memory/ingest", body).ok()
        for ws in ("default", "other")
    ]
    assert all("Idempotency-Replayed" not in answer.headers for answer in answers)
    one.close(), two.close()
