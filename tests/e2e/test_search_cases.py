# SPDX-License-Identifier: MIT
"""Searches that people asked and did not get, over HTTP: long and odd queries, scripts without
blanks, identifiers, forms of characters, stop words, and the hybrid that loses the only right
row."""
import concurrent.futures
import random
import time
import uuid

import pytest

FILLER = [
    "The weather in the mountains changes quickly in spring",
    "Bring the blue folder to the meeting on Thursday",
    "The cat sleeps on the warm radiator all day",
    "Lunch is at noon in the small kitchen",
    "Paint the fence before it rains",
    "The train to the coast leaves from platform nine",
    "Order more paper for the printer",
    "She plays the piano every evening",
]

# text, queries in text mode that must find it first (and hybrid's, if they differ)
FOUND = [
    ("今日は成語しりとりをした", ["しりとり"]),
    ("今天玩成语接龙游戏", ["成语接龙"]),
    ("민수는 부산에서 커피숍을 열었다", ["커피숍", "부산"]),
    ("部署流程：先运行 make build，然后部署方案交给老王", ["go 部署 deployment", "部署方案"]),
    ("The helper is called getUserById in the store", ["user by id", "getUserById"]),
    (
        "OvertimeService asks AttendanceRepository for the hours",
        ["overtime service", "attendance repository"],
    ),
    ("screenshot foo.png is attached", ["foo", "foo.png"]),
    (
        "see https://www.canlii.org/en/on/laws/stat/rso-1990?lang=en&page=2 for it",
        ["canlii", "canlii.org", "rso-1990"],
    ),
    (
        'Traceback: File "/srv/app/payments/stripe_client.py", line 7',
        ["stripe_client.py", "stripe_client", "payments"],
    ),
    ("The recorder is a Hikvision DS-7604NI-E1/4P/A", ["DS-7604", "DS-7604NI"]),
    ("Write to ada.lovelace@example.com about it", ["lovelace", "example.com"]),
    ("POST /v1/orders/{id}/refund gives the money back", ["orders refund"]),
    ("Change postgresql.conf first", ["postgresql"]),
    ("We met in the caf\u00e9 by the river", ["cafe\u0301", "caf\u00e9", "cafe"]),
    ("ΟΔΥΣΣΕΥΣ came home", ["οδυσσευς"]),
    ("Turn left at Bergstraße", ["BERGSTRASSE"]),
    ("IŞIK is light", ["ışık"]),
    ("Müller has the key", ["muller", "mueller"]),
    ("محمد has the list", ["مُحَمَّد"]),
    ("Nguyễn wrote it", ["nguyen"]),
    ("To be or not to be, that is the question", ['"to be or not to be"', "to be or not to be"]),
    ("Don Quixote is the favourite book of Will", ["Will", "Don"]),
    ("The contract was discussed with IT", ["IT"]),
    ("extract with tar -xvf backup.tar.gz in the folder", ["tar -xvf", "tar xvf"]),
]


@pytest.fixture(scope="module")
def corpus(stack):
    client, scope = stack.client(), f"cases:{uuid.uuid4()}"
    ids = {
        text: client.ingest(scope, text).ok().json["id"]
        for text in [*FILLER, *(text for text, _ in FOUND)]
    }
    return client, scope, ids


@pytest.mark.parametrize("text, queries", FOUND, ids=lambda v: v[:24] if isinstance(v, str) else "")
def test_found_first(corpus, text, queries):
    client, scope, ids = corpus
    for query in queries:
        found = client.search(query, scope=scope, mode="text").ok().json["results"]
        assert found, (query, [r["content"] for r in found])
        assert found[0]["id"] == ids[text], (query, [r["content"] for r in found])
        found = client.search(query, scope=scope, k=5).ok().json["results"]
        assert ids[text] in [r["id"] for r in found], (query, [r["content"] for r in found])


@pytest.mark.parametrize(
    "query",
    [
        "-" * 33,
        "- " * 33,
        "-" * 60000,
        '"' * 30000,
        "(" * 5000,
        "! " * 5000,
        "a or " * 5000,
        '"' + "lorem " * 5000 + '"',
        "-lorem " * 9000,
        "& | ! <-> :* \\ ' %",
    ],
    ids=lambda q: f"{q[:8]} {len(q)}",
)
def test_no_query_is_an_error(corpus, query):
    client, scope, _ = corpus
    for mode in ("text", "hybrid"):
        client.search(query, scope=scope, mode=mode).ok()


def test_a_long_row_of_dashes_and_a_word(corpus):
    client, scope, ids = corpus
    found = client.search("- " * 33 + "radiator", scope=scope, mode="text").ok().json["results"]
    assert [r["content"] for r in found] == ["The cat sleeps on the warm radiator all day"]


def test_the_only_row_with_all_words_is_not_lost(stack):
    """3,000 rows that talk about invoices or about totals, and one that names both in an
    identifier."""
    client, scope, rng = stack.client(), f"cases:{uuid.uuid4()}", random.Random(3)
    words = (
        "the invoice was late and total chaos in the office again after lunch "
        "so we sent another letter about it"
    ).split()
    texts = {
        " ".join(
            rng.choice(["invoice", "total"])
            if i == 2
            else rng.choice([w for w in words if w not in ("invoice", "total")])
            for i in range(9)
        )
        + f" {n}"
        for n in range(600)
    }
    right = client.ingest(scope, "sum_invoice_total ignores discounts").ok().json["id"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda t: client.clone().ingest(scope, t), texts):
            answer.ok()
    found = client.search("invoice total", scope=scope, mode="text").ok().json["results"]
    assert [r["id"] for r in found] == [right]
    assert right in [
        r["id"] for r in client.search("invoice total", scope=scope).ok().json["results"]
    ]


def test_long_queries_over_long_rows_stop_nobody(stack):
    """150 logs of 16 KB in one workspace, asked with 4 to 64 KB of them, and everybody else's small
    search."""
    client, other, rng = stack.client(), stack.client("admin", "elsewhere"), random.Random(5)
    scope = f"cases:{uuid.uuid4()}"
    vocabulary = [
        f"{a}{b}" for a in ("get", "set", "run", "put", "log", "net", "job") for b in range(400)
    ]
    logs = [
        "\n".join(
            f"12:00:{i % 60:02} " + " ".join(rng.choice(vocabulary) for _ in range(18))
            for i in range(120)
        )
        for _ in range(150)
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda t: client.clone().ingest(scope, t[:16000]), logs):
            answer.ok()
    other.ingest(scope, "tea for two").ok()
    heavy = [
        logs[0][:4000],
        logs[1][:16000] * 4,
        " ".join(f"word{i}" for i in range(6000)),
        "lorem ipsum dolor " * 3600,
    ]
    stop = time.monotonic() + 6

    def load(seed):
        mine, n = client.clone(), 0
        while time.monotonic() < stop:
            answer = mine.search(
                heavy[(seed + n) % len(heavy)][:65000],
                scope=scope,
                mode=("hybrid", "text")[n % 2],
                k=50,
            )
            assert answer.status in (200, 504), answer
            n += 1
        return n

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(load, seed) for seed in range(6)]
        small = 0
        while time.monotonic() < stop:
            found = other.search("tea", scope=scope).ok().json["results"]
            assert [r["content"] for r in found] == ["tea for two"]
            small += 1
        assert small > 0
        assert all(run.result() > 0 for run in runs)
    found = client.search(logs[0][:4000], scope=scope).ok().json["results"]
    assert found[0]["content"] == logs[0][:16000]
