# SPDX-License-Identifier: MIT
"""A key that fills the audit worker with what it cannot take delays nobody else's events."""
import contextlib
import functools
import json
import uuid

import pytest
from gantry_testing.wait import wait_until

APPEND = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
MALFORMED = b'{"actor":"a","action":"b"'


@pytest.mark.parametrize("limit", ["600", "0"])
def test_malformed_appends_of_one_key_stop_no_log(make_stack, limit):
    """15,000 of them, with the default limit of direct clients and without any."""
    stack = make_stack(RATE_LIMIT_PER_MINUTE=limit)
    victim = stack.client(workspace="victim")
    def size():
        return int(victim.get("/ai/audit/checkpoint").ok().body.decode().splitlines()[1])

    victim.post("/webhook/audit/append", APPEND).ok()
    before = size()
    with contextlib.closing(stack.nats("developer", "noisy")) as noisy:
        for _ in range(15):
            for _ in range(1000):
                noisy.publish(
                    "gantry.v1.noisy.audit.append", MALFORMED, {"Nats-Msg-Id": str(uuid.uuid4())}
                )
            noisy.flush()
            answer = victim.post("/webhook/audit/append", APPEND, prefer="wait=60").ok()
            assert answer.status == 200
            assert answer.json["leaf_index"] >= before
    assert size() >= before + 15
    with contextlib.closing(stack.operator()) as operator:
        letters = operator.api("STREAM.INFO.DEAD", {"subjects_filter": "gantry.v1.*.dead.audit"})[
            "state"
        ]
        subjects = letters.get("subjects") or {}
        assert not subjects.get("gantry.v1.victim.dead.audit")
        assert subjects.get("gantry.v1.noisy.dead.audit", 0) <= 10000
        done = functools.partial(operator.api, "CONSUMER.INFO.AUDIT.audit_noisy")
        wait_until(
            lambda: done()["num_ack_pending"] + done()["num_pending"] == 0,
            240,
            "the flood is settled",
        )
    # Its own log goes on too.
    command = str(uuid.uuid4())
    with contextlib.closing(stack.nats("admin", "noisy")) as noisy:
        ack = noisy.js_publish(
            "gantry.v1.noisy.audit.append", json.dumps(APPEND).encode(), msg_id=command
        )
        assert ack["stream"] == "AUDIT"
