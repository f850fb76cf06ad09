# SPDX-License-Identifier: MIT
"""Keys, roles and scopes (contract 4.2): every route of the route table, every role."""

import threading
import time
import uuid
import zlib

import pytest
from gantry_testing.wait import promised, wait_until

OPEN = {("get", "/healthz"), ("get", "/readyz"), ("get", "/openapi.json")}
SIGNED = ("post", "/hooks/{id}")  # a signature in place of a key: test_hooks.py
VIEWER = {"actions:preview", "memory:read"}
DEVELOPER = VIEWER | {"actions:execute", "memory:write", "audit:write"}
ADMIN = DEVELOPER | {
    "audit:read",
    "memory:delete",
    "keys:manage",
    "jobs:manage",
    "secrets:manage",
    "policy:manage",
    "actions:approve",
    "webhooks:manage",
}
ROLES = {"viewer": VIEWER, "developer": DEVELOPER, "admin": ADMIN}
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def routes(stack):
    document = stack.anonymous().get("/openapi.json").ok().json
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


def fill(path):
    """A path without parameters; they name nothing that exists."""
    nothing = {
        "{id}": str(uuid.uuid4()),
        "{delivery_id}": str(uuid.uuid4()),
        "{event_id}": str(uuid.uuid4()),
        "{key_id}": "0" * 12,
        "{seq}": "999999999",
        "{leaf_index}": "0",
        "{name}": "no_such_secret",
        "{version}": "1",
    }
    for name, value in nothing.items():
        path = path.replace(name, value)
    assert "{" not in path
    return path


def make_key(key_id, secret):
    body = "relay_sk_" + key_id + secret
    crc, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        check = DIGITS[crc % 62] + check
        crc //= 62
    return body + check


def test_key_format(stack):
    """The second implementation of the checksum agrees with the keys that are made."""
    key = stack.api_key
    assert len(key) == 59
    assert make_key(key[9:21], key[21:53]) == key


def test_only_three_routes_are_open(stack):
    anonymous = stack.anonymous()
    seen = set()
    for method, path, operation in routes(stack):
        answer = anonymous.request(method.upper(), fill(path))
        if (method, path) == SIGNED:
            assert answer.status == 401
        elif (method, path) in OPEN:
            assert answer.status == 200
            assert operation["security"] == []
            seen.add((method, path))
        else:
            assert answer.status == 401, f"{method} {path}"
            assert answer.code == "unauthorized"
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert seen == OPEN


def test_an_id_of_the_wrong_shape_comes_after_the_key(stack):
    for method, path in (
        ("GET", "/memory/x"),
        ("DELETE", "/keys/x"),
        ("POST", "/keys/x/rotate"),
        ("GET", "/ai/jobs/x"),
        ("GET", "/ai/audit/x/proof"),
    ):
        assert stack.anonymous().request(method, path).ok(401).code == "unauthorized"
        assert stack.client().request(method, path).ok(404).code == "not_found"
    assert (
        stack.client().request("PUT", "/memory/x").ok(405).headers["Allow"]
        == "GET, HEAD, PATCH, DELETE"
    )


def test_a_path_that_is_no_address_comes_after_the_key(stack):
    assert stack.anonymous().get("/ai/audit/events/%zz").ok(401).code == "unauthorized"
    assert stack.client().get("/ai/audit/events/%zz").ok(404).code == "not_found"


@pytest.mark.parametrize("role", ROLES)
def test_role_matrix(stack, role):
    """403 exactly where the role lacks the scope; elsewhere the request goes on to its body."""
    client = stack.client(role)
    for method, path, operation in routes(stack):
        if (method, path) in OPEN or (method, path) == SIGNED:
            continue
        body = b"[]" if "requestBody" in operation else None
        answer = client.request(method.upper(), fill(path), body)
        lacks = operation["x-scope"] not in ROLES[role]
        assert (answer.code == "missing_scope") == lacks, f"{role} {method} {path}: {answer}"
        assert (answer.status == 403) == lacks, f"{role} {method} {path}: {answer}"
        assert answer.status != 401


def bad_keys(stack):
    good = stack.api_key
    yield "empty", ""
    yield "nonsense", "nonsense"
    yield "cut", good[:-1]
    yield "long", good + "0"
    yield "checksum", good[:-1] + ("0" if good[-1] != "0" else "1")
    yield "unknown id", make_key("A" * 12, good[21:53])
    yield "wrong secret", make_key(good[9:21], "x" * 32)
    yield "lower case", good.lower()
    yield "prefix", good.replace("relay_sk_", "relay_pk_")
    yield "inner space", good[:20] + " " + good[21:]


def test_wrong_keys_look_alike(stack):
    texts = set()
    for name, key in bad_keys(stack):
        for header in ({"X-API-Key": key}, {"Authorization": "Bearer " + key}):
            answer = stack.anonymous().request("GET", "/memory", headers=header)
            assert answer.status == 401, name
            texts.add((answer.json["detail"], answer.code))
    assert len(texts) == 1


