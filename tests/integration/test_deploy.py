# SPDX-License-Identifier: MIT
"""What deploy/deploy.sh refuses before it touches anything; tests/images tries the rest with an engine."""
import os
import subprocess

import pytest
from gantry_testing.stack import ROOT


def deploy(target, *words):
    """Where no engine answers: nothing can be changed by mistake."""
    return subprocess.run([ROOT / "deploy/deploy.sh", *words, target], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, "DOCKER_HOST": f"unix://{target}/no-engine"})


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def settings(target, text, mode=0o600):
    (target / ".env").write_text(text)
    (target / ".env").chmod(mode)


def test_change_me(target):
    settings(target, "# CHANGE_ME in a comment is none\nSITE=localhost\nEMBED_API_KEY=CHANGE_ME\n")
    done = deploy(target)
    assert done.returncode == 1 and "3:EMBED_API_KEY=CHANGE_ME" in done.stderr, done.stderr
    assert [path.name for path in target.iterdir()] == [".env"]


def test_settings_that_others_may_read(target):
    settings(target, "SITE=localhost\n", 0o644)
    done = deploy(target)
    assert done.returncode == 1 and "mode 600" in done.stderr, done.stderr


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_no_engine(target, words):
    settings(target, "# CHANGE_ME in a comment is none\nSITE=localhost\n")
    done = deploy(target, *words)
    assert done.returncode == 1 and "no container engine answers" in done.stderr, done.stderr
    assert [path.name for path in target.iterdir()] == [".env"]


def test_usage(target):
    done = deploy(target, "--dryrun")
    assert done.returncode == 2 and "usage: deploy/deploy.sh" in done.stderr, done.stderr
    assert not list(target.iterdir())
