# SPDX-License-Identifier: MIT
"""The audit log: from the stream into the signed tree, against a plain COPY of the same rows in the
same run; proofs in a log of a million leaves; verifying it.

The stream is filled first, in the two forms in which programs report: an event a message, as a
request alone leaves it, and 64 in a message, as a worker's batches leave them under load. CPU is
what all processes of a server took for one event, from /proc. The log for proofs and verification
is built in the same process that the worker's code runs in (some 40 s for a million leaves, less
than a tenth of the time that requests would take); AUDIT_BENCH_LEAVES changes its size, and the
rows say it."""
import io
import json
import os
import subprocess
import time

from gantry_testing.nats import Nats
from gantry_testing.stack import ROOT, Stack
from gantry_testing.wait import wait_until

EVENTS = 320_000  # a multiple of 64
LEAVES = int(os.environ.get("AUDIT_BENCH_LEAVES", 1_000_000))
WORKSPACES = 8
WINDOW = 4096  # events on their way to the stream
APPEND = os.path.join(ROOT, "build/release/bench/audit_append")
TICK = os.sysconf("SC_CLK_TCK")
EVENT = (
    '{"v":1,"type":"request","event_id":"%s","actor_type":"key","key_id":"AbCdEf123456","request_id":"%s",'
    '"action":"memory.ingest","target":"user:1","decision":"allowed","status":"success","http_status":200,'
    '"error_reason":null,"duration_ms":7,"idempotency_key_sha256":null,"params_sha256":"'
    + "ab"
    * 32
    + '",'
    '"params_prefix64":null,"region":null,"client":null,"time":"2026-01-02T03:04:05.678Z","count":1}'
)


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def command_id():
    """A UUIDv7, as the gateway's are."""
    text = f"{int(time.time() * 1000):012x}7{os.urandom(8).hex()[1:4]}b{os.urandom(8).hex()[1:]}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def message(number, together):
    ids = [command_id() for _ in range(together)]
    texts = [EVENT % (i, i) for i in ids]
    body = (texts[0] if together == 1 else "[" + ",".join(texts) + "]").encode()
    head = f"NATS/1.0\r\nNats-Msg-Id: {ids[0]}.{together}.audit\r\n\r\n".encode()
    subject = f"gantry.v1.w{number % WORKSPACES}.audit.request.gateway"
    return (f"HPUB {subject} _INBOX.gateway.fill {len(head)} "
            f"{len(head) + len(body)}\r\n").encode() + head + body + b"\r\n"


