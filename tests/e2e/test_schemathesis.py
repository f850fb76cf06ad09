# SPDX-License-Identifier: MIT
"""schemathesis, a stranger's client, with a key of each role: every operation of /openapi.json, by
what the document allows and by what it does not. tests/schemathesis/gantry_hooks.py says what no
document can say."""

import collections
import fcntl
import os
import subprocess

import pytest
from gantry_testing.stack import ROOT

VERSION = "4.32.5"
FOLDER = ROOT / "build" / "schemathesis"
PROGRAM = FOLDER / "bin" / "st"


@pytest.fixture(scope="module")
def program():
    """Installed once, where the registry is reached."""
    FOLDER.parent.mkdir(exist_ok=True)
    with open(ROOT / "build" / "schemathesis.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not PROGRAM.exists():
            try:
                subprocess.run(
                    ["/usr/bin/python3", "-m", "venv", "--clear", FOLDER],
                    check=True,
                    capture_output=True,
                    timeout=120,
                )
                subprocess.run(
                    [
                        FOLDER / "bin" / "pip",
                        "install",
                        "--quiet",
                        "--retries",
                        "0",
                        "--timeout",
                        "10",
                        f"schemathesis=={VERSION}",
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=180,
                )
            except (subprocess.SubprocessError, OSError) as problem:
                said = (getattr(problem, "stderr", "") or str(problem)).strip().splitlines()
                pytest.skip(f"schemathesis cannot be installed: {said[-1] if said else 'no word'}")
    return PROGRAM


@pytest.mark.parametrize("role", ["viewer", "developer", "admin"])
def test_schemathesis_finds_nothing(stack, program, role, tmp_path):
    """A dozen seconds for each role; ST_SECONDS=600 for a long run."""
    key = stack.gantry("key", "create", "--workspace", "default", "--role", role)["key"]
    seconds = int(os.environ.get("ST_SECONDS", "12"))
    said = look(stack, program, key, tmp_path, seconds)
    if "No test cases were generated" in said:  # a busy machine spent them on reading the document
        said = look(stack, program, key, tmp_path, 10 * seconds)
    print(said[-400:])
    are_answered_for_the_key(tmp_path / "answers")
    assert "= FAILURES =" not in said, said[:6000]
    assert "= ERRORS =" not in said, said[:6000]
    assert "passed" in said, said


def are_answered_for_the_key(file):
    """The key is known to the end: it is not revoked by the run. (Hooks ask for a signature.)"""
    answers = collections.Counter()
    for line in file.read_text().splitlines():
        status, _, operation = line.partition(" ")
        if not operation.startswith("POST /hooks/{"):
            answers[status] += 1
    print(dict(answers))
    assert answers["401"] < 0.25 * sum(answers.values()), answers


# What gantry-connector answers is 503 where none runs, as here (other tests run one).
SETTINGS = """
[[operations]]
include-path-regex = "^/(hooks|webhooks|secrets)"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
"""


def look(stack, program, key, folder, seconds):
    (folder / "schemathesis.toml").write_text(SETTINGS)
    words = [
        program,
        "run",
        stack.url + "/openapi.json",
        "-H",
        f"X-API-Key: {key}",
        "--exclude-checks",
        "positive_data_acceptance",
        "--phases",
        "coverage,fuzzing",
        "--continue-on-failure",
        "--max-time",
        str(seconds),
        "--generation-database",
        "none",
        "--no-shrink",
        "--no-color",
    ]
    done = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120 + 10 * seconds,
        env={
            "PATH": os.environ["PATH"],
            "SCHEMATHESIS_HOOKS": "gantry_hooks",
            "ST_ANSWERS": str(folder / "answers"),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "tests" / "schemathesis"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    return (done.stdout + done.stderr).replace(key, "KEY")
