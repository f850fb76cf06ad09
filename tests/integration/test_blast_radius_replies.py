# SPDX-License-Identifier: MIT
"""Reply subjects are not checked against permissions by the server, and answers go there with the
rights of who answers. For each of our programs, and for a client: everything it may publish, with
every reply subject that it may not publish itself; nothing may come of it.

On a server without programs: watchers in all other accounts listen and answer whatever they are
asked.
"""

import json
import uuid

import pytest
from gantry_testing import nats_files, servers
from gantry_testing.nats import Nats, NatsError
from gantry_testing.rights import COMMANDS, LISTENS, PROGRAMS, STREAMS, UNIVERSE, covered

ACCOUNT = {program: program.upper() for program in PROGRAMS} | {
    "callout": "AUTH",
    "client": "CLIENTS",
}
GRANTED = PROGRAMS | {
    "client": [f"gantry.v1.default.{tail}" for tail in COMMANDS] + ["_INBOX.client.>"]
}
CONSUMER = {
    "ingest": ("MEMORY", "ingest_default"),
    "audit": ("AUDIT", "audit_default"),
    "executor": ("TASKS", "executor_default"),
    "connector": ("CONNECTOR", "connector_default"),
}
FEEDS = {
    "MEMORY": "gantry.v1.default.memory.ingest",
    "AUDIT": "gantry.v1.default.audit.append",
    "TASKS": "gantry.v1.default.executor.run",
    "CONNECTOR": "gantry.v1.default.connector.run",
    "DEAD": "gantry.v1.default.dead.ingest",
}
STREAM_OF = {
    "memory.ingest": "MEMORY",
    "memory.patch": "MEMORY",
    "memory.delete": "MEMORY",
    "memory.forget": "MEMORY",
    "executor.run": "TASKS",
    "connector.run": "CONNECTOR",
    "audit.append": "AUDIT",
    "audit.request": "AUDIT",
    "dead": "DEAD",
}
# What its account imports and it may not publish: the first keeps the server from importing the
# whole API of JetStream by itself; the second is what gantry.sys.connz.* is in the system account.
IMPORTED = dict.fromkeys(CONSUMER, ["$JS.API.INFO"]) | {"kick": ["$SYS.REQ.SERVER.*.CONNZ"]}
# Events like .done: whoever hears them never answers.
EVENTS = (
    "gantry.sys.metrics.",
    "gantry.sys.jobs.",
    "gantry.sys.webhooks.",
    "gantry.sys.executor.cancel",
)
# What an answer can carry: an acknowledgement (empty is one too), an order to delete.
BODIES = [b"", b"+ACK", b'{"seq":1}']
RESERVED = ("_R_.", "$JS.ACK.")  # the server refuses such reply subjects


@pytest.fixture(scope="module")
def server():
    allowed = ", ".join(f'"{subject}"' for subject in GRANTED["client"])
    client = (
        f"{{ user: client, password: pclient, permissions: {{ publish: [ {allowed} ], "
        'subscribe: "_INBOX.client.>" } }'
    )
    with nats_files.server(client, watched=True) as running:
        nats_files.provision(running, ["default", "other"])
        yield running


def stream_of(subject):
    words = subject.split(".")
    if subject.startswith("gantry.v1."):
        return STREAM_OF.get(".".join(words[3:5])) or STREAM_OF.get(words[3])
    return None


def state(operator):
    found = {}
    for name in STREAMS:
        info = operator.api(f"STREAM.INFO.{name}")
        found[name] = {
            "config": info["config"],
            "messages": info["state"]["messages"],
            "first": info["state"]["first_seq"],
            "last": info["state"]["last_seq"],
        }
    found["streams"] = sorted(operator.api("STREAM.NAMES")["streams"])
    for stream in STREAMS:
        for name in operator.api(f"CONSUMER.NAMES.{stream}")["consumers"] or []:
            info = operator.api(f"CONSUMER.INFO.{stream}.{name}")
            found[stream, name] = {
                key: info[key] for key in ("config", "delivered", "ack_floor", "num_ack_pending")
            }
    return found


