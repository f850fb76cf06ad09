# SPDX-License-Identifier: MIT
"""An upgrade under traffic: gateways and workers of different versions beside each other, as while
programs are replaced. Every command is carried out and recorded once, and every gateway hears its
answer in the form that it reads."""

import concurrent.futures
import itertools
import json
import signal
import threading
import uuid

import pytest
from gantry_testing import echo, nats_files, servers
from gantry_testing.echo import listed
from gantry_testing.nats import NatsError
from gantry_testing.streams import done_event, events, left, operator, provisioned

SUBJECT = "gantry.v1.w1.memory.ingest"
ROUNDS = 12


@pytest.fixture(scope="module")
def server():
    with provisioned() as running:
        yield running


@pytest.fixture
def bus(server):
    with operator(server) as client:
        yield client


class Gateway:
    """One of a version: protocol None and 2 send commands alone, 2 and 3 also lists."""

    def __init__(self, bus, protocol, lists):
        self.bus, self.protocol, self.lists = bus, protocol, lists
        self.headers = {"Gantry-Protocol": protocol} if protocol else {}
        self.ids = []

    def send(self, number):
        if self.lists:
            payload, ids = listed([f"{self.protocol} {number} {i}" for i in range(4)])
            claimed = echo.claim(SUBJECT, payload, ids[0])
            message, more = f"{ids[0]}.1.l4", {"Gantry-List": "4"}
        else:
            ids = [str(uuid.uuid4())]
            payload = json.dumps({"scope": "s", "text": f"alone {number}"}).encode()
            claimed = echo.claim(SUBJECT, payload, ids[0])
            message, more = f"{ids[0]}.1", {}
        headers = {"Gantry-Actor": claimed, **self.headers, **more}
        nats_files.taken(self.bus.js_publish(SUBJECT, payload, message, headers))
        self.ids += ids


def listened_together(message):
    text = message.data
    while text:
        head, text = text.split(b"\n", 1)
        command, status, _, length = head.decode().split(" ")
        yield command, int(status)
        text = text[int(length) + 1 :]


class Heard:
    """What gateways hear: {command: statuses}, by form."""

    def __init__(self, client):
        self.client = client
        self.first, self.second, self.together = {}, {}, {}
        self.sids = [
            client.subscribe("gantry.v1.*.memory.*.done"),
            client.subscribe("gantry.v1.*.answers.memory"),
        ]
        client.flush()

    def take(self):
        message = self.client.next(60)
        if message.subject.endswith(".done"):
            form = self.second if "Gantry-Status" in message.headers else self.first
            form.setdefault(message.subject.split(".")[4], set()).add(done_event(message)["status"])
            return
        for command, status in listened_together(message):
            self.together.setdefault(command, set()).add(status)

    def all(self, gateways):
        forms = [self.first, self.second, self.second, self.together]
        while not all(
            set(gateway.ids) <= set(form) for gateway, form in zip(gateways, forms, strict=True)
        ):
            self.take()
        return [
            {command: form[command] for command in gateway.ids}
            for gateway, form in zip(gateways, forms, strict=True)
        ]


def test_workers_are_replaced_while_gateways_of_each_version_send(server, bus):
    program = echo.build("fault")
    with server.connect("gateway") as client:
        heard = Heard(client)
        gateways = [
            Gateway(bus, None, False),
            Gateway(bus, "2", False),
            Gateway(bus, "2", True),
            Gateway(bus, "3", True),
        ]
        workers = [echo.Echo(program, server), echo.Echo(program, server)]
        # The next one starts before the last one ends, as with replicas; one is killed.
        ends = itertools.cycle([signal.SIGTERM, signal.SIGTERM, signal.SIGKILL])
        try:
            workers[0].start()
            for number in range(ROUNDS):
                for gateway in gateways:
                    gateway.send(number)
                if number % 4 == 3:
                    workers[1].start()
                    workers[0].stop(next(ends))
                    workers.reverse()
            answers = heard.all(gateways)
            servers.wait_until(lambda: left(bus, "MEMORY") == 0, what="settled")
        finally:
            for worker in workers:
                worker.__exit__()
    assert all(statuses == {200} for answered in answers for statuses in answered.values())
    sent = sorted(command for gateway in gateways for command in gateway.ids)
    assert sorted(event["event_id"] for event in events(bus)) == sent
    assert left(bus, "DEAD") == 0


