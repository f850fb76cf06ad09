# SPDX-License-Identifier: MIT
"""The system in containers, as tests/images/run has started it, with the interface of Stack as far
as it can be had from outside: HTTPS through Caddy, the command line inside a container."""
import json
import os
import pathlib
import shlex
import subprocess

from .nats import Nats
from .stack import ROOT, Stack
from .wait import wait_until

PROGRAMS = ("gateway", "ingest", "search", "audit", "executor")
SERVERS = ("nats", "postgres", "redis", "caddy")
VERSION = os.environ.get("VERSION", "latest")


def docker(*words, check=True, **options):
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text="input" not in options or isinstance(options["input"], str),
        timeout=options.pop("timeout", 600),
        **options,
    )
    assert not check or done.returncode == 0, (
        f"docker {words}: {done.returncode} {done.stdout} {done.stderr}"
    )
    return done


class Containers(Stack):
    def __init__(self):  # pylint: disable=super-init-not-called
        self.project, self._keys = os.environ["GANTRY_CONTAINERS"], {}
        self.directory = pathlib.Path(os.environ["GANTRY_WORK"])
        self.settings, self.ports = {}, {}
        self.cli = self.compose(
            "run", "-d", "--rm", "--entrypoint", "sleep", "cli", "infinity"
        ).stdout.split()[-1]
        self._trust()
        self.env = {"GANTRY_URL": os.environ["GANTRY_URL"], "GANTRY_AUDIT_VKEY": self._audit_vkey()}
        self.wait_ready(60)
        made = self.gantry("key", "create", "--workspace", "default", "--role", "admin")
        self.env["GANTRY_API_KEY"] = made["key"]

    def _trust(self):
        """Caddy's authority and the one inside."""
        authorities = self.directory / f"authorities-{os.getpid()}"
        with open(authorities, "wb") as file:
            for container, path in (
                (self.container("caddy"), "/data/caddy/pki/authorities/local/root.crt"),
                (self.cli, "/run/secrets/ca.crt"),
            ):
                file.write(docker("exec", container, "cat", path).stdout.encode())
        os.environ["GANTRY_TEST_CA"] = str(authorities)

    def _audit_vkey(self):
        with self.database() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM deployment")
            name = cursor.fetchone()[0]
        return self._tool("/usr/lib/gantry/audit-vkey", input=f"gantry/{name}\n").stdout.strip()

    def up(self, **_):
        return self

    def destroy(self):
        docker("rm", "-f", self.cli, check=False)

    def compose(self, *words, check=True, timeout=600, env=None):
        command = [*shlex.split(os.environ["GANTRY_COMPOSE"]), "-p", self.project, *words]
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        return done

    # --- containers -------------------------------------------------------------------------------
    def containers(self, service):
        """Those that run."""
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        filters = [
            f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()
        ]
        return docker("ps", "-q", "--no-trunc", *filters).stdout.split()

    def container(self, service):
        return self.containers(service)[0]

    def inspect(self, service):
        return json.loads(docker("inspect", self.container(service)).stdout)[0]

    def networks(self, service):
        """Name (without the project's) → what the engine says about the service there."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return {
            name.removeprefix(self.project + "_"): network for name, network in networks.items()
        }

    def address(self, service):
        return next(iter(self.networks(service).values()))["IPAddress"]

    def pid(self, name):
        """As this machine sees it."""
        return self.inspect(name)["State"]["Pid"]

    def sh(self, service, script, check=False):
        """Run a shell script in a service's container."""
        return docker("exec", self.container(service), "bash", "-c", script, check=check)

    def wait_healthy(self, count, seconds=90):
        def healthy():
            return docker(
                "ps",
                "--filter",
                f"label=com.docker.compose.project={self.project}",
                "--format",
                "{{.Names}} {{.Status}}",
            ).stdout

        wait_until(
            lambda: healthy().count("(healthy)") == count, seconds, f"{count} healthy containers"
        )

    # --- addresses and clients: the machine reaches the containers' addresses, not their names ----
    @property
    def client_address(self):
        return self.networks("caddy")["public"]["Gateway"]

    def nats(self, role="admin", workspace=None, **options):
        return Nats(
            "tls://nats:4222",
            token=self.key(role, workspace),
            address=self.address("nats"),
            **options,
        )

    def operator(self, **options):
        return Nats(self._variables()["GANTRY_NATS_OPERATOR_URL"],
                    **{"inbox": "_INBOX.operator", "address": self.address("nats"), **options})

    def nats_as(self, program, **options):
        url = self.sh(program, "cat /run/secrets/NATS_URL", check=True).stdout.strip()
        return Nats(
            url, **{"inbox": f"_INBOX.{program}", "address": self.address("nats"), **options}
        )

    def redis_url(self, user="admin"):
        assert user == "admin", user
        url = (
            self._variables()["REDIS_URL"]
            .split("?")[0]
            .replace("@redis:", f"@{self.address('redis')}:")
        )
        return url + f"?ssl_ca_certs={os.environ['GANTRY_TEST_CA']}&ssl_check_hostname=False"

    def database_url(self, role="superuser"):
        assert role in ("superuser", "owner"), role
        url = self._variables()["DATABASE_SUPERUSER_URL" if role == "superuser" else "DATABASE_URL"]
        return (
            url.split("?")[0].replace("@postgres:", f"@{self.address('postgres')}:")
            + "?sslmode=require"
        )

    def _tool(self, *words, check=True, **options):
        """A command where the operator's is: in the container of its own that has its secrets."""
        names = ("GANTRY_API_KEY", "GANTRY_AUDIT_VKEY")
        given = [
            f"--env={name}={self.env[name]}" for name in names if name in getattr(self, "env", {})
        ]
        return docker(
            "exec",
            "-i",
            "--env=NATS_URL=tls://nats:4222",
            *given,
            self.cli,
            "/usr/lib/gantry/with-secrets",
            *words,
            check=check,
            **options,
        )

    def gantry(self, *words, check=True):
        """A file that is named is given to it on its standard input."""
        files = [word for word in words if os.path.isfile(word)]
        options = (
            {"input": pathlib.Path(files[0]).read_text()}
            if files
            else {"stdin": subprocess.DEVNULL}
        )
        done = self._tool(
            "gantry",
            *["/dev/stdin" if word in files else word for word in words],
            "--json",
            check=check,
            **options,
        )
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _variables(self):
        text = docker("exec", self.cli, "cat", "/run/secrets/env").stdout
        return {name: "".join(shlex.split(value)) for name, _, value in
                (line.partition("=") for line in text.splitlines())}
