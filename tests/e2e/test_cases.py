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


def test_the_table_leaves_the_system_running(stack):
    """tests/cases/run is for a system that somebody uses."""
    pid = stack.pid("gateway")
    done = subprocess.run(
        [ROOT / "tests/cases/run", stack.directory, "88", "F1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split()) == (
        0,
        ["88", "ok", "F1", "see", ELSEWHERE["F1"]],
    ), done
    assert stack.client().get("/memory?limit=1").status == 200
    assert stack.pid("gateway") == pid
