# SPDX-License-Identifier: MIT
"""10,000 requests a second with wrong keys, well-formed and with the right checksum, while right
keys work. How fast those are is measured by tests/bench/bench_gateway.py."""
import random
import re

import pytest
from gantry_testing.flood import Requests, made_up
from gantry_testing.wait import wait_until

RATE, SECONDS, CONNECTIONS = 10000, 4, 320


def memory_kb(stack):
    with open(f"/proc/{stack.pid('gateway')}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


@pytest.fixture(scope="module")
def flooded(make_stack):
    return make_stack()


def flood(stack, path, keys):
    return Requests(stack.ports["GATEWAY_PORT"], path, keys, RATE, SECONDS, CONNECTIONS)


def test_right_keys_work_through_a_flood_of_wrong_ones(flooded):
    stack, rng = flooded, random.Random(7)
    port, key = stack.ports["GATEWAY_PORT"], stack.key("viewer")
    wrong = [made_up(rng, key[9:21] if i % 50 == 0 else None) for i in range(60000)]
    stack.client("viewer").get("/memory?limit=1").ok()
    before = None
    for _ in range(
        2
    ):  # what the first flood takes for its connections and queues is there afterwards
        wave = flood(stack, "/memory", wrong)
        right = Requests(port, "/memory?limit=1", [key], 100, SECONDS - 1, 8).done()
        wave.done()
        print(
            f"{wave.rate}/s of wrong keys {wave.statuses}; a right one {right.p50} / {right.p99} "
            f"us; {memory_kb(stack)} kB"
        )
        assert right.statuses == {200: right.due}
        # What waits for Argon2 holds up its own connection, and nobody else's.
        assert set(wave.statuses) <= {401, 503}, wave.statuses
        assert wave.statuses[401] > wave.due * 0.9, wave.statuses
        assert memory_kb(stack) - (before or memory_kb(stack)) < 8192
        before = before or memory_kb(stack)


def test_a_key_never_seen_gets_in_during_a_flood(flooded):
    stack, rng = flooded, random.Random(8)
    fresh = [
        stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")["key"]
        for _ in range(5)
    ]
    # Of the first one's id: it is among the suspects itself.
    wave = flood(stack, "/memory", [made_up(rng, fresh[0][9:21]) for _ in range(20000)])
    for number, key in enumerate(fresh):  # 503 means: too many wait, try again
        wait_until(
            lambda: (
                stack.anonymous()
                .get("/memory?limit=1", x_api_key=key, x_forwarded_for=f"10.0.0.{number + 1}")
                .status
                == 200
            ),
            30,
            "a new key gets in",
        )
    assert 200 not in wave.done().statuses
