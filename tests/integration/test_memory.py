# SPDX-License-Identifier: MIT
"""Memories through the real workers: what is stored, merged, found, changed and deleted."""
import base64
import hashlib
import json
import math
import random
import signal
import string
import threading
import time
import uuid

import psycopg2
import pytest
from gantry_testing import nats_files, servers
from gantry_testing.memory import memory_system


@pytest.fixture(scope="module")
def system():
    with memory_system() as s:
        s.worker("ingest")
        s.worker("search")
        yield s


@pytest.fixture
def ws():
    """A workspace that no other test uses."""
    return "w" + uuid.uuid4().hex[:12]


def count(s, table, workspace):
    return s.sql(f"SELECT count(*) FROM {table} WHERE workspace = %s", workspace)[0][0]


def contents(answer):
    return [r["content"] for r in answer["results"]]


def problem(answer, status, code):
    assert answer[0] == status, answer
    assert answer[1]["code"] == code, answer
    return answer[1]


# --- ingest -----------------------------------------------------------------------------------


def test_answer_of_ingest(system, ws):
    answer = system.ingest(ws, "user:1", "Alice likes green tea.", facts=[
        {"subject": "Alice", "predicate": "likes", "object": "tea", "confidence": 0.75},
        {"subject": "Alice", "predicate": "likes", "object": "milk", "confidence": 0.7499},
        {"subject": "Alice", "predicate": "", "object": "x", "confidence": 1},
        {"subject": "Alice", "predicate": "  ", "object": "x", "confidence": 1},
        {"subject": "Alice", "predicate": "knows", "object": "Bob"}])
    id = answer.pop("id")
    assert uuid.UUID(id)
    assert answer == {
        "status": "success",
        "message": "Memory ingested",
        "tenant_id": ws,
        "scope": "user:1",
        "content_hash": hashlib.sha256(b"Alice likes green tea.").hexdigest(),
        "deduplicated": False,
        "facts_stored": 1,
        "facts_skipped": 4,
    }
    got = system.ask(ws, "get", {"id": id})
    assert got["facts"] == [
        {"subject": "Alice", "predicate": "likes", "object": "tea", "confidence": 0.75}
    ]
    assert got["source"] == "unknown"
    assert got["version"] == 1
    assert got["expires_at"] is None
    assert got["tags"] == []
    assert got["metadata"] == {}
    assert got["created_at"].endswith("Z")
    assert len(got["created_at"]) == 24


def test_explicit_source_keeps_every_complete_fact(system, ws):
    answer = system.ingest(ws, "s", "Bob", source="explicit", facts=[
        {"subject": "Bob", "predicate": "is", "object": "tall", "confidence": 0.1},
        {"subject": "Bob", "predicate": "has", "object": "a dog"},
        {"subject": "Bob", "predicate": "has", "object": " "}])
    assert (answer["facts_stored"], answer["facts_skipped"]) == (2, 1)


NASTY = [
    "quotes ' \" `` and \\ backslashes \\\\ \\n \\x41",
    "percent % %s %d %n $1 $2 ${HOME} {} {1,2} NULL null",
    "'; DROP TABLE memory; --",
    "tab\there\nnew line\r\nand return",
    "emoji 🙂👩‍👩‍👧‍👦 flags 🇩🇪 and math 𝒳",
    "right to left: שלום עולם مرحبا بالعالم \u202eoverride\u202c",
    "combining e\u0301 and ﬃ ligature, zero\u200bwidth",
    "日本語のテキスト、中文文本、한국어 텍스트",
    " leading and trailing ",
    "\ufeffbyte order mark and \ufffd replacement",
    "{\"json\": [\"in\", {\"text\": 1}]}",
    "\\", "\"", "{", "}", ",", "NULL", "{NULL,\"a\"}", "0", "?! ...",
]


@pytest.mark.parametrize(
    "text",
    NASTY + ["x" * 65536, "é" * 32768, "🙂" * 16384, '\\"' * 32768, "a b " * 16384],
    ids=lambda t: ascii(t[:20]),
)
def test_round_trip_byte_for_byte(system, ws, text):
    metadata = {
        "text": text[:2000],
        text[:50]: [text[:100], {"deep": {"er": text[:20]}}],
        "n": [0, -1, 0.1, 1e300],
    }
    name = (
        text.encode()[:200].decode(errors="ignore").translate({9: " ", 10: " ", 13: " "})
    )  # no control character
    tags = [name.encode()[:60].decode(errors="ignore")]
    id = system.ingest(
        ws,
        name,
        text,
        metadata=metadata,
        tags=tags,
        facts=[
            {
                "subject": text[:100],
                "predicate": text[:100] + "p",
                "object": text[:100] + "o",
                "confidence": 1,
            }
        ],
    )["id"]
    got = system.ask(ws, "get", {"id": id})
    assert got["content"] == text
    assert got["metadata"] == metadata
    assert list(got["metadata"]) == list(metadata)
    assert got["tags"] == tags
    assert got["scope"] == name
    found = system.search(ws, text[:1000], mode="vector", scope=got["scope"])["results"][0]
    assert found["content"] == text
    assert found["metadata"] == metadata


