# SPDX-License-Identifier: MIT
"""The audit log of a running system: one event for every request, reading, proofs, retention."""
import json
import os
import re
import subprocess
import time
import uuid

import pytest
from gantry_testing import merkle
from gantry_testing.wait import wait_until

UNKNOWN = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
# What makes each route succeed. A path parameter in braces is filled in by the test.
GOOD = {
    "POST /webhook/memory/ingest": {"scope": "s", "text": "a text"},
    "POST /webhook/memory/search": {"query": "text"},
    "POST /memory/forget": {"scope": "forgotten"},
    "PATCH /memory/{id}": {"tags": ["x"]},
    "POST /webhook/audit/append": {
        "actor": "a",
        "action": "b",
        "target": "c",
        "decision": "denied",
    },
    "GET /ai/audit/consistency": "?from=1",
    "POST /webhook/executor/run": {"task": {"type": "ping", "message": "m"}},
    "POST /ai/preview": {"action": "ping", "params": {"message": "m"}},
    "POST /ai/execute": {"actions": [{"action": "ping", "params": {"message": "m"}}]},
    "POST /keys": {"role": "viewer", "name": "n"},
}


@pytest.fixture(scope="module")
def database(stack):
    connection = stack.database()
    yield connection
    connection.close()


def events(database, request_id):
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT event FROM audit_events WHERE request_id = %s AND kind = 'request'",
            (request_id,),
        )
        return [row[0] for row in cursor.fetchall()]


def the_event(database, request_id, route=None):
    """The one event of a request; there is no second a moment later. An execute call has one, and
    each of the jobs that it starts has one of its own."""
    def own():
        found = events(database, request_id)
        return [event for event in found if route != "POST /ai/execute" or event["action"] == route]

    found = wait_until(own, 40, f"the event of {route or ''} {request_id}")
    assert len(found) == 1, found
    return found[0]


def send(client, method, path, body=None):
    """A request with an id of its own; returns the answer and that id."""
    request_id = f"t-{uuid.uuid4()}"
    return client.request(method, path, body, {"X-Request-ID": request_id}), request_id


def key_id(client):
    return client.key[len("relay_sk_"):][:12]


def routes(stack):
    document = stack.anonymous().get("/openapi.json").json
    return [(method.upper(), path) for path, item in document["paths"].items() for method in item
            if method in ("get", "post", "patch", "delete", "put")]


def open_route(method, path):
    """Without a key: refusals are counted, and what a hook asks for is recorded as a command."""
    return path in ("/healthz", "/readyz", "/openapi.json") or (method, path) == (
        "POST",
        "/hooks/{id}",
    )


def fill_in(client, path):
    """Ids for the parameters of a path: of things that are there."""
    if path.startswith("/memory/{id}"):
        made = (
            client.post("/webhook/memory/ingest", {"scope": "fill", "text": uuid.uuid4().hex})
            .ok()
            .json
        )
        return path.replace("{id}", made["id"])
    if "{key_id}" in path:
        made = client.post("/keys", {"role": "viewer"}).ok(201).json
        return path.replace("{key_id}", made["key_id"])
    if "{event_id}" in path:
        made = client.post("/webhook/audit/append", GOOD["POST /webhook/audit/append"]).ok().json
        return path.replace("{event_id}", made["event_id"])
    if path.startswith("/ai/jobs/{"):
        made = client.post("/webhook/executor/run", GOOD["POST /webhook/executor/run"]).ok().json
        return re.sub(r"\{\w+\}", made["job_id"], path)
    return path.replace("{leaf_index}", "0").replace("{seq}", "999999999")


# --- exactly one event for every request ----------------------------------------------------------

