# SPDX-License-Identifier: MIT
"""The rules for every route (contract 4.1): headers, errors, bodies, bounds, waiting."""
import json
import re
import uuid

import pytest
from gantry_testing import openapi
from gantry_testing.stack import ROOT

UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
INGEST = "/webhook/memory/ingest"


def scope():
    return f"rules:{uuid.uuid4()}"


def nested(depth):
    return "[" * depth + "]" * depth


# What is wrong with the body -> status, code. Bytes are sent as they are.
BAD_BODIES = {
    "empty": (b"", 400, "malformed_json"),
    "not json": (b"{", 400, "malformed_json"),
    "trailing bytes": (b'{"scope":"a","text":"b"} x', 400, "malformed_json"),
    "two documents": (b'{"scope":"a","text":"b"}{}', 400, "malformed_json"),
    "duplicate member": (b'{"scope":"a","scope":"a","text":"b"}', 400, "malformed_json"),
    "duplicate member deep": (
        b'{"scope":"a","text":"b","metadata":{"x":{"y":1,"y":1}}}',
        400,
        "malformed_json",
    ),
    "duplicate by escape": (b'{"scope":"a","\\u0073cope":"a","text":"b"}', 400, "malformed_json"),
    "invalid utf-8": (b'{"scope":"a","text":"\xff"}', 400, "malformed_json"),
    "overlong utf-8": (b'{"scope":"a","text":"\xc0\x80"}', 400, "malformed_json"),
    "surrogate in utf-8": (b'{"scope":"a","text":"\xed\xa0\x80"}', 400, "malformed_json"),
    "lone surrogate": (b'{"scope":"a","text":"\\ud800"}', 400, "malformed_json"),
    "raw NUL": (b'{"scope":"a","text":"\x00"}', 400, "malformed_json"),
    "raw newline": (b'{"scope":"a","text":"x\ny"}', 400, "malformed_json"),
    "leading zero": (b'{"scope":"a","text":"b","ttl_seconds":01}', 400, "malformed_json"),
    "single quotes": (b"{'scope':'a'}", 400, "malformed_json"),
    "NaN": (b'{"scope":"a","text":"b","ttl_seconds":NaN}', 400, "malformed_json"),
    "escaped NUL": (b'{"scope":"a","text":"\\u0000"}', 422, "invalid_request"),
    "delete in a name": (b'{"scope":"x\x7fy","text":"b"}', 422, "invalid_request"),
    "escaped control in a name": (b'{"scope":"\\u0007","text":"b"}', 422, "invalid_request"),
    "integer beyond 2^53": (
        b'{"scope":"a","text":"b","ttl_seconds":9007199254740993}',
        422,
        "invalid_request",
    ),
    "integer far beyond": (
        b'{"scope":"a","text":"b","metadata":{"n":123456789012345678901234567890}}',
        422,
        "invalid_request",
    ),
    "overflowing number": (
        b'{"scope":"a","text":"b","metadata":{"n":1e999}}',
        422,
        "invalid_request",
    ),
    "too deep": (
        b'{"scope":"a","text":"b","metadata":{"x":' + nested(15).encode() + b"}}",
        422,
        "invalid_request",
    ),
    "very deep": (
        b'{"scope":"a","text":"b","metadata":{"x":' + nested(5000).encode() + b"}}",
        422,
        "invalid_request",
    ),
    "an array": (b"[]", 422, "invalid_request"),
    "a string": (b'"x"', 422, "invalid_request"),
    "null": (b"null", 422, "invalid_request"),
    "missing member": (b'{"scope":"a"}', 422, "invalid_request"),
    "unknown member": (b'{"scope":"a","text":"b","colour":"red"}', 422, "invalid_request"),
    "wrong case": (b'{"Scope":"a","text":"b"}', 422, "invalid_request"),
    "wrong type": (b'{"scope":1,"text":"b"}', 422, "invalid_request"),
    "null member": (b'{"scope":null,"text":"b"}', 422, "invalid_request"),
    "empty text": (b'{"scope":"a","text":""}', 422, "invalid_request"),
    "zero ttl": (b'{"scope":"a","text":"b","ttl_seconds":0}', 422, "invalid_request"),
    "fraction for an integer": (
        b'{"scope":"a","text":"b","ttl_seconds":1.5}',
        422,
        "invalid_request",
    ),
    "33 tags": (
        json.dumps({"scope": "a", "text": "b", "tags": [str(i) for i in range(33)]}).encode(),
        422,
        "invalid_request",
    ),
    "long tag": (
        json.dumps({"scope": "a", "text": "b", "tags": ["x" * 129]}).encode(),
        422,
        "invalid_request",
    ),
    "long scope": (json.dumps({"scope": "s" * 257, "text": "b"}).encode(), 422, "invalid_request"),
    "long text": (json.dumps({"scope": "a", "text": "x" * 65537}).encode(), 422, "invalid_request"),
    "65 facts": (
        json.dumps(
            {
                "scope": "a",
                "text": "b",
                "facts": [{"subject": "s", "predicate": "p", "object": "o", "confidence": 1}] * 65,
            }
        ).encode(),
        422,
        "invalid_request",
    ),
    "confidence 2": (
        b'{"scope":"a","text":"b","facts":[{"subject":"s","predicate":"p","object":"o","confidence":2}]}',
        422,
        "invalid_request",
    ),
    "other tenant": (b'{"scope":"a","text":"b","tenant_id":"other"}', 403, "tenant_mismatch"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_body(client, name):
    body, status, code = BAD_BODIES[name]
    answer = client.post(INGEST, body).ok(status)
    assert answer.code == code
    problem = answer.json
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert {"type", "title", "detail", "instance"} <= set(problem)
    if name in ("missing member", "unknown member", "wrong type"):
        assert problem["errors"]
        assert {"field", "detail"} == set(problem["errors"][0])


def test_error_text_repeats_nothing(client):
    answer = client.post(
        INGEST, {"scope": "a", "text": "b", "canary-member-7f3a": "canary-value-91bc"}
    ).ok(422)
    assert b"canary-value-91bc" not in answer.body
    token = "gh" + "p_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    for body, field in (({token: 1}, "[redacted]"), ({"facts": [{token: 1}]}, None),
                        ({"metadata": {"notes": {token: 1}}}, "metadata.notes.[redacted]"),
                        ({"metadata": {token: "\0"}}, "metadata.[redacted]")):
        answer = client.post(INGEST, {"scope": "a", "text": "b", **body}).ok(422)
        assert token[:16] not in answer.body.decode()
        assert field is None or field in [error["field"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    "method,path,status,instance",
    [
        ("GET", "/nowhere", 404, "/nowhere"),
        ("PUT", "/keys", 405, "/keys"),
        ("GET", "/memory/nothing", 404, "/memory/nothing"),
        ("GET", "/a%20b", 404, "/"),
        ("GET", "/" + "x" * 500, 404, "/"),
        ("GET", "/memory/relay_" + "sk_" + "a" * 50, 404, "/memory/{id}"),
        ("GET", "/relay_" + "sk_" + "a" * 50, 404, "/"),
        ("GET", "/ai/audit/0/proof?tree_size=x", 422, "/ai/audit/0/proof"),
    ],
)
def test_every_problem_has_an_instance(client, method, path, status, instance):
    assert client.request(method, path).ok(status).json["instance"] == instance


def test_bounds_are_inclusive(client):
    """What is exactly at the bound passes."""
    client.ingest(scope(), "x" * 65536).ok()
    client.ingest(
        "s" * 200 + str(uuid.uuid4())[:30], "y", tags=["t" * 128] + [str(i) for i in range(31)]
    ).ok()


def test_too_large(client):
    body = json.dumps({"scope": "a", "text": "x" * 600_000})
    assert client.post(INGEST, body).ok(413).code == "body_too_large"
    client.get("/healthz").ok()
    chunks = (body[i:i + 50_000].encode() for i in range(0, len(body), 50_000))
    client._connection.request(
        "POST",
        INGEST,
        chunks,
        {"X-API-Key": client.key, "Content-Type": "application/json"},
        encode_chunked=True,
    )
    answer = client._connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["code"] == "body_too_large"
    client.get("/healthz").ok()


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=latin-1",
    ],
)
def test_media_type(client, kind):
    assert (
        client.post(INGEST, b'{"scope":"a","text":"b"}', Content_Type=kind).ok(415).code
        == "unsupported_media_type"
    )


