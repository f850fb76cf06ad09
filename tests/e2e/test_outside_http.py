# SPDX-License-Identifier: MIT
"""Inputs that real clients send: what they mean is taken, and what is refused is refused with the
cause and the remedy. Kinds K14 and K15 of the cases from outside."""
import contextlib
import json
import re
import socket
import uuid
from urllib.parse import quote

import pytest
from gantry_testing.wait import wait_until

INGEST, SEARCH, APPEND = "/webhook/memory/ingest", "/webhook/memory/search", "/webhook/audit/append"
RUN = "/webhook/executor/run"
EVENT = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
UNKNOWN = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"


def memory(**members):
    return {"scope": f"outside:{uuid.uuid4()}", "text": "seen from outside", **members}


def words(answer):
    """Everything that a problem document says."""
    problem = answer.json
    return (
        problem["detail"]
        + " "
        + " ".join(f"{e['field']}: {e['detail']}" for e in problem.get("errors", []))
    )


# --- null ---------------------------------------------------------------------------------------
NULLS = {
    "ingest": (
        INGEST,
        memory(
            tags=None,
            metadata=None,
            source=None,
            ttl_seconds=None,
            facts=None,
            tenant_id=None,
            client_request_id=None,
        ),
    ),
    "facts": (
        INGEST,
        memory(facts=[{"subject": "a", "predicate": "b", "object": "c", "confidence": None}]),
    ),
    "search": (
        SEARCH,
        {
            "query": "x",
            "scope": None,
            "k": None,
            "mode": None,
            "tags": None,
            "since": None,
            "until": None,
            "min_score": None,
            "source": None,
        },
    ),
    "append": (APPEND, {**EVENT, "payload": None, "client_request_id": None}),
    "run": (
        RUN,
        {"task": {"type": "ping", "message": None}, "scope": None, "timeout_seconds": None},
    ),
    "run code": (
        RUN,
        {"task": {"type": "code.python", "code": "result = 1", "stdin": None, "files": None}},
    ),
    "preview": ("/ai/preview", {"action": "ping", "params": {"message": None}, "tenant_id": None}),
    "execute": (
        "/ai/execute",
        {
            "actions": [{"action": "ping", "params": None, "client_request_id": None}],
            "preview_id": None,
        },
    ),
    "key": ("/keys", {"role": "viewer", "name": None, "expires_in_days": None}),
}


@pytest.mark.parametrize("name", NULLS)
def test_null_is_absent(client, name):
    path, body = NULLS[name]
    answer = client.post(path, body)
    assert answer.status in (200, 201, 202), answer
    assert answer.json.get("outcome", "ok") == "ok"


def test_null_where_it_means_something(client):
    """ttl_seconds of a PATCH takes the end away; inside of metadata a null is a null."""
    one = client.post(INGEST, memory(ttl_seconds=3600, metadata={"a": None})).ok().json["id"]
    assert client.get(f"/memory/{one}").ok().json["expires_at"]
    changed = client.patch(f"/memory/{one}", {"ttl_seconds": None, "text": None}).ok().json
    assert changed["expires_at"] is None
    assert changed["metadata"] == {"a": None}
    refused = client.post(INGEST, {"scope": None, "text": "x"}).ok(422)
    assert "scope: must be a string, not null" in words(refused)


def test_null_is_the_same_request(client):
    """Two spellings of one request under one idempotency key."""
    key, body = str(uuid.uuid4()), memory()
    first = client.post(INGEST, body, idempotency_key=key).ok().json
    again = client.post(INGEST, {**body, "tags": None, "source": None}, idempotency_key=key).ok()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first["id"]


@pytest.mark.parametrize(
    "blank", [" ", "\u00a0", "\u200b\u2060", "\ufeff", "\u3164", "\U000e0041"]
)
def test_names_are_seen(client, blank):
    """A name can be read; what earlier versions took can be read and forgotten all the same."""
    for path, body, field in (
        (INGEST, memory(scope=blank), "scope"),
        (INGEST, memory(source=blank), "source"),
        (INGEST, memory(tags=["x", blank]), "tags[1]"),
        (APPEND, {**EVENT, "actor": blank}, "actor"),
        (APPEND, {**EVENT, "action": blank}, "action"),
        (APPEND, {**EVENT, "target": blank}, "target"),
        ("/keys", {"role": "viewer", "name": blank}, "name"),
        ("/keys", {"role": "viewer", "owner": blank}, "owner"),
        (RUN, {"task": {"type": "ping"}, "scope": blank}, "scope"),
    ):
        said = words(client.post(path, body).ok(422))
        assert f"{field}: must not be blank" in said, (path, body)
    made = client.post(INGEST, memory()).ok().json["id"]
    said = words(client.patch(f"/memory/{made}", {"source": blank}).ok(422))
    assert "source: must not be blank" in said
    client.post(SEARCH, {"query": "x", "scope": blank}).ok()
    client.post("/memory/forget", {"scope": blank}).ok()


