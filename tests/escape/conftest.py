# SPDX-License-Identifier: MIT
"""Tasks through `gantry-executor --run-one`, without any server: shared by what tests the
sandbox."""

import os
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from corpus import CPU_UNREACHED  # noqa: E402
from runner import RunOne, become_subreaper, prepare  # noqa: E402


@pytest.fixture(scope="module")
def folder():
    """Not pytest's: that is closed to other users, and closed again by every session that
    starts."""
    become_subreaper(True)
    with tempfile.TemporaryDirectory(prefix="gantry-escape-") as path:
        yield prepare(path)
    become_subreaper(False)  # what other files start in the background has another parent


@pytest.fixture(scope="module")
def submit(folder):
    """submit("code.python", "print(1)", stdin="x") -> the answer."""
    def send(action, code=None, timeout=280, cpu_ms=CPU_UNREACHED, **more):
        task = {"type": action, **more}
        if code is not None:
            task["code"] = code
        return RunOne(folder, True).submit(task, timeout, cpu_ms)

    return send


@pytest.fixture(scope="module")
def submit_until(submit):
    """The answer of a task that goes on until its time is over. A busy machine may not have got as
    far as `far(answer)` by then: it has more time once."""
    def send(far, action, code, timeout, **more):
        answer = submit(action, code, timeout=timeout, **more)
        if answer["outcome"] == "timeout" and not far(answer):
            answer = submit(action, code, timeout=60, **more)
        return answer

    return send