def test_two_ways_to_send_it(stack):
    anonymous, key = stack.anonymous(), stack.api_key
    for headers, status in (
        ({"X-API-Key": key}, 200),
        ({"Authorization": f"Bearer {key}"}, 200),
        ({"Authorization": f"bearer {key}"}, 200),
        ({"Authorization": f"Bearer {key}", "X-API-Key": key}, 200),
        ({"Authorization": f"Bearer {key}", "X-API-Key": make_key("A" * 12, "x" * 32)}, 401),
        ({"Authorization": f"Basic {key}"}, 401),
        ({"Authorization": f"Bearer {key}", "X-API-Key": ""}, 200),  # a variable that is not set
        ({"Authorization": "Bearer ", "X-API-Key": key}, 401),
        ({"X-API-Key": ""}, 401),
    ):
        assert anonymous.request("GET", "/memory", headers=headers).status == status


def test_key_life(stack):
    """Made, used, listed, rotated, revoked over HTTP; a secret is shown once."""
    admin = stack.client()
    made = (
        admin.post("/keys", {"name": "life", "role": "developer", "expires_in_days": 1})
        .ok(201)
        .json
    )
    assert made["key"].startswith("relay_sk_")
    assert made["role"] == "developer"
    assert made["expires_at"]
    user = stack.anonymous().clone(made["key"])
    user.get("/memory").ok()
    listed = admin.get("/keys").ok()
    mine = [item for item in listed.json["items"] if item["key_id"] == made["key_id"]]
    assert mine
    assert mine[0]["name"] == "life"
    assert made["key"].encode() not in listed.body
    assert b"argon2" not in listed.body
    fresh = admin.post(f"/keys/{made['key_id']}/rotate").ok(200).json
    assert fresh["key_id"] != made["key_id"]
    assert fresh["previous_valid_until"]
    user.get("/memory").ok()
    stack.anonymous().clone(fresh["key"]).get("/memory").ok()
    admin.delete(f"/keys/{made['key_id']}").ok(204)
    wait_until(lambda: user.get("/memory").status == 401, 10)
    assert admin.delete("/keys/" + "0" * 12).ok(404).code == "not_found"
    assert admin.post("/keys/" + "0" * 12 + "/rotate").ok(404).code == "not_found"
    stack.anonymous().clone(fresh["key"]).get("/memory").ok()


def test_keys_of_another_workspace(stack):
    other = stack.client("admin", "elsewhere")
    mine = stack.client().post("/keys", {"role": "viewer"}).ok(201).json
    other.delete(f"/keys/{mine['key_id']}").ok(404)
    other.post(f"/keys/{mine['key_id']}/rotate").ok(404)
    assert mine["key_id"] not in [item["key_id"] for item in other.get("/keys").ok().json["items"]]
    stack.anonymous().clone(mine["key"]).get("/memory").ok()


def test_revocation_within_a_second(stack):
    """From outside (the operator's command), while the key is in use all the time."""
    made = stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")
    user = stack.anonymous().clone(made["key"])
    user.get("/memory").ok()
    stack.gantry("key", "revoke", made["key_id"])
    revoked = time.monotonic()
    wait_until(lambda: user.get("/memory").status == 401, 5, interval=0.005)
    assert time.monotonic() - revoked < promised(1.0)
    assert user.get("/memory").status == 401


def test_new_key_works_at_once(stack):
    for _ in range(3):
        made = stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")
        stack.anonymous().clone(made["key"]).get("/memory").ok()


def test_expired_key(stack):
    made = stack.client().post("/keys", {"role": "viewer", "expires_in_days": 1}).ok(201).json
    user = stack.anonymous().clone(made["key"])
    user.get("/memory").ok()
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_key SET expires_at = now(), changed_at = clock_timestamp() WHERE key_id = "
            "%s",
            [made["key_id"]],
        )
    wait_until(lambda: user.get("/memory").status == 401, 10)


def test_key_idempotency(stack):
    admin = stack.client()
    name = str(uuid.uuid4())
    first = admin.post("/keys", {"role": "viewer", "name": name}, idempotency_key=name).ok(201)
    again = admin.post("/keys", {"role": "viewer", "name": name}, idempotency_key=name).ok(201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["key_id"] == first.json["key_id"]
    assert "key" not in again.json
    assert [item["name"] for item in admin.get("/keys").ok().json["items"]].count(name) == 1


def test_wrong_keys_do_not_stop_a_right_one(stack):
    """A flood of well-formed wrong keys, known and unknown ids, while a right key works."""
    stop, counts = threading.Event(), []

    def flood(number):
        client, sent = stack.anonymous(), 0
        while not stop.is_set():
            key_id = stack.api_key[9:21] if number % 2 else uuid.uuid4().hex[:12]
            key = make_key(key_id, uuid.uuid4().hex)
            assert client.request("GET", "/memory", headers={"X-API-Key": key}).status in (401, 503)
            sent += 1
        counts.append(sent)

    user = stack.client()
    user.get("/memory").ok()
    threads = [threading.Thread(target=flood, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    try:
        for _ in range(200):
            start = time.monotonic()
            user.get("/memory").ok()
            slowest = max(slowest, time.monotonic() - start)
        made = stack.client().post("/keys", {"role": "viewer"}).ok(201).json
        wait_until(lambda: stack.anonymous().clone(made["key"]).get("/memory").status == 200, 10)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert slowest < promised(3)
    assert sum(counts) > 50