def test_a_blank_request_id_is_none(client):
    """It would make every request the same one."""
    said = words(client.post(INGEST, memory(client_request_id="  ")).ok(422))
    assert "client_request_id: must not be blank" in said
    said = words(client.post(INGEST, memory(), Idempotency_Key='"  "').ok(422))
    assert "Idempotency-Key: must not be blank" in said


# --- bytes and media types ------------------------------------------------------------------------
BODY = json.dumps({"scope": "outside", "text": "bytes: é"}, ensure_ascii=False)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset='utf-8'",
        "application/json; foo=bar",
        'application/json; foo="a;b"; charset=Utf8',
        "application/json;",
        "",
        " ",
        None,
        "application/cloudevents+json; charset=utf-8",
        "application/vnd.api+json",
        "APPLICATION/PROBLEM+JSON",
        "application/json; charset=us-ascii",
        'Application/JSON;Charset="US-ASCII"',
        "application/json; charset=ascii",
        "application/json ;; charset=utf-8 ; ",
        "application/json; charset = utf-8",
        "application/json; utf-8",
        "application/json, application/json",
        "application/json;charset=utf-8, application/json;charset=UTF-8",
        "application/json, application/problem+json,",
    ],
)
def test_content_types_that_mean_json(client, kind):
    client.post(INGEST, BODY, Content_Type=kind).ok()


@pytest.mark.parametrize(
    "kind,said",
    [
        (
            "application/x-www-form-urlencoded",
            "Content-Type is application/x-www-form-urlencoded: send application/json",
        ),
        ("text/plain; charset=utf-8", "Content-Type is text/plain: send application/json"),
        (
            "multipart/form-data; boundary=x",
            "Content-Type is multipart/form-data: send application/json",
        ),
        (
            "application/json; charset=latin-1",
            "in the charset latin-1: send application/json in UTF-8",
        ),
        ("application/json; latin1", "with a parameter that is not understood"),
        ('application/json; x="y', "with a parameter that is not understood"),
        ("text/plain, application/json", "Content-Type is text/plain, among 2 types"),
        ("application/cloudevents+json; charset=utf-16", "charset"),
        ("application/xml", "Content-Type is application/xml: send application/json"),
        ("no type at all", "Content-Type is"),
        ("relay_" + "sk_" + "a" * 50, "Content-Type is unknown"),
    ],
)
def test_content_types_that_do_not(client, kind, said):
    answer = client.post(INGEST, BODY, Content_Type=kind).ok(415)
    assert said in answer.json["detail"]
    assert "send application/json" in answer.json["detail"]
    assert "aaaaaaaaaa" not in answer.json["detail"]


