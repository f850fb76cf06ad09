# SPDX-License-Identifier: MIT
"""Ingest against a plain INSERT of the same rows, and searches, all on the same servers in one
run."""

import hashlib
import json
import os
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from gantry_testing.corpus import Embedding, Workspace  # noqa: E402
from gantry_testing.memory import memory_system  # noqa: E402

ROWS = 9000
SEARCHES = 1500
PLAIN = """
INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, model, content_hash, source, tags,
                    metadata,
                    text, embedding)
SELECT %s, unnest(%s::uuid[]), 'user:1', 1, 1, %s, decode(unnest(%s::text[]), 'hex'), 'x', '{}',
       '{}',
       unnest(%s::text[]), unnest(%s::text[])::halfvec
"""


def row(what, figure, unit, against=""):
    print(f"{what}\t{figure:.6g}\t{unit}\t{against}", flush=True)


def plain_insert(s, texts, vectors, model):
    ids = [str(uuid.uuid4()) for _ in texts]
    digests = [hashlib.sha256(t.encode()).hexdigest() for t in texts]
    with s.connect_to(s.role_url("gantry_ingest")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('gantry.workspace', 'plain', false)")
        start = time.perf_counter()
        for at in range(0, len(texts), 128):
            part = slice(at, at + 128)
            cursor.execute(
                PLAIN, ("plain", ids[part], model, digests[part], texts[part], vectors[part])
            )
        return len(texts) / (time.perf_counter() - start)


def through_the_stream(s, texts, worker):
    for text in texts:
        s.bus.publish(
            "gantry.v1.stream.memory.ingest",
            json.dumps({"scope": "user:1", "text": text}).encode(),
            {"Nats-Msg-Id": str(uuid.uuid4())},
        )
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


def first_search(s, workspace, worker):
    """Seconds from a worker that knows nothing to the first answer."""
    worker.stop()
    worker.start()
    s.ask("first", "list", {})  # it listens
    start = time.perf_counter()
    s.search(workspace, "deploy the server")
    return time.perf_counter() - start


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
        row(
            "ingest from the stream, one replica",
            rate,
            "rows/s",
            f"{rate / floor:.2f} of the plain INSERT",
        )
        search = s.worker("search", RATE_LIMIT_PER_MINUTE="0")
        queries = [" ".join(source.text().split()[:8]) for _ in range(SEARCHES)]
        row(f"first search of {ROWS} rows", first_search(s, "stream", search) * 1000, "ms")
        for mode in ("vector", "text", "hybrid"):
            row(
                f"search {mode}, {ROWS} rows, one replica",
                searches(s, "stream", queries, mode),
                "searches/s",
            )
    subprocess.run(
        [
            os.path.join(os.path.dirname(__file__), "../../build/release/bench/search_index"),
            "10000",
            "100000",
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
