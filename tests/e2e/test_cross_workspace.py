# SPDX-License-Identifier: MIT
"""Two workspaces with everything in both: random requests over all routes and subjects with the
keys of the one never show anything of the other."""

import json
import os
import random
import statistics
import time
import uuid

import pytest
from gantry_testing.nats import NatsError
from gantry_testing.wait import wait_until

SEED = int(os.environ.get("FUZZ_SEED", random.randrange(1 << 30)))
HTTP_REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "900"))
NATS_REQUESTS = HTTP_REQUESTS // 2


class Side:
    """One workspace, full of things that all carry its mark."""

    def __init__(self, stack, workspace):
        self.workspace, self.mark = workspace, f"mark{uuid.uuid4().hex}"
        self.hidden = f"hidden{uuid.uuid4().hex}"  # in everything, and never part of a request
        self.client = stack.client("admin", workspace)
        self.nats = stack.nats("admin", workspace)
        self.scope, self.ids, self.cursors, self.request_ids = f"{self.mark}:scope", {}, [], []
        memories = []
        for i in range(6):
            rid = str(uuid.uuid4())
            self.request_ids.append(rid)
            memories.append(
                self.client.ingest(
                    self.scope,
                    f"{self.mark} {self.hidden} memory {i}",
                    tags=[self.mark],
                    client_request_id=rid,
                )
                .ok()
                .json["id"]
            )
        events = [
            self.client.post(
                "/webhook/audit/append",
                {
                    "actor": self.mark,
                    "action": self.mark,
                    "target": self.hidden,
                    "decision": "allowed",
                    "payload": {"x": self.hidden},
                },
            )
            .ok()
            .json
            for _ in range(3)
        ]
        jobs = [
            self.client.post(
                "/webhook/executor/run",
                {"task": {"type": "code.python", "code": f"print('{self.hidden}')"}},
                prefer="wait=60",
            )
            .ok()
            .json["job_id"]
            for _ in range(2)
        ]
        preview = (
            self.client.post("/ai/preview", {"action": "ping", "params": {}})
            .ok()
            .json["preview_id"]
        )
        made = self.client.post("/keys", {"role": "viewer", "name": self.hidden}).ok(201).json
        self.ids = {
            "memory": memories,
            "event": [e["event_id"] for e in events],
            "job": jobs,
            "preview": [preview],
            "key": [made["key_id"]],
        }
        self.leaves = [e["leaf_index"] for e in events]
        for path in (
            f"/memory?scope={self.scope}&limit=2",
            "/ai/audit?limit=2",
            "/ai/jobs?limit=1",
        ):
            cursor = self.client.get(path).ok().json.get("next_cursor")
            if cursor:
                self.cursors.append(cursor)

    def sendable(self):
        """Half of the ids: those that the other knows and asks for."""
        return [one for kind in self.ids.values() for one in kind[: (len(kind) + 1) // 2]]

    def secrets(self):
        """What the other has never sent."""
        held = [one for kind in self.ids.values() for one in kind[(len(kind) + 1) // 2 :]]
        return [self.hidden] + [
            one for one in held if not any(one in cursor for cursor in self.cursors)
        ]


@pytest.fixture(scope="module")
def sides(stack):
    print(f"FUZZ_SEED={SEED}")
    return Side(stack, "fuzz-one"), Side(stack, "fuzz-two")


def values(rng, mine, other):
    """Values for any place of a request: of the other above all."""
    everything = [one for side in (other, other, mine) for one in side.sendable()]
    return rng.choice(
        [
            lambda: rng.choice(everything),
            lambda: rng.choice(everything),
            lambda: other.scope,
            lambda: str(uuid.uuid4()),
            lambda: other.workspace,
            lambda: rng.choice(other.cursors or ["x"]),
            lambda: rng.choice(other.request_ids),
            lambda: rng.choice(other.leaves),
            lambda: rng.randrange(60),
            lambda: "*",
            lambda: "%",
            lambda: "' OR 1=1 --",
            lambda: mine.scope,
            lambda: rng.choice("abc") * rng.randrange(40),
        ]
    )()


FIELDS = [
    "scope",
    "text",
    "query",
    "k",
    "mode",
    "tags",
    "source",
    "id",
    "job_id",
    "event_id",
    "preview_id",
    "cursor",
    "limit",
    "task",
    "actions",
    "role",
    "name",
    "key_id",
    "client_request_id",
    "actor",
    "action",
    "target",
    "decision",
    "tree_size",
    "leaf_index",
    "from",
    "to",
    "size",
    "status",
]


def body(rng, mine, other):
    made = {}
    for field in rng.sample(FIELDS, rng.randrange(1, 5)):
        made[field] = values(rng, mine, other)
    if rng.random() < 0.5:
        made["query"] = rng.choice(["memory", "mark", other.scope, values(rng, mine, other)])
    if rng.random() < 0.1:
        made["tenant_id"] = other.workspace
    if rng.random() < 0.1:
        made["task"] = {"type": "ping", "message": str(values(rng, mine, other))}
    return made


def assert_clean(other, sent, answer, what):
    for secret in other.secrets():
        assert secret not in answer, f"{what}: {secret} of the other workspace in {answer[:600]}"
    if "audit" in what:  # one's own log repeats the targets of one's own earlier requests
        return
    for known in [other.mark, *other.sendable()]:
        if known in answer:
            assert known in sent, f"{what}: {known} of the other workspace in {answer[:600]}"


def test_random_http_requests(stack, sides):
    rng = random.Random(SEED)
    paths = stack.anonymous().get("/openapi.json").ok().json["paths"]
    routes = [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if method in ("get", "post", "patch", "delete")
    ]
    statuses = {}
    for number in range(HTTP_REQUESTS):
        mine, other = sides if number % 2 else sides[::-1]
        method, path = rng.choice(routes)
        if path.startswith("/keys") and method in ("DELETE", "POST"):
            path = path.replace("{key_id}", rng.choice(other.ids["key"]))  # not one's own
            if path == "/keys":
                continue
        sent_path = path
        while "{" in sent_path:
            start, end = sent_path.index("{"), sent_path.index("}")
            sent_path = sent_path[:start] + quote(values(rng, mine, other)) + sent_path[end + 1 :]
        if method == "GET" and rng.random() < 0.5:
            sent_path += "?" + "&".join(
                f"{name}={quote(values(rng, mine, other))}"
                for name in rng.sample(
                    [
                        "scope",
                        "cursor",
                        "limit",
                        "actor",
                        "action",
                        "status",
                        "from",
                        "to",
                        "tree_size",
                    ],
                    2,
                )
            )
        sent = body(rng, mine, other) if method in ("POST", "PATCH") else None
        if sent and sent.get("scope") == mine.scope and "forget" in path:
            continue
        headers = {"Prefer": "wait=2"}
        if rng.random() < 0.3:
            headers["Idempotency-Key"] = rng.choice(other.request_ids)
        if rng.random() < 0.2:
            headers["X-Request-ID"] = rng.choice(other.ids["memory"][:3])
        if method in ("PATCH", "DELETE") and any(
            one in sent_path for one in mine.ids["memory"] + mine.ids["job"]
        ):
            continue
        answer = mine.client.request(method, sent_path, sent, headers)
        # (There is no gantry-connector here.)
        absent = path.startswith(("/secrets", "/webhooks", "/hooks"))
        good = answer.status < 500 or answer.status == 504 or absent
        assert good, (method, sent_path, sent, answer)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        if path == "/openapi.json":
            continue
        text = answer.body.decode(errors="replace") + str(answer.headers)
        assert_clean(
            other,
            sent_path + json.dumps(sent) + json.dumps(headers),
            text,
            f"seed {SEED}: {method} {sent_path} {sent}",
        )
    print(statuses)
    assert statuses.get(200, 0) > 20
    assert statuses.get(404, 0) > 20


def quote(value):
    from urllib.parse import quote as plain

    return plain(str(value), safe="")


SUBJECTS = [
    "memory.search",
    "memory.get",
    "memory.list",
    "audit.list",
    "audit.proof",
    "audit.consistency",
    "jobs.list",
    "jobs.get",
    "jobs.cancel",
    "actions.list",
]


def test_random_nats_requests(sides):
    rng = random.Random(SEED + 1)
    answered = 0
    for number in range(NATS_REQUESTS):
        mine, other = sides if number % 2 else sides[::-1]
        name = rng.choice(SUBJECTS)
        sent = body(rng, mine, other)
        if rng.random() < 0.6:  # something that is likely to be taken
            sent = rng.choice(
                [
                    {"query": other.mark},
                    {"query": "memory", "scope": other.scope},
                    {"id": rng.choice(other.ids["memory"][:3])},
                    {"id": rng.choice(other.ids["job"][:1])},
                    {"scope": other.scope},
                    {"cursor": rng.choice(other.cursors or ["x"])},
                    {"actor": other.mark},
                    {"limit": 100},
                    {},
                    {"query": "memory", "tags": [other.mark]},
                ]
            )
        if name == "jobs.cancel" and sent.get("id") in mine.ids["job"]:
            continue
        try:
            answer = mine.nats.request(f"gantry.v1.{mine.workspace}.{name}", sent, timeout=60)
        except NatsError as error:
            raise AssertionError(f"seed {SEED}: {name} {sent}: {error}") from error
        answered += 1
        assert_clean(
            other,
            json.dumps(sent),
            answer.data.decode() + str(answer.headers),
            f"seed {SEED}: {name} {sent}",
        )
        # And the other's subject is not even reached.
        if number % 25 == 0:
            mine.nats.errors.clear()
            mine.nats.publish(f"gantry.v1.{other.workspace}.{name}", sent)
            mine.nats.flush()
            assert any("Permissions Violation" in error for error in mine.nats.errors)
    assert answered > NATS_REQUESTS // 2


def test_nothing_was_changed_in_the_other(sides):
    for side in sides:
        for one in side.ids["memory"]:
            assert side.client.get(f"/memory/{one}").ok().json["content"].startswith(side.mark)
        for one in side.ids["job"]:
            assert side.client.get(f"/ai/jobs/{one}").ok().json["status"] == "completed"
        keys = {item["key_id"]: item for item in side.client.get("/keys").ok().json["items"]}
        assert keys[side.ids["key"][0]]["revoked_at"] is None
        assert len(keys) == 2


def test_anothers_ids_are_answered_as_ids_that_are_nowhere(sides):
    mine, other = sides
    for method, path, kind in (
        ("GET", "/memory/{}", "memory"),
        ("PATCH", "/memory/{}", "memory"),
        ("DELETE", "/memory/{}", "memory"),
        ("GET", "/ai/jobs/{}", "job"),
        ("DELETE", "/ai/jobs/{}", "job"),
        ("GET", "/ai/audit/events/{}", "event"),
        ("DELETE", "/keys/{}", "key"),
        ("POST", "/keys/{}/rotate", "key"),
    ):
        sent = {"PATCH": {"source": "x"}, "POST": {}}.get(method)
        nowhere = uuid.uuid4().hex[:12] if kind == "key" else str(uuid.uuid4())
        answers = []
        for one in (other.ids[kind][0], nowhere):
            answer = mine.client.request(method, path.format(one), sent)
            told = answer.json if answer.body else {}
            for name in ("request_id", "instance"):
                told.pop(name, None)
            answers.append(
                (answer.status, json.dumps(told).replace(one, "ID"), sorted(answer.headers.keys()))
            )
        assert answers[0] == answers[1], (method, path, answers)
        assert answers[0][0] == 404, (method, path, answers)


def test_time_does_not_tell_them_apart(sides):
    """A difference shows in the medians and in most of the pairs; on a busy machine in one of both
    by chance."""
    mine, other = sides
    for path, kind in (("/memory/{}", "memory"), ("/ai/jobs/{}", "job")):
        times = {"other": [], "nowhere": []}
        for i in range(150):
            pair = [("other", other.ids[kind][i % 2]), ("nowhere", str(uuid.uuid4()))]
            for name, one in pair if i % 4 < 2 else reversed(pair):
                start = time.perf_counter()
                assert mine.client.get(path.format(one)).status == 404
                times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(seen) * 1000 for name, seen in times.items()}
        print(path, {name: f"{ms:.3f} ms" for name, ms in medians.items()})
        near = abs(medians["other"] - medians["nowhere"]) < max(0.5, 0.3 * medians["nowhere"])
        pairs = zip(times["other"], times["nowhere"], strict=True)
        slower = sum(one > another for one, another in pairs)
        assert near or 45 < slower < 105, (medians, slower)


def test_the_same_idempotency_key_in_two_workspaces(sides):
    same = str(uuid.uuid4())
    answers = [
        side.client.ingest("idem", f"{side.mark} text", client_request_id=same).ok()
        for side in sides
    ]
    assert answers[0].json["tenant_id"] != answers[1].json["tenant_id"]
    assert all("Idempotency-Replayed" not in answer.headers for answer in answers)
    for side in sides:
        found = side.client.search("text", scope="idem").ok().json["results"]
        assert [item["content"] for item in found] == [f"{side.mark} text"]


def test_events_of_jobs_stay_in_their_workspace(sides):
    mine, other = sides
    heard = mine.nats.subscribe(f"gantry.v1.{mine.workspace}.job.*.done")
    mine.nats.flush()
    job = other.client.post("/webhook/executor/run", {"task": {"type": "ping"}}).ok().json["job_id"]
    own = mine.client.post("/webhook/executor/run", {"task": {"type": "ping"}}).ok().json["job_id"]
    seen = []

    def look():
        try:
            seen.append(mine.nats.next(0.3, heard).subject)
        except NatsError:
            pass
        return any(own in subject for subject in seen)

    wait_until(look, 15, "the own job's event")
    assert not any(job in subject for subject in seen)