def test_numbers_of_metadata_keep_their_value(system, ws):
    metadata = {
        "i": 9007199254740992,
        "m": -9007199254740992,
        "f": 0.1,
        "e": 1e-7,
        "z": 0,
        "t": True,
        "n": None,
    }
    id = system.ingest(ws, "s", "numbers", metadata=metadata)["id"]
    assert system.ask(ws, "get", {"id": id})["metadata"] == metadata


def test_the_same_text_is_one_row(system, ws):
    first = system.ingest(ws, "s", "the same", tags=["a", "b"], facts=[
        {"subject": "x", "predicate": "is", "object": "y", "confidence": 0.8}])
    again = system.ingest(ws, "s", "the same", tags=["b", "c"], metadata={"ignored": 1}, facts=[
        {"subject": "x", "predicate": "is", "object": "y", "confidence": 0.9},
        {"subject": "x", "predicate": "is", "object": "z", "confidence": 0.9}])
    assert again["deduplicated"]
    assert again["id"] == first["id"]
    assert again["facts_stored"] == 2
    assert not system.ingest(ws, "other scope", "the same")["deduplicated"]
    got = system.ask(ws, "get", {"id": first["id"]})
    assert got["tags"] == ["a", "b", "c"]
    assert got["metadata"] == {}
    assert [(f["object"], f["confidence"]) for f in got["facts"]] == [("y", 0.9), ("z", 0.9)]
    assert count(system, "memory", ws) == 2


def test_a_merged_command_id_leads_to_the_row(system, ws):
    first = system.ingest(ws, "s", "merged")
    command = system.publish(ws, "ingest", {"scope": "s", "text": "merged"})
    assert system.done(command)[1]["id"] == first["id"] != command
    assert system.ask(ws, "get", {"id": command})["id"] == first["id"]
    assert system.command(ws, "patch", {"id": command, "tags": ["via"]})[1]["tags"] == ["via"]
    assert system.command(ws, "delete", {"id": command})[0] == 204
    assert system.ask(ws, "get", {"id": first["id"]})["code"] == "not_found"


def test_many_copies_at_once_are_one_row(system, ws):
    commands = [
        system.publish(ws, "ingest", {"scope": "s", "text": f"copy {i % 3}", "tags": [str(i)]})
        for i in range(150)
    ]
    answers = [system.done(c)[1] for c in commands]
    assert count(system, "memory", ws) == 3
    assert sum(not a["deduplicated"] for a in answers) == 3
    assert len({a["id"] for a in answers}) == 3
    for i in range(3):
        got = system.ask(ws, "get", {"id": answers[i]["id"]})
        assert set(got["tags"]) == {str(j) for j in range(i, 150, 3)}


def test_a_redelivered_command_has_one_effect_and_the_same_answer(system, ws):
    body = {"scope": "s", "text": "once"}
    command = system.publish(ws, "ingest", body)
    first = system.done(command)
    assert system.command(ws, "delete", {"id": command})[0] == 204
    del system.answers[command]
    system.publish(ws, "ingest", body, command_id=command, attempt=2)
    assert system.done(command) == first
    assert count(system, "memory", ws) == 0  # deleted stays deleted


TOKEN = "gh" + "p_" + "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R"


@pytest.mark.parametrize("members, field", [
    ({"text": f"my token is {TOKEN} ok"}, "text"),
    ({"scope": TOKEN}, "scope"),
    ({"tags": ["a", TOKEN]}, "tags[1]"),
    ({"source": TOKEN}, "source"),
    ({"metadata": {"a": [{"b": TOKEN}]}}, "metadata.a[0].b"),
    ({"metadata": {TOKEN: 1}}, None),
    ({"facts": [{"subject": "a", "predicate": "b", "object": TOKEN}]}, "facts[0].object"),
])
def test_credentials_are_refused(system, ws, members, field):
    answer = system.command(ws, "ingest", {"scope": "s", "text": "t", **members})
    document = problem(answer, 422, "secret_in_text")
    assert TOKEN not in json.dumps(document) or field is None
    if field:
        assert document["errors"][0]["field"] == field
    assert count(system, "memory", ws) == 0
    for table in ("memory", "memory_fact", "command_done"):
        assert system.sql(
            f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", f"%{TOKEN}%"
        ) == [(0,)]


# --- refused commands ---------------------------------------------------------------------------

def refused(answer):
    """What memory.get says of a command that was refused."""
    assert answer["status"] == 422, answer
    assert answer["errors"], answer
    return answer


