# SPDX-License-Identifier: MIT
"""The system in containers, as tests/images/run has started it, with the interface of Stack as far as
it can be had from outside: HTTPS through Caddy, the command line inside a container."""
import json
import os
import pathlib
import shlex
import subprocess
import time

from .stack import ROOT, Stack

PROGRAMS = ("gateway", "ingest", "search", "audit", "executor")
SERVERS = ("nats", "postgres", "redis", "caddy")


def docker(*words, check=True, **options):
    done = subprocess.run(["docker", *words], capture_output=True, text="input" not in options or
                          isinstance(options["input"], str), timeout=options.pop("timeout", 120), **options)
    assert not check or done.returncode == 0, f"docker {words}: {done.returncode} {done.stdout} {done.stderr}"
    return done


class Containers(Stack):
    def __init__(self):  # pylint: disable=super-init-not-called
        self.project, self._keys = os.environ["GANTRY_CONTAINERS"], {}
        self.directory = pathlib.Path(os.environ["GANTRY_WORK"])
        self.settings, self.ports = {}, {}
        authority = self.directory / "authority.crt"
        docker("cp", self.container("caddy") + ":/data/caddy/pki/authorities/local/root.crt", str(authority))
        os.environ["GANTRY_TEST_CA"] = str(authority)
        self.cli = self.compose("run", "-d", "--rm", "--entrypoint", "sleep", "cli", "infinity").stdout.split()[-1]
        self.env = {"GANTRY_URL": os.environ["GANTRY_URL"]}
        self.wait_ready(60)
        made = self.gantry("key", "create", "--workspace", "default", "--role", "admin")
        self.env["GANTRY_API_KEY"] = made["key"]

    def up(self, **_):
        return self

    def destroy(self):
        docker("rm", "-f", self.cli, check=False)

    def compose(self, *words, check=True, timeout=300, env=None):
        command = [*shlex.split(os.environ["GANTRY_COMPOSE"]), "-p", self.project, *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, **(env or {})})
        assert not check or done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        return done

    def containers(self, service):
        return self.compose("ps", "-q", service).stdout.split()

    def container(self, service):
        return self.containers(service)[0]

    def inspect(self, service):
        return json.loads(docker("inspect", self.container(service)).stdout)[0]

    def address(self, service):
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def sh(self, service, script, check=False):
        """Run a shell script in a service's container."""
        return docker("exec", self.container(service), "bash", "-c", script, check=check)

    def wait_healthy(self, count, seconds=90):
        end = time.monotonic() + seconds
        while True:
            states = self.compose("ps", "--format", "{{.Service}} {{.Health}}").stdout.splitlines()
            healthy = sum(line.endswith(" healthy") for line in states)
            if healthy == count:
                return
            assert time.monotonic() < end, states
            time.sleep(0.5)

    def gantry(self, *words, check=True):
        done = docker("exec", "-i", self.cli, "/usr/lib/gantry/with-secrets", "gantry", *words, "--json", check=False)
        if not check:
            return done
        assert done.returncode == 0, f"gantry {words}: {done.returncode} {done.stdout} {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _variables(self):
        text = docker("exec", self.cli, "cat", "/run/secrets/env").stdout
        return {name: "".join(shlex.split(value)) for name, _, value in
                (line.partition("=") for line in text.splitlines())}

    def database_url(self, role="superuser"):
        """The machine reaches the container's address, for which its certificate was not made."""
        assert role in ("superuser", "owner"), role
        url = self._variables()["DATABASE_SUPERUSER_URL" if role == "superuser" else "DATABASE_URL"]
        return url.split("?")[0].replace("@postgres:", f"@{self.address('postgres')}:") + "?sslmode=require"
