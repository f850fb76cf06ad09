# SPDX-License-Identifier: MIT
"""The operators' page shows every worker of the stack."""
import re
import shutil
import subprocess
import urllib.request

import pytest
from gantry_testing import servers
from gantry_testing.stack import ROOT


@pytest.fixture
def page(stack):
    def read():
        with urllib.request.urlopen(stack.env["GANTRY_ADMIN_URL"] + "/metrics", timeout=5) as answer:
            return answer.read().decode()
    return read


def test_every_worker_shows_its_numbers(page):
    def programs():
        return set(re.findall(r'^gantry_worker_healthy\{program="(\w+)",instance="\w+"\} 1$', page(), re.M))

    servers.wait_until(lambda: programs() == {"ingest", "search", "audit", "executor"}, 30, "all workers")
    names = re.findall(r"^# TYPE (\S+) ", page(), re.M)
    assert len(names) == len(set(names)), "each name is declared once"
    wanted = set(re.findall(r"\bgantry_\w+", (ROOT / "deploy/alerts.yml").read_text()))
    assert len(wanted) > 10 and not wanted - set(names), "no alert waits for a number that nobody counts"


def test_names_follow_the_conventions(page):
    """What `promtool check metrics` looks at; it is asked itself where it is installed."""
    servers.wait_until(lambda: "gantry_worker_calls_total{" in page(), 30, "a worker's numbers")
    text = page()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
    assert len(kinds) > 30
    helped = set(re.findall(r"^# HELP (\S+) \S+", text, re.M))
    for name, kind in kinds.items():
        assert name in helped, name
        assert name.endswith("_total") == (kind == "counter"), (name, kind)
        assert not re.search(r"_(us|ms|ns|usec|msec|kb|mb|min|micros|millis|milliseconds|kilobytes)(_|$)", name), name
        assert not re.search(r"counter|gauge|histogram|jobs_", name), name
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), done
