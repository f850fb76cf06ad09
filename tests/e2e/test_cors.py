# SPDX-License-Identifier: MIT
"""CORS: pages of configured origins may ask and read, all others get no line of it."""

import subprocess

import pytest
from gantry_testing.stack import ROOT

APP, DEV, STRANGER = "https://app.example", "http://localhost:3000", "https://evil.example"


@pytest.fixture(scope="module")
def open_stack(make_stack):
    return make_stack(CORS_ORIGINS=f"{APP}, {DEV}", ALLOW_ACTIONS_DEFAULT="ping")


def lines(answer):
    return {name for name in answer.headers if name.lower().startswith("access-control-")}


def preflight(stack, path, origin, method="POST"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key",
    }
    return stack.anonymous().request("OPTIONS", path, headers=headers)


@pytest.mark.parametrize("origin", [APP, DEV])
def test_a_page_on_the_list(open_stack, origin):
    asked = preflight(open_stack, "/webhook/memory/ingest", origin).ok(204)
    assert asked.headers["Access-Control-Allow-Origin"] == origin
    assert asked.headers["Vary"] == "Origin"
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    taken = asked.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {
        "x-api-key",
        "authorization",
        "idempotency-key",
        "content-type",
        "mcp-protocol-version",
    } <= set(taken)
    for answer in (
        open_stack.client().get("/ai/actions", Origin=origin).ok(),
        open_stack.anonymous().get("/ai/actions", Origin=origin).ok(401),
        open_stack.client().get("/nothing", Origin=origin).ok(404),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", [STRANGER, "null", APP + ".evil.example", APP.upper(), "*", ""])
def test_a_page_that_is_not(open_stack, origin):
    assert not lines(preflight(open_stack, "/ai/actions", origin, "GET").ok(405))
    assert not lines(open_stack.client().get("/ai/actions", Origin=origin).ok())


def test_no_list_no_lines(stack, client):
    assert not lines(preflight(stack, "/ai/actions", APP, "GET").ok(405))
    assert not lines(client.get("/ai/actions", Origin=APP).ok())


def test_preflights_of_nothing_and_plain_options(open_stack):
    assert (
        preflight(open_stack, "/nothing", APP).ok(404).headers["Access-Control-Allow-Origin"] == APP
    )
    assert open_stack.anonymous().request("OPTIONS", "/ai/actions", headers={"Origin": APP}).ok(405)


def test_a_preflight_is_nobodys(open_stack):
    client = open_stack.client()
    for _ in range(3):
        preflight(open_stack, "/keys", APP).ok(204)
    assert not [
        one for one in client.get("/ai/audit?limit=100").ok().json["items"] if "OPTIONS" in str(one)
    ]


@pytest.mark.parametrize(
    "wrong", ["*", "app.example", "https://app.example/", "ftp://x", "https://App.example"]
)
def test_what_is_no_origin_is_refused_at_the_start(open_stack, wrong):
    script = (open_stack.directory / "services" / "gateway").read_text()
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace(f"{APP}, {DEV}", wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 100
    assert "CORS_ORIGINS" in done.stdout + done.stderr