def fill_stream(stack, together):
    """EVENTS request events, acknowledged; plain bytes, because a client library would take longer
    than all the rest."""
    nats = Nats(stack.nats_url("gateway"), inbox="_INBOX.gateway", timeout=60)
    nats.subscribe("_INBOX.gateway.fill")
    socket, rest = nats._socket, b""
    socket.settimeout(60)
    wanted, sent, taken = EVENTS // together, 0, 0
    while taken < wanted:
        room = min(wanted - sent, max(WINDOW // together, 1) - (sent - taken))
        socket.sendall(b"".join(message(sent + i, together) for i in range(room)))
        sent += room
        data = rest + socket.recv(1 << 20)
        cut = data.rfind(b"\n") + 1
        assert b'"error"' not in data, data[:500]
        if b"PING\r\n" in data[:cut]:
            socket.sendall(b"PONG\r\n")
        taken, rest = taken + data[:cut].count(b'"seq"'), data[cut:]
    nats.close()


def widen(stack):
    for number in range(WORKSPACES):
        stack.gantry("workspace", "create", f"w{number}")
    nats = stack.operator()
    config = json.loads(nats.request("$JS.API.STREAM.INFO.AUDIT").data)["config"]
    answer = json.loads(
        nats.request(
            "$JS.API.STREAM.UPDATE.AUDIT",
            json.dumps({**config, "max_msgs_per_subject": 10**7}).encode(),
        ).data
    )
    assert "error" not in answer, answer
    nats.close()


def cpu(stack, name):
    """Seconds that a process and its children have taken, those that have ended too."""
    pid, ticks = str(stack.pid(name)), 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                words = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if entry == pid:
            ticks += sum(map(int, words[11:15]))
        elif words[1] == pid:
            ticks += sum(map(int, words[11:13]))
    return ticks / TICK


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


class Size:
    """How many leaves are signed; one connection, because making one costs as much as a hundred
    events."""

    def __init__(self, stack):
        self.cursor = stack.database().cursor()

    def __call__(self):
        self.cursor.execute("SELECT coalesce(max(tree_size), 0) FROM audit_checkpoint")
        return self.cursor.fetchone()[0]


def drain(stack, names):
    """From the first tenth to the last, so that starting and ending do not count: events a second,
    and microseconds of CPU that each server took for one."""
    size = Size(stack)
    before = size()
    for name in names:
        stack.bring_back(name, ready=False)
    wait_until(lambda: size() >= before + EVENTS // 10, 120)
    watched = {"audit": names, "NATS": ["nats"], "PostgreSQL": ["postgres"]}
    spent = {what: -sum(cpu(stack, one) for one in ones) for what, ones in watched.items()}
    first, start = size(), time.monotonic()
    wait_until(lambda: size() >= before + EVENTS * 9 // 10, 300)
    last, took = size(), time.monotonic() - start
    for what, ones in watched.items():
        spent[what] += sum(cpu(stack, one) for one in ones)
    wait_until(lambda: size() >= before + EVENTS, 120)
    return (last - first) / took, ", ".join(
        f"{what} {seconds / (last - first) * 1e6:.1f}" for what, seconds in spent.items()
    )


def sequencing():
    for together, replicas in ((1, 1), (1, 2), (64, 1), (64, 2)):
        with Stack(EXECUTOR=0, AUDIT=replicas) as stack:
            names = ["audit", "audit-2"][:replicas]
            for name in names:
                stack.take_down(name)
            widen(stack)
            fill_stream(stack, together)
            rate, spent = drain(stack, names)
            bare = copy_rate(stack)
            row(
                f"audit: stream to signed tree, {together} event(s) a message, {replicas} "
                f"replica(s)",
                round(rate),
                "events/s",
                f"{rate / bare:.2f} of COPY ({bare:.0f}/s); aim 50000; CPU us an event: {spent}",
            )


def proofs():
    with Stack(EXECUTOR=0) as stack:
        stack.take_down("audit")
        start = time.monotonic()
        subprocess.run(
            [
                APPEND,
                stack.database_url("gantry_audit"),
                str(LEAVES),
                "2000",
                stack.secret("AUDIT_SIGNING_KEY"),
            ],
            check=True,
            capture_output=True,
        )
        row(
            f"audit: appending {LEAVES} leaves without NATS",
            round(LEAVES / (time.monotonic() - start)),
            "events/s",
        )
        stack.bring_back("audit")
        client, took = stack.client(), []
        wait_until(lambda: client.get("/ai/audit/0/proof").status == 200, 30)
        for i in range(400):
            start = time.monotonic()
            client.get(f"/ai/audit/{i * 2477 % LEAVES}/proof").ok()
            took.append(time.monotonic() - start)
        took.sort()
        row(
            f"audit: inclusion proof over HTTP at {LEAVES} leaves: p50",
            round(took[200] * 1e3, 2),
            "ms",
        )
        row(
            f"audit: inclusion proof over HTTP at {LEAVES} leaves: p99",
            round(took[396] * 1e3, 2),
            "ms",
        )
        start = time.monotonic()
        result = stack.gantry("audit", "verify")
        assert result["ok"], result
        row(
            "audit: verify, every event, hash and column",
            round(result["leaves"] / (time.monotonic() - start)),
            "leaves/s",
        )


sequencing()
proofs()