@pytest.mark.parametrize(
    "kinds,said",
    [
        (["application/json", "application/json"], None),
        (["application/json", "application/json; charset=us-ascii", ""], None),
        (["", "application/json"], None),
        (
            ["application/json", "text/plain"],
            "Content-Type is text/plain, among 2 types: send application/json, once",
        ),
        (
            ["text/plain, application/json", "application/json"],
            "Content-Type is text/plain, among 3 types: send application/json, once",
        ),
        (
            ["application/json", "application/json; charset=latin-1"],
            "Content-Type is application/json in the charset latin-1, among 2 types: "
            "send application/json in UTF-8, once",
        ),
    ],
)
def test_several_content_types(stack, client, kinds, said):
    """Where all of them are JSON, they say the same."""
    lines = "".join(f"Content-Type: {kind}\r\n" for kind in kinds)
    body = json.dumps({"scope": "outside", "text": str(uuid.uuid4())})
    with socket.create_connection(("127.0.0.1", int(stack.ports["GATEWAY_PORT"])), 60) as peer:
        peer.sendall(
            f"POST {INGEST} HTTP/1.1\r\nHost: x\r\nX-API-Key: {client.key}\r\nConnection: close\r\n"
            f"{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = peer.makefile("rb").read().decode()
    assert answer.startswith(f"HTTP/1.1 {415 if said else 200} "), answer
    if said:
        assert said in answer


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd"])
def test_content_encoding_is_named(client, coding):
    detail = client.post(INGEST, b"\x1f\x8b", Content_Encoding=coding).ok(415).json["detail"]
    assert f"Content-Encoding {coding} is not taken" in detail


def test_an_empty_body_has_no_type(client):
    """curl -X POST -d '' sends the type of a form."""
    made = client.post("/keys", {"role": "viewer"}).ok(201).json
    client.post(
        f"/keys/{made['key_id']}/rotate", b"", Content_Type="application/x-www-form-urlencoded"
    ).ok()


@pytest.mark.parametrize("encoding", ["utf-8-sig"])
def test_a_byte_order_mark_is_skipped(client, encoding):
    client.post(INGEST, BODY.encode(encoding)).ok()
    client.post(SEARCH, json.dumps({"query": "bytes"}).encode(encoding)).ok()
    made = client.post(INGEST, memory()).ok().json["id"]
    client.patch(f"/memory/{made}", b"\xef\xbb\xbf" + json.dumps({"tags": ["x"]}).encode()).ok()


@pytest.mark.parametrize("encoding,name", [
    ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32"),
    ("utf-32-le", "UTF-32"), ("utf-32-be", "UTF-32"), ("latin-1", "UTF-8")])
def test_other_encodings_are_named(client, encoding, name):
    answer = client.post(INGEST, BODY.encode(encoding)).ok(400)
    assert answer.code == "malformed_json"
    assert name in answer.json["detail"]


@pytest.mark.parametrize(
    "body,said",
    [
        (b"", "empty"),
        (b"{'scope':'a'}", "double quotes"),
        (b'{"scope":NaN}', "NaN"),
        (b'{"text":"a\nb"}', "U+000A"),
        (b'{"scope":"a","scope":"b"}', "scope"),
        (b'{"scope":True}', "small letters"),
        (b'{"scope":None}', "None"),
    ],
)
def test_malformed_json_says_what(client, body, said):
    assert said in client.post(INGEST, body).ok(400).json["detail"]


def test_a_trailing_slash_is_ignored(client):
    made = client.post(INGEST + "/", memory()).ok().json["id"]
    client.get(f"/memory/{made}/").ok()
    client.get("/memory/?limit=1").ok()
    client.get("/ai/jobs/").ok()
    client.get("/healthz/").ok()
    assert client.request("PUT", "/keys/").ok(405).headers["Allow"] == "GET, HEAD, POST"
    client.get("/nowhere/").ok(404)
    client.get("//").ok(404)


# --- times ----------------------------------------------------------------------------------------
TIMES = [
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.123456",
    "2026-01-01 00:00:00",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00+00:00",
    "2026-01-01T02:00:00+0200",
]


@pytest.mark.parametrize("time", TIMES)
def test_times(client, time):
    client.post(SEARCH, {"query": "x", "since": time}).ok()
    client.get(f"/ai/audit?limit=1&from={quote(time)}").ok()
    client.get(f"/ai/audit?limit=1&from={time.replace(' ', '%20')}").ok()  # a + unescaped: a blank


def test_times_mean_utc(client):
    place = f"outside:{uuid.uuid4()}"
    client.post(INGEST, {"scope": place, "text": "a moment"}).ok()
    for since, found in (("2020-01-01", 1), ("2999-01-01", 0), ("2999-01-01T00:00:00", 0)):
        answer = client.post(SEARCH, {"query": "moment", "scope": place, "since": since}).ok().json
        assert answer["results_count"] == found
    items = client.get("/ai/audit?limit=1&from=2020-01-01&to=2020-01-02").ok().json["items"]
    assert items == []


@pytest.mark.parametrize(
    "time", ["yesterday", "01/02/2026", "2026-13-01", "2026-01-01T25:00:00", "1767225600", ""]
)
def test_times_that_are_none_show_one(client, time):
    for answer in (
        client.post(SEARCH, {"query": "x", "since": time}),
        client.get(f"/ai/audit?from={quote(time)}"),
    ):
        assert "2026-01-01T00:00:00Z" in words(answer.ok(422))


# --- text and names -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred\x1b[0m", "page one\fpage two", "bell\a", "a\x7fb", "\x01", "a\x85b"],
    ids=ascii,
)
def test_free_text_takes_every_code_point(client, text):
    place = f"outside:{uuid.uuid4()}"
    body = {"scope": place, "text": text, "metadata": {"note": text, text: 1}}
    made = client.post(INGEST, body).ok().json["id"]
    got = client.get(f"/memory/{made}").ok().json
    assert got["content"] == text
    assert got["metadata"] == {"note": text, text: 1}
    client.post(SEARCH, {"query": text, "scope": place}).ok()
    client.post(APPEND, {**EVENT, "payload": {"output": text}}).ok()
    ran = (
        client.post(
            RUN,
            {
                "task": {
                    "type": "code.python",
                    "stdin": text,
                    "code": f"import sys; print(ascii(sys.stdin.read()))  # {text}",
                }
            },
        )
        .ok()
        .json
    )
    assert ran["output"]["stdout"] == ascii(text) + "\n", ran


