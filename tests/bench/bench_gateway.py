# SPDX-License-Identifier: MIT
"""The gateway against plain libmicrohttpd in the same run; the routes that wait for a worker, end
to end; and a right key in a flood of wrong ones. The load generators share the machine, at the same
priority."""
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import time

from gantry_testing.flood import Requests, made_up
from gantry_testing.stack import ROOT, Stack, free_ports
from gantry_testing.wait import wait_until

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = 3
FLOOD, FLOOD_CONNECTIONS, RIGHT, RIGHT_CONNECTIONS = 10000, 320, 200, 16
# @ becomes a number of its own in every request.
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = "%s"
wrk.headers["Prefer"] = "%s"
local n, run = 0, "%d-"
request = function()
    n = n + 1
    return wrk.format(nil, nil, nil, (string.gsub([[%s]], "@", run .. n)))
end
"""
GET = """
wrk.headers["X-API-Key"] = "%s"
"""


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def microseconds(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s|m)$", text).groups()
    return round(float(value) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit])


class Wrk:
    def __init__(self, url, connections, script=None, seconds=SECONDS):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script or "")
            file.flush()
            out = subprocess.run(
                [
                    "wrk",
                    "-t1",
                    f"-c{connections}",
                    f"-d{seconds}",
                    "--timeout",
                    "30s",
                    "--latency",
                    "-s",
                    file.name,
                    url,
                ],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        self.rate = round(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        self.p50, self.p99 = (
            microseconds(re.search(rf"\n\s+{p}%\s+(\S+)", out)[1]) for p in (50, 99)
        )
        self.count = int(re.search(r"(\d+) requests in", out)[1])
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        self.bad = int(bad[1]) if bad else 0


def cpu(pid):
    """Processor seconds of a process and the children that live."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if stat.parent.name == str(pid) or fields[1] == str(pid):
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def rss(pid):
    return round(
        int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
        / 1024,
        1,
    )


def plain():
    port = free_ports(1)[0]
    hello = subprocess.Popen([ROOT / "build/release/bench/http_hello", str(port)])
    try:
        time.sleep(0.3)
        run = Wrk(f"http://127.0.0.1:{port}/", 32)
        spent = cpu(hello.pid)
    finally:
        hello.kill()
    row("plain libmicrohttpd, 32 connections", run.rate, "1/s")
    row("plain libmicrohttpd: processor time of a request", round(spent / run.count * 1e6, 1), "us")
    return run


def measure(stack, floor, what, path, connections, script, seconds=SECONDS):
    names = [name for name in stack.names() if name not in ("redis", "executor")]
    before = {name: cpu(stack.pid(name)) for name in names}
    run = Wrk(stack.url + path, connections, script, seconds)
    spent = {
        name: (cpu(stack.pid(name)) - before[name]) / max(run.count, 1) * 1e6 for name in names
    }
    note = (
        f"{run.bad} refused" if run.bad else f"{run.rate / floor.rate:.2g} of plain libmicrohttpd"
    )
    row(f"{what}, {connections} connection(s)", run.rate, "1/s", note)
    row(f"{what}, {connections} connection(s): p50 / p99", f"{run.p50} / {run.p99}", "us")
    row(
        f"{what}, {connections} connection(s): processor time of a request",
        round(sum(spent.values())),
        "us",
        ", ".join(f"{name} {round(us)}" for name, us in spent.items() if us >= 1),
    )
    return spent


def telemetry(gateway_us):
    """What traces and metrics cost the cheapest query while nothing is exported: their functions
    alone, so what they do to the caches is not in it (docs/performance.md has a comparison of
    builds)."""
    program = ROOT / "build/release/bench/telemetry"
    runs = [float(subprocess.check_output([program, "1000000"])) / 1000 for _ in range(ROUNDS)]
    us = statistics.median(runs)
    row(
        "traces and histograms in a list of memories: processor time of a request",
        round(us, 2),
        "us",
        f"{us / gateway_us:.1%} of the gateway's {gateway_us:.1f} us; at most 3 % is allowed",
    )


