# SPDX-License-Identifier: MIT
"""The `openai` provider against a stand-in server: batches, retries, refusals, and the cache of
query vectors in Redis."""

import hashlib
import math
import uuid

import pytest
from gantry_testing import servers
from gantry_testing.embedding import StandIn, vector
from gantry_testing.memory import memory_system

DIM = 12
KEY = "stand-in-" + "key-0123456789"


@pytest.fixture(scope="module")
def embedder():
    with StandIn(DIM) as server:
        yield server


@pytest.fixture(scope="module")
def system(embedder):
    env = {
        "EMBED_PROVIDER": "openai",
        "EMBED_URL": f"http://127.0.0.1:{embedder.server_port}/v1/",
        "EMBED_MODEL": "test-model",
        "EMBED_API_KEY": KEY,
        "EMBED_DIM": str(DIM),
    }
    with memory_system() as s:
        s.env = env
        s.worker("ingest", **env)
        s.worker("search", **env)
        yield s


@pytest.fixture
def ws(embedder):
    embedder.requests.clear()
    embedder.answers.clear()
    embedder.longest = 10**9
    return "w" + uuid.uuid4().hex[:12]


def inputs(embedder):
    return [text for _, _, body in embedder.requests for text in body["input"]]


def test_stored_and_found(system, embedder, ws):
    system.ingest(ws, "s", "alpha beta gamma")
    system.ingest(ws, "s", "delta epsilon zeta")
    path, authorization, body = embedder.requests[0]
    assert path == "/v1/embeddings"
    assert authorization == f"Bearer {KEY}"
    assert body["model"] == "test-model"
    assert body["input"] == ["alpha beta gamma"]
    assert "dimensions" not in body
    results = system.search(ws, "alpha beta", mode="vector")["results"]
    assert [r["content"] for r in results] == ["alpha beta gamma", "delta epsilon zeta"]
    a, b = vector("alpha beta"), vector("alpha beta gamma")
    cosine = sum(x * y for x, y in zip(a, b, strict=False)) / math.hypot(*a) / math.hypot(*b)
    assert abs(results[0]["similarity_score"] - cosine) < 0.002
    assert system.sql(
        "SELECT DISTINCT name FROM memory JOIN memory_model USING (model) WHERE workspace = %s", ws
    ) == [(f"openai:test-model:{DIM}",)]


def test_a_batch_is_one_request(system, embedder, ws):
    system.workers[0].stop()
    commands = [
        system.publish(ws, "ingest", {"scope": "s", "text": f"batch {i}"}) for i in range(40)
    ]
    system.workers[0].start()
    assert all(system.done(c)[0] == 200 for c in commands)
    assert sorted(inputs(embedder)) == sorted(f"batch {i}" for i in range(40))
    assert len(embedder.requests) <= 10  # the first ones of a busy machine may be small


def test_query_vectors_are_cached_under_keyed_hashes(system, embedder, ws):
    system.ingest(ws, "s", "cached words")
    embedder.requests.clear()
    for _ in range(3):
        assert system.search(ws, "a secret question", mode="vector")["results_count"] == 1
    assert inputs(embedder) == ["a secret question"]
    system.search("x" + ws, "a secret question", mode="vector")
    assert len(embedder.requests) == 2  # another workspace learns nothing by asking the same
    system.search(ws, "no vector is needed", mode="text")
    assert len(embedder.requests) == 2
    import redis

    client = redis.Redis.from_url(system.redis.url)
    keys = client.keys("*")
    assert keys
    assert all(k.startswith(b"gantry:embed:") and len(k) == len("gantry:embed:") + 64 for k in keys)
    assert all(0 < client.ttl(k) <= 86400 for k in keys)
    plain = {hashlib.sha256(t.encode()).hexdigest().encode() for t in ("a secret question",)}
    assert not any(p in k for k in keys for p in plain)
    second = system.worker("search", **system.env)  # replicas share the cache
    system.workers[1].stop()
    assert system.search(ws, "a secret question", mode="vector")["results_count"] == 1
    assert len(embedder.requests) == 2
    system.workers[1].start()
    second.stop()


def test_searches_go_on_without_redis(system, embedder, ws):
    system.ingest(ws, "s", "without redis")
    system.redis.stop()
    try:
        assert system.search(ws, "redis", mode="vector")["results_count"] == 1
        assert system.search(ws, "redis", mode="vector")["results_count"] == 1
    finally:
        system.redis.start()


