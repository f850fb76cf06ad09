# SPDX-License-Identifier: MIT
"""The OpenAPI document as Redocly's linter reads it, from npm. It is kept under build/mcp."""

import json
import os
import subprocess

from gantry_testing.npm import newest_node, npm
from gantry_testing.stack import ROOT

# What it may warn of: schemas that only the tools of MCP use, and two routes that their segments
# tell apart (GET /ai/audit/events/{event_id}, GET /ai/audit/{leaf_index}/proof).
EXPECTED = {"no-unused-components", "no-ambiguous-paths"}


def test_the_document_has_no_fault(tmp_path):
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
    assert {problem["ruleId"] for problem in found["problems"]} <= EXPECTED, found["problems"]
    assert done.returncode == 0, done.stderr
