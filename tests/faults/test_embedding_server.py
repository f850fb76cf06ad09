# SPDX-License-Identifier: MIT
"""An embedding server that does not work (case 65): searches go by words, memories wait, and
/readyz says so."""

import random
import uuid

import pytest
from gantry_testing.embedding import DIM, StandIn
from gantry_testing.wait import wait_until

INGEST, SEARCH = "/webhook/memory/ingest", "/webhook/memory/search"
NOTE = "the embedding server does not work: found by words alone"


@pytest.fixture(scope="module")
def server():
    with StandIn() as one:
        yield one


@pytest.fixture(scope="module")
def system(server, make_stack):
    return make_stack(
        EMBED_PROVIDER="openai",
        EMBED_URL=server.url,
        EMBED_MODEL="m",
        EMBED_DIM=DIM,
        SEARCH_BUDGET_MS=60000,
    )


def ready(system):
    answer = system.anonymous().get("/readyz").json
    return answer["status"], answer["dependencies"]["embedding"]


def word():
    """One that no row has, so that no vector of it is cached."""
    return "zz" + "".join(random.choices("bcdfghjklm", k=12))


def ingest(client, scope, text):
    return client.post(INGEST, {"scope": scope, "text": text}, prefer="wait=60").ok()


def search(client, scope, mode, query="tea"):
    return client.post(SEARCH, {"scope": scope, "query": query, "mode": mode})


@pytest.mark.parametrize(
    "failure",
    [(401, {}), (404, {}), (200, b"<html>not here</html>"), (503, {})],
    ids=lambda f: str(f[0]),
)
def test_an_embedding_server_that_does_not_work(system, server, failure):
    client, scope = system.client(), f"s:{uuid.uuid4()}"
    ingest(client, scope, "green tea from Japan")
    ingest(client, scope, "a bicycle")
    wait_until(lambda: ready(system) == ("ready", "up"), 30, "all is well")
    whole = search(client, scope, "hybrid").ok().json
    assert "note" not in whole
    assert whole["results_count"] == 2
    server.always = failure
    try:
        waits = client.post(INGEST, {"scope": scope, "text": "black tea"}, prefer="wait=1").ok(202)
        unseen = f"tea {word()}"
        for _ in range(3):
            found = search(client, scope, "hybrid", unseen).ok().json
            assert found["note"] == NOTE
            assert found["mode"] == "hybrid"
            assert found["results"][0]["content"] == "green tea from Japan"
            assert found["results_count"] == 2
            assert found["results"][0]["score"] > 0.5
            assert found["results"][0]["cosine_distance"] is None
        refused = search(client, scope, "vector", unseen).ok(503)
        assert refused.code == "unavailable"
        assert (
            refused.json["detail"]
            == "the embedding server does not work: ask by words (mode text)."
        )
        assert "note" not in search(client, scope, "text").ok().json
        wait_until(lambda: ready(system) == ("degraded", "down"), 30, "/readyz names it")
        failing = 'gantry_worker_embedding_failing{program="ingest"'
        wait_until(  # workers report every five seconds
            lambda: [name for name in system.metrics() if name.startswith(failing)],
            what="ingest's metrics",
        )
        # What needs no vector goes on.
        one = client.post(INGEST, {"scope": scope, "text": "black tea"}, prefer="respond-async")
        assert one.status == 202
        client.delete(f"/memory/{whole['results'][1]['id']}", prefer="wait=60").ok(204)
    finally:
        server.always = None
    wait_until(
        lambda: client.get(f"/memory/{waits.json['id']}").status == 200,
        60,
        "it is stored when the server works",
    )
    wait_until(lambda: ready(system) == ("ready", "up"), 60, "/readyz is well again")
    wait_until(lambda: "note" not in search(client, scope, "hybrid", f"tea {word()}").ok().json, 30)
    assert search(client, scope, "vector", f"tea {word()}").ok().json["results_count"] == 2