@pytest.mark.parametrize(
    "path,body,field",
    [
        (INGEST, memory(text="a\0b"), "text"),
        (INGEST, memory(metadata={"a": {"b": "\0"}}), "metadata.a.b"),
        (SEARCH, {"query": "\0"}, "query"),
        (APPEND, {**EVENT, "payload": {"x": ["\0"]}}, "payload.x[0]"),
        (RUN, {"task": {"type": "code.python", "code": "print('\0')"}}, "task.code"),
    ],
    ids=lambda x: x if x in (INGEST,) else None,
)
def test_but_u0000(client, path, body, field):
    said = words(client.post(path, body).ok(422))
    assert f"{field}: U+0000" in said
    assert "leave it out" in said


@pytest.mark.parametrize(
    "path,body,field,code",
    [
        (INGEST, memory(scope="a\x1b"), "scope", "U+001B"),
        (INGEST, memory(source="a\ab"), "source", "U+0007"),
        (INGEST, memory(tags=["ok", "a\vb"]), "tags[1]", "U+000B"),
        (APPEND, {**EVENT, "actor": "\x7f"}, "actor", "U+007F"),
        (APPEND, {**EVENT, "action": "a\x02b"}, "action", "U+0002"),
        (APPEND, {**EVENT, "target": "\x01"}, "target", "U+0001"),
        (SEARCH, {"query": "x", "scope": "\b"}, "scope", "U+0008"),
        ("/memory/forget", {"scope": "\f"}, "scope", "U+000C"),
        ("/keys", {"role": "viewer", "name": "\x1f"}, "name", "U+001F"),
    ],
)
def test_names_take_no_control_character(client, path, body, field, code):
    assert f"{field}: must hold no control character, but holds {code}" in words(
        client.post(path, body).ok(422)
    )


def test_names_in_a_query(client):
    assert "U+001B" in words(client.get("/memory?scope=a%1b").ok(422))
    assert "U+0007" in words(client.get("/ai/audit?actor=%07").ok(422))


BLANKS = ["   \n", "\t", "\u3000\u00a0", "", "\u200b", "\ufeff \u00ad", "\u2060\u200d"]


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_blank_text_is_refused(client, blank):
    made = client.post(INGEST, memory()).ok().json["id"]
    for answer in (client.post(INGEST, memory(text=blank)), client.post(SEARCH, {"query": blank}),
                   client.patch(f"/memory/{made}", {"text": blank})):
        assert "must not be " in words(answer.ok(422))


# --- numbers --------------------------------------------------------------------------------------
BIG = "7615917337495251231"


@pytest.mark.parametrize(
    "path,body,field",
    [
        (INGEST, '{"scope":"o","text":"t","metadata":{"p_id":%s}}', "metadata.p_id"),
        (
            APPEND,
            '{"actor":"a","action":"b","target":"c","decision":"allowed","payload":{"ids":[1,%s]}}',
            "payload.ids[1]",
        ),
        (RUN, '{"task":{"type":"json.query","query":".","input":{"n":-%s}}}', "task.input.n"),
    ],
)
def test_integers_beyond_2_53_have_a_remedy(client, path, body, field):
    said = words(client.post(path, body % BIG).ok(422))
    assert f"{field}: integer beyond 2^53" in said
    assert "send it as a string" in said


