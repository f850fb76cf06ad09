# SPDX-License-Identifier: MIT
"""One workspace at its share: the p99 of another's requests, beside its own when all is quiet.

The hogs run in processes of their own. Before each row, and between its two halves, the queues are
empty; its quiet figure was measured just before it, with the same number of requests. The last
column says what the servers and programs cost meanwhile, in thousandths of a core."""

import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import time
import uuid

from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until

COUNT = 400
STREAMS = ("MEMORY", "TASKS", "AUDIT")
HZ = os.sysconf("SC_CLK_TCK")


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


def drained(stack):
    """Nothing waits in a stream, and nothing of it in a worker."""
    with contextlib.closing(stack.operator()) as nats:

        def empty():
            return all(
                nats.api(f"STREAM.INFO.{stream}")["state"]["messages"] <= 1  # one ack may wait
                for stream in STREAMS
            )

        wait_until(empty, 300, "the streams are empty")


def spent(stack):
    """Processor time of each program of the stack, its children's too, in seconds."""
    found = {}
    for name in stack.names():
        with contextlib.suppress(OSError):
            pids = [stack.pid(name)]
            for pid in pids:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    pids += map(int, file.read().split())
            ticks = 0
            for pid in pids:
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    ticks += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
            found[name] = ticks / HZ
    return found


def malformed(stack, stop):
    with contextlib.closing(stack.nats("admin", "hog")) as nats:
        while not stop.is_set():
            start = time.monotonic()
            for _ in range(50):
                nats.publish(
                    "gantry.v1.hog.memory.ingest",
                    b'{"scope":',
                    headers={"Nats-Msg-Id": str(uuid.uuid4())},
                )
            nats.flush()
            stop.wait(max(0, 0.05 - (time.monotonic() - start)))


def over_http(path, body):
    def run(stack, stop):
        client = stack.client("admin", "hog", timeout=60)
        while not stop.is_set():
            client.request("POST", path, json.dumps(body), {"Prefer": "wait=1"})

    return run


HOGS = {
    "1,000 malformed commands a second": [malformed],
    "four searches of 20 KiB at a time": [
        over_http("/webhook/memory/search", {"query": "lorem ipsum dolor " * 1100, "k": 50})
    ]
    * 4,
    "previews of 120 KB": [
        over_http(
            "/ai/preview",
            {"action": "code.python", "params": {"code": "x" * 60000, "stdin": "y" * 60000}},
        )
    ],
    "tasks in every slot": [
        over_http("/webhook/executor/run", {"task": {"type": "code.shell", "code": "sleep 1"}})
    ]
    * 8,
}


@contextlib.contextmanager
def running(stack, hogs):
    stop = multiprocessing.Event()
    processes = [multiprocessing.Process(target=run, args=(stack, stop)) for run in hogs]
    for process in processes:
        process.start()
    time.sleep(1)  # it begins before the neighbour does
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join()


def measure(stack, what, hogs, name, ask):
    drained(stack)
    quiet = p99(ask)
    drained(stack)
    with running(stack, hogs):
        before, start = spent(stack), time.monotonic()
        beside = p99(ask)
        took, after = time.monotonic() - start, spent(stack)
    cost = {n: round((after[n] - before.get(n, 0)) / took * 1000) for n in after}
    told = ", ".join(f"{n} {c}" for n, c in sorted(cost.items(), key=lambda i: -i[1]) if c > 9)
    row(
        f"a neighbour's {name} beside {what}: p99",
        round(beside, 2),
        "ms",
        f"{beside / quiet:.2f} of quiet ({quiet:.2f} ms), aim below 2; {told}",
    )


with Stack(ALLOW_ACTIONS_DEFAULT="ping,code.shell,code.python", RATE_LIMIT_PER_MINUTE=0) as system:
    other = system.client("admin", "neighbour")
    system.client("admin", "hog").ingest("s", "lorem ipsum dolor " * 20).ok()
    requests = {
        "ingest": lambda n: other.ingest("s", f"row {n} {uuid.uuid4()}").ok(),
        "search": lambda n: other.search(f"row {n}", scope="s").ok(),
    }
    for warm in requests.values():
        p99(warm)
    for kind, runs in HOGS.items():
        if sys.argv[1:] and sys.argv[1] not in kind:
            continue
        for request, send in requests.items():
            measure(system, kind, runs, request, send)
