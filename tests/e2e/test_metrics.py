# SPDX-License-Identifier: MIT
"""The operators' page shows every worker of the stack."""
import re
import urllib.request

from gantry_testing import servers
from gantry_testing.stack import ROOT


def test_every_worker_shows_its_numbers(stack):
    def page():
        with urllib.request.urlopen(stack.env["GANTRY_ADMIN_URL"] + "/metrics", timeout=5) as answer:
            return answer.read().decode()

    def programs():
        return set(re.findall(r'^gantry_worker_healthy\{program="(\w+)",instance="\w+"\} 1$', page(), re.M))

    servers.wait_until(lambda: programs() == {"ingest", "search", "audit", "executor"}, 30, "all workers")
    names = re.findall(r"^# TYPE (\S+) ", page(), re.M)
    assert len(names) == len(set(names)), "each name is declared once"
    wanted = set(re.findall(r"\bgantry_\w+", (ROOT / "deploy/alerts.yml").read_text()))
    assert len(wanted) > 10 and not wanted - set(names), "no alert waits for a number that nobody counts"