def test_every_route_leaves_one_event(stack, database):
    """Success, denial and failure of every route in the table."""
    admin, viewer = stack.client(), stack.client("viewer")
    expected = []
    for method, path in routes(stack):
        if open_route(method, path):
            continue
        good = GOOD.get(f"{method} {path}")
        target = fill_in(admin, path) + (good if isinstance(good, str) else "")
        body = good if isinstance(good, dict) else None
        cases = [
            (admin, target, body),
            (viewer, target, body),
            (
                admin,
                re.sub(r"\{\w+\}", UNKNOWN, path),
                {"unknown member": 1} if method in ("POST", "PATCH") else None,
            ),
        ]
        for client, url, content in cases:
            answer, request_id = send(client, method, url, content)
            expected.append((f"{method} {path}", answer, request_id, key_id(client)))
    assert len(expected) > 30
    for name, answer, request_id, key in expected:
        event = the_event(database, request_id, name)
        assert event["http_status"] == answer.status, (name, answer, event)
        assert event["key_id"] == event["actor_id"] == key, (
            name,
            event,
        )
        assert event["actor_type"] == "key", (
            name,
            event,
        )
        assert event["workspace_id"] == "default", (name, event)
        assert event["count"] == 1, (name, event)
        denied = answer.status in (401, 403, 429)
        assert event["decision"] == ("denied" if denied else "allowed"), (name, event)
        assert event["status"] == (
            "denied" if denied else "failed" if answer.status >= 400 else "success"
        ), (name, event)
        refused_by_rpc = name == "POST /mcp" and answer.status == 400  # no problem document
        reason = "rpc_error" if refused_by_rpc else answer.code
        assert event["error_reason"] == reason, (name, event)
        assert event["duration_ms"] is not None, (name, event)
        assert 0 <= event["duration_ms"] < 60000, (name, event)
    answered = {answer.status for _, answer, _, _ in expected}
    assert {200, 201, 204, 403, 404, 422} <= answered, answered


def test_requests_outside_the_table_leave_one_event(stack, database):
    client = stack.client()
    for method, path, status in [
        ("GET", "/none", 404),
        ("PUT", "/memory", 405),
        ("GET", "/webhook/memory/ingest", 405),
    ]:
        answer, request_id = send(client, method, path)
        assert answer.status == status
        assert the_event(database, request_id)["http_status"] == status
    answer, request_id = send(client, "POST", "/webhook/memory/ingest", b"x" * 600000)
    assert answer.status == 413
    assert the_event(database, request_id)["error_reason"] == "body_too_large"
    answer, request_id = send(client, "POST", "/webhook/memory/ingest", b'{"scope":')
    assert answer.status == 400
    assert the_event(database, request_id)["error_reason"] == "malformed_json"


def test_a_replayed_answer_has_an_event_of_its_own(stack, database):
    client = stack.client()
    body = {**GOOD["POST /webhook/audit/append"], "client_request_id": str(uuid.uuid4())}
    first, one = send(client, "POST", "/webhook/audit/append", body)
    second, two = send(client, "POST", "/webhook/audit/append", body)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.json["event_id"] == first.json["event_id"]
    events = [the_event(database, one), the_event(database, two)]
    assert events[0]["event_id"] != events[1]["event_id"]
    assert events[0]["idempotency_key_hash"] == events[1]["idempotency_key_hash"] != None  # noqa: E711
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_log WHERE kind = 'event' AND event_id = %s",
            (first.json["event_id"],),
        )
        assert cursor.fetchone() == (1,)


def test_asynchronous_commands_are_audited(stack, database):
    client = stack.client()
    request_id = f"t-{uuid.uuid4()}"
    answer = client.request("POST", "/webhook/audit/append", GOOD["POST /webhook/audit/append"],
                            {"X-Request-ID": request_id, "Prefer": "respond-async"}).ok(202)
    assert the_event(database, request_id)["event_id"] == answer.json["event_id"]
    location = answer.headers["Location"]
    assert location == f"/ai/audit/events/{answer.json['event_id']}"
    assert wait_until(lambda: client.get(location).ok(), 40).json["type"] == "event"


def own_address():
    """Of this machine, and no other test's: counted refusals are told apart by it."""
    return "127." + ".".join(str(1 + byte % 254) for byte in os.urandom(3))


def refusals_of(database, address):
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT event FROM audit_events WHERE actor_type = 'anonymous' AND event ->> 'client' "
            "= %s",
            (address,),
        )
        return [row[0] for row in cursor.fetchall()]