def routes(stack, floor):
    key = stack.api_key

    def post(body, prefer=""):
        return POST % (key, prefer, random.randrange(10**9), body)

    text = (
        '{"scope":"%s","text":"The customer of order @ asks for a quieter room, '
        'and for the bill by mail."}'
    )
    measure(stack, floor, "/healthz", "/healthz", 32, None)
    spent = measure(stack, floor, "list of memories", "/memory?limit=1", 16, GET % key)
    telemetry(spent["gateway"])
    for connections in (1, 64):
        measure(
            stack,
            floor,
            "ingest, answered when stored and searchable",
            "/webhook/memory/ingest",
            connections,
            post(text % "bench"),
        )
    measure(stack, floor, "ingest of the same text again and again", "/webhook/memory/ingest", 64,
            post('{"scope":"bench","text":"The same text again."}'))
    # The queue of one workspace holds 10,000 commands: few are sent.
    measure(stack, floor, "ingest, answered when acknowledged", "/webhook/memory/ingest", 16,
            post(text % "later", "respond-async"), 1)
    nats = stack.operator()
    wait_until(
        lambda: nats.api("STREAM.INFO.MEMORY")["state"]["messages"] == 0, 60, "all are stored"
    )
    nats.close()
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM memory WHERE scope = 'bench'")
        rows = cursor.fetchone()[0]
    for connections in (1, 16):
        measure(
            stack,
            floor,
            "search (hybrid) in an empty scope",
            "/webhook/memory/search",
            connections,
            post('{"query":"quieter room for the customer of order @","scope":"empty"}'),
        )
        measure(
            stack,
            floor,
            f"search (hybrid), {rows} memories that all hold its words",
            "/webhook/memory/search",
            connections,
            post('{"query":"quieter room for the customer of order @","scope":"bench"}'),
        )
        measure(
            stack,
            floor,
            "audit append, answered when it is in the tree",
            "/webhook/audit/append",
            connections * 4,
            post('{"actor":"a","action":"b","target":"t@","decision":"allowed"}'),
        )
        measure(
            stack,
            floor,
            "executor.run of ping",
            "/webhook/executor/run",
            connections,
            post('{"task":{"type":"ping"}}'),
        )


def flood(stack):
    """A right key at a constant rate: alone, beside wrong keys, beside as many requests without a
    key."""
    rng, port, pid = random.Random(7), stack.ports["GATEWAY_PORT"], stack.pid("gateway")
    unused = stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")["key"]
    wrong = [made_up(rng) for _ in range(FLOOD * (SECONDS + 1))]
    tried = [
        made_up(rng, unused[9:21] if i % 50 == 0 else None) for i in range(FLOOD * (SECONDS + 1))
    ]
    kinds = {
        "alone": None,
        "with wrong keys": ("/memory", wrong),
        "with /healthz": ("/healthz", None),
        "with wrong keys, 2 % of them of an id never used": ("/memory", tried),
    }
    p50, p99, rates = ({kind: [] for kind in kinds} for _ in range(3))
    stack.client("viewer").get("/memory?limit=1").ok()
    before = rss(pid)
    for _ in range(ROUNDS):
        for kind, load in kinds.items():
            wave = load and Requests(port, *load, FLOOD, SECONDS + 1, FLOOD_CONNECTIONS)
            time.sleep(0.5)
            right = Requests(
                port, "/memory?limit=1", [stack.key("viewer")], RIGHT, SECONDS, RIGHT_CONNECTIONS
            ).done()
            assert right.statuses == {200: right.due}, right.statuses
            p50[kind].append(right.p50)
            p99[kind].append(right.p99)
            if wave:
                rates[kind].append(wave.done().rate)
    middle = statistics.median
    for kind in kinds:
        rate = f"{round(middle(rates[kind]))}/s answered; " if rates[kind] else ""
        times = middle(
            flooded / alone for flooded, alone in zip(p99[kind], p99["alone"], strict=False)
        )
        row(
            f"a right key {kind}: p50 / p99",
            f"{round(middle(p50[kind]))} / {round(middle(p99[kind]))}",
            "us",
            f"{rate}p99 x {times:.1f} (rounds: {', '.join(map(str, p99[kind]))})",
        )
    row("memory of the gateway before / after the floods", f"{before} / {rss(pid)}", "MB")


floor = plain()
with Stack() as running:
    routes(running, floor)
with Stack() as running:
    flood(running)
