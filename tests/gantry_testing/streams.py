# SPDX-License-Identifier: MIT
"""What tests of workers look at in JetStream, and the commands they send."""
import base64
import contextlib
import json
import uuid

from . import nats_files, servers
from .echo import claim

ACK_WAIT = 2  # seconds; the 30 of nats/consumers are too long for tests
WORKSPACES = ["w1", "w2", "w3"]
CONSUMERS = [
    f"{stream}_{workspace}"
    for stream in ("MEMORY.ingest", "TASKS.executor")
    for workspace in WORKSPACES
]


@contextlib.contextmanager
def provisioned(extra_users=""):
    """A NATS server with the streams, and the consumers of WORKSPACES."""
    with nats_files.server(extra_users) as running:
        nats_files.provision(running, WORKSPACES)
        yield running


@contextlib.contextmanager
def operator(server):
    """The operator's connection, with empty streams."""
    with server.connect("operator") as client:
        shorten(client)
        empty(client)
        yield client


def shorten(client, ack_wait=ACK_WAIT, consumers=CONSUMERS):
    """Let what a dead worker left behind come again after ack_wait. The consumers are new: pulls of
    a worker that was killed with them under way would take a message with them."""
    for consumer in consumers:
        config = client.api(f"CONSUMER.INFO.{consumer}")["config"]
        config["ack_wait"] = ack_wait * 10**9
        stream, name = consumer.split(".")
        nats_files.taken(client.api(f"CONSUMER.DELETE.{consumer}"))
        nats_files.taken(client.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}",
                                    {"stream_name": stream, "config": config}))


def empty(client):
    for stream in ("MEMORY", "TASKS", "AUDIT", "DEAD"):
        nats_files.taken(client.api(f"STREAM.PURGE.{stream}"))


def left(client, stream):
    return client.api(f"STREAM.INFO.{stream}")["state"]["messages"]


def start_until_it_survives(worker, client, times=40):
    """Start it again each time that it dies, until it has settled all of MEMORY."""
    for _ in range(times):
        worker.start(wait=False)
        servers.wait_until(
            lambda: worker.process.poll() is not None or left(client, "MEMORY") == 0,
            60,
            "dead or done",
        )
        if worker.process.poll() is None:
            return
    raise AssertionError(f"it died {times} times")


def stored(client, stream):
    """All messages of a stream: (subject, headers, data)."""
    state = client.api(f"STREAM.INFO.{stream}")["state"]
    found = []
    for seq in range(state["first_seq"], state["last_seq"] + 1):
        got = client.api(f"STREAM.MSG.GET.{stream}", {"seq": seq})
        if "message" in got:
            m = got["message"]
            headers = base64.b64decode(m.get("hdrs", "")).decode().split("\r\n")
            headers = dict(h.split(": ", 1) for h in headers if ": " in h)
            found.append((m["subject"], headers, base64.b64decode(m.get("data", ""))))
    return found


def events(client):
    """The request events in AUDIT, as the log would record them: each id once. A message holds one
    event or an array of them; an event whose message was not confirmed comes again alone."""
    found = {}
    for _, _, data in stored(client, "AUDIT"):
        body = json.loads(data)
        for event in body if isinstance(body, list) else [body]:
            found.setdefault(event["event_id"], event)
    return list(found.values())


def ingest(client, text, workspace="w1", signed=True, command_id=None, headers=None, **body):
    command_id = command_id or str(uuid.uuid4())
    subject = f"gantry.v1.{workspace}.memory.ingest"
    payload = json.dumps({"scope": "s", "text": text, **body}).encode()
    headers = dict(headers or {})
    if signed:
        headers["Gantry-Actor"] = claim(subject, payload, command_id)
    nats_files.taken(
        client.js_publish(subject, payload, command_id + (".1" if signed else ""), headers)
    )
    return command_id


def done_event(message):
    """A .done event in either form, as {"status": n, "body": …}."""
    assert message.headers["Gantry-Event"] == "done"
    if "Gantry-Status" not in message.headers:
        return json.loads(message.data)
    return {"status": int(message.headers["Gantry-Status"]),
            "body": json.loads(message.data) if message.data else None}


class Done:
    """Listens to the .done events from now on."""

    def __init__(self, client):
        self.client = client
        self.sid = client.subscribe("gantry.v1.*.*.*.done")
        client.flush()

    def next(self, timeout=60):
        message = self.client.next(timeout, self.sid)
        return message.subject.split(".")[4], done_event(message)
