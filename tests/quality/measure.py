"""How good search is: nDCG@10 and recall@10 over the sets of a folder, as a table.

usage: measure.py PROGRAM [SET...]
       measure.py --http [SET...]

PROGRAM is the C program beside this file: it ranks with the product's analysis and model, without a
server. --http starts a stack, stores each set in a workspace of its own and asks over HTTP, ten
results each. QUALITY_SETS names the folder (default ../shared/model/eval beside the project); a set
is a NAME.json.gz with docs [[id, text]], queries [[id, text]] and qrels {query: {document: gain}}.
Without the folder nothing is measured, and that is said.
"""
import concurrent.futures
import glob
import gzip
import json
import math
import os
import struct
import subprocess
import sys

MODES = ("text", "vector", "hybrid")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def framed(texts):
    yield struct.pack("<I", len(texts))
    for text in texts:
        data = text.encode()
        yield struct.pack("<I", len(data)) + data


def by_program(program, docs, queries):
    """For each query a list of ranked document ids by mode."""
    given = b"".join((*framed([text for _, text in docs]), *framed([text for _, text in queries])))
    lines = (
        subprocess.run([program], input=given, stdout=subprocess.PIPE, check=True)
        .stdout.decode()
        .split("\n")
    )
    for i, _ in enumerate(queries):
        ranked = [
            [docs[int(n)][0] for n in line.split()]
            for line in lines[len(MODES) * i : len(MODES) * (i + 1)]
        ]
        yield dict(zip(MODES, ranked, strict=False))


def by_http(stack, workspace, docs, queries):
    """The same from a running stack."""
    scope, pool = "quality", concurrent.futures.ThreadPoolExecutor(8)
    clients = [stack.client("admin", workspace) for _ in range(8)]

    def spread(work, items):
        return [
            one
            for part in pool.map(lambda i: [work(clients[i], x) for x in items[i::8]], range(8))
            for one in part
        ]

    def store(client, doc):
        answer = client.ingest(scope, doc[1])
        return doc[0], None if answer.status == 422 else answer.ok().json[
            "id"
        ]  # 422: looks like a credential

    def ask(client, asked):
        number, text, mode = asked
        return (
            number,
            mode,
            [
                names.get(r["id"])
                for r in client.search(text, scope=scope, mode=mode, k=10).ok().json["results"]
            ],
        )

    names = {None: None}
    for name, stored in spread(store, docs):
        names.setdefault(stored, name)  # a text that is there twice is one memory
    ranked = [{} for _ in queries]
    for number, mode, answer in spread(
        ask, [(i, q, m) for i, (_, q) in enumerate(queries) for m in MODES]
    ):
        ranked[number][mode] = answer
    return ranked


def ndcg(ranked, gains, k=10):
    found = sum(gains.get(doc, 0) / math.log2(i + 2) for i, doc in enumerate(ranked[:k]))
    best = sum(
        gain / math.log2(i + 2) for i, gain in enumerate(sorted(gains.values(), reverse=True)[:k])
    )
    return found / best if best else 0


def recall(ranked, gains, k=10):
    relevant = {doc for doc, gain in gains.items() if gain > 0}
    return len(relevant & set(ranked[:k])) / len(relevant) if relevant else 0


def measure(path, rank):
    with gzip.open(path) as file:
        data = json.load(file)
    docs, queries, qrels = data["docs"], data["queries"], data["qrels"]
    sums = {mode: [0.0, 0.0] for mode in MODES}
    judged = 0
    for (query, _), ranked in zip(queries, rank(docs, queries), strict=False):
        gains = qrels.get(query)
        if not gains:
            continue
        judged += 1
        for mode in MODES:
            sums[mode][0] += ndcg(ranked[mode], gains)
            sums[mode][1] += recall(ranked[mode], gains)
    return (
        len(docs),
        judged,
        {mode: [value / max(judged, 1) for value in sums[mode]] for mode in MODES},
    )


def main():
    sets = os.environ.get("QUALITY_SETS") or os.path.join(
        os.path.dirname(ROOT), "shared", "model", "eval"
    )
    paths = sorted(glob.glob(os.path.join(sets, "*.json.gz")))
    if not paths:
        print(f"quality: skipped, no sets in {sets} (QUALITY_SETS names another folder)")
        return
    stack = None
    if sys.argv[1] == "--http":
        sys.path.insert(0, os.path.join(ROOT, "tests"))
        from gantry_testing.stack import Stack
        stack = Stack().up()
    print(
        f"{'set':12} {'docs':>6} {'asked':>6}"
        + "".join(f" {mode + ' nDCG':>12} {'R@10':>6}" for mode in MODES)
    )
    for path in paths:
        name = os.path.basename(path)[:-len(".json.gz")]
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        docs, judged, means = measure(
            path,
            lambda d, q: by_http(stack, name, d, q) if stack else by_program(sys.argv[1], d, q),
        )
        print(
            f"{name:12} {docs:6} {judged:6}"
            + "".join(f" {means[mode][0]:12.3f} {means[mode][1]:6.3f}" for mode in MODES),
            flush=True,
        )
    if stack:
        stack.destroy()


if __name__ == "__main__":
    main()
