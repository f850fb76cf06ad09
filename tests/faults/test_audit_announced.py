# SPDX-License-Identifier: MIT
"""Requests that the gateway carries out itself are announced: one request, one event that says what
was answered, however late the end comes and however many there are."""
import contextlib
import json
import signal
import time
import uuid

import pytest
from gantry_testing.reports import announcement, event, reporting
from gantry_testing.unwritable import unwritable
from gantry_testing.wait import wait_until

APPEND = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
PATIENCE_S = 31  # more than AUDIT_INTENT_MS


@pytest.fixture(scope="module")
def system(make_stack):
    return make_stack(ALLOW_ACTIONS_DEFAULT="ping")


def rows(stack, query, *values):
    with contextlib.closing(stack.database()) as connection, connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall()


def events_of(stack, column, value):
    return rows(
        stack,
        f"SELECT kind, status, http_status, event FROM audit_events WHERE {column} = %s"
        " ORDER BY leaf_index",
        value,
    )


def settled(stack):
    def empty():
        with contextlib.closing(stack.operator()) as nats:
            return (
                json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT", b"").data)["state"]["messages"]
                == 0
            )

    wait_until(empty, 150, "the AUDIT stream is empty", interval=0.2)


@pytest.fixture(scope="module")
def report(system):
    with reporting(system) as publish:
        yield publish


def test_a_preview_is_one_event(system):
    answers = {
        "preview-ok": ({"action": "ping", "params": {"message": "m"}}, 200),
        "preview-none": ({"action": "no.such", "params": {}}, 422),
        "preview-wrong": ({"action": "ping", "params": {"no": "parameter"}}, 422),
    }
    for name, (body, status) in answers.items():
        answer = system.client().request("POST", "/ai/preview", body, {"X-Request-ID": name})
        assert answer.status == status, answer
    settled(system)
    for name, (body, status) in answers.items():
        told = events_of(system, "request_id", name)
        assert [one[:3] for one in told] == [
            ("request", "success" if status == 200 else "failed", status)
        ]
        assert told[0][3]["action"] == "POST /ai/preview"
        assert told[0][3]["program"] == "gateway"
        assert told[0][3]["target"] == body["action"]
    assert rows(system, "SELECT count(*) FROM audit_announced") == [(0,)]
    # A question of a client's own is recorded by who answers it, whatever headers it has.
    with contextlib.closing(system.nats()) as nats:
        nats.request(
            "gantry.v1.default.actions.list", b"{}", headers={"Gantry-Unrecorded": "gateway"}
        )
    settled(system)
    assert rows(system, "SELECT count(*) FROM audit_events WHERE action = 'actions.list'") == [(1,)]


def test_an_end_that_cannot_be_recorded_is_waited_for(system, report):
    """For longer than any end may take: it is in the stream, so nobody says "interrupted" of it.
    The worker looks for what is overdue once a second, and tries the end again and again."""
    stuck = str(uuid.uuid4())
    end = f"NEW.event_id = '{stuck}' AND NEW.status = 'success'"
    with unwritable(system, "audit_log", "XX000", end) as attempts:
        report("default", announcement(stuck), "intent")
        announced = "SELECT count(*) FROM audit_announced WHERE event_id = %s"
        wait_until(lambda: rows(system, announced, stuck) == [(1,)], 60, "it is announced")
        report("default", event(stuck, status="success", http_status=201))
        wait_until(attempts, 60, "its end is tried")
        time.sleep(PATIENCE_S)
        system.take_down("audit")
        system.bring_back("audit")
        before = attempts()
        wait_until(lambda: attempts() > before + 2, 60, "its end is tried by the new worker")
        assert events_of(system, "event_id", stuck) == []
    settled(system)
    assert [one[:3] for one in events_of(system, "event_id", stuck)] == [
        ("request", "success", 201)
    ]


