# SPDX-License-Identifier: MIT
"""Recall of `vector` searches against an exact scan in the database: workspaces of unequal size,
queries of the workspace's own topics and of another's, loaded at once and after insertions. And
always min(k, matching) results."""
import hashlib
import io
import json
import re
import uuid

import pytest
from gantry_testing import servers
from gantry_testing.corpus import Embedding, Workspace
from gantry_testing.memory import memory_system

SIZES = {"big": 20000, "tenth": 2000, "hundredth": 200, "thousandth": 20}
K = 10
QUERIES = 24


@pytest.fixture(scope="module")
def system():
    with memory_system("shared_buffers=256MB", "max_wal_size=4GB") as s:
        s.embedding = Embedding(s.nats.directory)
        s.texts = {name: Workspace(name) for name in SIZES}
        s.worker("ingest")
        s.ingest("first", "s", "so that the model is known")
        model = s.sql("SELECT model FROM memory WHERE workspace = 'first'")[0][0]
        with s.connect_to(s.superuser) as connection:
            for name, size in SIZES.items():
                load(connection.cursor(), s, name, size, model)
        s.worker("search")
        yield s


def load(cursor, s, workspace, size, model):
    """Without terms, as rows of an earlier release: the search analyses them itself."""
    rows = io.StringIO()
    for i, text in enumerate(s.texts[workspace].texts(size)):
        digest = hashlib.sha256(f"{i} {text}".encode()).hexdigest()
        rows.write(
            "\t".join(
                [
                    workspace,
                    str(uuid.uuid4()),
                    f"user:{i % 7}",
                    str(10**18 + i),
                    "0",
                    str(model),
                    "\\\\x" + digest,
                    "test",
                    text,
                    s.embedding.literal(text),
                ]
            )
            + "\n"
        )
    rows.seek(0)
    cursor.copy_from(
        rows,
        "memory",
        columns=(
            "workspace",
            "id",
            "scope",
            "created_ns",
            "touched_ns",
            "model",
            "content_hash",
            "source",
            "text",
            "embedding",
        ),
    )


def exact(s, workspace, query, k):
    """Distances of the nearest: all rows of the workspace, sorted."""
    return [
        d
        for (d,) in s.sql(
            "SELECT embedding <=> %s::halfvec FROM memory WHERE workspace = %s ORDER BY 1 LIMIT %s",
            s.embedding.literal(query),
            workspace,
            k,
        )
    ]


def recall(s, workspace, source):
    """Mean recall@K over fresh texts of `source`, half of them shortened to a few words."""
    found = total = 0
    for i in range(QUERIES):
        query = s.texts[source].text()
        if i % 2:
            query = " ".join(query.split()[:6])
        results = s.search(workspace, query, mode="vector", k=K)["results"]
        truth = exact(s, workspace, query, K)
        assert len(results) == len(truth)
        worst = truth[-1] + 1e-4  # what is as near as the last one counts
        found += sum(r["cosine_distance"] <= worst for r in results)
        total += len(truth)
    return found / total


def check(s, when):
    figures = {w: (recall(s, w, w), recall(s, w, "tenth" if w == "big" else "big")) for w in SIZES}
    print(when, figures)
    for workspace, both in figures.items():
        assert min(both) >= 0.99, (when, workspace, both)


def test_recall(system):
    s = system
    check(s, "loaded")
    s.provision("big")
    for i in range(1500):
        body = json.dumps(
            {"scope": f"user:{i % 7}", "text": f"{s.texts['big'].text()} {i}"}
        ).encode()
        s.bus.publish("gantry.v1.big.memory.ingest", body, {"Nats-Msg-Id": str(uuid.uuid4())})
    servers.wait_until(
        lambda: (
            s.sql("SELECT count(*) FROM memory WHERE workspace = 'big'")[0][0]
            == SIZES["big"] + 1500
        ),
        240,
        "all are stored",
    )
    check(s, "after insertions")


def test_always_min_of_k_and_matching(system):
    s = system
    for k in (1, 7, 50):
        for mode in ("vector", "hybrid"):
            for workspace, size in SIZES.items():
                assert s.search(workspace, "deploy the server", mode=mode, k=k)[
                    "results_count"
                ] == min(k, size)
        for scope in ("user:1", "user:6"):
            assert s.search("big", "deploy", mode="vector", scope=scope, k=k)["results_count"] == k
            found = s.sql(
                "SELECT count(*) FROM memory WHERE workspace = 'hundredth' AND scope = %s", scope
            )[0][0]
            assert s.search("hundredth", "deploy", scope=scope, k=k)["results_count"] == min(
                k, found
            )
        texts = [t for t, in s.sql("SELECT text FROM memory WHERE workspace = 'hundredth'")]
        matching = sum(
            bool(re.search(r"\bdeploy\b", t) and re.search(r"\bserver\b", t)) for t in texts
        )
        answer = s.search("hundredth", "deploy server", mode="text", k=k)
        assert answer["results_count"] == min(k, matching)
        assert all("deploy" in r["content"] and "server" in r["content"] for r in answer["results"])