def test_temporary_failures_are_retried(system, embedder, ws):
    embedder.answers += [
        (503, {}),
        (
            429,
            {},
        ),
        (500, {}),
    ]
    system.ingest(ws, "s", "in the end")
    assert inputs(embedder) == ["in the end"] * 4
    # Longer than a request may take: the command waits in the stream and is stored later.
    embedder.answers += [(503, {})] * 30
    command = system.publish(ws, "ingest", {"scope": "s", "text": "much later"})
    servers.wait_until(lambda: len(embedder.answers) < 24, 30, "tries")
    embedder.answers.clear()
    assert system.done(command, 60)[0] == 200
    assert system.sql("SELECT count(*) FROM memory WHERE workspace = %s", ws) == [(2,)]


def test_a_text_that_is_too_long_for_the_model_is_cut(system, embedder, ws):
    embedder.longest = 5000
    long = "long " * 4000
    commands = [
        system.publish(ws, "ingest", {"scope": "s", "text": t})
        for t in ("short one", long, "short two")
    ]
    assert all(system.done(c, 60)[0] == 200 for c in commands)
    assert system.ask(ws, "get", {"id": commands[1]})["content"] == long
    assert system.search(ws, "long", mode="vector", k=3)["results_count"] == 3
    assert max(len(t) for t in inputs(embedder) if "long" in t) == 16384
    assert system.sql(
        "SELECT count(*) FROM memory WHERE workspace = %s AND embedding IS NULL", ws
    ) == [(0,)]


@pytest.mark.parametrize(
    "longest,text,refusal",
    [  # what was taken is remembered, so each takes less than the one before
        (6000, "physical batch size " * 800, 500),
        (3500, "input validation " * 600, 413),
        (2500, "unprocessable " * 600, 422),
        (2000, "shorter " * 625, 400),
        (1500, "wörter " * 900, 400),
        (100, "x" * 16000, 400),
    ],
    ids=["500", "413", "422", "400", "bytes", "short"],
)
def test_a_text_is_cut_until_it_is_taken(system, embedder, ws, longest, text, refusal):
    embedder.longest, embedder.refusal = longest, refusal
    command = system.publish(ws, "ingest", {"scope": "s", "text": text})
    assert system.done(command, 60)[0] == 200
    assert system.ask(ws, "get", {"id": command})["content"] == text  # cut for the vector only
    taken = [len(t) for t in inputs(embedder) if len(t) <= longest]
    assert taken
    assert max(taken) > longest // 3
    # Remembered: the next long text is not refused first.
    embedder.requests.clear()
    command = system.publish(ws, "ingest", {"scope": "s", "text": "next " + text})
    assert system.done(command, 60)[0] == 200
    assert max(len(t) for t in inputs(embedder)) <= longest
    # And it binds no shorter ones.
    embedder.requests.clear()
    embedder.longest = 10**9
    command = system.publish(ws, "ingest", {"scope": "s", "text": "y" * (max(taken) + 10)})
    assert system.done(command, 60)[0] == 200
    assert len(inputs(embedder)[0]) == max(taken) + 10


@pytest.mark.parametrize(
    "status,said",
    [
        (401, "the embedding server answers 401 (see EMBED_API_KEY)"),
        (404, "the embedding server answers 404 (see EMBED_URL and EMBED_MODEL)"),
    ],
)
def test_the_trouble_names_the_embedding_server(system, embedder, ws, status, said):
    embedder.answers += [(status, {})] * 3
    answer = system.ask(ws, "search", {"query": f"who answers {status}", "mode": "vector"})
    embedder.answers.clear()
    assert answer["status"] == 503
    assert "the embedding server" in answer["detail"]
    embedder.answers += [(status, {})]
    command = system.publish(ws, "ingest", {"scope": "s", "text": f"refused with {status}"})
    assert system.done(command, 60)[0] == 200
    system.workers[0].said(said)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"data": []}),
        (200, {"data": [{"index": 0, "embedding": [1.0]}]}),
        (200, {"nothing": 1}),
        (200, {"data": [{"index": 7, "embedding": [1.0] * DIM}]}),
        (401, {}),
        (404, {}),
        (200, {"data": [{"index": 0, "embedding": ["x"] * DIM}]}),
    ],
    ids=str,
)
def test_nonsense_is_not_stored(system, embedder, ws, answer):
    embedder.answers.append(answer)
    command = system.publish(ws, "ingest", {"scope": "s", "text": "patience"})
    assert system.done(command, 60)[0] == 200  # once the server is right again
    assert len(embedder.requests) >= 2
    assert system.sql("SELECT vector_dims(embedding) FROM memory WHERE workspace = %s", ws) == [
        (DIM,)
    ]