def test_a_late_end_is_what_is_recorded(system, report):
    """The audit worker does not run for longer than any end may take; nothing is decided by the
    clock."""
    system.take_down("audit")
    lone = str(uuid.uuid4())
    report("default", announcement(lone), "intent")
    try:
        answer = system.client().request(
            "POST", "/keys", {"role": "viewer"}, {"X-Request-ID": "late-key"}
        )
        assert answer.status == 201
        time.sleep(PATIENCE_S)
    finally:
        system.bring_back("audit")
    wait_until(lambda: events_of(system, "event_id", lone), 150, "who has no end is recorded")
    settled(system)
    assert [one[:3] for one in events_of(system, "request_id", "late-key")] == [
        ("request", "success", 201)
    ]
    (kind, status, http_status, told), = events_of(system, "event_id", lone)
    assert (kind, status, http_status, told["error_reason"]) == (
        "request",
        "unknown",
        None,
        "interrupted",
    )
    # The gateway was only cut off, and its end comes after all: twice, since it cannot know.
    for kind in ("audit", "again"):
        report("default", event(lone, status="success", http_status=201), kind)
    wait_until(lambda: len(events_of(system, "event_id", lone)) == 2, 150, "it is corrected")
    settled(system)
    first, second = events_of(system, "event_id", lone)
    assert first[3] == told
    assert second[:3] == ("correction", "success", 201)
    index = rows(
        system, "SELECT leaf_index FROM audit_log WHERE event_id = %s AND kind = 'request'", lone
    )[0][0]
    assert second[3]["corrects"] == index
    assert system.client().get(f"/ai/audit/events/{lone}").ok().json["status"] == "success"
    result = system.gantry("audit", "verify")
    assert result["ok"], result
    assert rows(system, "SELECT count(*) FROM audit_announced") == [(0,)]


def retried(stack, calls):
    """How often calls were held and tried again by the audit worker that has settled so many."""
    metrics, of = stack.metrics(), "gantry_worker_calls"
    return [
        metrics[f"{of}_retried_total{labels}"]
        for name, value in metrics.items()
        for labels in [name.removeprefix(f"{of}_total")]
        if labels != name and 'program="audit"' in labels and float(value) >= calls
    ]


def test_announcements_hold_up_nobody(system, report):
    """A thousand open ones; a neighbour's append is recorded all the same, and so are theirs. None
    waits in the worker for the end of its request, which has room for a few hundred of a workspace.
    On a slow machine AUDIT_INTENT_MS may be over: then some are in the log as unknown."""
    system.restart("audit", signal.SIGTERM)  # it counts from nothing
    theirs = "FROM audit_announced WHERE workspace = 'busy'"
    told = (
        "count(DISTINCT event_id) FROM audit_log WHERE workspace = 'busy' AND action = 'POST /keys'"
    )
    known = f"SELECT (SELECT count(*) {theirs}) + (SELECT {told})"
    ended = f"SELECT {told} AND status = 'success'"
    busy, neighbour = (system.client(workspace=name) for name in ("busy", "neighbour"))
    ids = [str(uuid.uuid4()) for _ in range(1000)]
    for one in ids:
        report("busy", announcement(one), "intent")
    appended = [
        client.post("/webhook/audit/append", APPEND, prefer="wait=60").ok().json["event_id"]
        for client in [busy] + [neighbour] * 20
    ]
    settled(system)
    assert all(events_of(system, "event_id", one) for one in appended)
    assert rows(system, known) == [(1000,)]
    assert rows(system, ended) == [(0,)]
    for one in ids[:500]:
        report("busy", event(one, status="success", http_status=200))
    settled(system)
    assert rows(system, known) == [(1000,)]
    assert rows(system, ended) == [(500,)]
    assert wait_until(lambda: retried(system, 1500), 60, "the worker has told of them") == ["0"]
    # An announcement that comes once more after its end starts nothing.
    before = events_of(system, "event_id", ids[0])
    report("busy", announcement(ids[0]), "again")
    settled(system)
    assert rows(system, f"SELECT count(*) {theirs} AND event_id = %s", ids[0]) == [(0,)]
    assert events_of(system, "event_id", ids[0]) == before
    assert rows(system, known) == [(1000,)]
    assert rows(system, ended) == [(500,)]
