# SPDX-License-Identifier: MIT
"""Fixtures: `stack` is one running system for the whole session; `make_stack` makes others."""
import os
import signal

import pytest
from gantry_testing.building import make
from gantry_testing.stack import ROOT, Stack

os.environ["PATH"] = f"{ROOT}/build/deps/bin:" + os.environ["PATH"]


def interrupt(number, frame):
    raise KeyboardInterrupt


def pytest_configure():
    """tests/run that is interrupted ends with SIGTERM: the systems under test are to end too."""
    signal.signal(signal.SIGTERM, interrupt)


def pytest_unconfigure(config):
    """The line that tests/run counts by."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not config.option.collectonly:
        count = {
            kind: len(reporter.stats.get(kind, []))
            for kind in ("passed", "failed", "error", "skipped", "xpassed")
        }
        for folder, outcomes in folders(reporter.stats):
            print(f"folder {folder}: " + ", ".join(f"{n} {kind}" for kind, n in outcomes.items()))
        print(
            f"{count['passed']} passed, {count['failed'] + count['error'] + count['xpassed']} "
            f"failed"
            + (f", {count['skipped']} skipped" if count["skipped"] else "")
        )


def folders(stats):
    """What became of the tests of each folder."""
    found = {}
    for kind in ("passed", "failed", "error", "skipped"):
        for report in stats.get(kind, []):
            outcomes = found.setdefault(report.nodeid.split("/")[0], {})
            outcomes[kind] = outcomes.get(kind, 0) + 1
    return sorted(found.items())


# Begun first where several files run at once: a long one begun last would run alone at the end.
LONG = [
    "test_connector_faults",
    "test_approval_points",
    "test_job_faults",
    "test_command_lists",
    "test_stack",
    "test_audit_faults",
    "test_malloc",
    "test_memory",
    "test_memory_recall",
    "test_nats_cluster",
    "test_console",
    "test_mcp_clients",
    "test_schemathesis",
    "test_audit_announced",
    "test_memory_index",
    "test_fairness_workers",
]


def pytest_collection_modifyitems(items):
    """After those the other tests of faults, which take longer than the rest."""

    def rank(item):
        name = item.path.stem
        if name in LONG:
            return LONG.index(name)
        return len(LONG) + (item.path.parent.name != "faults")

    items.sort(key=rank)


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
