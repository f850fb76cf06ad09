# SPDX-License-Identifier: MIT
"""Programs from the package registries, for tests against real counterparts. They are installed
once, under build/mcp; a registry that cannot be reached skips the test."""

import fcntl
import pathlib
import re
import shutil
import subprocess

import pytest

from .stack import ROOT

KEPT = ROOT / "build" / "mcp"


def install(name, *command):
    """Run it once for all runs; a registry that cannot be reached skips the test, and says so."""
    KEPT.mkdir(parents=True, exist_ok=True)
    done = KEPT / f"{name}.done"
    with open(KEPT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        for one in command:
            try:
                made = subprocess.run(one, cwd=KEPT, capture_output=True, text=True, timeout=180)
            except (OSError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"{name} cannot be installed: {error}")
            if made.returncode:
                pytest.skip(f"{name} cannot be installed: {(made.stderr or made.stdout)[-300:]}")
        done.touch()


def node_version(node="node"):
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    try:
        text = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    except OSError:
        text = ""
    return [int(part) for part in re.findall(r"\d+", text)]


def newest_node():
    """The folder of a node of line 22 or later: the system's, or that of npm's package "node"."""
    if node_version() >= [22, 19]:
        return pathlib.Path(shutil.which("node")).parent
    return npm("node", "node@22") / "node_modules" / ".bin"


def npm(name, *packages):
    node_version()
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    options = ["--no-audit", "--no-fund", "--prefix", str(folder)]
    install(name, ["npm", "install", *options, *packages])
    return folder