@pytest.mark.parametrize("command, body, code, said", [
    ("ingest", {"scope": "n", "txt": "bad"}, "invalid_request", "txt"),
    ("ingest", {"scope": "s", "text": TOKEN}, "secret_in_text", "text"),
    ("ingest", {"scope": "s", "text": "t", "tenant_id": "another"}, "tenant_mismatch", "tenant_id"),
    ("ingest", b'{"scope":"z","text":"x"', "malformed_json", "object"),
    ("patch", {"id": "no id", "text": "t"}, "invalid_request", "id"),
    ("forget", {}, "invalid_request", "scope"),
])
def test_a_refused_command_is_remembered(system, ws, command, body, code, said):
    id = system.publish(ws, command, body, direct=True)
    status, document = system.done(id)
    assert (status, document["code"]) == (
        {"malformed_json": 400, "tenant_mismatch": 403}.get(code, 422),
        code,
    )
    got = refused(system.ask(ws, "get", {"id": id}))
    assert (got["code"], got["detail"]) == (code, document["detail"])
    assert code == "malformed_json" or said in json.dumps(got)
    if status == 422:
        assert got == document
    assert system.ask("x" + ws, "get", {"id": id})["code"] == "not_found"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        system.sql(
            "SELECT answer FROM command_done", url=system.role_url("gantry_search"), workspace=ws
        )


def test_a_refusal_that_is_too_long_is_remembered_without_its_fields(system, ws):
    facts = [{"s\x01" + "y" * 90: 1} for _ in range(30)]
    id = system.publish(ws, "ingest", {"scope": "s", "text": "t", "facts": facts}, direct=True)
    assert system.done(id)[0] == 422
    got = refused(system.ask(ws, "get", {"id": id}))
    assert got["code"] == "invalid_request"
    assert system.sql(
        "SELECT max(length(refusal::text)) <= 4096 FROM command_done WHERE workspace = %s", ws
    ) == [(True,)]


@pytest.mark.parametrize("command, body", [
    ("ingest", {"scope": "s", "text": "again"}), ("patch", {"tags": ["again"]}), ("delete", {}),
    ("forget", {"scope": "s"})])
def test_a_refused_command_that_comes_again_is_refused_again(system, ws, command, body):
    """As one that was refused for the rate, and whose worker died before it was acknowledged."""
    kept = system.ingest(ws, "s", "kept")["id"]
    if command in ("patch", "delete"):
        body = {**body, "id": kept}
    id = str(uuid.uuid4())
    document = {
        "type": "about:blank",
        "title": "Rate limited",
        "status": 429,
        "detail": "Later.",
        "code": "rate_limited",
    }
    system.sql(
        "INSERT INTO command_done (workspace, id, command, answer, refusal) VALUES (%s, %s, %s, "
        "'null', %s)",
        ws,
        id,
        f"memory.{command}",
        json.dumps(document),
    )
    for attempt in (1, 2):
        system.answers.pop(id, None)
        system.publish(ws, command, body, command_id=id, attempt=attempt)
        assert system.done(id) == (429, document)
    assert [(m["id"], m["version"]) for m in system.ask(ws, "list", {})["items"]] == [(kept, 1)]
    got = refused(system.ask(ws, "get", {"id": id}))
    assert (got["code"], got["errors"]) == ("rate_limited", [{"field": "", "detail": "Later."}])


def test_a_refused_id_does_not_hide_what_had_its_effect(system, ws):
    id = system.publish(ws, "ingest", {"scope": "s", "text": "there"})
    assert system.done(id)[0] == 200
    del system.answers[id]
    system.publish(ws, "ingest", {"scope": "s"}, command_id=id, attempt=2)
    assert system.done(id)[0] == 422
    assert system.ask(ws, "get", {"id": id})["content"] == "there"


def test_the_newest_refusals_of_a_workspace_are_remembered(system, ws):
    system.sql(
        "INSERT INTO command_done (workspace, id, command, answer, refusal, done_at)"
        " SELECT %s, gen_random_uuid(), 'memory.ingest', 'null', '{}', now() - make_interval(secs "
        "=> n)"
        " FROM generate_series(1, 12000) n",
        ws,
    )
    ids = [system.publish(ws, "ingest", {"scope": "s"}, direct=True) for _ in range(300)]
    assert all(system.done(id)[0] == 422 for id in ids)
    assert 10000 <= count(system, "command_done", ws) < 10300
    assert all(refused(system.ask(ws, "get", {"id": id})) for id in ids[::50])


def test_a_refusal_waits_for_the_database(system, ws):
    """It is told when it is remembered, with the words of its first attempt."""
    system.sql("REVOKE INSERT ON command_done FROM gantry_ingest")
    try:
        id = system.publish(ws, "ingest", {"scope": "s"}, direct=True)
        servers.wait_until(
            lambda: system.workers[0].said('"failed for now: trying again later"'), 30, "it waits"
        )
    finally:
        system.sql("GRANT INSERT ON command_done TO gantry_ingest")
    status, document = system.done(id)
    assert (status, document["code"]) == (422, "invalid_request")
    assert refused(system.ask(ws, "get", {"id": id})) == document


