# SPDX-License-Identifier: MIT
"""The escape corpus through --run-one: as root (which the program gives up) and as an unprivileged user."""
import os
import platform
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from corpus import ATTEMPTS, compiled  # noqa: E402
from runner import Host, RunOne, become_subreaper, prepare  # noqa: E402


@pytest.fixture(scope="module")
def folder():
    """Not pytest's: that is closed to other users, and closed again by every session that starts."""
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="gantry-escape-") as path:
        yield prepare(path)


@pytest.fixture(scope="module", params=["unprivileged", "root"])
def executor(request, folder):
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root: only the unprivileged half can run")
    return RunOne(folder, request.param == "root")


def judge(attempt, answer):
    output = answer["output"]
    assert answer["outcome"] == attempt.outcome, answer
    assert "ESCAPED" not in output["stdout"], output["stdout"]
    for text in attempt.says:
        assert text in output["stdout"], answer
    assert attempt.check is None or attempt.check(answer), answer


def test_corpus_is_large_enough():
    assert len({attempt.name for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 40


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_attempt(executor, folder, attempt):
    if attempt.machine and attempt.machine != platform.machine():
        pytest.skip("only on " + attempt.machine)
    host = Host(folder)
    judge(attempt, executor.submit(compiled(attempt.task), attempt.timeout))
    host.check()
