# SPDX-License-Identifier: MIT
"""The same API key with an existing NATS client library: the npm package "nats"."""
import json
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
PACKAGE = "nats@2.29.3"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("node and npm are not installed")
    directory = tmp_path_factory.mktemp("npm")
    shutil.copy(HERE / "nats_client.mjs", directory)
    try:
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", directory, PACKAGE],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=90,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if done.returncode != 0:
        pytest.skip(f"the npm registry cannot be reached: {done.stderr.strip().splitlines()[-1:]}")
    return directory


def test_ingest_search_and_run_a_task_with_an_api_key(stack, package):
    key = stack.key("developer")
    done = subprocess.run(["node", "nats_client.mjs", stack.env["NATS_URL"], key, "default"],
                          cwd=package, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert seen["ack"]["stream"] == "MEMORY"
    assert not seen["ack"]["duplicate"]
    assert seen["again"]["duplicate"]
    assert [item["content"] for item in seen["found"]["results"]] == [
        "The npm client likes green tea."
    ]
    assert seen["task"]["stream"] == "TASKS"
    assert seen["event"]["marked"] == "done"
    assert seen["event"]["status"] == "200"
    assert seen["event"]["body"]["job_id"] == seen["job"]
    assert seen["state"]["job_id"] == seen["job"]
    assert seen["state"]["status"] == "completed"
    assert seen["refused"]
    # The same over HTTP.
    assert (
        stack.client("developer").get(f"/ai/jobs/{seen['job']}").ok().json["status"] == "completed"
    )
    assert (
        stack.client("developer").search("green tea", scope="npm").ok().json["results_count"] == 1
    )
