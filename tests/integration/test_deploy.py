# SPDX-License-Identifier: MIT
"""What deploy/deploy.sh refuses before it touches anything (tests/images tries the rest with an
engine), and what deploy/configure does to settings of the version before."""

import os
import subprocess

import pytest
from gantry_testing.echo import PROGRAMS, actor_key
from gantry_testing.stack import ROOT


def deploy(target, *words):
    """Where no engine answers: nothing can be changed by mistake."""
    return subprocess.run(
        [ROOT / "deploy/deploy.sh", *words, target],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "DOCKER_HOST": f"unix://{target}/no-engine"},
    )


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
    assert done.returncode == 1, done.stderr
    assert "3:EMBED_API_KEY=CHANGE_ME" in done.stderr, done.stderr
    assert [path.name for path in target.iterdir()] == [".env"]


def test_settings_that_others_may_read(target):
    settings(target, "SITE=localhost\n", 0o644)
    done = deploy(target)
    assert done.returncode == 1, done.stderr
    assert "mode 600" in done.stderr, done.stderr


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_no_engine(target, words):
    settings(target, "# CHANGE_ME in a comment is none\nSITE=localhost\n")
    done = deploy(target, *words)
    assert done.returncode == 1, done.stderr
    assert "no container engine answers" in done.stderr, done.stderr
    assert [path.name for path in target.iterdir()] == [".env"]


ENGINE = """#!/bin/bash
case "$*" in
*" ps -q connector") [ -z "$CONNECTOR_RUNS" ] || echo 0123abcd ;;
esac
"""


@pytest.mark.parametrize("runs", [True, False])
def test_the_connector_is_replaced_where_it_runs(target, tmp_path, runs):
    """Before the gateway, as every worker, and before what it needed is taken away."""
    settings(target, "SITE=localhost\n")
    (target / "version").write_text("before\n")
    (tmp_path / "docker").write_text(ENGINE)
    (tmp_path / "docker").chmod(0o755)
    done = subprocess.run(
        [ROOT / "deploy/deploy.sh", "--dry-run", "--no-build", target],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "GANTRY_COMPOSE": "docker compose",
            "CONNECTOR_RUNS": "1" if runs else "",
            "VERSION": "after",
        },
    )
    assert done.returncode == 0, done.stderr
    replaced = [line.split()[-1] for line in done.stderr.splitlines() if "+ replace after" in line]
    connector = ["connector"] if runs else []
    assert replaced == ["audit", "ingest", "search", "executor", *connector, "gateway"]


def test_usage(target):
    done = deploy(target, "--dryrun")
    assert done.returncode == 2, done.stderr
    assert "usage: deploy/deploy.sh" in done.stderr, done.stderr
    assert not list(target.iterdir())


def configure(folder):
    return subprocess.run(
        [ROOT / "deploy/configure", folder], capture_output=True, text=True, timeout=60, check=True
    )


def variables(path):
    return dict(
        line.split("=", 1) for line in path.read_text().splitlines() if line and line[0] != "#"
    )


def test_configure_adds_a_workers_key_to_settings_of_before(built, tmp_path):
    """Each worker gets the key that the gateway will use for it, the same at every call, and no
    other."""
    etc = tmp_path / "etc"
    configure(etc)
    secret = bytes.fromhex((etc / "secrets/ACTOR_SIGNING_KEY").read_text().strip())
    assert "ACTOR_KEY" not in variables(etc / "gateway.env")
    for program in PROGRAMS:
        file = etc / f"{program}.env"
        found = variables(file)
        assert found.pop("ACTOR_KEY") == actor_key(program, secret).hex()
        file.write_text(
            "".join(f"{name}={value}\n" for name, value in found.items())
            + f"ACTOR_PUBLIC_KEY={'1' * 64}\n"
        )
    done = configure(etc)
    for program in PROGRAMS:
        found = variables(etc / f"{program}.env")
        assert found["ACTOR_KEY"] == actor_key(program, secret).hex()
        assert found["ACTOR_PUBLIC_KEY"] == "1" * 64
        assert (etc / f"{program}.env").stat().st_mode & 0o777 == 0o600
        assert f"{program}.env has got ACTOR_KEY" in done.stderr, done.stderr
        checked = subprocess.run(
            [ROOT / f"build/gantry-{program}", "--check-config"],
            capture_output=True,
            text=True,
            timeout=120,
            env={**found, "PATH": os.environ["PATH"]},
            check=False,
        )
        assert checked.returncode == 0, checked.stderr
    assert "has got" not in configure(etc).stderr


def test_configure_adds_a_new_programs_user_to_settings_of_before(built, tmp_path):
    """NATS refuses a configuration that names a password which is not there: a file of before gets
    it, and keeps what was edited."""
    etc = tmp_path / "etc"
    configure(etc)
    for name, setting in (
        ("nats.env", "NATS_PASSWORD_CONNECTOR"),
        ("operator.env", "DB_PASSWORD_CONNECTOR"),
    ):
        file = etc / name
        made = variables(file)
        before = {k: v for k, v in made.items() if k != setting} | {"EDITED": "1"}
        file.write_text("".join(f"{k}={v}\n" for k, v in before.items()))
        assert f"{name} has got {setting}" in configure(etc).stderr
        assert variables(file) == made | {"EDITED": "1"}
        assert file.stat().st_mode & 0o777 == 0o600
    assert "has got" not in configure(etc).stderr


def test_print_actor_key(built):
    gateway = ROOT / "build/gantry-gateway"

    def printed(program, **env):
        return subprocess.run(
            [gateway, "--print-actor-key", program],
            capture_output=True,
            text=True,
            timeout=120,
            env=env,
            check=False,
        )

    secret = bytes(range(32))
    for program in PROGRAMS:
        assert (
            printed(program, ACTOR_SIGNING_KEY=secret.hex()).stdout
            == actor_key(program, secret).hex() + "\n"
        )
    for program in ("gateway", "", "Ingest", "nobody"):
        done = printed(program, ACTOR_SIGNING_KEY=secret.hex())
        assert done.returncode == 2
        assert "name ingest, search, audit, executor or connector" in done.stderr
        assert not done.stdout
    done = printed("ingest")
    assert done.returncode == 100
    assert "ACTOR_SIGNING_KEY" in done.stderr
    assert not done.stdout


def test_the_three_ways_to_run_redis_agree(tmp_path):
    """Figures and promises are the same with make up, in containers and on an own server."""
    subprocess.run(
        [ROOT / "deploy/configure", tmp_path], capture_output=True, timeout=60, check=True
    )
    own = {"port", "tls-port", "bind", "dir", "aclfile", "protected-mode", "daemonize"}
    files = [ROOT / "deploy/stack/redis.conf", ROOT / "deploy/container/redis.conf"]
    said = [
        {
            line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1]
            for line in path.read_text().splitlines()
            if line and not line.startswith(("#", "tls-")) and line.split()[0] not in own
        }
        for path in [*files, tmp_path / "redis.conf"]
    ]
    assert said[0] == said[1]
    assert said[0] == said[2]
    assert said[0]["rdbcompression"] == "no"