def test_doubles_of_any_size(client):
    """What has a fraction or an exponent is no integer, however large."""
    body = (
        '{"scope":"outside","text":"doubles %s",'
        '"metadata":{"n":[1e16,9.1e15,-6.02e23,1e308,0.5,9007199254740992]}}'
    )
    made = client.post(INGEST, body % uuid.uuid4()).ok().json["id"]
    numbers = client.get(f"/memory/{made}").ok().json["metadata"]["n"]
    assert numbers == [1e16, 9.1e15, -6.02e23, 1e308, 0.5, 9007199254740992]
    again = client.patch(f"/memory/{made}", {"metadata": {"n": numbers}}).ok().json
    assert again["metadata"]["n"] == numbers
    event = (
        '{"actor":"a","action":"b","target":"c","decision":"allowed","payload":{"n":[1e16,1e308]}}'
    )
    client.post(APPEND, event).ok()
    assert "send it as a string" in words(
        client.post(INGEST, body.replace("0.5", "1e309") % "x").ok(422)
    )


# --- lists, changes of nothing, statuses ----------------------------------------------------------
def test_a_patch_of_nothing(client):
    made = client.post(INGEST, memory()).ok().json["id"]
    before = client.get(f"/memory/{made}").ok().json["version"]
    for body in ({}, {"text": None}, {"client_request_id": "x"}):
        assert "at least one of text, tags, source, metadata, ttl_seconds" in words(
            client.patch(f"/memory/{made}", body).ok(422))
    assert client.get(f"/memory/{made}").ok().json["version"] == before


@pytest.mark.parametrize(
    "path,field", [("/ai/audit?status=bogus", "status"), ("/ai/jobs?status=bogus", "status")]
)
def test_filters_that_match_nothing_list_what_there_is(client, path, field):
    said = words(client.get(path).ok(422))
    assert f"{field}: must be one of" in said
    assert "failed" in said


@pytest.mark.parametrize("status", ["success", "failed", "denied", "allowed", "requires_approval"])
def test_statuses_of_the_log(client, status):
    client.get(f"/ai/audit?limit=1&status={status}").ok()


@pytest.mark.parametrize(
    "path",
    [
        "/memory?cursor=bogus",
        "/ai/audit?cursor=bogus",
        "/ai/jobs?cursor=bogus",
        "/ai/audit?from=bogus",
        "/memory?limit=0",
        "/memory?colour=red",
    ],
)
def test_a_get_has_no_body_to_blame(client, path):
    answer = client.get(path).ok(422)
    assert "body" not in answer.json["detail"].lower()
    assert answer.json["errors"][0]["field"]


def test_unknown_members_and_parameters_list_the_known(client):
    assert "known are: tenant_id, scope, text" in words(
        client.post(INGEST, {"scope": "a", "content": "b"}).ok(422)
    )
    assert "known are: scope, cursor, limit" in words(client.get("/memory?page=2").ok(422))
    assert "known are: none" in words(client.get("/ai/actions?x=1").ok(422))


@pytest.mark.parametrize("path,body,said", [
    (INGEST, memory(text=5), "text: must be a string, not a number"),
    (INGEST, memory(tags="x"), "tags: must be an array, not a string"),
    (INGEST, memory(tags=["x"] * 33), "tags: must hold at most 32, not 33"),
    (INGEST, memory(scope="x" * 300), "scope: must be at most 256 bytes, not 300"),
    (SEARCH, {"query": "x", "k": 51}, "k: must be from 1 to 50, not 51"),
    (SEARCH, {"query": "x", "mode": "fuzzy"},
     'mode: must be one of "hybrid", "vector", "text", not a string of 5 bytes'),
    (SEARCH, {"query": "x", "k": 2.5}, "k: must be a whole number, not 2.5"),
    (INGEST, memory(client_request_id="é"),
     "client_request_id: must be printable ASCII, not a string of 2 bytes"),
    ("/webhooks", {"url": "http://x", "events": ["job.ended"]},
     "url: must be an address that begins with https://"),
    ("/webhooks", {"url": "https://x.example/", "events": ["job.done"]},
     "events[0]: must be job.ended, approval.asked,")])
def test_what_was_found_is_said(client, path, body, said):
    assert said in words(client.post(path, body).ok(422))