class Watcher:
    """Hears every hostile subject in one account and answers what its program is asked."""

    def __init__(self, server, account, hostile):
        self.account = account
        self.nats = Nats(server.url(f"watch_{account}"), inbox=f"_INBOX.watch_{account}")
        self.hostile = {
            self.nats.subscribe(s): s for s in hostile if account != "SYS" or s.startswith("$SYS.")
        }
        for program, own in ACCOUNT.items():
            for subject in LISTENS.get(program, []) if own == account else []:
                event = subject.startswith(EVENTS) or ".answers." in subject
                if not subject.endswith(".done") and not event:  # nobody answers these
                    self.nats.subscribe(subject)
        self.nats.flush()
        self.seen = []

    def turn(self):
        """Take in what has arrived and answer it; whether there was anything."""
        heard = 0
        self.nats.flush()  # whatever the server had for it has come
        while True:
            try:
                message = self.nats.next(0)
            except NatsError:
                break
            heard += 1
            if message.sid in self.hostile:
                self.seen.append((self.account, self.hostile[message.sid], message.data[:80]))
            elif message.reply:
                self.nats.publish(message.reply, message.data)
        self.nats.flush()
        return heard > 0


def fetch(client, stream, consumer, count):
    """That many messages of a consumer; their ack subjects."""
    inbox = f"{client.inbox}.fetch"
    sid = client.subscribe(inbox)
    for _ in range(count):
        client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
            b'{"batch":1,"no_wait":true}',
            reply=inbox,
        )
    acks = [client.next(60, sid).reply for _ in range(count)]
    client.unsubscribe(sid)
    return acks


def seed(operator, per_stream):
    """Fresh messages in every stream, one of each consumer in somebody's hands; their ack
    subjects."""
    for stream in STREAMS:
        nats_files.taken(operator.api(f"STREAM.PURGE.{stream}"))
        for i in range(per_stream):
            operator.publish(
                FEEDS[stream], BODIES[i % len(BODIES)], headers={"Nats-Msg-Id": uuid.uuid4().hex}
            )
        nats_files.taken(operator.js_publish(FEEDS[stream], b""))
    return {
        stream: fetch(operator, stream, consumer, 1)[0] for stream, consumer in CONSUMER.values()
    }


def targets(attacker):
    """What it may publish, spelled out, with the bodies that make sense there."""
    for subject in UNIVERSE:
        if not covered(subject, GRANTED[attacker]) or subject.startswith(
            ("_INBOX.", "$JS.ACK.", "_R_.")
        ):
            continue
        if ".MSG.NEXT." in subject:
            yield subject, [b'{"batch":1,"no_wait":true}'] * len(BODIES)
        elif ".MSG.GET." in subject or ".MSG.DELETE." in subject:
            yield subject, [b'{"seq":1000000000}']
        else:
            yield subject, BODIES


def attack(client, attacker, hostile, own):
    """Returns how many messages of its own it has written into each stream."""
    written = dict.fromkeys(STREAMS, 0)
    for target, bodies in targets(attacker):
        for reply in hostile:
            for body in bodies:
                client.publish(target, body, reply=reply)
            if stream_of(target) and not reply.startswith(RESERVED):
                written[stream_of(target)] += len(bodies)
    for ack, reply in zip(own, hostile, strict=False):
        client.publish(ack, b"+ACK", reply=reply)
    client.flush()
    # Streams and consumers answer in order: behind these answers nothing is under way any more.
    for target, _bodies in targets(attacker):
        if stream_of(target):
            nats_files.taken(json.loads(client.request(target, b"control").data))
            written[stream_of(target)] += 1
    return written


