# SPDX-License-Identifier: MIT
"""What gateways tell AUDIT of the requests that they carry out themselves, told by a test."""

import contextlib
import json


def event(event_id, **members):
    return {
        "v": 1,
        "type": "request",
        "event_id": event_id,
        "actor_type": "key",
        "key_id": None,
        "action": "POST /keys",
        "decision": "allowed",
        "time": "2026-01-02T03:04:05Z",
        "count": 1,
        **members,
    }


def announcement(event_id):
    return event(event_id, status="unknown", error_reason="interrupted", intent=True)


@contextlib.contextmanager
def reporting(stack):
    """Gives report(workspace, event, kind), which awaits the PubAck as the gateway does."""
    with contextlib.closing(stack.nats_as("gateway")) as nats:

        def report(workspace, body, kind="audit"):
            taken = nats.js_publish(
                f"gantry.v1.{workspace}.audit.request.gateway",
                json.dumps(body).encode(),
                f"{body['event_id']}.{kind}",
            )
            assert taken.get("stream") == "AUDIT", taken

        yield report
