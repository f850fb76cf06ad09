# SPDX-License-Identifier: MIT
"""Kills programs and servers at random, round after round, while clients write; then counts.

usage: ROUNDS=200 SEED=1 PYTHONPATH=tests python3 tests/soak/soak.py     (make soak)

The clients are many, so that commands travel in lists, and repeat whatever has no certain
answer under the same idempotency key or Nats-Msg-Id. In the end each text that was answered 2xx
must be stored once, each appended event be in the log once, and each command be recorded once. One
line for each breach; exit 1 if there is any."""

import collections
import contextlib
import http.client
import json
import os
import random
import sys
import threading
import time
import uuid

from gantry_testing.nats import NatsError
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until

ROUNDS = int(os.environ.get("ROUNDS", "200"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
WRITERS = int(os.environ.get("WRITERS", "24"))
VICTIMS = ["ingest", "audit", "gateway", "nats", "postgres", "redis"]
SETTLE_S = 180
LATER_S = 240
# Each request has a key of its own, and a usual share holds 400,000; Redis itself has room for half
# as many more.
SHARE_BYTES = 512 << 20
UNCERTAIN = (409, 429, 500, 502, 503, 504)


class Load:
    """What was asked for and what came of it; every list is of (id, text)."""

    def __init__(self, stack):
        self.stack, self.stopping = stack, threading.Event()
        self.stored, self.appended, self.published = [], [], []
        self.odd, self.tries, self.never = [], collections.Counter(), 0
        self.refused = collections.Counter()
        self.threads = [
            threading.Thread(target=self.writes, args=(i,), daemon=True) for i in range(WRITERS)
        ] + [threading.Thread(target=self.publishes, daemon=True)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * LATER_S)
        return not any(thread.is_alive() for thread in self.threads)

    def ask(self, client, one):
        """True when its answer is certain."""
        path, body, key, kept = one
        self.tries["http"] += 1
        try:
            answer = client.request("POST", path, body, {"Idempotency-Key": key})
        except (OSError, http.client.HTTPException):
            self.tries["no answer"] += 1
            return False
        self.tries[answer.status] += 1
        if answer.status in (200, 202):
            kept.append((answer.json.get("event_id") or answer.json["id"], body["target"]
                         if "target" in body else body["text"]))
            return True
        if answer.status in UNCERTAIN:
            self.refused[f"{answer.status} {answer.json.get('detail', '')[:90]}"] += 1
            return False
        self.odd.append((path, answer.status, answer.body[:300]))
        return True

    def writes(self, number):
        """What a killed gateway had in hand is answered 409 until its lease is over: later then."""
        client, count, later = self.stack.client(timeout=20), 0, []
        while not self.stopping.is_set():
            count += 1
            text = f"soak {SEED} writer {number} text {count}"
            if count % 4 == 0:
                body = {"actor": "soak", "action": "soak", "target": text, "decision": "allowed"}
                path, kept = "/webhook/audit/append", self.appended
            else:
                body = {"scope": "soak", "text": text}
                path, kept = "/webhook/memory/ingest", self.stored
            one = (path, body, str(uuid.uuid4()), kept)
            if not self.ask(client, one):
                later.append(one)
                time.sleep(0.05)
        deadline = time.monotonic() + LATER_S
        while later and time.monotonic() < deadline:
            later = [one for one in later if not self.ask(client, one)]
            time.sleep(1)
        self.never += len(later)

    def publishes(self):
        client, count = None, 0
        while not self.stopping.is_set():
            count += 1
            command, text = str(uuid.uuid4()), f"soak {SEED} client text {count}"
            while True:
                self.tries["nats"] += 1
                try:
                    client = client or self.stack.nats("developer")
                    body = {"scope": "soak", "text": text}
                    ack = client.js_publish("gantry.v1.default.memory.ingest", body, command)
                    if "error" not in ack:
                        self.published.append((command, text))
                        break
                except (OSError, NatsError):
                    client = None
                if self.stopping.wait(0.2):
                    return


def waiting(stack):
    with contextlib.closing(stack.operator()) as operator:
        return sum(
            operator.api(f"STREAM.INFO.{name}")["state"]["messages"]
            for name in ("MEMORY", "AUDIT", "TASKS")
        )


def settled(stack):
    try:
        return waiting(stack) == 0
    except (OSError, NatsError, KeyError):
        return False


def kill_at_random(stack, chance):
    killed = collections.Counter()
    for number in range(ROUNDS):
        time.sleep(chance.uniform(0, 0.8))
        victims = chance.sample(VICTIMS, 2 if chance.random() < 0.2 else 1)
        for name in victims:
            wait_until(lambda name=name: stack.pid(name), 60, f"{name} runs")
            stack.kill(name)
            killed[name] += 1
        if number % 5 == 4:
            stack.wait_ready(120)
        if number % 20 == 19:
            print(f"round {number + 1}: killed {dict(killed)}", flush=True)
    stack.wait_ready(120)
    return killed


def breaches(stack, load):
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("SELECT text, count(*) FROM memory WHERE scope = 'soak' GROUP BY text")
        rows = dict(cursor.fetchall())
        cursor.execute("SELECT text, id::text FROM memory WHERE scope = 'soak'")
        ids = dict(cursor.fetchall())
        cursor.execute("SELECT event_id::text, kind, count(*) FROM audit_log GROUP BY 1, 2")
        log = {(event, kind): count for event, kind, count in cursor.fetchall()}
    for command, text in load.stored + load.published:
        if rows.get(text) != 1:
            yield f"{text!r} ({command}) is stored {rows.get(text, 0)} times"
        elif ids[text] != command:
            yield f"{text!r} was answered as {command} and is stored as {ids[text]}"
        if log.get((command, "request")) != 1:
            yield f"{command} is recorded {log.get((command, 'request'), 0)} times"
    for event, text in load.appended:
        if log.get((event, "event")) != 1:
            yield f"{text!r} ({event}) is in the log {log.get((event, 'event'), 0)} times"
    for text, count in rows.items():
        if count > 1:
            yield f"{text!r} is stored {count} times"
    yield from (f"an answer that was not expected: {odd}" for odd in load.odd)
    verified = stack.gantry("audit", "verify", check=False)
    if verified.returncode != 0:
        yield f"gantry audit verify: {verified.stdout} {verified.stderr}"
    with contextlib.closing(stack.operator()) as operator:
        letters = operator.api("STREAM.INFO.DEAD")["state"]["messages"]
    if letters:
        yield f"{letters} dead letters"


def main():
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
    with Stack(
        RATE_LIMIT_KEY_PER_MINUTE=0, RATE_LIMIT_PER_MINUTE=0, IDEMPOTENCY_SHARE_BYTES=SHARE_BYTES
    ) as stack:
        load = Load(stack)
        load.start()
        killed = kill_at_random(stack, chance)
        ended = load.stop()
        wait_until(lambda: settled(stack), SETTLE_S, "the streams are empty")
        found = list(breaches(stack, load))
        if load.never:
            found.append(f"{load.never} requests never had a certain answer")
        if not ended:
            found.append("a writer did not end")
        for line in found[:50]:
            print(line)
        for why, count in load.refused.most_common(12):
            print(f"{count} times {why}")
        print(
            json.dumps(
                {
                    "killed": sum(killed.values()),
                    "stored": len(load.stored),
                    "published": len(load.published),
                    "appended": len(load.appended),
                    "tries": {str(kind): count for kind, count in load.tries.items()},
                    "breaches": len(found),
                }
            )
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