def test_a_sentence_about_keys_passes(system, ws):
    system.ingest(ws, "s", "The API key is rotated monthly; bearer tokens start with ghp_ or sk-.")


def test_expiry(system, ws):
    short = system.ingest(ws, "s", "gone soon", ttl_seconds=1)["id"]
    long = system.ingest(ws, "s", "stays", ttl_seconds=1000)["id"]
    assert (
        system.ask(ws, "get", {"id": long})["expires_at"]
        > system.ask(ws, "get", {"id": long})["created_at"]
    )
    servers.wait_until(lambda: system.ask(ws, "get", {"id": short}).get("code") == "not_found", 5)
    for mode in ("vector", "text", "hybrid"):
        assert (
            contents(system.search(ws, "gone soon stays", mode=mode)) == ["stays"]
            if mode != "text"
            else True
        )
    assert contents(system.search(ws, "gone", mode="text")) == []
    assert [i["id"] for i in system.ask(ws, "list", {})["items"]] == [long]
    problem(system.command(ws, "patch", {"id": short, "tags": ["x"]}), 404, "not_found")
    fresh = system.ingest(ws, "s", "gone soon")
    assert not fresh["deduplicated"]
    assert fresh["id"] != short
    assert system.ask(ws, "get", {"id": fresh["id"]})["expires_at"] is None


def test_expired_rows_are_swept(system, ws):
    system.ingest(ws, "s", "swept", ttl_seconds=1)
    servers.wait_until(lambda: count(system, "memory", ws) == 0, 15, "swept")


# --- patch, delete, forget --------------------------------------------------------------------


def test_patch_keeps_history(system, ws):
    id = system.ingest(ws, "s", "the sky is green", tags=["a"], metadata={"v": 1}, source="import")[
        "id"
    ]
    status, body = system.command(ws, "patch", {"id": id, "text": "the sky is blue"})
    assert status == 200
    assert body["content"] == "the sky is blue"
    assert body["version"] == 2
    assert body["tags"] == ["a"]
    assert body["metadata"] == {"v": 1}
    assert body["source"] == "import"
    assert body == system.ask(ws, "get", {"id": id})
    body = system.command(ws, "patch", {"id": id, "tags": [], "metadata": {"v": 2}, "source": "x",
                                        "ttl_seconds": 500})[1]
    assert (body["tags"], body["metadata"], body["source"], body["version"]) == (
        [],
        {"v": 2},
        "x",
        3,
    )
    assert body["expires_at"]
    assert system.sql(
        "SELECT version, text, tags, source FROM memory_history WHERE workspace = %s ORDER BY 1", ws
    ) == [(1, "the sky is green", ["a"], "import"), (2, "the sky is blue", ["a"], "import")]
    assert "history" not in system.ask(ws, "get", {"id": id})
    assert "history" not in system.ask(ws, "get", {"id": id, "history": 0})
    both = system.ask(ws, "get", {"id": id, "history": 20})
    assert [
        (one["version"], one["content"], one["tags"], one["metadata"], one["source"])
        for one in both["history"]
    ] == [
        (2, "the sky is blue", ["a"], {"v": 1}, "import"),
        (1, "the sky is green", ["a"], {"v": 1}, "import"),
    ]
    assert (
        both["created_at"] <= both["history"][1]["changed_at"] <= both["history"][0]["changed_at"]
    )
    assert [
        one["version"] for one in system.ask(ws, "get", {"id": id, "history": 1})["history"]
    ] == [2]
    assert {**both, "history": None} == {**body, "history": None}
    assert contents(system.search(ws, "green", mode="text")) == []
    assert contents(system.search(ws, "blue", mode="text")) == ["the sky is blue"]
    near = system.search(ws, "the sky is blue", mode="vector")["results"][0]
    assert near["cosine_distance"] < 0.001


def test_patch_is_done_once(system, ws):
    id = system.ingest(ws, "s", "v1")["id"]
    body = {"id": id, "text": "v2"}
    command = system.publish(ws, "patch", body)
    first = system.done(command)
    del system.answers[command]
    system.publish(ws, "patch", body, command_id=command, attempt=2)
    assert system.done(command) == first
    assert count(system, "memory_history", ws) == 1


def test_patch_refusals(system, ws):
    problem(system.command(ws, "patch", {"id": str(uuid.uuid4()), "tags": []}), 404, "not_found")
    system.ingest(ws, "s", "taken")
    id = system.ingest(ws, "s", "free")["id"]
    document = problem(
        system.command(ws, "patch", {"id": id, "text": "taken"}), 422, "invalid_request"
    )
    assert document["errors"][0]["field"] == "text"
    problem(system.command(ws, "patch", {"id": id, "text": TOKEN}), 422, "secret_in_text")
    assert system.ask(ws, "get", {"id": id})["version"] == 1
    other = "x" + ws
    problem(system.command(other, "patch", {"id": id, "text": "stolen"}), 404, "not_found")
    problem(system.command(other, "delete", {"id": id}), 404, "not_found")
    assert system.ask(other, "get", {"id": id})["code"] == "not_found"


