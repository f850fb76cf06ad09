# SPDX-License-Identifier: MIT
"""Every command that a client sends straight over NATS leaves exactly one event."""
import contextlib
import json
import uuid

import pytest
from gantry_testing.wait import wait_until

APPEND = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
UNKNOWN = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
CORE = {
    "memory.search": {"query": "x"},
    "memory.get": {"id": UNKNOWN},
    "memory.list": {},
    "audit.list": {},
    "audit.checkpoint": {},
    "audit.proof": {"leaf_index": 0},
    "audit.consistency": {"from": 1},
    "jobs.cancel": {"job_id": UNKNOWN},
    "jobs.list": {},
    "jobs.get": {"job_id": UNKNOWN},
    "actions.list": {},
}
STREAMED = {
    "memory.ingest": {"scope": "n", "text": "over NATS"},
    "memory.patch": {"id": UNKNOWN, "tags": ["t"]},
    "memory.delete": {"id": UNKNOWN},
    "memory.forget": {"scope": "nowhere"},
    "audit.append": APPEND,
    "executor.run": {"task": {"type": "ping", "message": "m"}},
}


@pytest.fixture(scope="module")
def logged(stack):
    connection = stack.database()

    def find(where, *values):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT event FROM audit_events WHERE workspace_id = 'straight' AND kind = "
                "'request' AND "
                + where
                + " ORDER BY leaf_index",
                values,
            )
            return [row[0] for row in cursor.fetchall()]

    yield find
    connection.close()


@pytest.fixture(scope="module")
def nats(stack):
    with contextlib.closing(stack.nats(workspace="straight")) as connection:
        yield connection


def let_pass(nats, logged):
    """Wait for everything that AUDIT holds by now to be recorded: what comes next is behind it."""
    command_id = str(uuid.uuid4())
    nats.js_publish(
        "gantry.v1.straight.audit.append", json.dumps(APPEND).encode(), msg_id=command_id
    )
    wait_until(lambda: logged("event_id = %s", command_id), 60)


def test_a_request_that_wants_no_answer_is_recorded_too(nats, logged):
    before = len(logged("action = 'memory.search'"))
    nats.publish("gantry.v1.straight.memory.search", json.dumps(CORE["memory.search"]).encode())
    wait_until(lambda: len(logged("action = 'memory.search'")) == before + 1, 40)


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("command", CORE)
def test_core_requests(stack, nats, logged, command, good):
    key = stack.key(workspace="straight")[len("relay_sk_"):][:12]
    before = len(logged("action = %s", command))
    body = CORE[command] if good else {"unknown member": 1}
    answer = nats.request(f"gantry.v1.straight.{command}", json.dumps(body).encode())
    found = logged("action = %s", command)[before:] or wait_until(
        lambda: logged("action = %s", command)[before:], 40
    )
    let_pass(nats, logged)
    assert len(logged("action = %s", command)) == before + 1
    event = found[0]
    code = answer.headers.get("Nats-Service-Error-Code")
    assert (event["status"] == "success") == (code is None), (event, answer)
    assert event["key_id"] == key
    assert event["actor_type"] == "key"
    assert event["http_status"] is None
    assert good or event["error_reason"] == "invalid_request"


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("command", STREAMED)
def test_streamed_commands(nats, logged, command, good):
    command_id = str(uuid.uuid4())
    body = STREAMED[command] if good else {"unknown member": 1}
    nats.js_publish(f"gantry.v1.straight.{command}", json.dumps(body).encode(), msg_id=command_id)
    found = wait_until(lambda: logged("event_id = %s", command_id), 60, f"the event of {command}")
    let_pass(nats, logged)
    assert len(logged("event_id = %s", command_id)) == 1
    event = found[0]
    assert event["action"] == command
    assert event["actor_type"] == "nats"
    assert event["key_id"] is None
    assert event["http_status"] is None
    assert event["duration_ms"] is not None
    assert good or (event["status"], event["error_reason"]) == ("failed", "invalid_request")


def test_dead_letters_leave_an_event(nats, logged):
    command_id = str(uuid.uuid4())
    nats.js_publish("gantry.v1.straight.memory.ingest", b"this is no JSON", msg_id=command_id)
    event = wait_until(lambda: logged("event_id = %s", command_id), 60)[0]
    assert (event["status"], event["error_reason"]) == ("failed", "dead_letter")


# --- several events in one message ----------------------------------------------------------------


def report(event_id, **more):
    """As a program reports what it settled."""
    return {
        "v": 1,
        "type": "request",
        "event_id": event_id,
        "actor_type": "key",
        "key_id": "AbCdEf123456",
        "action": "memory.ingest",
        "decision": "allowed",
        "status": "success",
        "http_status": 200,
        "time": "2026-01-02T03:04:05.678Z",
        "count": 1,
        **more,
    }


@pytest.fixture
def settler(stack):
    with contextlib.closing(stack.nats_as("ingest")) as connection:
        yield connection


def send_report(settler, body):
    """As one message; returns its id, which says nothing about the events in it."""
    msg_id = f"{uuid.uuid4()}.{len(body)}.audit"
    settler.js_publish(
        "gantry.v1.straight.audit.request.ingest", json.dumps(body).encode(), msg_id=msg_id
    )
    return msg_id


def test_events_of_one_message_are_leaves_of_their_own(settler, logged):
    ids = [str(uuid.uuid4()) for _ in range(64)]
    send_report(settler, [report(i, target=f"t{n}") for n, i in enumerate(ids)])
    def all_there():
        found = logged("event_id = ANY(%s::uuid[])", ids)
        return found if len(found) >= len(ids) else None
    found = wait_until(all_there, 60)
    assert [event["event_id"] for event in found] == ids
    assert [event["target"] for event in found] == [f"t{n}" for n in range(64)]
    assert len({event["nonce"] for event in found}) == 64
    assert {event["program"] for event in found} == {"ingest"}


def test_an_event_in_many_messages_is_one_leaf(nats, settler, logged):
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    send_report(settler, [report(first), report(second), report(first)])
    send_report(settler, [report(second), report(third)])
    settler.js_publish(
        "gantry.v1.straight.audit.request.ingest",
        json.dumps(report(third)).encode(),
        msg_id=f"{third}.audit",
    )
    let_pass(nats, logged)
    found = wait_until(lambda: logged("event_id = ANY(%s::uuid[])", [first, second, third]), 60)
    wait_until(lambda: len(logged("event_id = ANY(%s::uuid[])", [first, second, third])) == 3, 60)
    let_pass(nats, logged)
    assert sorted(
        e["event_id"] for e in logged("event_id = ANY(%s::uuid[])", [first, second, third])
    ) == sorted([first, second, third])
    assert found


def test_a_message_with_an_event_that_breaks_a_rule_is_a_dead_letter(stack, settler, logged):
    good, bad = str(uuid.uuid4()), str(uuid.uuid4())
    msg_id = send_report(settler, [report(good), report(bad, decision="perhaps")])
    letters = wait_until(
        lambda: [
            one for one in stack.gantry("dlq", "list")["items"] if one.get("msg_id") == msg_id
        ],
        60,
    )
    assert len(letters) == 1
    assert logged("event_id = ANY(%s::uuid[])", [good, bad]) == []
