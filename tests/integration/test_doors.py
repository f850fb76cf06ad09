# SPDX-License-Identifier: MIT
"""The doors to the servers, as C programs against real ones."""
import os
import subprocess

import pytest

from gantry_testing import servers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build(name):
    target = f"build/release/integration/{name}"
    subprocess.run(["make", "-s", target], cwd=ROOT, check=True)
    return os.path.join(ROOT, target)


def run(program, **env):
    done = subprocess.run(
        [program], env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "\nok 1" in done.stdout


@pytest.fixture(scope="module")
def postgres():
    with servers.postgres() as server:
        yield server


def test_db(postgres):
    run(build("door_db"), DATABASE_URL=postgres.url)


def test_kv():
    with servers.redis() as server:
        run(build("door_kv"), REDIS_URL=server.url)