def test_delete_is_real(system, ws):
    id = system.ingest(ws, "s", "zanzibar first", facts=[
        {"subject": "zanzibar", "predicate": "p", "object": "o", "confidence": 1}])["id"]
    system.command(ws, "patch", {"id": id, "text": "zanzibar second"})
    assert system.command(ws, "delete", {"id": id})[0] == 204
    problem(system.command(ws, "delete", {"id": id}), 404, "not_found")
    for table in ("memory", "memory_fact", "memory_history"):
        assert count(system, table, ws) == 0
    tables = [t for t, in system.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        assert system.sql(
            f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%zanzibar%%' AND %s <> ''", ws
        ) == [(0,)]


def test_forget_a_scope(system, ws):
    for i in range(5):
        id = system.ingest(ws, "user:1", f"private {i}", facts=[
            {"subject": "s", "predicate": "p", "object": str(i), "confidence": 1}])["id"]
    system.command(ws, "patch", {"id": id, "text": "private changed"})
    kept = system.ingest(ws, "user:2", "public")["id"]
    command = system.publish(ws, "forget", {"scope": "user:1"})
    assert system.done(command) == (200, {"status": "success", "deleted": 5})
    assert count(system, "memory", ws) == 1
    assert count(system, "memory_fact", ws) == 0
    assert count(system, "memory_history", ws) == 0
    assert system.ask(ws, "get", {"id": kept})["content"] == "public"
    # The scope lives on, and a redelivery of the forget does not touch what came later.
    later = system.ingest(ws, "user:1", "private 0")
    assert not later["deduplicated"]
    del system.answers[command]
    system.publish(ws, "forget", {"scope": "user:1"}, command_id=command, attempt=2)
    assert system.done(command) == (200, {"status": "success", "deleted": 5})
    assert system.ask(ws, "get", {"id": later["id"]})["content"] == "private 0"


def test_forget_drops_what_was_accepted_before_and_comes_later(system, ws):
    """As after a redelivery: the mark of the forget is younger than the command."""
    system.sql(
        "INSERT INTO memory_forget (workspace, scope_hash, forgotten_ns) VALUES (%s, sha256('s'), "
        "%s)",
        ws,
        9 * 10**18,
    )
    system.sql("INSERT INTO memory_version (workspace, version, stamp, before, forgotten_ns)"
               " VALUES (%s, 1, gen_random_uuid(), gen_random_uuid(), %s)", ws, 9 * 10**18)
    dropped = system.ingest(ws, "s", "too late")
    assert dropped["status"] == "success"
    assert count(system, "memory", ws) == 0
    assert system.ask(ws, "get", {"id": dropped["id"]})["code"] == "not_found"
    system.ingest(ws, "other", "in time")
    assert count(system, "memory", ws) == 1


def test_forget_purges_dead_letters_of_the_scope(system, ws):
    def put_letter(scope, workspace=ws):
        digest = hashlib.sha256(workspace.encode() + b"\0" + scope.encode()).hexdigest()
        body = json.dumps({"scope": scope, "text": "dead"}).encode()
        ack = system.bus.js_publish(f"gantry.v1.{workspace}.dead.ingest", body, str(uuid.uuid4()),
                                    {"Gantry-Scope-Hash": digest, "Gantry-Reason": "test"})
        return ack["seq"]

    gone = [put_letter("user:1") for _ in range(3)]
    kept = [put_letter("user:2"), put_letter("user:1", "x" + ws)]
    gone.append(put_letter("user:1"))
    assert system.command(ws, "forget", {"scope": "user:1"})[0] == 200
    for seq in gone:
        assert "error" in system.bus.api("STREAM.MSG.GET.DEAD", {"seq": seq})
    for seq in kept:
        assert "message" in system.bus.api("STREAM.MSG.GET.DEAD", {"seq": seq})


def test_forget_purges_dead_patches_of_memories_that_are_gone(system, ws):
    """A patch names no scope: it goes with its memory, also with one that was deleted earlier."""
    def put_letter(memory, workspace=ws, command="patch", body=None):
        ack = system.bus.js_publish(
            f"gantry.v1.{workspace}.dead.ingest",
            body or json.dumps({"id": memory, "text": "dead"}).encode(),
            str(uuid.uuid4()),
            {
                "Gantry-Reason": "test",
                "Gantry-Subject": f"gantry.v1.{workspace}.memory.{command}",
                "Gantry-Time": "now",
            },
        )
        return ack["seq"]

    mine, other = (
        system.ingest(ws, "user:1", "mine")["id"],
        system.ingest(ws, "user:2", "other")["id"],
    )
    earlier = system.ingest(ws, "user:1", "deleted before")["id"]
    assert system.command(ws, "delete", {"id": earlier})[0] == 204
    gone = [put_letter(mine), put_letter(earlier), put_letter(mine)]
    kept = [
        put_letter(other),
        put_letter(mine, "x" + ws),
        put_letter(mine, command="delete"),
        put_letter(mine, body=b"no JSON"),
        put_letter("no id"),
    ]
    assert system.command(ws, "forget", {"scope": "user:1"})[0] == 200
    for seq in gone:
        assert "error" in system.bus.api("STREAM.MSG.GET.DEAD", {"seq": seq})
    for seq in kept:
        assert "message" in system.bus.api("STREAM.MSG.GET.DEAD", {"seq": seq})


# --- search -----------------------------------------------------------------------------------


def test_shape_of_results_and_scores(system, ws):
    a = system.ingest(
        ws,
        "s",
        "Alice drinks green tea every morning",
        tags=["t"],
        metadata={"m": 1},
        source="chat",
    )
    system.ingest(ws, "s", "Bob drives a red car")
    answer = system.search(ws, "green tea", scope="s", k=2)
    assert {
        k: answer[k]
        for k in ("status", "mode", "query", "tenant_id", "scope", "k", "results_count")
    } == {
        "status": "success",
        "mode": "hybrid",
        "query": "green tea",
        "tenant_id": ws,
        "scope": "s",
        "k": 2,
        "results_count": 2,
    }
    first, second = answer["results"]
    assert first["id"] == a["id"]
    assert first["rank"] == 1
    assert second["rank"] == 2
    assert first["tags"] == ["t"]
    assert first["metadata"] == {"m": 1}
    assert first["source"] == "chat"
    assert first["score"] == 1.0  # first in both legs
    assert second["score"] == 0
    assert second["text_score"] is None
    vector = system.search(ws, "green tea", mode="vector")["results"]
    for r in vector:
        assert abs(r["score"] - (1 - r["cosine_distance"])) < 1e-9
        assert r["score"] == r["similarity_score"]
    text, = system.search(ws, "green tea", mode="text")["results"]
    # BM25, k1 1.2, b .75: two words, each in one of two rows; six words in a row, 5.5 in the mean
    # row.
    bm25 = 2 * math.log(1 + (2 - 1 + 0.5) / (1 + 0.5)) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 6 / 5.5))
    assert abs(text["text_score"] - bm25) < 1e-4
    assert first["text_score"] == text["text_score"]
    assert abs(text["score"] - bm25 / (1 + bm25)) < 1e-4
    assert text["cosine_distance"] is None


