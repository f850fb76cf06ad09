# SPDX-License-Identifier: MIT
"""deploy/deploy.sh on a host where nothing is yet: images, folders, first start; then a change of
every container, servers too."""
import os
import shlex
import subprocess

import pytest
from gantry_testing.containers import PROGRAMS, SERVERS, docker
from gantry_testing.http import Client
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until


class Host:
    """A folder to deploy to, and the project that runs from it."""

    def __init__(self, folder):
        self.target, self.project = folder / "gantry", f"gantry-first-{os.getpid()}"
        self.http, self.https = map(str, free_ports(2))
        base = next(
            name
            for name in ("gantry/base", "debian:trixie-slim")
            if docker("image", "inspect", name, check=False).returncode == 0
            or name.startswith("debian")
        )
        plain = docker("buildx", "version", check=False).returncode != 0
        self.env = {
            **os.environ,
            "PROJECT": self.project,
            "HTTP_PORT": self.http,
            "HTTPS_PORT": self.https,
            "BUILD_OPTIONS": f"--network host --build-arg BASE={base}",
            **({"DOCKER_BUILDKIT": "0"} if plain else {}),
        }
        self.env.pop("COMPOSE_PROJECT_NAME", None)

    def deploy(self, *words, version="first", **env):
        return subprocess.run(
            [ROOT / "deploy/deploy.sh", *words, self.target],
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
            env={**self.env, "VERSION": f"{self.project}-{version}", **env},
        )

    def compose(self, version, *words, check=True):
        which = f"{self.project}-{version}"
        done = subprocess.run(
            [
                *shlex.split(os.environ.get("GANTRY_COMPOSE", "docker compose")),
                "-p",
                self.project,
                "-f",
                self.target / "releases" / which / "compose.yaml",
                *words,
            ],
            env={**self.env, "VERSION": which},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def versions(self, version):
        lines = self.compose(version, "ps", "--format", "{{.Service}} {{.Image}}").splitlines()
        return {service: image.split(":")[1] for service, image in map(str.split, lines)}

    def client(self, version):
        authority = self.target.parent / "authority.crt"
        self.compose(version, "cp", "caddy:/data/caddy/pki/authorities/local/root.crt", authority)
        os.environ["GANTRY_TEST_CA"] = str(authority)
        key = self.compose(version, "run", "--rm", "--no-deps", "-T", "cli", "key", "create",
                           "--workspace", "default", "--role", "admin")
        return Client(
            f"https://localhost:{self.https}",
            next(w for w in key.split() if w.startswith("relay_sk_")),
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    before, one = os.environ.get("GANTRY_TEST_CA"), Host(tmp_path_factory.mktemp("host"))
    yield one
    for version in ("first", "second"):
        if (one.target / "releases" / f"{one.project}-{version}").exists():
            one.compose(version, "down", "-v", "--timeout", "5", "--rmi", "all", check=False)
    os.environ.pop("GANTRY_TEST_CA", None)
    if before:
        os.environ["GANTRY_TEST_CA"] = before


def test_dry_run_on_an_empty_host(host):
    images = sorted(docker("images", "-aq").stdout.split())
    done = host.deploy("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "+ compose" in done.stderr, done.stderr
    assert not host.target.exists()
    assert sorted(docker("images", "-aq").stdout.split()) == images
    assert not docker("volume", "ls", "-q", "--filter", f"name={host.project}").stdout


def test_first_install(host):
    done = host.deploy()
    assert done.returncode == 0, done.stderr[-4000:]
    assert set(host.versions("first")) == {*PROGRAMS, *SERVERS, "keeper"}
    client = host.client("first")
    memory = {"scope": "user:1", "text": "Alice likes green tea"}
    client.post("/webhook/memory/ingest", memory, prefer="wait=60").ok()
    modes = {path.name: path.stat().st_mode & 0o777 for path in host.target.iterdir()}
    assert modes == {
        ".env": 0o600,
        "releases": 0o750,
        "backups": 0o700,
        "version": modes["version"],
    }
    assert host.target.stat().st_mode & 0o777 == 0o750
    assert (host.target / "version").read_text() == f"{host.project}-first\n"
    release = host.target / "releases" / f"{host.project}-first"
    assert (release / "deploy/Dockerfile").is_file()
    assert not any((release / name).exists() for name in (".git", "build", "var", ".env"))


def test_servers_too(host):
    """Everything is of the new version, and what was stored is there."""
    client = host.client("first")
    done = host.deploy("--servers", version="second")
    assert done.returncode == 0, done.stderr[-4000:]
    assert host.versions("second") == dict.fromkeys(
        (*PROGRAMS, *SERVERS, "keeper"), f"{host.project}-second"
    )

    def found():
        return client.clone().search("what does Alice like").ok().json["results"][0]["content"]

    assert wait_until(found, 60, "it answers") == "Alice likes green tea"


def test_what_does_not_build_touches_nothing(host):
    before = sorted(docker("ps", "-q").stdout.split())
    done = host.deploy(
        version="third", BUILD_OPTIONS="--network none --build-arg BASE=gantry/nothing-like-it"
    )
    assert done.returncode != 0, done.stderr
    assert "do not build" in done.stderr, done.stderr
    assert sorted(docker("ps", "-q").stdout.split()) == before
    assert (host.target / "version").read_text() == f"{host.project}-second\n"