def test_refusals_without_a_key_are_counted(stack, database):
    """A thousand of them are a few events, and wrong keys are the same as none."""
    address = own_address()
    client = stack.anonymous(source=address)
    bad, began = "relay_sk_" + "0" * 50, time.monotonic()
    for i in range(1000):
        assert (
            client.request("GET", "/memory", None, {"X-API-Key": bad} if i % 2 else None).status
            == 401
        )

    def counted():
        found = refusals_of(database, address)
        return found if sum(event["count"] for event in found) >= 1000 else None
    found = wait_until(counted, 60, "the counted refusals")
    assert len(found) <= 2 + (time.monotonic() - began) // 10  # one for each ten seconds
    assert sum(event["count"] for event in found) == 1000
    for event in found:
        assert (event["action"], event["error_reason"], event["http_status"]) == (
            "memory.list",
            "unauthorized",
            401,
        )
        assert event["workspace_id"] is None
        assert event["key_id"] is None
        assert event["decision"] == "denied"
        assert event["request_id"] is None
    assert all(
        item["actor_type"] != "anonymous"
        for item in stack.client().get("/ai/audit?limit=100").ok().json["items"]
    )


# --- reading --------------------------------------------------------------------------------------

def test_appended_event(stack):
    client = stack.client("developer")
    payload = {
        "z": [1, 2.5, "é\U0001f600", None, True],
        "a": {"deep": {"er": "\t\n"}},
        'quote"s': "\\ %s $1",
    }
    made = (
        client.post(
            "/webhook/audit/append",
            {
                "actor": "agent-7",
                "action": "deploy",
                "target": "prod",
                "decision": "requires_approval",
                "payload": payload,
            },
        )
        .ok()
        .json
    )
    assert set(made) == {"status", "message", "event_id", "leaf_index", "leaf_hash", "request_id"}
    assert (made["status"], made["message"]) == ("success", "Audit event recorded")
    item = stack.client().get(f"/ai/audit/events/{made['event_id']}").ok().json
    assert item["payload"] == payload
    assert item["actor"] == "agent-7"
    assert item["decision"] == "requires_approval"
    assert item["leaf_index"] == made["leaf_index"]
    assert item["leaf_hash"] == made["leaf_hash"]
    leaf = {
        name: value
        for name, value in item.items()
        if name not in ("leaf_index", "leaf_hash", "request_id")
    }
    leaf["request_id"] = made["request_id"]
    canonical = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert merkle.leaf_hash(canonical.encode()).hex() == made["leaf_hash"]
    assert client.get(f"/ai/audit/events/{made['event_id']}").status == 403
    assert stack.client().get(f"/ai/audit/events/{UNKNOWN}").ok(404).code == "not_found"


def test_another_workspace_sees_nothing(stack):
    made = (
        stack.client().post("/webhook/audit/append", GOOD["POST /webhook/audit/append"]).ok().json
    )
    other = stack.client(workspace="other")
    assert other.get(f"/ai/audit/events/{made['event_id']}").status == 404
    items = wait_until(
        lambda: other.get("/ai/audit?limit=100").ok().json["items"], what="its own look is recorded"
    )
    assert all(item["workspace_id"] == "other" for item in items)


def test_list_filters_and_cursor(stack):
    client = stack.client(workspace="listed")
    ids = []
    for i in range(25):
        ids.append(
            client.post(
                "/webhook/audit/append",
                {
                    "actor": f"actor-{i % 2}",
                    "action": f"action-{i % 5}",
                    "target": "t",
                    "decision": "allowed",
                },
            )
            .ok()
            .json["event_id"]
        )
        if i == 11:
            middle = client.get(f"/ai/audit/events/{ids[-1]}").ok().json["time"]

    def pages(query, limit=7):
        items, cursor = [], ""
        while True:
            page = client.get(f"/ai/audit?limit={limit}{query}{cursor}").ok().json
            assert page["count"] == len(page["items"]) <= limit
            items += page["items"]
            if not page["next_cursor"]:
                return items
            cursor = f"&cursor={page['next_cursor']}"
            client.post(
                "/webhook/audit/append", GOOD["POST /webhook/audit/append"]
            )  # newer ones do not disturb

    appended = [item["event_id"] for item in pages("&actor=actor-1")]
    assert appended == ids[1::2][::-1]
    assert [i["event_id"] for i in pages("&action=action-3")] == ids[3::5][::-1]
    assert [i["event_id"] for i in pages("&actor=actor-0&action=action-2")] == [
        ids[22],
        ids[12],
        ids[2],
    ]
    assert all(i["status"] == "failed" for i in pages("&status=failed") if i["type"] == "request")
    assert {i["event_id"] for i in pages(f"&actor=actor-1&to={middle}")} <= set(ids[:12])
    assert [i["event_id"] for i in pages(f"&actor=actor-0&from={middle}", 3)][-1] in ids[10:13]
    everything = pages("", 10)
    assert [i["leaf_index"] for i in everything] == sorted(
        {i["leaf_index"] for i in everything}, reverse=True
    )
    for bad in ("limit=0", "limit=101", "limit=x", "cursor=x", "from=yesterday", "nonsense=1"):
        assert client.get(f"/ai/audit?{bad}").ok(422).code == "invalid_request"


