# SPDX-License-Identifier: MIT
"""The worker runtime with a handler that does nothing, against a bare pull and double ack."""
import json
import os
import subprocess

from gantry_testing import echo, nats_files
from gantry_testing.streams import empty

COUNT = 40000
BUS_RATE = os.path.join(echo.ROOT, "build/release/bench/bus_rate")


def rate(server, *words):
    run = subprocess.run([BUS_RATE, server.url("operator"), *map(str, words)], check=True,
                         capture_output=True, text=True)
    return [float(word) for word in run.stdout.split()]


def row(what, figure, unit, against):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def widen(client):
    """Streams that hold the whole run."""
    for _, text in nats_files.bodies("streams"):
        body = json.loads(text)
        nats_files.taken(
            client.api(f"STREAM.UPDATE.{body['name']}", dict(body, max_msgs_per_subject=10**7))
        )


with nats_files.server() as server:
    program = echo.build()
    nats_files.provision(server, ["w1"])
    with server.connect("operator") as client:
        widen(client)
        published = COUNT / rate(server, "fill", COUNT)[0]
        row(
            "JetStream publish with Nats-Msg-Id, 500 in flight, one connection",
            round(published),
            "1/s",
            "",
        )
        bare = COUNT / rate(server, "pull", COUNT)[0]
        row("bare pull and double ack, one connection", round(bare), "1/s", "")
        p50, p99 = rate(server, "latency", 5000)
        row("JetStream publish, one at a time: p50", p50, "us", "floor 25")
        row("JetStream publish, one at a time: p99", p99, "us", "")
        empty(client)
        for workers in (1, 2):
            rate(server, "fill", COUNT)
            running = [
                echo.Echo(program, server, LOG_LEVEL="warn", ECHO_LOG="/dev/null")
                for _ in range(workers)
            ]
            for worker in running:  # readiness is told at level info
                worker.start(wait=False)
            settled = COUNT / rate(server, "drained")[0]
            for worker in running:
                worker.stop()
            row(f"worker: receive, validate, handle, audit, answer, ack; {workers} process(es)",
                round(settled), "1/s", f"{settled / bare:.2f} of bare")