def test_filters(system, ws):
    for i in range(12):
        system.ingest(ws, f"user:{i % 2}", f"note number {i} about tea",
                      tags=[f"t{i % 3}"] + (["even"] if i % 2 == 0 else []), source=f"s{i % 4}")

    def numbers(**members):
        out = {}
        for mode in ("vector", "hybrid", "text"):
            found = system.search(ws, "note about tea", k=50, mode=mode, **members)["results"]
            out[mode] = sorted(int(r["content"].split()[2]) for r in found)
        assert out["vector"] == out["hybrid"] == out["text"], out
        return out["vector"]

    assert numbers() == list(range(12))
    assert numbers(scope="user:1") == [1, 3, 5, 7, 9, 11]
    assert numbers(scope="user:") == []
    assert numbers(tags=["t0"]) == [0, 3, 6, 9]
    assert numbers(tags=["t0", "even"]) == [0, 6]
    assert numbers(tags=["t0", "none"]) == []
    assert numbers(source="s3") == [3, 7, 11]
    assert numbers(source="s3", scope="user:1", tags=["t1"]) == [7]
    times = {
        int(i["content"].split()[2]): i["created_at"]
        for i in system.ask(ws, "list", {"limit": 50})["items"]
    }
    assert numbers(since=times[5]) == [n for n in range(12) if times[n] >= times[5]]
    assert numbers(until=times[5]) == [n for n in range(12) if times[n] < times[5]]
    assert numbers(since=times[3], until=times[8]) == [
        n for n in range(12) if times[3] <= times[n] < times[8]
    ]
    assert numbers(since="2199-01-01T00:00:00Z") == []
    found = system.search(ws, "note number 3 about tea", mode="vector", k=50)["results"]
    least = found[4]["score"]
    some = system.search(ws, "note number 3 about tea", mode="vector", k=50, min_score=least)[
        "results"
    ]
    assert [r["id"] for r in some] == [r["id"] for r in found if r["score"] >= least]