def test_proofs_over_http(stack):
    client, vkey = stack.client(), stack.env["GANTRY_AUDIT_VKEY"]
    first = merkle.Note(client.get("/ai/audit/checkpoint").ok().body.decode()).verify(vkey)
    assert client.get("/ai/audit/checkpoint").headers["Content-Type"].startswith("text/plain")
    made = client.post("/webhook/audit/append", GOOD["POST /webhook/audit/append"]).ok().json
    second = merkle.Note(client.get("/ai/audit/checkpoint").ok().body.decode()).verify(vkey)
    assert first.origin == second.origin == vkey.split("+")[0]
    assert second.size > first.size

    answer = client.get(f"/ai/audit/{made['leaf_index']}/proof?tree_size={second.size}").ok().json
    assert answer["leaf_hash"] == made["leaf_hash"]
    assert answer["root_hash"] == second.root.hex()
    merkle.verify_inclusion(bytes.fromhex(made["leaf_hash"]), made["leaf_index"], second.size,
                            [bytes.fromhex(h) for h in answer["audit_path"]], second.root)
    answer = client.get(f"/ai/audit/consistency?from={first.size}&to={second.size}").ok().json
    assert (answer["from_root"], answer["to_root"]) == (first.root.hex(), second.root.hex())
    merkle.verify_consistency(first.size, first.root, second.size, second.root,
                              [bytes.fromhex(h) for h in answer["consistency"]])
    assert client.get(f"/ai/audit/{made['leaf_index']}/proof").ok().json["tree_size"] >= second.size
    for path, status in [
        ("/ai/audit/999999999/proof", 404),
        (f"/ai/audit/{second.size}/proof?tree_size={second.size}", 404),
        ("/ai/audit/0/proof?tree_size=999999999", 422),
        ("/ai/audit/0/proof?tree_size=0", 422),
        ("/ai/audit/x/proof", 404),
        ("/ai/audit/consistency?from=0", 422),
        ("/ai/audit/consistency?from=5&to=4", 422),
        ("/ai/audit/consistency", 422),
    ]:
        assert client.get(path).status == status, path


def test_verify_from_the_command_line(stack, tmp_path):
    checkpoint = stack.gantry("audit", "checkpoint", check=False)
    held = tmp_path / "checkpoint"
    held.write_text(json.loads(checkpoint.stdout)["checkpoint"])
    stack.client().post("/webhook/audit/append", GOOD["POST /webhook/audit/append"]).ok()
    result = stack.gantry("audit", "verify", "--checkpoint", str(held))
    assert result["ok"]
    assert result["unproven"] > 0
    assert result["checkpoint_size"] == merkle.Note(held.read_text()).size


# --- what must not get in -------------------------------------------------------------------------

MARK = "Canary7Xq"
CANARY = "relay_" "sk_" + MARK * 5 + "Zz012"


def placed(body):
    """The body with the canary in each place: each string, and each object's names."""
    if isinstance(body, str):
        yield CANARY
        yield f"see {CANARY} here"
    elif isinstance(body, dict):
        yield {**body, CANARY: 1}
        for name, value in body.items():
            for other in placed(value):
                yield {**body, name: other}
    elif isinstance(body, list):
        for i, value in enumerate(body):
            for other in placed(value):
                yield body[:i] + [other] + body[i + 1:]


