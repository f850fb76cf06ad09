# SPDX-License-Identifier: MIT
"""The escape corpus inside the executor's container, with its profile and its limits."""
import json
import os
import platform
import subprocess
import sys

import pytest
from gantry_testing.stack import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "escape"))
from corpus import ATTEMPTS, CPU_SMALL, CPU_UNREACHED, compiled  # noqa: E402


@pytest.fixture(scope="module")
def inside(stack):
    """The tasks with each processor limit that the corpus expects, and a canary, in the container's
    /tmp."""
    container = stack.container("executor")
    script = f"""
        set -e
        for cpu in {CPU_SMALL} {CPU_UNREACHED}; do
            cp -r /usr/share/gantry/workers/executor/tasks /tmp/tasks-$cpu
            for name in code.python code.shell; do
                jq ".limits.cpu_ms = $cpu" /tmp/tasks-$cpu/$name/manifest.json >/tmp/new
                mv /tmp/new /tmp/tasks-$cpu/$name/manifest.json
            done
            chmod -R a+rX /tmp/tasks-$cpu
        done
        echo CANARY >/tmp/canary
    """
    stack.sh("executor", script, check=True)
    yield container
    stack.sh("executor", "rm -rf /tmp/tasks-* /tmp/canary", check=True)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_attempt(stack, inside, attempt):
    if attempt.machine and attempt.machine != platform.machine():
        pytest.skip("only on " + attempt.machine)
    done = subprocess.run(
        [
            "docker",
            "exec",
            "-i",
            "-e",
            f"EXECUTOR_TASKS_DIR=/tmp/tasks-{attempt.cpu_ms}",
            "-e",
            "CANARY=CANARY",
            inside,
            "gantry-executor",
            "--run-one",
            "--timeout",
            str(attempt.timeout),
        ],
        input=json.dumps(compiled(attempt.task)).encode(),
        capture_output=True,
        check=False,
        timeout=attempt.timeout + 120,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    answer = json.loads(done.stdout)
    assert answer["outcome"] == attempt.outcome, answer
    assert "ESCAPED" not in answer["output"]["stdout"], answer["output"]["stdout"]
    for text in attempt.says:
        assert text in answer["output"]["stdout"], answer
    assert attempt.check is None or attempt.check(answer), answer
    assert stack.sh("executor", "cat /tmp/canary").stdout == "CANARY\n"
