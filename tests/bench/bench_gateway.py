# SPDX-License-Identifier: MIT
"""The gateway against plain libmicrohttpd in the same run; and a right key in a flood of wrong ones."""
import os
import pathlib
import re
import subprocess
import tempfile
import time
import uuid
import zlib

from gantry_testing.stack import ROOT, Stack, free_ports

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = "%s"
wrk.headers["Prefer"] = "%s"
wrk.body = [[%s]]
"""
GET = """
wrk.headers["X-API-Key"] = "%s"
"""
FLOOD = """
local keys = {}
for key in io.lines("%s") do keys[#keys + 1] = key end
local at = 0
request = function()
    at = at %% #keys + 1
    wrk.headers["X-API-Key"] = keys[at]
    return wrk.format("GET", "/memory")
end
"""


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def microseconds(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s)$", text).groups()
    return round(float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit])


class Wrk:
    def __init__(self, url, connections, script=None, seconds=SECONDS):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script or "")
            file.flush()
            out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", file.name, url],
                                 check=True, capture_output=True, text=True).stdout
        self.rate = round(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        self.p50, self.p99 = (microseconds(re.search(rf"{p}%\s+(\S+)", out)[1]) for p in (50, 99))
        self.count = int(re.search(r"(\d+) requests in", out)[1])
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        self.bad = int(bad[1]) if bad else 0


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) // 1024


def wrong_key():
    body = "relay_sk_" + uuid.uuid4().hex[:12] + uuid.uuid4().hex
    crc, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        check, crc = DIGITS[crc % 62] + check, crc // 62
    return body + check


port = free_ports(1)[0]
hello = subprocess.Popen([ROOT / "build/release/bench/http_hello", str(port)])
try:
    time.sleep(0.3)
    floor = Wrk(f"http://127.0.0.1:{port}/", 32)
    spent = cpu(hello.pid)
finally:
    hello.kill()
row("plain libmicrohttpd, 32 connections", floor.rate, "1/s")
row("plain libmicrohttpd: processor time of a request", round(spent / floor.count * 1e6, 1), "us")

with Stack() as stack:
    key = stack.api_key
    pid = stack.pid("gateway")

    def measure(what, path, connections, script, seconds=SECONDS):
        before = cpu(pid)
        run = Wrk(stack.url + path, connections, script, seconds)
        each = (cpu(pid) - before) / max(run.count, 1) * 1e6
        note = f"{run.bad} refused" if run.bad else ""
        row(f"{what}, {connections} connections", run.rate, "1/s", note or f"{run.rate / floor.rate:.2f} of plain")
        row(f"{what}, {connections} connections: p50 / p99", f"{run.p50} / {run.p99}", "us")
        row(f"{what}: the gateway's processor time", round(each, 1), "us a request")
        return run

    measure("gateway /healthz", "/healthz", 32, None)
    for connections in (1, 64):
        measure("ingest, answered when stored and searchable", "/webhook/memory/ingest", connections,
                POST % (key, "", '{"scope":"bench","text":"the same text again"}'))
    measure("list of memories", "/memory?limit=1", 16, GET % key)
    # The queue of one workspace holds 10,000 commands: fewer are sent than that.
    measure("ingest, answered when acknowledged", "/webhook/memory/ingest", 16,
            POST % (key, "respond-async", '{"scope":"bench","text":"the same text again"}'), 1)

    quiet = Wrk(stack.url + "/keys", 1, GET % key)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as keys:
        keys.writelines(wrong_key() + "\n" for _ in range(20000))
        keys.flush()
        before = rss(pid)
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(FLOOD % keys.name)
            script.flush()
            flood = subprocess.Popen(["wrk", "-t1", "-c64", f"-d{SECONDS + 2}", "-s", script.name, stack.url],
                                     stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            loud = Wrk(stack.url + "/keys", 1, GET % key)
            rate = round(float(re.search(r"Requests/sec:\s+([\d.]+)", flood.communicate()[0])[1]))
    row("wrong keys answered meanwhile", rate, "1/s")
    row("right key, quiet: p50 / p99", f"{quiet.p50} / {quiet.p99}", "us")
    row("right key, in the flood: p50 / p99", f"{loud.p50} / {loud.p99}", "us", f"p99 x {loud.p99 / quiet.p99:.1f}")
    row("memory of the gateway before / after the flood", f"{before} / {rss(pid)}", "MB")
