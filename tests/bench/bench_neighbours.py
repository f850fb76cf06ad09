# SPDX-License-Identifier: MIT
"""One workspace at its share: the p99 of another's requests, beside its own when all is quiet."""

import contextlib
import json
import statistics
import threading
import time
import uuid

from gantry_testing.stack import Stack

COUNT = 100


def row(what, figure, unit, against):
    print(f"{what}\t{figure}\t{unit}\t{against}", flush=True)


def p99(ask):
    taken = []
    for number in range(COUNT):
        start = time.monotonic()
        ask(number)
        taken.append(time.monotonic() - start)
        time.sleep(0.002)  # a caller, not a load
    return statistics.quantiles(taken, n=100)[98] * 1000


def malformed(stack, stop):
    with contextlib.closing(stack.nats("admin", "hog")) as nats:
        while not stop.is_set():
            for _ in range(50):
                nats.publish(
                    "gantry.v1.hog.memory.ingest",
                    b'{"scope":',
                    headers={"Nats-Msg-Id": str(uuid.uuid4())},
                )
            nats.flush()
            stop.wait(0.05)


def over_http(path, body):
    def run(stack, stop):
        client = stack.client("admin", "hog", timeout=60)
        while not stop.is_set():
            client.request("POST", path, json.dumps(body), {"Prefer": "wait=1"})

    return run


HOGS = {
    "four searches of 20 KiB at a time": [
        over_http("/webhook/memory/search", {"query": "lorem ipsum dolor " * 1100, "k": 50})
    ]
    * 4,
    "previews of 200 KB": [
        over_http(
            "/ai/preview",
            {"action": "code.python", "params": {"code": "x" * 60000, "stdin": "y" * 60000}},
        )
    ],
    "tasks in every slot": [
        over_http("/webhook/executor/run", {"task": {"type": "code.shell", "code": "sleep 1"}})
    ]
    * 8,
    # Last: what it leaves behind takes a while to settle.
    "1,000 malformed commands a second": [malformed],
}


with Stack(ALLOW_ACTIONS_DEFAULT="ping,code.shell,code.python", RATE_LIMIT_PER_MINUTE=0) as system:
    other = system.client("admin", "neighbour")
    system.client("admin", "hog").ingest("s", "lorem ipsum dolor " * 20).ok()
    requests = {
        "ingest": lambda n: other.ingest("s", f"row {n} {uuid.uuid4()}").ok(),
        "search": lambda n: other.search(f"row {n}", scope="s").ok(),
    }
    quiet = {}
    for name, ask in requests.items():
        p99(ask)
        quiet[name] = p99(ask)
        row(f"a neighbour's {name}, quiet: p99", round(quiet[name], 2), "ms", "")
    for what, runs in HOGS.items():
        stop = threading.Event()
        threads = [threading.Thread(target=run, args=(system, stop)) for run in runs]
        for thread in threads:
            thread.start()
        try:
            for name, ask in requests.items():
                beside = p99(ask)
                row(
                    f"a neighbour's {name} beside {what}: p99",
                    round(beside, 2),
                    "ms",
                    f"{beside / quiet[name]:.2f} of quiet, aim below 2",
                )
        finally:
            stop.set()
            for thread in threads:
                thread.join()
