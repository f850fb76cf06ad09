# SPDX-License-Identifier: MIT
"""Memories over HTTP, end to end: gateway, stream, workers, database."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import random
import signal
import threading
import time
import uuid

import pytest
from gantry_testing.wait import wait_until

TEXTS = [
    "quotes ' \" and \\ backslashes \\n",
    "percent % %s $1 ${x} {} NULL",
    "tab\tnew\nline\rreturn",
    "emoji 🙂👩‍👩‍👧‍👦🇩🇪",
    "שלום עולם مرحبا بالعالم \u202eoverride",
    "'; DROP TABLE memory; --",
    "\ufeffmark and zero\u200bwidth",
    "x" * 65536,
    "🙂" * 16384,
    '"\\' * 32768,
]


@pytest.fixture
def scope():
    return f"e2e:{uuid.uuid4()}"


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: ascii(t[:16]))
def test_round_trip(client, scope, text):
    metadata = {
        "text": text[:3000],
        "list": [text[:9], {"deep": text[:9]}],
        "n": [0, -1.5, 9007199254740992],
    }
    stored = (
        client.ingest(scope, text, metadata=metadata, tags=["tag " + " ".join(text[:20].split())])
        .ok()
        .json
    )
    assert stored["content_hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert stored["status"] == "success"
    assert stored["message"] == "Memory ingested"
    assert stored["scope"] == scope
    got = client.get(f"/memory/{stored['id']}").ok().json
    assert got["content"] == text
    assert got["metadata"] == metadata
    found = client.search(text[:500], scope=scope).ok().json["results"]
    assert found[0]["content"] == text
    assert found[0]["id"] == stored["id"]
    assert found[0]["metadata"] == metadata


def test_shape(client, scope):
    stored = client.ingest(
        scope,
        "Alice likes green tea.",
        facts=[
            {"subject": "Alice", "predicate": "likes", "object": "tea", "confidence": 0.9},
            {"subject": "Alice", "predicate": "likes", "object": "milk", "confidence": 0.5},
        ],
    ).ok()
    assert set(stored.json) == {
        "status",
        "message",
        "id",
        "tenant_id",
        "scope",
        "content_hash",
        "deduplicated",
        "facts_stored",
        "facts_skipped",
        "request_id",
    }
    assert (stored.json["facts_stored"], stored.json["facts_skipped"]) == (1, 1)
    assert stored.json["request_id"] == stored.headers["X-Request-ID"]
    answer = client.search("what does Alice drink?", scope=scope, k=3).ok().json
    assert set(answer) == {
        "status",
        "mode",
        "request_id",
        "query",
        "tenant_id",
        "scope",
        "k",
        "results_count",
        "results",
        "timestamp",
    }
    assert set(answer["results"][0]) == {
        "id",
        "rank",
        "scope",
        "content",
        "tags",
        "source",
        "metadata",
        "created_at",
        "cosine_distance",
        "similarity_score",
        "text_score",
        "score",
    }
    got = client.get(f"/memory/{stored.json['id']}").ok().json
    assert {"facts", "expires_at", "version", "content", "id"} <= set(got)
    assert client.search("Alice", scope=scope + "x").ok().json["results_count"] == 0


def test_life_of_a_memory(client, scope):
    id = client.ingest(scope, "first version", tags=["a"]).ok().json["id"]
    assert client.ingest(scope, "first version", tags=["b"]).ok().json["deduplicated"]
    changed = client.patch(f"/memory/{id}", {"text": "second version"}).ok().json
    assert changed["content"] == "second version"
    assert changed["version"] == 2
    assert changed["tags"] == ["a", "b"]
    page = client.get(f"/memory?scope={scope}&limit=10").ok().json
    assert [i["id"] for i in page["items"]] == [id]
    assert page["next_cursor"] is None
    gone = client.delete(f"/memory/{id}")
    assert gone.status == 204
    assert gone.body == b""
    assert client.get(f"/memory/{id}").ok(404).code == "not_found"
    assert client.delete(f"/memory/{id}").ok(404).code == "not_found"
    assert client.patch(f"/memory/{id}", {"tags": []}).ok(404).code == "not_found"
    for i in range(3):
        client.ingest(scope, f"to be forgotten {i}").ok()
    assert client.post("/memory/forget", {"scope": scope}).ok().json["deleted"] == 3
    assert client.search("forgotten", scope=scope).ok().json["results_count"] == 0


def test_an_end_that_is_taken_back(client, scope):
    """ttl_seconds: a number ends the memory, null lets it live, absent leaves it as it was."""
    id = client.ingest(scope, "kept", ttl_seconds=1000).ok().json["id"]
    ends = client.get(f"/memory/{id}").ok().json["expires_at"]
    assert ends
    assert client.patch(f"/memory/{id}", {"tags": ["a"]}).ok().json["expires_at"] == ends
    assert client.patch(f"/memory/{id}", {"ttl_seconds": None}).ok().json["expires_at"] is None
    assert client.get(f"/memory/{id}").ok().json["expires_at"] is None
    assert client.patch(f"/memory/{id}", {"ttl_seconds": 1000}).ok().json["expires_at"] > ends


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_times_before_the_first_and_after_the_last(client, scope, mode):
    client.ingest(scope, "tea").ok()
    for bounds, found in (
        ({"since": "0001-01-01T00:00:00Z"}, 1),
        ({"since": "9999-12-31T23:59:59.999Z"}, 0),
        ({"until": "9999-12-31T23:59:59.999Z"}, 1),
        ({"until": "1969-12-31T23:59:59Z"}, 0),
    ):
        assert (
            client.search("tea", scope=scope, mode=mode, **bounds).ok().json["results_count"]
            == found
        ), bounds


def test_pages(client, scope):
    ids = [client.ingest(scope, f"page {i}").ok().json["id"] for i in range(9)][::-1]
    seen, cursor = [], ""
    while cursor is not None:
        page = (
            client.get(f"/memory?scope={scope}&limit=4" + (f"&cursor={cursor}" if cursor else ""))
            .ok()
            .json
        )
        seen += [i["id"] for i in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids


def test_credentials(client, scope):
    token = "sk-" + "proj-" + "a1B2" * 12
    for body in (
        {"text": f"use {token}"},
        {"text": "x", "metadata": {"k": token}},
        {"text": "x", "tags": [token]},
    ):
        answer = client.post("/webhook/memory/ingest", {"scope": scope, **body}).ok(422)
        assert answer.code == "secret_in_text"
        assert token not in answer.body.decode()
    client.ingest(scope, "The API key and the bearer token are rotated every month.").ok()


def test_other_workspaces_see_nothing(stack, scope):
    mine, theirs = stack.client(), stack.client("admin", "elsewhere")
    one = mine.ingest(scope, "a secret of mine").ok().json["id"]
    two = theirs.ingest(scope, "a secret of theirs").ok().json["id"]
    for client, own, foreign in ((mine, one, two), (theirs, two, one)):
        for mode in ("vector", "text", "hybrid"):
            results = client.search("a secret", mode=mode, scope=scope).ok().json["results"]
            assert [r["id"] for r in results] == [own]
        assert client.get(f"/memory/{foreign}").ok(404).code == "not_found"
        assert client.patch(f"/memory/{foreign}", {"text": "x"}).ok(404)
        assert client.delete(f"/memory/{foreign}").ok(404)
        assert [i["id"] for i in client.get(f"/memory?scope={scope}").ok().json["items"]] == [own]
    assert theirs.post("/memory/forget", {"scope": scope}).ok().json["deleted"] == 1
    mine.get(f"/memory/{one}").ok()
    assert mine.ingest(scope, "x", tenant_id="elsewhere").ok(403).code == "tenant_mismatch"


def test_asynchronous(client, scope):
    answer = client.post(
        "/webhook/memory/ingest", {"scope": scope, "text": "later"}, prefer="respond-async"
    ).ok(202)
    assert answer.headers["Location"] == f"/memory/{answer.json['id']}"
    wait_until(lambda: client.get(answer.headers["Location"]).status == 200, 20)
    again = client.post(
        "/webhook/memory/ingest", {"scope": scope, "text": "later"}, prefer="respond-async"
    ).ok(202)
    wait_until(lambda: client.get(f"/memory/{again.json['id']}").status == 200, 20)
    assert client.get(f"/memory/{again.json['id']}").json["id"] == answer.json["id"]


def test_ingest_killed_under_load(make_stack):
    """Every memory answered with 200 or 202 is there once."""
    stack = make_stack(INGEST=2)
    scope, accepted = f"kill:{uuid.uuid4()}", {}
    kills, stop, began = 0, threading.Event(), time.monotonic()

    def load(seed):
        client, rng = stack.client().clone(), random.Random(seed)
        while not stop.is_set():
            text = f"load {seed} {rng.random()}"
            headers = {"prefer": "respond-async"} if rng.random() < 0.5 else {}
            answer = client.post(
                "/webhook/memory/ingest", {"scope": scope, "text": text}, **headers
            )
            assert answer.status in (200, 202, 503), answer
            if answer.status != 503:
                accepted[answer.json["id"]] = text

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(load, seed) for seed in range(8)]
        try:
            while len(accepted) <= 100 or kills < 6:
                assert time.monotonic() < began + 150
                for name in ("ingest", "ingest-2"):
                    time.sleep(0.7)
                    if stack.pid(name):  # the supervisor waits longer after each death
                        stack.kill(name, signal.SIGKILL)
                        kills += 1
        finally:
            stop.set()
        for run in runs:
            run.result()
    client = stack.client()

    def listed():
        found, cursor = {}, ""
        while cursor is not None:
            page = (
                client.get(
                    f"/memory?scope={scope}&limit=100" + (f"&cursor={cursor}" if cursor else "")
                )
                .ok()
                .json
            )
            for item in page["items"]:
                assert item["id"] not in found
                found[item["id"]] = item["content"]
            cursor = page["next_cursor"]
        return found

    wait_until(lambda: set(accepted) <= set(listed()), 90)
    found = listed()
    assert all(found[id] == text for id, text in accepted.items())
    assert len(set(found.values())) == len(found)


def test_what_became_of_a_command_that_was_refused(stack, client):
    """Published over NATS, where the PubAck promised nothing; heard in .done, and asked for over
    HTTP."""
    with contextlib.closing(stack.nats("developer")) as nats:
        heard = nats.subscribe("gantry.v1.default.memory.*.done")
        nats.flush()
        ids = []
        for body in ({"scope": "n", "text": "good"}, {"scope": "n", "txt": "bad"}, b'{"scope":"n"'):
            ids.append(str(uuid.uuid4()))
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            nats.js_publish("gantry.v1.default.memory.ingest", payload, msg_id=ids[-1])
        answers = {}
        while not set(ids) <= answers.keys():
            message = nats.next(30, heard)
            answers[message.subject.split(".")[4]] = (
                message.headers["Gantry-Status"],
                json.loads(message.data),
            )
        assert [answers[id][0] for id in ids] == ["200", "422", "400"]
        assert client.get(f"/memory/{ids[0]}").ok().json["content"] == "good"
        for id in ids[1:]:
            got = client.get(f"/memory/{id}")
            assert got.status == 422
            assert got.json["status"] == 422
            assert got.json["errors"]
            assert got.headers["Content-Type"] == "application/problem+json"
            assert got.json["instance"]
            assert (got.json["code"], got.json["detail"]) == (
                answers[id][1]["code"],
                answers[id][1]["detail"],
            )
            core = nats.request("gantry.v1.default.memory.get", json.dumps({"id": id}).encode())
            assert core.headers["Nats-Service-Error-Code"] == "422"
            assert json.loads(core.data)["code"] == got.json["code"]
            assert stack.client(workspace="elsewhere").get(f"/memory/{id}").status == 404


def test_requests_of_one_turn_travel_together(stack, client):
    """Sixteen requests wait for a gateway that is stopped, and are in its hands at once: fewer
    messages than commands, and each request has its own answer, memory and event."""
    scope = f"e2e:{uuid.uuid4()}"
    address = stack.url.split("//")[1]
    headers = {"X-API-Key": stack.api_key, "Content-Type": "application/json"}
    with contextlib.ExitStack() as ends, contextlib.closing(stack.operator()) as operator:
        connections = [
            ends.enter_context(contextlib.closing(http.client.HTTPConnection(address, timeout=60)))
            for _ in range(16)
        ]
        for connection in connections:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        before = operator.api("STREAM.INFO.MEMORY")["state"]["last_seq"]
        stack.pause("gateway")
        try:
            for i, connection in enumerate(connections):
                connection.request(
                    "POST",
                    "/webhook/memory/ingest",
                    json.dumps({"scope": scope, "text": f"text {i}"}),
                    headers,
                )
        finally:
            stack.resume("gateway")
        answers = [connection.getresponse() for connection in connections]
        assert [answer.status for answer in answers] == [200] * 16
        stored = [json.load(answer) for answer in answers]
        assert operator.api("STREAM.INFO.MEMORY")["state"]["last_seq"] - before < 16
    assert len({one["id"] for one in stored}) == 16
    for i, one in enumerate(stored):
        assert client.get(f"/memory/{one['id']}").ok().json["content"] == f"text {i}"
        wait_until(
            lambda one=one: client.get(f"/ai/audit/events/{one['id']}").status == 200,
            what="it has its event",
        )
