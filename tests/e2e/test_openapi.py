# SPDX-License-Identifier: MIT
"""The OpenAPI document: as Redocly's linter reads it (from npm, kept under build/mcp), and as a
page."""

import json
import os
import subprocess

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
