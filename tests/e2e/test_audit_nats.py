# SPDX-License-Identifier: MIT
"""Every command that a client sends straight over NATS leaves exactly one event."""
import contextlib
import json
import time
import uuid

import pytest

from gantry_testing.wait import wait_until

APPEND = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
UNKNOWN = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
CORE = {
    "memory.search": {"query": "x"}, "memory.get": {"id": UNKNOWN}, "memory.list": {}, "audit.list": {},
    "audit.checkpoint": {}, "audit.proof": {"leaf_index": 0}, "audit.consistency": {"from": 1},
    "jobs.cancel": {"job_id": UNKNOWN}, "jobs.list": {}, "jobs.get": {"job_id": UNKNOWN}, "actions.list": {},
}
STREAMED = {
    "memory.ingest": {"scope": "n", "text": "over NATS"}, "memory.patch": {"id": UNKNOWN, "tags": ["t"]},
    "memory.delete": {"id": UNKNOWN}, "memory.forget": {"scope": "nowhere"}, "audit.append": APPEND,
    "executor.run": {"task": {"type": "ping", "message": "m"}},
}


@pytest.fixture(scope="module")
def logged(stack):
    connection = stack.database()

    def find(where, *values):
        with connection.cursor() as cursor:
            cursor.execute("SELECT event FROM audit_events WHERE workspace_id = 'straight' AND kind = 'request' AND "
                           + where + " ORDER BY leaf_index", values)
            return [row[0] for row in cursor.fetchall()]

    yield find
    connection.close()


@pytest.fixture(scope="module")
def nats(stack):
    with contextlib.closing(stack.nats(workspace="straight")) as connection:
        yield connection


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
    found = logged("action = %s", command)[before:] or wait_until(lambda: logged("action = %s", command)[before:], 40)
    time.sleep(0.1)
    assert len(logged("action = %s", command)) == before + 1
    event = found[0]
    code = answer.headers.get("Nats-Service-Error-Code")
    assert (event["status"] == "success") == (code is None), (event, answer)
    assert event["key_id"] == key and event["actor_type"] == "key" and event["http_status"] is None
    assert good or event["error_reason"] == "invalid_request"


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("command", STREAMED)
def test_streamed_commands(nats, logged, command, good):
    command_id = str(uuid.uuid4())
    body = STREAMED[command] if good else {"unknown member": 1}
    nats.js_publish(f"gantry.v1.straight.{command}", json.dumps(body).encode(), msg_id=command_id)
    found = wait_until(lambda: logged("event_id = %s", command_id), 60, f"the event of {command}")
    time.sleep(0.1)
    assert len(logged("event_id = %s", command_id)) == 1
    event = found[0]
    assert event["action"] == command and event["actor_type"] == "nats" and event["key_id"] is None
    assert event["http_status"] is None and event["duration_ms"] is not None
    assert good or (event["status"], event["error_reason"]) == ("failed", "invalid_request")


def test_dead_letters_leave_an_event(nats, logged):
    command_id = str(uuid.uuid4())
    nats.js_publish("gantry.v1.straight.memory.ingest", b"this is no JSON", msg_id=command_id)
    event = wait_until(lambda: logged("event_id = %s", command_id), 60)[0]
    assert (event["status"], event["error_reason"]) == ("failed", "dead_letter")
