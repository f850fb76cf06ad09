# SPDX-License-Identifier: MIT
"""Recall of `vector` searches against an exact scan: 50 workspaces of unequal size, 100,000 rows, one
workspace large enough for cells; queries of the workspace's own topics and of another's; also right
after 20,000 insertions without a vacuum. And always min(k, matching) results."""
import hashlib
import io
import json
import signal
import time
import uuid

import pytest

from gantry_testing import servers
from gantry_testing.corpus import Embedding, Workspace
from gantry_testing.memory import memory_system

SIZES = {"big": 36000, "tenth": 10000, "hundredth": 1000, "thousandth": 100}
OTHERS = 46
TOTAL = 100000
K = 10
QUERIES = 24


def sizes():
    rest = TOTAL - sum(SIZES.values())
    weights = [1 / (i + 2) for i in range(OTHERS)]
    found = {f"w{i}": int(rest * w / sum(weights)) for i, w in enumerate(weights)}
    found["w0"] += rest - sum(found.values())
    return {**SIZES, **found}


@pytest.fixture(scope="module")
def system():
    with memory_system("shared_buffers=256MB", "max_wal_size=4GB", "autovacuum=off") as s:
        s.embedding = Embedding(s.nats.directory)
        s.texts = {name: Workspace(name) for name in sizes()}
        model = s.sql("INSERT INTO memory_model (name) VALUES ('builtin-static-en-256-v1') RETURNING model")[0][0]
        with s.connect_to(s.superuser) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'memory_words'")
            words = cursor.fetchone()[0]
            cursor.execute("DROP INDEX memory_words")  # made in one go it takes a third of the time
            for name, size in sizes().items():
                load(cursor, s, name, size, model)
            cursor.execute(words)
        s.sql("VACUUM ANALYZE memory")
        s.worker("ingest")
        s.worker("search")
        yield s


def load(cursor, s, workspace, size, model):
    rows = io.StringIO()
    texts = s.texts[workspace].texts(size if workspace in SIZES else min(size, 100))
    pairs = [(text, s.embedding.literal(text)) for text in texts]
    for i in range(size):  # the other workspaces only have to be there: their texts repeat
        text, literal = pairs[i % len(pairs)]
        digest = hashlib.sha256(f"{i} {text}".encode()).hexdigest()
        rows.write("\t".join([workspace, str(uuid.uuid4()), f"user:{i % 7}", str(10**18 + i), "0", str(model),
                              "\\\\x" + digest, "test", text, literal]) + "\n")
    rows.seek(0)
    cursor.copy_from(rows, "memory", columns=("workspace", "id", "scope", "created_ns", "touched_ns", "model",
                                              "content_hash", "source", "text", "embedding"))


def exact(s, workspace, query, k):
    """(id, distance), nearest first: all rows of the workspace, sorted."""
    with s.connect_to(s.superuser) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id::text, embedding <=> %s::halfvec FROM memory WHERE workspace = %s"
                       " ORDER BY 2 LIMIT %s", (s.embedding.literal(query), workspace, k))
        return cursor.fetchall()


def recall(s, workspace, source):
    """Mean recall@K over fresh texts of `source`, half of them shortened to a few words."""
    found = 0
    for i in range(QUERIES):
        query = s.texts[source].text()
        if i % 2:
            query = " ".join(query.split()[:6])
        answer = s.search(workspace, query, mode="vector", k=K)
        assert answer["results_count"] == K
        truth = exact(s, workspace, query, K)
        worst = truth[-1][1] + 1e-4  # what is as near as the last one counts
        found += sum(r["cosine_distance"] <= worst for r in answer["results"])
    return found / (QUERIES * K)


def check(s, when, workspaces=SIZES):
    figures = {}
    for workspace in workspaces:
        figures[workspace] = recall(s, workspace, workspace), recall(s, workspace, "w3")
    print(when, figures)
    for workspace, (own, foreign) in figures.items():
        assert own >= 0.98, (when, workspace, own)
        assert foreign >= 0.95, (when, workspace, foreign)


def insert(s, workspace, n):
    """n new memories through the stream, without waiting for each."""
    before = s.sql("SELECT count(*) FROM memory WHERE workspace = %s", workspace)[0][0]
    for i in range(n):
        text = f"{s.texts[workspace].text()} {i}"
        body = json.dumps({"scope": f"user:{i % 7}", "text": text}).encode()
        s.bus.publish(f"gantry.v1.{workspace}.memory.ingest", body, {"Nats-Msg-Id": str(uuid.uuid4())})
        if i % 2000 == 1999:
            servers.wait_until(lambda: s.bus.api("STREAM.INFO.MEMORY", timeout=60)["state"]["messages"] < 4000, 240, "backlog")
    servers.wait_until(lambda: s.bus.api("STREAM.INFO.MEMORY", timeout=60)["state"]["messages"] == 0, 240, "all are settled")
    assert s.sql("SELECT count(*) FROM memory WHERE workspace = %s", workspace)[0][0] == before + n


def test_recall(system):
    s = system
    check(s, "exact", ["big"])
    assert s.sql("SELECT count(*) FROM memory_cell") == [(0,)]
    # The first insertion into the large workspace makes its cells.
    s.ingest("big", "user:1", "the first one")
    # … and an ingest that dies over it leaves nothing wrong: its successor makes them anew.
    servers.wait_until(lambda: s.sql("SELECT 1 FROM memory WHERE workspace = 'big' AND cell > 0 LIMIT 1"), 120, "moves")
    s.workers[0].stop(signal.SIGKILL)
    check(s, "training cut off", ["big"])
    s.workers[0].start()
    s.ingest("big", "user:1", "the second one")
    servers.wait_until(lambda: s.sql("SELECT trained_rows FROM memory_training WHERE workspace = 'big'"
                                     " AND trained_rows > 0"), 300, "cells")
    assert s.sql("SELECT count(*) FROM memory WHERE workspace = 'big' AND cell = 0") == [(0,)]
    assert s.sql("SELECT count(*) > 100, sum(rows), bool_or(retired) FROM memory_cell WHERE workspace = 'big'") == [
        (True, 36002, False)]
    time.sleep(2.1)  # the searcher looks again whether there are cells
    check(s, "with cells", ["big"])
    insert(s, "big", 12000)
    insert(s, "tenth", 8000)
    check(s, "after 20,000 insertions")


def test_always_min_of_k_and_matching(system):
    s = system
    for k in (1, 7, 50):
        for mode in ("vector", "hybrid"):
            for workspace in SIZES:
                assert s.search(workspace, "deploy the server", mode=mode, k=k)["results_count"] == k
        for scope in ("user:1", "user:6"):
            assert s.search("big", "deploy", mode="vector", scope=scope, k=k)["results_count"] == k
            found = s.sql("SELECT count(*) FROM memory WHERE workspace = 'thousandth' AND scope = %s", scope)[0][0]
            assert s.search("thousandth", "deploy", scope=scope, k=k)["results_count"] == min(k, found)
        matching = s.sql("SELECT count(*) FROM memory WHERE workspace = 'thousandth'"
                         " AND words @@ plainto_tsquery('english', 'deploy server')")[0][0]
        answer = s.search("thousandth", "deploy server", mode="text", k=k)
        assert answer["results_count"] == min(k, matching)
        assert all("deploy" in r["content"] and "server" in r["content"] for r in answer["results"])