def test_content_coding(client):
    assert (
        client.post(INGEST, b"\x1f\x8b", Content_Encoding="gzip").ok(415).code
        == "unsupported_media_type"
    )


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8"])
def test_media_type_json(client, kind):
    client.post(INGEST, json.dumps({"scope": scope(), "text": "b"}), Content_Type=kind).ok()


def test_security_headers(stack, client):
    for answer in (client.get("/healthz"), client.get("/nowhere"), client.get("/memory"),
                   stack.anonymous().get("/memory"), client.post(INGEST, b"{")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Request-ID"]
        assert ("Strict-Transport-Security" in answer.headers) == stack.url.startswith("https:")


def test_hsts_behind_a_trusted_proxy(client):
    assert "Strict-Transport-Security" in client.get("/healthz", x_forwarded_proto="https").headers


@pytest.mark.parametrize(
    "given,kept",
    [
        ("abc.DEF_1:2-3", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("a/b", False),
        ("ä", False),
        ("relay_sk_" + "a" * 50, False),
    ],
)
def test_request_id(client, given, kept):
    got = client.get("/healthz", x_request_id=given.encode("latin-1")).headers["X-Request-ID"]
    assert got == given if kept else UUID7.match(got)


def test_not_found_and_method(client):
    assert client.get("/nowhere").ok(404).code == "not_found"
    assert client.get("/memories").ok(404).code == "not_found"
    assert client.get("/memory/not-an-id").ok(404).code == "not_found"
    assert client.get(f"/memory/{uuid.uuid4()}").ok(404).code == "not_found"
    answer = client.request("PUT", "/keys").ok(405)
    assert answer.code == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    assert client.request("OPTIONS", "/memory/forget").ok(405).headers["Allow"] == "POST"
    assert client.request("BREW", INGEST).ok(405).headers["Allow"] == "POST"


def test_head(client):
    answer = client.request("HEAD", "/healthz").ok(200)
    assert answer.body == b""
    assert int(answer.headers["Content-Length"]) > 0
    client.request("HEAD", "/memory").ok(200)


def test_query_parameters(client):
    place = scope()
    client.ingest(place, "one & only").ok()
    from urllib.parse import quote
    assert len(client.get(f"/memory?scope={quote(place)}&limit=1").ok().json["items"]) == 1
    for bad in (
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=1&limit=2",
        "colour=red",
        "scope=%zz",
        "scope=%00",
        "limit=",
        "scope=%ff",
    ):
        assert client.get(f"/memory?{bad}").ok(422).code == "invalid_request", bad
    assert client.get("/memory?colour=red").json["errors"][0]["field"] == "colour"
    assert client.get("/memory?sk_live_" + "a1" * 12 + "=red").json["errors"][0]["field"] == "query"


def test_a_body_of_a_read_means_nothing(client):
    for path in ("/ai/actions", "/memory?limit=1", "/ai/audit/checkpoint"):
        client.request("GET", path, b"whatever").ok()


def test_blanks_behind_a_header(stack, client):
    key = stack.api_key
    anonymous = stack.anonymous()
    anonymous.get("/memory", x_api_key=key + " \t").ok()
    anonymous.get("/memory", authorization=f"Bearer {key} ").ok()
    assert anonymous.get("/healthz", x_request_id="abc ").headers["X-Request-ID"] == "abc"
    body = {"scope": scope(), "text": "b"}
    one = str(uuid.uuid4())
    first = client.post(INGEST, body, idempotency_key=one + " ").ok()
    again = client.post(
        INGEST, body, idempotency_key=one, Content_Type="application/json; charset=utf-8 "
    ).ok()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]


def test_prefer_async(client):
    answer = client.post(INGEST, {"scope": scope(), "text": "later"}, prefer="respond-async").ok(
        202
    )
    body = answer.json
    assert body["status"] == "accepted"
    assert UUID7.match(body["id"])
    assert answer.headers["Location"] == f"/memory/{body['id']}"
    from gantry_testing.wait import wait_until

    found = wait_until(
        lambda: (lambda a: a if a.status == 200 else None)(client.get(answer.headers["Location"]))
    )
    assert found.json["content"] == "later"


def test_wait_runs_out(make_stack):
    """Without its worker an ingest is accepted, and done when the worker is back. A search is
    not."""
    one = make_stack()
    client = one.client()
    one.take_down("ingest")
    one.take_down("search")
    answer = client.post(INGEST, {"scope": "s", "text": "kept"}, prefer="wait=1").ok(202)
    refused = client.post("/webhook/memory/search", {"query": "x"}, prefer="wait=1")
    assert refused.status in (503, 504)
    assert refused.code in ("unavailable", "timeout")
    one.bring_back("search")
    one.bring_back("ingest")
    from gantry_testing.wait import wait_until
    wait_until(lambda: client.get(f"/memory/{answer.json['id']}").status == 200)


def test_secret_in_text(client):
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    for body in ({"scope": scope(), "text": f"the token is {token}"},
                 {"scope": scope(), "text": "x", "metadata": {"notes": [token]}},
                 {"scope": scope(), "text": "x", "tags": [token]}):
        answer = client.post(INGEST, body).ok(422)
        assert answer.code == "secret_in_text"
        assert token.encode() not in answer.body
    client.ingest(scope(), "The API key is kept in the safe; ask Bob for it.").ok()


def test_openapi(stack):
    document = stack.anonymous().get("/openapi.json").ok().json
    assert document["openapi"].startswith("3.1")
    assert document["servers"]
    assert document == openapi.document()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        success = [
            response for status, response in operation["responses"].items() if status[0] == "2"
        ]
        assert success
        assert all(
            "$ref" in media["schema"] or kind.startswith("text/")
            for response in success
            for kind, media in response.get("content", {}).items()
        )
        assert operation["tags"]
        assert operation["summary"]
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["description"]
    header = (ROOT / "common/validate/problem.h").read_text()
    assert all(code in codes for code in re.findall(r'X\(PROBLEM_\w+, +"(\w+)"', header))
    assert INGEST in document["paths"]
    assert "/memory/{id}" in document["paths"]
    body = document["paths"]["/memory/{id}"]["patch"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert "id" not in body["properties"]
    assert "id" not in body.get("required", [])


def test_ready_names_each(stack):
    ready = stack.anonymous().get("/readyz").ok().json
    assert {"nats", "postgresql", "redis"} <= set(ready["dependencies"])
    assert stack.anonymous().get("/healthz").ok().json["status"] == "ok"