# --- the gateway of this version, and workers of those before ------------------------------------


def commands(message):
    """(id, payload) of each command of a message."""
    if "Gantry-List" not in message.headers:
        yield message.headers["Gantry-Actor"].split(",")[1], message.data
        return
    text = message.data
    while text:
        head, text = text.split(b"\n", 1)
        _, actor, _, length, _ = head.decode().split(" ", 4)
        yield actor.split(",")[1], text[: int(length)]
        text = text[int(length) + 1 :]


STORED = {
    "status": "success",
    "message": "Memory ingested",
    "tenant_id": "default",
    "scope": "upgrade",
    "content_hash": "0" * 64,
    "deduplicated": False,
    "facts_stored": 0,
    "facts_skipped": 0,
}


class OldWorker(threading.Thread):
    """Knows lists, but answers each command by its own event; or in the form of the version before
    that."""

    def __init__(self, stack, form):
        super().__init__(daemon=True)
        self.nats, self.form = stack.nats_as("ingest"), form
        self.stopping = threading.Event()
        self.texts, self.lists, self.failure = {}, 0, None

    def answer(self, command, payload):
        body = {**STORED, "id": command}
        self.texts[command] = json.loads(payload)["text"]
        headers = {"Gantry-Event": "done"}
        if self.form == 2:
            headers["Gantry-Status"] = "200"
        else:
            body = {"status": 200, "body": body}
        subject = f"gantry.v1.default.memory.{command}.done"
        self.nats.publish(subject, json.dumps(body, separators=(",", ":")).encode(), headers)

    def run(self):
        pull = "$JS.API.CONSUMER.MSG.NEXT.MEMORY.ingest_default"
        wanted = json.dumps({"batch": 1, "expires": 500_000_000}).encode()
        try:
            while not self.stopping.is_set():
                message = self.nats.request(pull, wanted, timeout=60)
                if not (message.reply or "").startswith("$JS.ACK."):
                    continue
                self.lists += "Gantry-List" in message.headers
                for command, payload in commands(message):
                    self.answer(command, payload)
                self.nats.request(message.reply, b"+ACK", timeout=60)
        except (OSError, NatsError) as error:
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.join(120)
        self.nats.close()
        assert self.failure is None
        assert not self.is_alive()


def write(stack, texts, prefer="wait=60", status=200):
    """{text: id} of texts that are sent at once."""
    local = threading.local()

    def one(text):
        local.client = getattr(local, "client", None) or stack.client(timeout=120)
        answer = local.client.request(
            "POST",
            "/webhook/memory/ingest",
            {"scope": "upgrade", "text": text},
            {"Prefer": prefer},
        )
        assert answer.status == status, answer.body
        return text, answer.json["id"]

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        return dict(pool.map(one, texts))


def count_what_waits(stack):
    """Lists are counted by their commands, where the gateway that sent them is asked."""
    write(stack, [f"waits {i}" for i in range(72)], "respond-async", 202)
    memory = json.loads(stack.gantry("status", check=False).stdout)["streams"]["MEMORY"]
    assert memory["commands"] == 72
    listed = int(stack.metrics()["gantry_gateway_listed_memory"])
    assert memory["messages"] + listed == 72


def test_the_gateway_is_new_and_workers_are_old_then_new(make_stack):
    stack = make_stack(EXECUTOR=0, RATE_LIMIT_KEY_PER_MINUTE=0)
    stack.take_down("ingest")
    count_what_waits(stack)
    for form in (1, 2):
        worker = OldWorker(stack, form)
        worker.start()
        try:
            ids = write(stack, [f"form {form} text {i}" for i in range(240)])
        finally:
            worker.stop()
        answered = {text: command for command, text in worker.texts.items()}
        assert {text: command for text, command in answered.items() if text[0] == "f"} == ids
        assert worker.lists > 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(write, stack, [f"new text {i}" for i in range(24)])
        stack.bring_back("ingest")
        ids = waiting.result(600)
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("SELECT text, id::text FROM memory WHERE scope = 'upgrade'")
        assert sorted(cursor.fetchall()) == sorted(ids.items())
