# SPDX-License-Identifier: MIT
"""kill -9 around the deliveries of webhooks: each event arrives, under one id, however often."""

import json
import uuid

import pytest
from gantry_testing import services as stand_ins
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until
from gantry_testing.webhooks import arrived


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(services):
    with Stack(WEBHOOK_RETRIES="1 1 1 1 1 1 1 1", **services.settings()) as running:
        running.gantry("workspace", "egress", "default", "plain.example")
        yield running


def append(stack, name):
    event = {"actor": "test", "action": name, "target": "t", "decision": "allowed"}
    answer = stack.client().post("/webhook/audit/append", event, prefer="wait=60")
    return answer.ok().json["event_id"]


@pytest.mark.parametrize("name", ["connector", "postgres", "nats", "audit"])
def test_a_program_dies_while_receivers_think(stack, services, name):
    """Events before, during and after the kill: none is lost, and none has two ids."""
    stack.wait_ready(120)
    path = f"{name}-{uuid.uuid4().hex[:6]}"
    body = {"url": f"https://plain.example/{path}", "events": [f"audit.{path}"]}
    secret = stack.client().post("/webhooks", body).ok(201).json["secret"]
    release = []

    def think(handler):
        wait_until(lambda: release, 100, "the program is killed")
        handler.answer(200, {})

    services.say(f"plain.example/{path}", think, think)
    wanted = {append(stack, path) for _ in range(6)}
    wait_until(lambda: len(services.asked(f"plain.example/{path}")) >= 2, 60, "two are under way")
    old = stack.kill(name)
    wait_until(lambda: stack.pid(name) not in (0, old), 60, f"{name} is started again")
    release.append(True)
    stack.wait_started_again(name, old)
    stack.wait_ready(120)
    wanted |= {append(stack, path) for _ in range(3)}

    def all_there():
        found = {}
        for one in arrived(services, path, secret):
            found.setdefault(one["data"]["event_id"], set()).add(one["id"])
        return set(found) == wanted and found

    # What the connector had under way comes again when its lease ends.
    found = wait_until(all_there, 150, f"{json.dumps(sorted(wanted))} arrive")
    assert [len(ids) for ids in found.values()] == [1] * len(wanted)

    def settled():
        hook = stack.client().get("/webhooks").ok().json["items"][-1]
        return hook["pending"] == 0 and hook["enabled"]

    wait_until(settled, 150, "nothing waits any more")