@pytest.mark.parametrize("path,form", [
    ("/memory/abc", "{id} in /memory/{id} is a UUID, such as"),
    ("/ai/jobs/1", "{id} in /ai/jobs/{id} is a UUID, such as"),
    ("/ai/audit/x/proof", "is a whole number of at most 15 digits"),
    ("/ai/dead-letters/x", "{seq} in /ai/dead-letters/{seq} is a whole number"),
    ("/policy/versions/01", "{version} in /policy/versions/{version} is a whole number"),
])
def test_a_malformed_id_names_its_form(client, path, form):
    answer = client.get(path).ok(404)
    assert answer.code == "not_found"
    assert form in answer.json["detail"]


@pytest.mark.parametrize("path", ["/ai/jobs", "/memory", "/ai/audit", "/ai/dead-letters",
                                  "/policy/versions", "/ai/approvals"])
def test_a_cursor_is_next_cursor(client, path):
    said = words(client.get(f"{path}?cursor=!").ok(422))
    assert "cursor: must be next_cursor of the page before" in said


def test_a_tree_that_there_is_not(client):
    """The size of the log is told to who reads it, as the checkpoint does."""
    client.post(APPEND, EVENT).ok()
    said = words(client.get("/ai/audit/consistency?from=1&to=99999999").ok(422))
    assert re.search(r"to: must be between 1 and \d+, the size of the log, not 99999999", said)
    said = words(client.get("/ai/audit/0/proof?tree_size=99999999").ok(422))
    assert "the size of the log, not 99999999" in said
    said = words(client.get("/ai/audit/consistency?from=2&to=1").ok(422))
    assert "from: must be between 1 and 1, the later size, not 2" in said


# --- who, what, which -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"x_api_key": "Bearer x"},
        {"x_api_key": '"x"'},
        {"authorization": "relay_" + "sk_" + "0" * 50},
    ],
    ids=str,
)
def test_401_names_the_headers(stack, headers):
    anonymous = stack.anonymous()
    details = {
        anonymous.get(path, **headers).ok(401).json["detail"]
        for path in ("/memory", "/ai/jobs?api_key=x")
    }
    assert len(details) == 1  # the same for all: a stranger learns nothing
    assert "X-API-Key" in details.copy().pop()
    assert "Authorization: Bearer" in details.pop()


def test_403_names_scope_and_role(stack):
    assert (
        "memory:write" in stack.client(role="viewer").post(INGEST, memory()).ok(403).json["detail"]
    )
    assert "viewer" in stack.client(role="viewer").post(INGEST, memory()).json["detail"]


def test_404_says_that_things_end(client):
    assert "expired" in client.get(f"/memory/{UNKNOWN}").ok(404).json["detail"]
    assert "kept no more" in client.get(f"/ai/jobs/{UNKNOWN}").ok(404).json["detail"]
    assert "expired" in client.post("/ai/execute", {"preview_id": UNKNOWN}).ok(404).json["detail"]
    assert "openapi.json" in client.get("/memories").ok(404).json["detail"]


# --- the same over NATS ---------------------------------------------------------------------------
def test_workers_judge_alike(stack):
    """Straight over NATS, where no gateway looked first."""
    with contextlib.closing(stack.nats()) as nats:

        def ask(command, data):
            return json.loads(nats.request(f"gantry.v1.default.{command}", data).data)

        assert "results" in ask("memory.search", b"\xef\xbb\xbf" + json.dumps(
            {"query": "\x1b[0m x", "k": None, "since": "2026-01-01"}).encode())
        for body, said in (
            ({"query": " "}, "query: must not be blank"),
            ({"query": "a\0"}, "query: U+0000"),
            ({"query": "x", "scope": "\x07"}, "U+0007"),
            ({"query": "x", "min_score": 2}, "must be from -1 to 1, not 2"),
        ):
            problem = ask("memory.search", json.dumps(body).encode())
            assert said in " ".join(f"{e['field']}: {e['detail']}" for e in problem["errors"]), (
                problem
            )
            assert problem["detail"] == "The request breaks the rules listed in errors."
        assert "must be one of" in ask("audit.list", b'{"status":"bogus"}')["errors"][0]["detail"]
        made = str(uuid.uuid4())
        nats.js_publish(
            "gantry.v1.default.memory.ingest",
            json.dumps(
                {
                    "scope": "outside",
                    "text": "\x1b[1mover NATS",
                    "tags": None,
                    "metadata": {"n": 1e16},
                }
            ).encode(),
            msg_id=made,
        )
    client = stack.client()
    wait_until(lambda: client.get(f"/memory/{made}").status == 200, 60)
    assert client.get(f"/memory/{made}").json["metadata"] == {"n": 1e16}
