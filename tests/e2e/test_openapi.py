# SPDX-License-Identifier: MIT
"""The OpenAPI document: as Redocly's linter reads it (from npm, kept under build/mcp), and as a
page."""

import json
import os
import subprocess
import uuid

import jsonschema
import pytest
from gantry_testing.npm import newest_node, npm
from gantry_testing.stack import ROOT


def test_the_document_has_no_fault(tmp_path):
    """Warnings are allowed: what it takes for unclear is sometimes meant so."""
    node, folder = newest_node(), npm("redocly", "@redocly/cli@2")
    gateway = ROOT / "build" / "gantry-gateway"
    document = tmp_path / "openapi.json"
    document.write_bytes(subprocess.check_output([gateway, "--print-openapi"]))
    done = subprocess.run(
        [node / "node", folder / "node_modules/.bin/redocly", "lint", "--format=json", document],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            "PATH": f"{node}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "REDOCLY_TELEMETRY": "off",
        },
    )
    found = json.loads(done.stdout)
    assert found["totals"]["errors"] == 0, found["problems"]
    assert done.returncode == 0, done.stderr


def patterns(doc):
    if isinstance(doc, dict):
        if isinstance(doc.get("pattern"), str):
            yield doc["pattern"]
        doc = list(doc.values())
    if isinstance(doc, list):
        for one in doc:
            yield from patterns(one)


def test_patterns_are_for_the_whole_value():
    """JSON Schema looks for one anywhere in the value; the gateway compares all of it."""
    gateway = ROOT / "build" / "gantry-gateway"
    document = json.loads(subprocess.check_output([gateway, "--print-openapi"]))
    found = set(patterns(document))
    assert len(found) > 10
    assert [one for one in found if not (one.startswith("^") and one.endswith("$"))] == []
    assert "^(?:[!-~]+)$" in found


@pytest.mark.parametrize(
    "path,method,body,right",
    [
        ("/webhooks/{id}", "patch", {"enabled": None}, False),
        ("/webhooks/{id}", "patch", {"enabled": True, "url": None}, True),
        ("/memory/{id}", "patch", {"tags": None}, False),
        ("/memory/{id}", "patch", {"ttl_seconds": None}, True),
        ("/ai/execute", "post", {"actions": None}, False),
        ("/ai/execute", "post", {"preview_id": str(uuid.uuid4()), "actions": None}, True),
    ],
)
def test_a_null_is_none_of_the_members_that_are_needed(path, method, body, right):
    """schema_drop_nulls() takes it out, where it means nothing."""
    gateway = ROOT / "build" / "gantry-gateway"
    document = json.loads(subprocess.check_output([gateway, "--print-openapi"]))
    content = document["paths"][path][method]["requestBody"]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    assert jsonschema.Draft202012Validator(schema).is_valid(body) == right


def test_the_page_has_every_operation(stack):
    paths = stack.anonymous().get("/openapi.json").ok().json["paths"]
    page = stack.anonymous().get("/docs").ok().body.decode()
    operations = [
        (method, path, operation["operationId"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]
    assert {method for method, _, _ in operations} == {"get", "post", "put", "patch", "delete"}
    for method, path, name in operations:
        assert page.count(f'<article id="{name}">') == 1, (method, path)
        assert f'<a href="#{name}"><span class="method">{method}</span> {path}</a>' in page
