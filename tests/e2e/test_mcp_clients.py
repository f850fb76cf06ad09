# SPDX-License-Identifier: MIT
"""Official MCP clients from their registries list and call every tool: the Python SDK, both lines
of the TypeScript SDK, and the inspector's command line. They are kept under build/mcp."""

import concurrent.futures
import json
import os
import subprocess

import pytest
from gantry_testing.npm import KEPT, install, newest_node, node_version, npm
from gantry_testing.stack import ROOT

HERE = ROOT / "tests" / "e2e"
TOOLS = ["memory_store", "memory_search", "memory_get", "memory_list", "memory_update"]
TOOLS += ["memory_delete", "audit_record", "job_get", "job_cancel"]
TOOLS += ["approvals_list", "approval_get", "approval_decide"]
TOOLS += ["code_python", "code_shell", "health_check", "json_query", "ping"]
# "$id" and "$job_id" stand for what the last answer that had one called so.
CALLS = [
    ["memory_store", {"scope": "sdk:1", "text": "The kettle is in the attic."}],
    ["memory_search", {"query": "where is the kettle", "scope": "sdk:1"}],
    ["memory_get", {"id": "$id"}],
    ["memory_list", {"scope": "sdk:1", "limit": 5}],
    ["memory_update", {"id": "$id", "tags": ["home"]}],
    ["memory_delete", {"id": "$id"}],
    ["audit_record", {"actor": "sdk", "action": "test", "target": "t", "decision": "allowed"}],
    ["code_python", {"code": "result = 6 * 7"}],
    ["job_get", {"job_id": "$job_id", "wait": 1}],
    ["job_cancel", {"job_id": "$job_id"}],
    ["code_shell", {"code": "echo hello"}],
    ["json_query", {"query": ".a", "input": {"a": 1}}],
    ["health_check", {}],
    ["ping", {"message": "hello"}],
    ["approvals_list", {}],
]  # (an approval that could be shown and decided needs a policy: test_approvals.py)


def run(stack, *command, cwd=KEPT, path=()):
    env = {**os.environ, "GANTRY_API_KEY": stack.api_key}
    env["PATH"] = ":".join([*map(str, path), env["PATH"]])
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return json.loads(done.stdout[done.stdout.index("{") :])


def check(out, version):
    assert out["version"] == version
    assert out["tools"] == TOOLS
    assert sorted(out["results"]) == sorted(name for name, _ in CALLS)
    for name, result in out["results"].items():
        assert not result["error"], (name, result)
        assert json.loads(result["text"]) == result["content"]  # the SDK checked its schema
    assert out["results"]["code_python"]["content"]["output"]["result"]["value"] == 42
    assert out["progress"] >= 5  # each task has said something


MODES = [("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")]


@pytest.mark.parametrize("mode, version", MODES)
def test_python_sdk(stack, mode, version):
    python = str(KEPT / "python" / "bin" / "python")
    install(
        "python",
        ["/usr/bin/python3", "-m", "venv", "python"],
        [python, "-m", "pip", "install", "-q", "--retries", "1", "mcp~=2.3"],
    )
    script = str(HERE / "mcp_client.py")
    check(run(stack, python, script, stack.url + "/mcp", mode, json.dumps(CALLS)), version)


LINES = [
    ("v1", "legacy", "2025-11-25"),
    ("v2", "legacy", "2025-11-25"),
    ("v2", "2026-07-28", "2026-07-28"),
]


@pytest.mark.parametrize("line, mode, version", LINES)
def test_typescript_sdk(stack, line, mode, version):
    if line == "v2" and node_version() < [20]:
        pytest.skip("@modelcontextprotocol/client needs node 20, Debian 12 has 18")
    package = "client@2.4" if line == "v2" else "sdk@1.32"
    folder = npm(f"typescript-{line}", "@modelcontextprotocol/" + package)
    script = str(HERE / "mcp_client.mjs")
    url = stack.url + "/mcp"
    check(run(stack, "node", script, line, url, mode, json.dumps(CALLS), cwd=folder), version)


def test_inspector(stack):
    """Its second line needs node 22.19, and its first runs where that is not."""
    path = newest_node()
    newest = node_version(path / "node") >= [22, 19]
    line = "2" if newest else "1.0"
    folder = npm(f"inspector-{line}", f"@modelcontextprotocol/inspector@{line}")
    program = ["node", str(folder / "node_modules" / ".bin" / "mcp-inspector"), "--cli"]
    program += [stack.url + "/mcp", "--transport", "http"]
    program += ["--header", f"Authorization: Bearer {stack.api_key}"]
    path = [path] if newest else []
    listed = run(stack, *program, "--method", "tools/list", path=path)
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    kept = {}

    def call(name, arguments):
        words = ["--method", "tools/call", "--tool-name", name]
        for key, value in arguments.items():
            value = kept.get(str(value), value)
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--tool-arg", f"{key}={text}"]
        result = run(stack, *program, *words, path=path)
        assert not result.get("isError"), (name, result)
        return name, result["structuredContent"]

    needs = [[name, given] for name, given in CALLS if "$" in json.dumps(given)]
    first = [one for one in CALLS if one not in needs]
    last = [one for one in needs if one[0] == "memory_delete"]
    middle = [one for one in needs if one not in last]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # a program starts for each call
        for wave in (first, middle, last):
            for name, content in pool.map(lambda one: call(*one), wave):
                if name in ("memory_store", "code_python"):
                    kept.update({"$" + k: content[k] for k in ("id", "job_id") if k in content})