@pytest.mark.parametrize("attacker", sorted(GRANTED))
def test_nothing_comes_of_a_hostile_reply_subject(server, attacker):
    with server.connect() as operator, server.connect(attacker) as client:
        granted = GRANTED[attacker]
        hostile = [
            s
            for s in UNIVERSE + ["$SRV.PING"]
            if not covered(s, granted + IMPORTED.get(attacker, []))
        ]
        acks = seed(operator, 4 * len(hostile) if attacker in CONSUMER else 4)
        hostile += [ack for ack in acks.values() if not covered(ack, granted)]
        acceptable = [s for s in hostile if not s.startswith(RESERVED)]
        own = fetch(client, *CONSUMER[attacker], len(acceptable)) if attacker in CONSUMER else []
        before = state(operator)
        watchers = [
            Watcher(server, account, hostile)
            for account in nats_files.ACCOUNTS
            if account != ACCOUNT[attacker]
        ]
        # The watch works: an order of the operator's own is seen in its account.
        (control,) = [w for w in watchers if w.account == "GANTRY"]
        operator.publish("anything", b"control")
        servers.wait_until(control.turn, what="the watcher hears the operator")
        assert control.seen.pop()[2] == b"control"
        assert not control.seen

        written = attack(
            client, attacker, acceptable + [s for s in hostile if s.startswith(RESERVED)], own
        )
        while any([watcher.turn() for watcher in watchers]):
            client.flush()
            operator.flush()
        assert (
            sorted({(account, subject) for w in watchers for account, subject, _ in w.seen}) == []
        )
        taken = CONSUMER.get(attacker, [None])[0]
        if taken:  # the consumer takes in acknowledgements beside what is published
            expected = before[taken]["messages"] + written[taken] - len(own)
            servers.wait_until(
                lambda: state(operator)[taken]["messages"] <= expected, what="they are taken in"
            )
        after = state(operator)
        for stream in STREAMS:
            gone = len(own) if taken == stream else 0
            assert (
                after[stream]["messages"] == before[stream]["messages"] + written[stream] - gone
            ), stream
            assert after[stream]["last"] == before[stream]["last"] + written[stream], stream
            for one in before, after:
                del one[stream]["messages"], one[stream]["last"]
                if gone:  # what it has acknowledged itself
                    del one[stream]["first"]
        if attacker in CONSUMER:
            for one in before, after:
                one[CONSUMER[attacker]] = one[CONSUMER[attacker]]["config"]
        assert after == before
        for watcher in watchers:
            watcher.nats.close()


@pytest.mark.parametrize("account", sorted(set(ACCOUNT.values())))
def test_the_accounts_alone_let_nothing_else_through(server, account):
    """A user without any restriction, in a program's account: the account imports no more than the
    program may publish, so the permissions are a second line and not the only one."""
    granted = [
        subject for who, where in ACCOUNT.items() if where == account for subject in GRANTED[who]
    ]
    granted += [
        subject
        for who, where in ACCOUNT.items()
        if where == account
        for subject in IMPORTED.get(who, [])
    ]
    if account == "CLIENTS":  # the workspace is the permissions' to say
        granted = [f"gantry.v1.*.{tail}" for tail in COMMANDS]
    forbidden = [s for s in UNIVERSE if not covered(s, granted) and not s.startswith("_INBOX.")]
    with server.connect() as operator, server.connect(f"watch_{account}") as client:
        seed(operator, 4)
        before = state(operator)
        watchers = [
            Watcher(server, other, forbidden) for other in nats_files.ACCOUNTS if other != account
        ]
        for subject in forbidden:
            for body in BODIES:
                client.publish(subject, body)
        client.flush()
        while any([watcher.turn() for watcher in watchers]):
            operator.flush()
        assert sorted({(where, subject) for w in watchers for where, subject, _ in w.seen}) == []
        assert state(operator) == before
        for watcher in watchers:
            watcher.nats.close()


def test_a_programs_inbox_is_heard_by_nobody_else(server):
    """What is published to an inbox stays in the account, but for answers to the operator."""
    for program in ("gateway", "ingest", "search", "audit", "executor", "connector", "kick"):
        inbox = f"_INBOX.{program}.x"
        listeners = [
            Watcher(server, account, [inbox])
            for account in nats_files.ACCOUNTS
            if account not in ("GANTRY", "SYS")
        ]
        with server.connect(program) as client:
            client.publish(inbox, b"own")
            client.flush()
            while any([listener.turn() for listener in listeners]):
                client.flush()
        heard = {account for listener in listeners for account, _, _ in listener.seen}
        assert heard == {ACCOUNT[program]}
        for listener in listeners:
            listener.nats.close()