def test_always_min_of_k_and_matching(system, ws):
    for i in range(30):
        system.ingest(ws, "a" if i < 20 else "b", f"{'alpha' if i % 3 == 0 else 'beta'} {i}")
    system.ingest(ws, "b", "?!?")  # a text without a word has no vector and still counts
    for query in ("alpha", "nothing of the kind", "???"):
        for k in (1, 10, 30, 31, 50):
            for mode in ("vector", "hybrid"):
                assert system.search(ws, query, mode=mode, k=k)["results_count"] == min(k, 31), (
                    query,
                    k,
                    mode,
                )
                assert system.search(ws, query, mode=mode, k=k, scope="b")["results_count"] == min(
                    k, 11
                )
    assert system.search(ws, "alpha", mode="text", k=50)["results_count"] == 10
    assert system.search(ws, "alpha", mode="text", k=3)["results_count"] == 3
    assert system.search(ws, "???", mode="text")["results_count"] == 0


def test_text_queries(system, ws):
    for text in (
        "the server deploys on monday",
        "tea or coffee",
        "Der Server läuft",
        "the quick brown fox",
    ):
        system.ingest(ws, "s", text)

    def found(query):
        return set(contents(system.search(ws, query, mode="text")))

    assert found("deploying servers") == {"the server deploys on monday"}  # word forms, all words
    assert found("server fox") == set()
    assert found("fox or coffee") == {"the quick brown fox", "tea or coffee"}
    assert found("\"quick brown\"") == {"the quick brown fox"}
    assert found("\"brown quick\"") == set()
    assert found("server -monday") == {"Der Server läuft"}
    assert found("LÄUFT") == {"Der Server läuft"}
    for query in ("'", "\"", "a:b & | ! ( )", ":*", "\\", "%", "<->", "the of and"):
        found(query)


def test_vectors_of_other_models_are_not_compared(system, ws):
    mine = system.ingest(ws, "s", "tea in the morning")["id"]
    other = system.ingest(ws, "s", "tea in the evening")["id"]
    system.sql("INSERT INTO memory_model (name) VALUES ('another') ON CONFLICT DO NOTHING")
    system.sql("UPDATE memory SET model = (SELECT model FROM memory_model WHERE name = 'another'),"
               " embedding = '[1,0,0]' WHERE workspace = %s AND id = %s", ws, other)
    for scope in (None, "s"):
        members = {"scope": scope} if scope else {}
        results = system.search(ws, "tea", mode="vector", **members)["results"]
        assert [(r["id"], r["cosine_distance"] is None) for r in results] == [
            (mine, False),
            (other, True),
        ]
        assert results[1]["score"] == 0
    assert system.search(ws, "tea", mode="hybrid")["results_count"] == 2


# --- reads ------------------------------------------------------------------------------------


