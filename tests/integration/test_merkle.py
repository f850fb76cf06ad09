# SPDX-License-Identifier: MIT
"""The known answers of the C unit test are what the second implementation computes."""
import pathlib
import re

from gantry_testing import merkle

HEADER = pathlib.Path(__file__).parents[1] / "unit" / "merkle_known.h"


def test_known_answers_are_those_of_the_second_implementation():
    written = dict(re.findall(r'#define KNOWN_(\w+) \\\n +"([0-9a-f]{64})"', HEADER.read_text()))
    assert len(written) == 12
    assert written == merkle.known_answers()
