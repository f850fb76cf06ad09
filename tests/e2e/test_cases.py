# SPDX-License-Identifier: MIT
"""The cases from outside and the attacks (tests/cases/table.py): each of them has a check."""

import re

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
