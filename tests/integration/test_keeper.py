# SPDX-License-Identifier: MIT
"""What a test has started ends with it, whatever ends the test (gantry_testing/keeper.py)."""
import os
import select
import shutil
import subprocess
import sys

from gantry_testing.stack import ROOT

CHILD = """
import sys
from gantry_testing import servers
with servers.redis() as server:
    print(server.process.pid, server.directory, flush=True)
    sys.stdin.read()
"""


def test_a_server_ends_with_a_test_that_is_killed():
    test = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT / "tests",
    )
    pid, directory = test.stdout.readline().split()
    server = os.pidfd_open(int(pid))
    try:
        assert select.select([server], [], [], 0)[0] == []
        test.kill()
        test.wait()
        assert select.select([server], [], [], 60)[0] == [server]
    finally:
        os.close(server)
        shutil.rmtree(directory, ignore_errors=True)
