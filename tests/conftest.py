# SPDX-License-Identifier: MIT
"""Fixtures: `stack` is one running system for the whole session; `make_stack` makes others."""
import os

import pytest
from gantry_testing.building import make
from gantry_testing.stack import ROOT, Stack

os.environ["PATH"] = f"{ROOT}/build/deps/bin:" + os.environ["PATH"]


def pytest_unconfigure(config):
    """The line that tests/run counts by."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not config.option.collectonly:
        count = {
            kind: len(reporter.stats.get(kind, []))
            for kind in ("passed", "failed", "error", "skipped", "xpassed")
        }
        print(
            f"{count['passed']} passed, {count['failed'] + count['error'] + count['xpassed']} "
            f"failed"
            + (f", {count['skipped']} skipped" if count["skipped"] else "")
        )


@pytest.fixture(scope="session")
def built():
    make("-j2", "all")


@pytest.fixture(scope="session")
def stack(built):
    """Everything running, without rate limits; tests that kill processes take make_stack."""
    if os.environ.get("GANTRY_CONTAINERS"):
        from gantry_testing.containers import Containers

        containers = Containers()
        yield containers
        containers.destroy()
        return
    with Stack(
        ALLOW_ACTIONS_DEFAULT="ping,health_check,code.python,code.shell,json.query"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def make_stack(built):
    """make_stack(INGEST=2, SYNC_WAIT_MS=500) starts a stack of its own, gone after the module."""
    made = []

    def make(**env):
        made.append(Stack(**env))
        return made[-1].up()

    yield make
    for one in made:
        one.destroy()


@pytest.fixture
def client(stack):
    return stack.client()