def test_list_pages(system, ws):
    ids = [system.ingest(ws, f"user:{i % 2}", f"item {i}")["id"] for i in range(25)][::-1]
    seen, cursor = [], None
    while True:
        page = system.ask(ws, "list", {"limit": 7, **({"cursor": cursor} if cursor else {})})
        seen += [i["id"] for i in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if len(seen) == 7:  # what comes and goes does not shift the pages
            system.ingest(ws, "user:9", "newer")
            system.command(ws, "delete", {"id": ids[3]})
    assert seen == ids
    assert len(system.ask(ws, "list", {})["items"]) == 20
    scoped = system.ask(ws, "list", {"scope": "user:1", "limit": 100})
    assert len(scoped["items"]) == 12 - (24 - 3) % 2
    assert scoped["next_cursor"] is None
    for cursor in ("nonsense", "!!", base64.urlsafe_b64encode(b"1:2").decode(), "9" * 500):
        assert system.ask(ws, "list", {"cursor": cursor})["code"] == "invalid_request"


def test_a_page_ends_early_at_4_mib(system, ws):
    rng = random.Random(1)
    for i in range(80):
        system.ingest(ws, "s", f"{i} " + "".join(rng.choices(string.digits + " ", k=65000)))
    page = system.ask(ws, "list", {"limit": 100})
    assert 60 < len(page["items"]) < 70
    assert page["next_cursor"]
    rest = system.ask(ws, "list", {"limit": 100, "cursor": page["next_cursor"]})
    assert len(page["items"]) + len(rest["items"]) == 80
    assert rest["next_cursor"] is None


# --- tenancy ----------------------------------------------------------------------------------


def test_workspaces_with_the_same_scopes(system, ws):
    other = "y" + ws
    command = str(uuid.uuid4())
    for workspace in (ws, other):
        system.publish(workspace, "ingest", {"scope": "user:1", "text": f"secret of {workspace}"},
                       command_id=command, attempt=workspace)
    servers.wait_until(lambda: count(system, "memory", ws) == count(system, "memory", other) == 1)
    for workspace in (ws, other):
        for mode in ("vector", "text", "hybrid"):
            assert contents(system.search(workspace, "secret", mode=mode)) == [
                f"secret of {workspace}"
            ]
        assert system.ask(workspace, "get", {"id": command})["content"] == f"secret of {workspace}"
        assert len(system.ask(workspace, "list", {})["items"]) == 1


def test_the_database_itself_keeps_workspaces_apart(system, ws):
    other = "z" + ws
    for workspace in (ws, other):
        id = system.ingest(workspace, "user:1", f"of {workspace}", facts=[
            {"subject": "a", "predicate": "b", "object": "c", "confidence": 1}])["id"]
        system.command(workspace, "patch", {"id": id, "text": f"now of {workspace}"})
    tables = [
        t
        for (t,) in system.sql(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
            " AND relname ~ '^(memory|command_done)'"
        )
    ]
    assert set(tables) == {
        "memory",
        "memory_fact",
        "memory_history",
        "memory_forget",
        "command_done",
        "memory_version",
        "memory_log",
    }
    search, ingest = system.role_url("gantry_search"), system.role_url("gantry_ingest")
    assert system.sql("SELECT DISTINCT workspace FROM memory", url=search, workspace=ws) == [(ws,)]
    assert system.sql("SELECT text FROM memory", url=search, workspace=ws) == [(f"now of {ws}",)]
    assert system.sql("SELECT count(*) FROM memory_fact", url=search, workspace=ws) == [(1,)]
    assert system.sql("SELECT text FROM memory_history", url=search, workspace=ws) == [
        (f"of {ws}",)
    ]
    assert system.sql("SELECT count(*) FROM memory", url=search) == [(0,)]
    assert system.sql("SELECT count(*) FROM memory", url=search, workspace="") == [(0,)]
    for table in tables:
        found = system.sql(f"SELECT DISTINCT workspace FROM {table}", url=ingest, workspace=ws)
        assert found in ([(ws,)], []), (table, found)
    for statement in (
        "UPDATE memory SET text = 'x'",
        "DELETE FROM memory",
        "DELETE FROM memory_history",
        "SELECT * FROM api_key",
        "TRUNCATE memory",
        "SELECT answer FROM command_done",
        "ALTER TABLE memory NO FORCE ROW LEVEL SECURITY",
        "SET ROLE gantry_ingest",
    ):
        with pytest.raises(psycopg2.Error):
            system.sql(statement, url=search, workspace=ws)
    with pytest.raises(psycopg2.Error):
        system.sql("UPDATE memory SET workspace = %s", other, url=ingest, workspace=ws)
    system.sql("DELETE FROM memory WHERE workspace = %s", other, url=ingest, workspace=ws)
    assert count(system, "memory", other) == 1
    for table in ("api_key", "audit_log", "workspace"):
        with pytest.raises(psycopg2.Error):
            system.sql(f"SELECT * FROM {table}", url=ingest, workspace=ws)


# --- crashes ----------------------------------------------------------------------------------


def test_kill_9_of_ingest_under_load(system, ws):
    """Everything accepted by the stream is there once, whatever is killed; one answer says so."""
    system.provision(ws)
    consumer = system.bus.api(f"CONSUMER.INFO.MEMORY.ingest_{ws}")["config"]
    consumer["ack_wait"] = 2 * 10**9
    nats_files.taken(system.bus.api(f"CONSUMER.DURABLE.CREATE.MEMORY.ingest_{ws}",
                                    {"stream_name": "MEMORY", "config": consumer}))
    second = system.worker("ingest")
    victims = [system.workers[0], second]
    stop = threading.Event()
    kills = []

    def killer():
        while not stop.wait(0.4):
            victim = victims[len(kills) % 2]
            victim.stop(signal.SIGKILL)
            kills.append(victim)
            victim.start()

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        commands = []
        while len(commands) < 1000 or (len(kills) < 4 and len(commands) < 9000):
            i = len(commands)
            commands.append(
                system.publish(
                    ws,
                    "ingest",
                    {
                        "scope": "s",
                        "text": f"under load {i} {'x' * 200}",
                        "facts": [
                            {"subject": "n", "predicate": "is", "object": str(i), "confidence": 1}
                        ],
                    },
                )
            )
            time.sleep(0.001)
        servers.wait_until(lambda: len(kills) >= 4, 60, "killed often enough")
    finally:
        stop.set()
        thread.join()
    answers = [system.done(c, 300) for c in commands]
    assert all(
        status == 200 and body["id"] == c
        for c, (status, body) in zip(commands, answers, strict=False)
    )
    rows = system.sql("SELECT id::text, text FROM memory WHERE workspace = %s", ws)
    assert sorted(i for i, _ in rows) == sorted(commands)
    assert len({t for _, t in rows}) == len(commands)
    assert count(system, "memory_fact", ws) == count(system, "command_done", ws) == len(commands)
    servers.wait_until(
        lambda: system.bus.api("STREAM.INFO.MEMORY")["state"]["messages"] == 0, 30, "settled"
    )
    assert (
        system.bus.api("STREAM.INFO.DEAD", {"subjects_filter": f"gantry.v1.{ws}.>"})["state"].get(
            "subjects"
        )
        is None
    )
    second.stop()
