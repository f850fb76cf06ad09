# SPDX-License-Identifier: MIT
"""The table of what workspaces share (docs/security.md): each row names a test that there is, and
each name of a bound is one that a program tells."""

import re

import pytest
from gantry_testing.stack import ROOT

TESTS = {path.name for path in (ROOT / "tests").rglob("test_*")}


def rows():
    text = (ROOT / "docs/security.md").read_text()
    lines = text.split("\n| shared |", 1)[1].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_each_row_has_a_test(row):
    _, _, _, at_the_share, tested_by = row
    named = re.findall(r"`(test_\w+\.(?:py|c))`", tested_by)
    assert set(named) <= TESTS
    assert named or at_the_share == "nothing to be full"


def test_each_bound_is_in_the_table():
    told = set()
    for header in ("gateway/full.h", "common/protocol/bounds.h"):
        told |= set(re.findall(r'X\(\w+,\s+"(\w+)"\)', (ROOT / header).read_text()))
    table = " ".join(cell for row in rows() for cell in row)
    assert len(told) > 20
    assert {bound for bound in told if f"`{bound}`" not in table} == set()
