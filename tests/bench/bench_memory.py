# SPDX-License-Identifier: MIT
"""Ingest against a plain INSERT of the same rows, searches against the same statements sent straight to
PostgreSQL, and the cell index against an exact scan; all on the same servers in one run."""
import hashlib
import io
import json
import os
import random
import re
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from gantry_testing.corpus import ROOT, Embedding, Workspace  # noqa: E402
from gantry_testing.memory import memory_system  # noqa: E402

ROWS = 9000
SEARCHES = 1500
CELL_ROWS = 60000
PLAIN = """
INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, model, content_hash, source, tags, metadata,
                    text, embedding)
SELECT %s, unnest(%s::uuid[]), 'user:1', 1, 1, %s, decode(unnest(%s::text[]), 'hex'), 'x', '{}', '{}',
       unnest(%s::text[]), unnest(%s::text[])::halfvec
"""


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure:.6g}\t{unit}\t{against}", flush=True)


def statement(name):
    with open(os.path.join(ROOT, "sql/statements/search.sql")) as f:
        blocks = re.split(r"^-- name: ", f.read(), flags=re.M)[1:]
    return dict(block.split("\n", 1) for block in blocks)[name]


def plain_insert(s, texts, vectors, model):
    ids = [str(uuid.uuid4()) for _ in texts]
    digests = [hashlib.sha256(t.encode()).hexdigest() for t in texts]
    with s.connect_to(s.role_url("gantry_ingest")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('gantry.workspace', 'plain', false)")
        start = time.perf_counter()
        for at in range(0, len(texts), 128):
            part = slice(at, at + 128)
            cursor.execute(PLAIN, ("plain", ids[part], model, digests[part], texts[part], vectors[part]))
        return len(texts) / (time.perf_counter() - start)


def through_the_stream(s, texts, worker):
    for text in texts:
        s.bus.publish("gantry.v1.stream.memory.ingest", json.dumps({"scope": "user:1", "text": text}).encode(),
                      {"Nats-Msg-Id": str(uuid.uuid4())})
    s.bus.flush(60)
    start = time.perf_counter()
    worker.start()
    while s.sql("SELECT count(*) FROM command_done WHERE workspace = 'stream'")[0][0] < len(texts):
        time.sleep(0.02)
    return len(texts) / (time.perf_counter() - start)


def searches(s, workspace, queries, mode):
    """Searches a second with 16 requests in flight."""
    inbox = "_INBOX.operator.bench"
    sid = s.bus.subscribe(inbox + ".*")
    bodies = [json.dumps({"query": q, "mode": mode, "k": 5}).encode() for q in queries]
    start, sent = time.perf_counter(), 0
    for done in range(len(bodies)):
        while sent < len(bodies) and sent - done < 16:
            s.bus.publish(f"gantry.v1.{workspace}.memory.search", bodies[sent],
                          reply=f"{inbox}.{sent}")  # one answer to each reply subject is permitted
            sent += 1
        answer = s.bus.next(30, sid).data
        assert b'"success"' in answer[:100], answer
    taken = time.perf_counter() - start
    s.bus.unsubscribe(sid)
    return len(bodies) / taken


def straight(s, workspace, queries, mode, model):
    """The legs and the reading of the items, as gantry_search, on one connection."""
    with s.connect_to(s.role_url("gantry_search")) as connection:
        connection.autocommit = False
        cursor = connection.cursor()
        for name in ("vector_all", "text_any", "items"):
            cursor.execute(f"PREPARE {name} AS {statement(name)}")
        connection.commit()
        vectors = [s.embedding.literal(q) for q in queries]
        start = time.perf_counter()
        for query, vector in zip(queries, vectors):
            cursor.execute("SELECT set_config('gantry.workspace', %s, true)", (workspace,))
            cursor.execute("EXECUTE vector_all(%s, %s, %s, %s)", (workspace, model, vector, 10))
            ids = [r[0] for r in cursor.fetchall()][:10]
            if mode == "hybrid":
                cursor.execute("EXECUTE text_any(%s, %s, 60, NULL, NULL, NULL, NULL, 3000, 120)", (workspace, query))
                cursor.fetchall()
            cursor.execute("EXECUTE items(%s, %s::uuid[], %s, %s, %s, true)", (workspace, ids, model, vector, query))
            cursor.fetchall()
            connection.commit()
        return len(queries) / (time.perf_counter() - start)


def clustered(rng, centres):
    centre = rng.choice(centres)
    vector = [c + rng.gauss(0, 0.7) / 16 for c in centre]
    return "[" + ",".join("%.4f" % x for x in vector) + "]"


def unit(rng):
    vector = [rng.gauss(0, 1) for _ in range(256)]
    length = sum(x * x for x in vector) ** 0.5
    return [x / length for x in vector]


def fill(s, name, model, make):
    """A workspace of CELL_ROWS with its cells made."""
    with s.connect_to(s.superuser) as connection:
        cursor = connection.cursor()
        cursor.execute("DROP INDEX IF EXISTS memory_words")
        for at in range(0, CELL_ROWS, 10000):
            rows = io.StringIO("".join("\t".join([name, str(uuid.uuid4()), "s", str(at + i), "0", str(model),
                               "\\\\x" + uuid.uuid4().hex + uuid.uuid4().hex, "x", f"t{at + i}", make()]) + "\n"
                               for i in range(10000)))
            cursor.copy_from(rows, "memory", columns=("workspace", "id", "scope", "created_ns", "touched_ns", "model",
                                                      "content_hash", "source", "text", "embedding"))
        cursor.execute("VACUUM ANALYZE memory")
    s.ingest(name, "s", "start the training")
    while not s.sql("SELECT 1 FROM memory_training WHERE workspace = %s AND trained_rows > 0", name):
        time.sleep(0.2)
    s.sql("VACUUM ANALYZE memory")


def cells(s, name, model, kind, queries):
    """Median ms and recall@10 of the cell index against the exact scan."""
    with s.connect_to(s.role_url("gantry_search")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('gantry.workspace', %s, false)", (name,))
        for which in ("vector_all", "vector_cells"):
            cursor.execute(f"PREPARE {which} AS {statement(which)}")
        took, found = {"vector_all": [], "vector_cells": []}, 0
        for query in queries:
            truth = None
            for which, more in (("vector_all", ""), ("vector_cells", ", 10000, 128, 0.02, NULL")):
                start = time.perf_counter()
                cursor.execute(f"EXECUTE {which}(%s, %s, %s, 10{more})", (name, model, query))
                ids = {r[0] for r in cursor.fetchall()}
                took[which].append(time.perf_counter() - start)
                truth = truth or ids
            found += len(truth & ids)
    median = {k: sorted(v)[len(v) // 2] * 1000 for k, v in took.items()}
    row(f"cells, {CELL_ROWS} rows, {kind}: median", median["vector_cells"], "ms",
        f"exact scan {median['vector_all']:.4g} ms")
    row(f"cells, {CELL_ROWS} rows, {kind}: recall@10", found / 10 / len(queries), "", "1")


def main():
    with memory_system("shared_buffers=512MB", "max_wal_size=4GB") as s:
        s.embedding, source = Embedding(s.nats.directory), Workspace("bench")
        worker = s.worker("ingest")
        s.ingest("first", "s", "so that the model is known")
        model = s.sql("SELECT model FROM memory_model")[0][0]
        worker.stop()
        texts = [f"{t} {i}" for i, t in enumerate(source.texts(ROWS))]
        vectors = [s.embedding.literal(t) for t in texts]
        floor = plain_insert(s, texts, vectors, model)
        rate = through_the_stream(s, texts, worker)
        row("plain INSERT of the same rows, 128 a statement", floor, "rows/s")
        row("ingest from the stream, one replica", rate, "rows/s", f"{rate / floor:.2f} of the plain INSERT")
        s.worker("search")
        s.sql("VACUUM ANALYZE memory")
        queries = [" ".join(source.text().split()[:8]) for _ in range(SEARCHES)]
        for mode in ("vector", "hybrid"):
            direct = straight(s, "stream", queries[:300], mode, model)
            rate = searches(s, "stream", queries, mode)
            row(f"search {mode}, {ROWS} rows, one replica", rate, "searches/s",
                f"{rate / direct:.2f} of straight SQL ({direct:.4g}/s)")
        rng = random.Random(5)
        centres = [unit(rng) for _ in range(64)]
        near = [clustered(rng, centres) for _ in range(60)]
        far = ["[" + ",".join("%.4f" % x for x in unit(rng)) + "]" for _ in range(60)]
        fill(s, "clustered", model, lambda: clustered(rng, centres))
        cells(s, "clustered", model, "clustered vectors, near queries", near)
        cells(s, "clustered", model, "clustered vectors, far queries", far)
        fill(s, "texts", model, lambda: s.embedding.literal(source.text()))
        own = [s.embedding.literal(source.text()) for _ in range(60)]
        other = Workspace("another")
        cells(s, "texts", model, "builtin vectors of texts, own topics", own)
        cells(s, "texts", model, "builtin vectors of texts, foreign topics",
              [s.embedding.literal(other.text()) for _ in range(60)])


if __name__ == "__main__":
    main()
