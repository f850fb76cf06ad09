# SPDX-License-Identifier: MIT
"""POST /mcp, message by message: revision 2026-07-28, and those with a handshake."""

import base64
import http.client
import json
import uuid
from urllib.parse import urlsplit

import jsonschema
import pytest
from gantry_testing.mcp import ACCEPT, MODERN, NEWER, OLDER, PREFIX, Mcp
from gantry_testing.wait import wait_until

SLEEP = "import time; print('begun', flush=True); time.sleep(60)"
VIEWER = ["memory_search", "memory_get", "memory_list", "job_get"]
DEVELOPER = [
    "memory_store",
    "memory_search",
    "memory_get",
    "memory_list",
    "memory_update",
    "audit_record",
    "job_get",
    "job_cancel",
]
APPROVER = ["approvals_list", "approval_get", "approval_decide"]
ADMIN = [*DEVELOPER[:5], "memory_delete", *DEVELOPER[5:], *APPROVER]
ACTIONS = ["code_python", "code_shell", "health_check", "json_query", "ping"]
VERSIONS = [MODERN, NEWER, OLDER]


@pytest.fixture
def mcp(client):
    return Mcp(client)


@pytest.fixture(params=VERSIONS)
def each(request, client):
    return Mcp(client, request.param)


def error(answer, status, code):
    found = answer.ok(status).json
    assert found["error"]["code"] == code, found
    return found


# --- the protocol -----------------------------------------------------------------------------


def test_discover(mcp):
    result = mcp.ask("server/discover")
    assert result["resultType"] == "complete"
    assert result["supportedVersions"] == VERSIONS
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert result["instructions"]
    assert result["ttlMs"] > 0
    assert result["cacheScope"] == "public"
    assert result["_meta"][PREFIX + "serverInfo"]["name"] == "gantry"


