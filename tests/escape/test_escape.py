# SPDX-License-Identifier: MIT
"""The escape corpus through --run-one: as root (which the program gives up) and as an unprivileged
user."""

import os
import platform

import pytest
from corpus import ATTEMPTS, compiled
from runner import Host, RunOne


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
    judge(attempt, executor.submit(compiled(attempt.task), attempt.timeout, attempt.cpu_ms))
    host.check()