def test_credentials_are_not_kept(stack, database):
    """A credential in every position of every route is nowhere afterwards: not in the log, in any
    database, stream or file of the system, nor in a process' title."""
    client, sent = stack.client(), 0
    full = {
        "POST /webhook/memory/ingest": {
            "scope": "s",
            "text": "t",
            "facts": [{"subject": "a", "predicate": "b", "object": "c", "confidence": 1}],
            "tags": ["x"],
            "source": "y",
            "metadata": {"k": {"l": ["m"]}},
        },
        "POST /webhook/audit/append": {
            **GOOD["POST /webhook/audit/append"],
            "payload": {"k": {"l": ["m"]}},
        },
        "POST /webhook/memory/search": {"query": "q", "scope": "s", "tags": ["t"], "source": "x"},
        "PATCH /memory/{id}": {"text": "t", "tags": ["x"], "source": "y", "metadata": {"k": "v"}},
        "POST /webhook/executor/run": {"task": {"type": "ping", "message": "m"}, "scope": "s"},
    }
    for method, path in routes(stack):
        for position in [
            re.sub(r"\{\w+\}", CANARY, path),
            path + "?" + CANARY + "=" + CANARY,
            path + "/" + CANARY,
            path + "?scope=" + CANARY,
            path + "?cursor=" + CANARY,
            path + "?actor=" + CANARY,
        ]:
            client.request(method, re.sub(r"\{\w+\}", UNKNOWN, position))
            sent += 1
        for name in (
            "X-Request-ID",
            "Idempotency-Key",
            "User-Agent",
            "Prefer",
            "X-Other",
            "Content-Type",
            "Accept",
        ):
            client.request(
                method,
                re.sub(r"\{\w+\}", UNKNOWN, path),
                full.get(f"{method} {path}"),
                {name: CANARY},
            )
            sent += 1
        body = full.get(f"{method} {path}", GOOD.get(f"{method} {path}"))
        if isinstance(body, dict):
            url = fill_in(client, path)
            for canary in list(placed(body)) + [{**body, "client_request_id": CANARY}]:
                client.request(method, url, canary)
                sent += 1
        stack.anonymous().request(
            method, re.sub(r"\{\w+\}", CANARY, path), None, {"X-API-Key": CANARY}
        )
    client.request(CANARY.replace("_", "-"), "/memory")
    assert sent > 250
    last = own_address()  # the counts of all refusals so far are sent when this one's is
    assert stack.anonymous(source=last).get("/memory").status == 401
    wait_until(lambda: refusals_of(database, last), 60, "the counted refusals")
    with database.cursor() as cursor:
        cursor.execute("SELECT event FROM audit_events WHERE event::text LIKE %s", (f"%{MARK}%",))
        assert cursor.fetchall() == []
    dump = subprocess.run(["pg_dump", stack.database_url()], capture_output=True, check=True).stdout
    assert b"audit_log" in dump
    assert [line[:200] for line in dump.splitlines() if MARK.encode() in line] == []
    found = subprocess.run(
        ["grep", "-rlaF", MARK, stack.directory], capture_output=True, text=True
    ).stdout
    assert found == "", found
    titles = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert MARK not in "".join(line for line in titles.splitlines() if "grep" not in line)
    for name in stack.names():
        if name.startswith(("gateway", "ingest", "search", "audit", "executor")):
            with open(f"/proc/{stack.pid(name)}/limits") as limits:
                assert re.search(r"Max core file size +0 +0 ", limits.read()), name


def test_jobs_of_an_execute_call_have_events(stack, database):
    answer, request_id = send(stack.client(), "POST", "/ai/execute", {"actions": [
        {"action": "ping", "params": {"message": f"m{i}"}} for i in range(3)]})
    answer.ok(202)

    def told():
        found = events(database, request_id)
        return found if len(found) == 4 else None

    found = wait_until(told, 60, "the events of the call and its jobs")
    jobs = {event["event_id"] for event in found if event["action"] == "executor.run"}
    assert jobs == set(answer.json["job_ids"])
    assert all(event["params_prefix64"] and event["params_hash"] for event in found)


def test_action_parameters_are_redacted(stack, database):
    secret = "hunter2-" + uuid.uuid4().hex
    answer, request_id = send(stack.client(), "POST", "/webhook/executor/run", {
        "task": {"type": "ping", "message": "m", "password": secret}})
    assert answer.status in (200, 422), answer
    event = the_event(database, request_id)
    assert secret not in json.dumps(event)
    assert event["params_hash"]
    assert len(event["params_prefix64"]) <= 64
    view = stack.database()
    with view.cursor() as cursor:
        cursor.execute("SELECT params_hash FROM action_audit WHERE request_id = %s", (request_id,))
        assert cursor.fetchall() == [(event["params_hash"],)]
    view.close()
