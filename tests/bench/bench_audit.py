# SPDX-License-Identifier: MIT
"""The audit log: from the stream into the tree, against a plain COPY of the same rows; proofs in a
log of a million leaves; verifying it. AUDIT_BENCH_LEAVES changes the size of the latter."""
import io
import json
import os
import subprocess
import time
import uuid

from gantry_testing.nats import Nats
from gantry_testing.stack import ROOT, Stack
from gantry_testing.wait import wait_until

EVENTS = 150_000
LEAVES = int(os.environ.get("AUDIT_BENCH_LEAVES", 1_000_000))
WINDOW = 2000
APPEND = os.path.join(ROOT, "build/release/bench/audit_append")


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def message(event_id):
    return json.dumps({
        "v": 1, "type": "request", "event_id": event_id, "actor_type": "key", "key_id": "AbCdEf123456",
        "request_id": event_id, "action": "memory.ingest", "target": "user:1", "decision": "allowed", "status": "success",
        "http_status": 200, "error_reason": None, "duration_ms": 7, "idempotency_key_sha256": None,
        "params_sha256": "ab" * 32, "params_prefix64": None, "region": None, "client": None,
        "time": "2026-01-02T03:04:05.678Z", "count": 1}, separators=(",", ":")).encode()


def fill_stream(stack):
    """EVENTS request events, acknowledged."""
    nats = Nats(stack.nats_url("gateway"), inbox="_INBOX.gateway", timeout=60)
    sid = nats.subscribe("_INBOX.gateway.fill")
    sent = taken = 0
    while taken < EVENTS:
        while sent < EVENTS and sent - taken < WINDOW:
            event_id = str(uuid.uuid4())
            nats.publish(f"gantry.v1.w{sent % 8}.audit.request.gateway", message(event_id),
                         {"Nats-Msg-Id": event_id + ".audit"}, reply="_INBOX.gateway.fill")
            sent += 1
        answer = json.loads(nats.next(60, sid).data)
        assert "error" not in answer, answer
        taken += 1
    nats.close()


def widen(stack):
    nats = stack.operator()
    config = json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT").data)["config"]
    answer = json.loads(nats.request("$JS.API.STREAM.UPDATE.AUDIT", json.dumps({**config, "max_msgs_per_subject": 10**7}).encode()).data)
    assert "error" not in answer, answer
    nats.close()


def query(stack, text, *values):
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute(text, values or None)
        found = cursor.fetchall() if cursor.description else None
    connection.close()
    return found


def copy_rate(stack):
    """The same rows into a table without indexes, by COPY."""
    connection = stack.database()
    with connection.cursor() as cursor:
        data = io.BytesIO()
        cursor.copy_expert("COPY (SELECT * FROM audit_log) TO STDOUT (FORMAT binary)", data)
        cursor.execute("CREATE TABLE plain (LIKE audit_log); SELECT count(*) FROM audit_log")
        count = cursor.fetchone()[0]
        data.seek(0)
        start = time.monotonic()
        cursor.copy_expert("COPY plain FROM STDIN (FORMAT binary)", data, size=1 << 20)
        took = time.monotonic() - start
        cursor.execute("DROP TABLE plain")
    connection.close()
    return count / took


def sequencing():
    for replicas in (1, 2):
        with Stack(EXECUTOR=0, AUDIT=replicas) as stack:
            names = ["audit", "audit-2"][:replicas]
            for name in names:
                stack.take_down(name)
            widen(stack)
            fill_stream(stack)
            for name in names:
                stack.bring_back(name, ready=False)
            wait_until(lambda: query(stack, "SELECT count(*) FROM audit_log")[0][0] >= EVENTS, 120, interval=0.5)
            first, last = query(stack, "SELECT min(recorded_at), max(recorded_at) FROM audit_log WHERE event_id IN"
                                       " (SELECT event_id FROM audit_log WHERE action = 'memory.ingest')")[0]
            rate = EVENTS / (last - first).total_seconds()
            bare = copy_rate(stack)
            size = query(stack, "SELECT max(tree_size) / count(*) FROM audit_checkpoint")[0][0]
            row(f"audit: stream to signed tree, {replicas} replica(s), {size} a batch", round(rate), "events/s",
                f"{rate / bare:.2f} of COPY ({bare:.0f}/s); aim 50000")


def proofs():
    with Stack(EXECUTOR=0) as stack:
        stack.take_down("audit")
        subprocess.run([APPEND, stack.database_url("gantry_audit"), str(LEAVES), "2000", stack.secret("AUDIT_SIGNING_KEY")],
                       check=True, capture_output=True)
        stack.bring_back("audit")
        client, took = stack.client(), []
        wait_until(lambda: client.get("/ai/audit/0/proof").status == 200, 30)
        for i in range(400):
            start = time.monotonic()
            client.get(f"/ai/audit/{i * 2477 % LEAVES}/proof").ok()
            took.append(time.monotonic() - start)
        took.sort()
        row(f"audit: inclusion proof over HTTP at {LEAVES} leaves: p50", round(took[200] * 1e3, 2), "ms")
        row(f"audit: inclusion proof over HTTP at {LEAVES} leaves: p99", round(took[396] * 1e3, 2), "ms")
        start = time.monotonic()
        result = stack.gantry("audit", "verify")
        assert result["ok"], result
        row("audit: verify, every event, hash and column", round(result["leaves"] / (time.monotonic() - start)), "leaves/s")


sequencing()
proofs()
