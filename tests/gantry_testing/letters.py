# SPDX-License-Identifier: MIT
"""Dead letters, made without a message that dies."""

import json
import uuid


def put_letter(
    stack,
    workspace,
    payload,
    program="ingest",
    subject=None,
    msg_id=None,
    reason="for the test",
    **headers,
):
    """A letter as a worker would write it, by the operator; returns its number."""
    operator = stack.operator()
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    ack = operator.js_publish(
        f"gantry.v1.{workspace}.dead.{program}",
        data,
        msg_id=f"dead.test.{uuid.uuid4()}",
        headers={
            "Gantry-Reason": reason,
            "Gantry-Deliveries": "7",
            "Gantry-Time": "2026-11-28T12:00:00.000Z",
            "Gantry-Subject": subject or f"gantry.v1.{workspace}.memory.ingest",
            **({"Gantry-Msg-Id": msg_id} if msg_id else {}),
            **headers,
        },
    )
    operator.close()
    return ack["seq"]


def letters_there(stack, workspace):
    """The numbers of a workspace's letters, each asked for by itself: no index of the server is
    believed."""
    operator = stack.operator()

    def ask(what, **question):
        subject = f"$JS.API.STREAM.{what}.DEAD"
        return json.loads(operator.request(subject, json.dumps(question).encode()).data)

    try:
        state = ask("INFO")["state"]
        found = []
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            message = ask("MSG.GET", seq=seq).get("message")
            if message and message["subject"].startswith(f"gantry.v1.{workspace}.dead."):
                found.append(seq)
        return found
    finally:
        operator.close()