@pytest.mark.parametrize(
    "wanted, given", [(NEWER, NEWER), (OLDER, OLDER), ("2025-03-26", NEWER), ("2099-01-01", NEWER)]
)
def test_initialize(client, wanted, given):
    params = {
        "protocolVersion": wanted,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    message = {"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": params}
    answer = client.post("/mcp", message, Accept=ACCEPT).ok()
    result = answer.json["result"]
    assert answer.json["id"] == "first"
    assert result["protocolVersion"] == given
    assert result["capabilities"]["tools"] == {"listChanged": False}
    assert result["serverInfo"]["name"] == "gantry"
    assert "Mcp-Session-Id" not in answer.headers
    assert "resultType" not in result
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    told = client.post("/mcp", done, MCP_Protocol_Version=given).ok(202)
    assert told.body == b""
    assert Mcp(client, given).ask("ping") == {}


def test_methods_of_the_other_revision(client):
    assert error(
        Mcp(client, NEWER).send(Mcp(client, NEWER).message("server/discover")), 200, -32601
    )
    for method in ("ping", "initialize", "resources/list", "logging/setLevel", "nonsense"):
        assert error(Mcp(client).send(Mcp(client).message(method)), 404, -32601)


def test_no_session_and_no_stream(client):
    for method in ("GET", "DELETE"):
        answer = client.request(method, "/mcp", headers={"Accept": "text/event-stream"}).ok(405)
        assert answer.headers["Allow"] == "POST"


def test_versions(client, mcp):
    message = mcp.message("tools/list")
    found = error(mcp.send(message, MCP_Protocol_Version=None), 400, -32020)
    assert found["id"] == message["id"]
    error(mcp.send(message, MCP_Protocol_Version=NEWER), 400, -32020)  # not what _meta says
    message["params"]["_meta"][PREFIX + "protocolVersion"] = "1900-01-01"
    found = error(mcp.send(message, MCP_Protocol_Version="1900-01-01"), 400, -32022)
    assert found["error"]["data"] == {"supported": VERSIONS, "requested": "1900-01-01"}
    error(
        Mcp(client, "2024-11-05").send({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        400,
        -32022,
    )


@pytest.mark.parametrize("member", ["protocolVersion", "clientCapabilities"])
def test_what_every_request_says_of_itself(mcp, member):
    message = mcp.message("tools/list")
    del message["params"]["_meta"][PREFIX + member]
    error(mcp.send(message), 400, -32602)


def test_headers_agree_with_the_body(mcp):
    message = mcp.message("tools/call", {"name": "memory_list", "arguments": {"limit": 1}})
    for header in ("Mcp_Method", "Mcp_Name"):
        for wrong in (None, "something"):
            assert error(mcp.send(message, **{header: wrong}), 400, -32020)["id"] == message["id"]
    coded = "=?base64?" + base64.b64encode(b"memory_list").decode() + "?="
    assert mcp.send(message, Mcp_Name=coded).ok().json["result"]["isError"] is False
    wrong = "=?base64?" + base64.b64encode(b"memory_get").decode() + "?="
    error(mcp.send(message, Mcp_Name=wrong), 400, -32020)


@pytest.mark.parametrize(
    "body, code",
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff", -32700),
        (b"[]", -32600),
        (b'"text"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
    ],
)
def test_messages_that_are_none(client, body, code):
    answer = client.post("/mcp", body, MCP_Protocol_Version=NEWER, Accept=ACCEPT)
    assert error(answer, 400, code)["jsonrpc"] == "2.0"


def test_params_that_are_null_are_none(client):
    for method in ("tools/list", "initialize"):
        said = []
        for more in ({}, {"params": None}):
            message = {"jsonrpc": "2.0", "id": 1, "method": method, **more}
            said.append(Mcp(client, NEWER).send(message).json)
        assert said[0] == said[1]
    assert Mcp(client, NEWER).send(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": None}
    ).ok().json["result"]["tools"]


def test_a_message_without_a_method(client):
    for method in ({}, {"method": ""}, {"method": 5}):
        for number in ({}, {"id": 1}):
            said = Mcp(client, NEWER).send({"jsonrpc": "2.0", **number, **method}).ok(400).json
            assert said["error"]["code"] == -32600, said


def test_invalid_params(each):
    for params in (
        {},
        {"name": 1},
        {"name": ""},
        {"name": "no_such_tool"},
        {"name": "memory_forget"},
    ):
        message = each.message("tools/call", params)
        name = params.get("name") if isinstance(params.get("name"), str) else None
        if name or each.version != MODERN:
            headers = {} if each.version != MODERN else {"Mcp_Name": name}
            message["params"].setdefault("name", None) if each.version == MODERN else None
            error(each.send({**message}, **headers), 200, -32602)
    error(
        each.send(each.message("tools/call", {"name": "memory_get", "arguments": []})), 200, -32602
    )
    error(each.send(each.message("tools/list", {"cursor": "x"})), 200, -32602)


def test_who_may_ask(stack, client):
    message = Mcp(client).message("server/discover")
    assert (
        Mcp(stack.anonymous())
        .send(message)
        .ok(401)
        .headers["WWW-Authenticate"]
        .startswith("Bearer")
    )
    bearer = Mcp(stack.anonymous()).send(message, Authorization=f"Bearer {stack.api_key}").ok()
    assert bearer.json["result"]["supportedVersions"]
    assert (
        Mcp(client).send(message, Origin="https://evil.example").ok(403).code
        == "origin_not_allowed"
    )
    assert client.post("/mcp", b"a=b", Content_Type="text/plain").ok(415)


def test_a_listed_origin(make_stack):
    one = make_stack(CORS_ORIGINS="http://localhost:6274", ALLOW_ACTIONS_DEFAULT="ping")
    mcp = Mcp(one.client())
    answer = mcp.send(mcp.message("server/discover"), Origin="http://localhost:6274").ok()
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:6274"
    assert mcp.send(mcp.message("server/discover"), Origin="http://localhost:6275").ok(403)
    assert list(mcp.tools()) == ADMIN + ["ping"]  # only what this workspace is allowed


# --- the tools --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role, names",
    [("viewer", VIEWER), ("developer", DEVELOPER + ACTIONS), ("admin", ADMIN + ACTIONS)],
)
def test_a_key_sees_what_it_may(stack, role, names):
    for version in VERSIONS:
        mcp = Mcp(stack.client(role), version)
        result = mcp.ask("tools/list")
        assert [tool["name"] for tool in result["tools"]] == names
        assert result == mcp.ask("tools/list")  # the same bytes each time
        assert ("ttlMs" in result) == (version == MODERN)
        assert result.get("cacheScope", "private") == "private"


def test_descriptions(mcp):
    for name, tool in mcp.tools().items():
        assert tool["title"]
        assert tool["description"]
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$ref" not in json.dumps(schema)
            assert '"x-' not in json.dumps(schema)
        assert "tenant_id" not in tool["inputSchema"]["properties"]
        hints = tool["annotations"]
        assert hints["readOnlyHint"] == (name in [*VIEWER, "approvals_list", "approval_get"])
        assert hints["openWorldHint"] is False
        assert hints["destructiveHint"] == (
            name in ("memory_update", "memory_delete", "job_cancel", "approval_decide")
        )


def fits(mcp, name, content):
    jsonschema.validate(content, mcp.tools()[name]["outputSchema"], jsonschema.Draft202012Validator)
    return content


def test_memories(each):
    scope = f"mcp:{uuid.uuid4()}"
    stored = fits(
        each,
        "memory_store",
        each.good("memory_store", {"scope": scope, "text": "The kettle is in the attic."}),
    )
    memory = stored["id"]
    found = fits(
        each,
        "memory_search",
        each.good("memory_search", {"query": "where is the kettle", "scope": scope}),
    )
    assert [one["id"] for one in found["results"]] == [memory]
    assert (
        fits(each, "memory_get", each.good("memory_get", {"id": memory}))["content"]
        == "The kettle is in the attic."
    )
    assert [
        one["id"]
        for one in fits(
            each, "memory_list", each.good("memory_list", {"scope": scope, "limit": 5})
        )["items"]
    ] == [memory]
    assert fits(
        each, "memory_update", each.good("memory_update", {"id": memory, "tags": ["home"]})
    )["tags"] == ["home"]
    assert fits(each, "memory_delete", each.good("memory_delete", {"id": memory})) == {
        "status": "deleted",
        "id": memory,
    }
    gone = each.call("memory_get", {"id": memory})
    assert gone["isError"]
    assert "not_found (404)" in gone["content"][0]["text"]
    assert "structuredContent" not in gone


def test_audit_record(each, client):
    event = {
        "actor": "agent",
        "action": "decide",
        "target": f"t-{uuid.uuid4()}",
        "decision": "allowed",
    }
    recorded = fits(each, "audit_record", each.good("audit_record", event))
    assert client.get(f"/ai/audit/events/{recorded['event_id']}").ok()


def test_actions_and_jobs(each):
    ran = fits(
        each, "code_python", each.good("code_python", {"code": "result = 6 * 7; print('hi')"})
    )
    assert ran["output"]["result"]["value"] == 42
    assert ran["output"]["stdout"] == "hi\n"
    job = fits(each, "job_get", each.good("job_get", {"job_id": ran["job_id"], "wait": 1}))
    assert job["status"] == "completed"
    failed = each.call("code_python", {"code": "raise SystemExit('no such thing')"})
    assert failed["isError"]
    assert failed["structuredContent"]["outcome"] == "nonzero_exit"
    assert "no such thing" in failed["content"][0]["text"]
    fits(each, "code_python", failed["structuredContent"])


def test_a_wait_that_ends_gives_a_job(each):
    going = each.call("code_python", {"code": SLEEP}, Prefer="wait=1")
    assert not going["isError"]
    assert going["structuredContent"]["status"] == "accepted"
    job = fits(each, "code_python", going["structuredContent"])["job_id"]
    assert "job_get" in going["content"][1]["text"]
    wait_until(lambda: each.good("job_get", {"job_id": job})["status"] == "running", 60)
    assert (
        fits(each, "job_cancel", each.good("job_cancel", {"job_id": job}))["status"] == "cancelled"
    )


def test_errors_say_what_to_do(each):
    wrong = each.call("memory_store", {"text": "", "tags": "x", "colour": "red"})
    assert wrong["isError"]
    text = wrong["content"][0]["text"]
    assert text.startswith("invalid_request (422)")
    for field in ("scope", "text", "tags", "colour"):
        assert f"\n- {field}: " in text, text
    assert wrong["_meta"]["gantry/problem"]["code"] == "invalid_request"
    for name, arguments, field in (
        ("memory_get", {}, "id"),
        ("memory_get", {"id": "x"}, "id"),
        ("memory_delete", {}, "id"),
        ("memory_list", {"limit": 1000}, "limit"),
        ("memory_update", {"id": str(uuid.uuid4())}, ""),
        ("job_get", {}, "job_id"),
        ("code_python", {}, "code"),
        ("code_python", {"code": 1}, "code"),
        ("code_python", {"code": "1", "wrong": 1}, "wrong"),
    ):
        result = each.call(name, arguments)
        assert result["isError"], (name, result)
        assert field in result["content"][0]["text"], (name, result)
    secret = each.call(
        "memory_store",
        {
            "scope": "s",
            "text": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        },
    )
    assert secret["isError"]
    assert secret["content"][0]["text"].startswith("secret_in_text (422)")


def test_scopes_hold_for_calls(stack):
    viewer = Mcp(stack.client("viewer"))
    denied = viewer.call("memory_store", {"scope": "s", "text": "t"})
    assert denied["isError"]
    assert "memory:write" in denied["content"][0]["text"]
    assert viewer.call("ping")["isError"]


def test_workspaces_are_apart(stack, each):
    memory = each.good("memory_store", {"scope": "mcp:apart", "text": "only here"})["id"]
    other = Mcp(stack.client("admin", "elsewhere"), each.version)
    assert other.call("memory_get", {"id": memory})["isError"]
    mine = each.call("memory_list", {"tenant_id": "elsewhere"})
    assert mine["isError"]
    assert "tenant_mismatch" in mine["content"][0]["text"]


def test_idempotency(each):
    key, scope = f"mcp-{uuid.uuid4()}", f"mcp:{uuid.uuid4()}"
    first = each.good("memory_store", {"scope": scope, "text": "once", "client_request_id": key})
    again = each.call(
        "memory_store", {"scope": scope, "text": "once"}, {"gantry/client_request_id": key}
    )
    assert again["structuredContent"]["id"] == first["id"]
    assert again["_meta"]["gantry/replayed"] is True
    reused = each.call("memory_store", {"scope": scope, "text": "other", "client_request_id": key})
    assert reused["isError"]
    assert "idempotency_key_reused" in reused["content"][0]["text"]
    task = {"code": "import random; result = random.random()", "client_request_id": key + "-t"}
    assert each.good("code_python", task)["output"] == each.good("code_python", task)["output"]
    # one record, whichever way it comes
    over_http = each.client.ingest(scope, "once", client_request_id=key).ok()
    assert over_http.headers["Idempotency-Replayed"] == "true"
    assert over_http.json["id"] == first["id"]


def test_one_audit_event_for_each_request(mcp, client):
    calls = {
        "server/discover": ("POST /mcp", None),
        "tools/list": ("actions.list", None),
        "tools/call": (
            "memory.search",
            {"name": "memory_search", "arguments": {"query": "kettle"}},
        ),
    }
    ids = {}
    for method, (_, params) in calls.items():
        ids[method] = f"mcp-{uuid.uuid4().hex}"
        mcp.ask(method, params, X_Request_ID=ids[method])
    ids["fault"] = f"mcp-{uuid.uuid4().hex}"
    client.post("/mcp", b"{", X_Request_ID=ids["fault"])

    def events(request_id):
        items = client.get("/ai/audit?limit=100").ok().json["items"]
        return [one for one in items if one.get("request_id") == request_id]

    wait_until(lambda: all(events(one) for one in ids.values()), 30)
    for method, request_id in ids.items():
        assert len(events(request_id)) == 1, method
    assert [events(ids[method])[0]["action"] for method in calls] == [
        action for action, _ in calls.values()
    ]


# --- what is too long, or no key ----------------------------------------------------------------


def test_an_id_has_a_bound(mcp):
    message = mcp.message("server/discover")
    for text in ("x" * 256, '"' * 256):
        assert mcp.send({**message, "id": text}).ok().json["id"] == text
    found = error(mcp.send({**message, "id": "x" * 257}), 400, -32600)
    assert "256" in found["error"]["message"]


def test_a_version_that_is_none_is_not_repeated(client):
    for version in ("v" * 3000, "a b", "<b>"):
        found = error(
            Mcp(client, version).send({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
            400,
            -32022,
        )
        assert found["error"]["data"]["requested"] == ""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("key", ["cl\u00e9", "", 5, "k" * 129, "k" * 9000])
def test_a_key_that_cannot_be_one_is_refused(mcp, key, streamed):
    """To go on without would do twice what the client repeats."""
    meta = {"gantry/client_request_id": key, **({"progressToken": 1} if streamed else {})}
    found = error(
        mcp.send(mcp.message("tools/call", {"name": "ping", "arguments": {}}, meta)), 200, -32602
    )
    assert "gantry/client_request_id" in found["error"]["message"]


def test_a_stream_that_cannot_begin_is_an_answer_with_its_event(mcp, client):
    arguments = {"code": "1", "more": ["number"] * 80000}
    message = mcp.message(
        "tools/call", {"name": "code_python", "arguments": arguments}, {"progressToken": 1}
    )
    body = json.dumps(message).replace('"number"', "1e15")  # which is written out with 16 digits
    answer = client.request("POST", "/mcp", body, mcp.headers(message))
    assert "bytes" in error(answer, 200, -32602)["error"]["message"]
    request_id = answer.headers["X-Request-ID"]

    def events():
        items = client.get("/ai/audit?limit=100").ok().json["items"]
        return [one for one in items if one["request_id"] == request_id]

    assert len(wait_until(events, 30)) == 1


def test_long_headers_and_traces_are_no_lack_of_memory(mcp):
    assert mcp.good("memory_list", {"limit": 1}, Prefer="wait=5, " + "x" * 9000)
    for trace in ("00-" + "a" * 9000, "01-" + "a" * 32 + "-" + "b" * 16 + "-01-" + "x" * 20000):
        meta = {"traceparent": trace, "tracestate": "a=" + "x" * 20000}
        assert mcp.good("memory_list", {"limit": 1}, meta)


def test_rates(make_stack):
    limited = make_stack(RATE_LIMIT_PER_MINUTE=1, ALLOW_ACTIONS_DEFAULT="ping")
    mcp = Mcp(limited.client())
    results = [mcp.call("memory_list", {"limit": 1}) for _ in range(2)]
    assert not results[0]["isError"]
    text = results[-1]["content"][0]["text"]
    assert results[-1]["isError"]
    assert text.startswith("rate_limited (429)")
    assert "Try again in" in text
    assert mcp.send(mcp.message("server/discover")).ok(429).headers["Retry-After"]
    assert mcp.send(mcp.message("tools/list")).ok(429).headers["Retry-After"]
    assert mcp.client.post("/mcp", b"{").ok(429)
    # what never becomes a request of its own counts too
    mcp.send(mcp.message("tools/list", {"cursor": "x"})).ok(429)
    mcp.send(mcp.message("tools/call", {"name": "memory_list", "arguments": 5})).ok(429)


# --- progress ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["a-token", 7])
def test_progress(each, token):
    *notices, result = each.stream("code_python", {"code": "result = 1"}, {"progressToken": token})
    assert result["result"]["structuredContent"]["output"]["result"]["value"] == 1
    assert notices
    assert all(one["method"] == "notifications/progress" for one in notices)
    assert {json.dumps(one["params"]["progressToken"]) for one in notices} == {json.dumps(token)}
    counts = [one["params"]["progress"] for one in notices]
    assert counts == sorted(set(counts))
    assert any("running" in one["params"]["message"] for one in notices)


def test_no_stream_for_whom_takes_none(mcp):
    message = mcp.message("tools/call", {"name": "ping", "arguments": {}}, {"progressToken": 1})
    assert (
        mcp.send(message, Accept="application/json")
        .ok()
        .json["result"]["structuredContent"]["status"]
        == "success"
    )


def begin(stack, version, code):
    """A streamed call whose connection is left after the task has begun."""
    mcp = Mcp(stack.client(), version)
    message = mcp.message(
        "tools/call", {"name": "code_python", "arguments": {"code": code}}, {"progressToken": 1}
    )
    parts = urlsplit(stack.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    headers = {
        **mcp.headers(message),
        "X-API-Key": stack.api_key,
        "Content-Type": "application/json",
    }
    connection.request("POST", "/mcp", json.dumps(message), headers)
    answer = connection.getresponse()
    while b"running" not in (line := answer.readline()):
        assert line, "the stream has ended"
    jobs = stack.client().get("/ai/jobs?limit=1").ok().json["jobs"]  # it may have ended meanwhile
    answer.close()
    connection.close()
    return jobs[0]["job_id"]


def test_going_is_cancelling_since_2026(stack, client):
    job = begin(stack, MODERN, SLEEP)
    assert wait_until(
        lambda: client.get(f"/ai/jobs/{job}?wait=30").ok().json["status"] == "cancelled", 60
    )


def test_going_at_once_is_cancelling_too(stack, client):
    """The job may not be stored yet when its client has gone."""
    mcp, parts, names = Mcp(client), urlsplit(stack.url), [str(uuid.uuid4()) for _ in range(8)]
    for name in names:
        arguments = {"code": SLEEP, "client_request_id": name}
        message = mcp.message(
            "tools/call", {"name": "code_python", "arguments": arguments}, {"progressToken": 1}
        )
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        headers = {
            **mcp.headers(message),
            "X-API-Key": stack.api_key,
            "Content-Type": "application/json",
        }
        connection.request("POST", "/mcp", json.dumps(message), headers)
        connection.getresponse().close()
        connection.close()

    def states():
        jobs = client.get("/ai/jobs?limit=8").ok().json["jobs"]
        return [job["status"] for job in jobs]

    wait_until(lambda: states() == ["cancelled"] * 8, 60)


def test_going_was_no_cancelling_before(stack, client):
    job = begin(stack, NEWER, "import time; time.sleep(3); result = 'done'")
    wait_until(lambda: client.get(f"/ai/jobs/{job}?wait=30").ok().json["status"] != "running", 60)
    assert client.get(f"/ai/jobs/{job}").ok().json["status"] == "completed"
