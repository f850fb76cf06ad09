# SPDX-License-Identifier: MIT
"""The cases from outside and the attacks (tests/cases/table.py): each of them has a check."""

import re
import subprocess

import pytest
from cases.table import CASES, ELSEWHERE, run_case
from gantry_testing.stack import ROOT


@pytest.mark.parametrize("name", CASES)
def test_case(stack, name):
    run_case(stack, name)


def test_elsewhere_there_is_a_test():
    for node in ELSEWHERE.values():
        path, _, name = node.partition("::")
        text = (ROOT / path).read_text()
        assert re.search(rf"^def {name or 'test_'}", text, re.M), node


def run_table(*words):
    return subprocess.run(
        [ROOT / "tests/cases/run", *words], capture_output=True, text=True, timeout=300
    )


def test_help_needs_no_system():
    done = run_table("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: tests/cases/run [--all] [STACK_DIR] [CASE...]\n")
    assert set(done.stdout.split()) >= {*CASES, *ELSEWHERE}


@pytest.mark.parametrize("env", [None, "", "GANTRY_URL=http://127.0.0.1:1\n"])
def test_without_a_system_one_sentence_says_what_to_do(tmp_path, stack, env):
    """Never there, begun and not ready, or stopped: the file of its addresses stays then."""
    if env is not None:
        text = (stack.directory / "env").read_text() if env else ""
        (tmp_path / "env").write_text(text + env)
    done = run_table(tmp_path, "88")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tests/cases/run: no stack runs in {tmp_path.resolve()}: start one with `make up`, or name"
        " its directory\n"
    )


@pytest.mark.parametrize("words", [["no-such-case"], [".", "F1", "no-such-case"], ["--no-such"]])
def test_words_that_are_no_cases_are_refused(words):
    done = run_table(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_limit_that_is_too_low_for_the_cases_is_named(make_stack):
    small = make_stack(RATE_LIMIT_PER_MINUTE=60)
    done = run_table(small.directory, "88")
    assert (done.returncode, done.stdout) == (2, "")
    assert "60 requests a minute" in done.stderr
    assert "make up RATE_LIMIT_PER_MINUTE=300" in done.stderr


def test_the_table_leaves_the_system_running(stack):
    """tests/cases/run is for a system that somebody uses."""
    pid = stack.pid("gateway")
    done = run_table(stack.directory, "88", "F1")
    assert (done.returncode, done.stdout.split()) == (
        0,
        ["88", "ok", "F1", "see", ELSEWHERE["F1"]],
    ), done
    assert stack.client().get("/memory?limit=1").status == 200
    assert stack.pid("gateway") == pid
