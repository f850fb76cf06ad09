# SPDX-License-Identifier: MIT
"""Whole systems on real servers: the same scripts as `make up`, in a temporary directory, on ports
of their own."""
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from urllib.parse import urlsplit

from .http import Client
from .nats import Nats
from .servers import postgres_bin
from .wait import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORTS = [
    "GATEWAY_PORT",
    "ADMIN_PORT",
    "NATS_PORT",
    "NATS_MONITOR_PORT",
    "POSTGRES_PORT",
    "REDIS_PORT",
]


SHARES = 8  # of the ports: workers of pytest-xdist and a pytest beside them


def free_ports(count):
    """Ports that nothing listens on, below the range that outgoing connections take theirs from.
    Of this worker's share: a port is free until its server listens, and another worker must not
    find it meanwhile."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1 ...
    share = (int(worker[2:]) + 1) % SHARES if worker else 0
    size = (max(low, 20000) - 10240) // SHARES
    found, start = [], int.from_bytes(os.urandom(2), "big")
    for step in range(size):
        port = 10240 + share * size + (start + 7 * step) % size
        if port in found:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports")


# A cluster of PostgreSQL as `make up` creates it, before the server's first start. It is made once
# and copied for each stack; where a test calls `make up` itself, the cluster is created there.
CLUSTER = """
. deploy/stack/common.sh
. deploy/stack/services.sh
mkdir -p "$stack"/{data,log,secrets,state}
chmod 711 "$stack" "$stack/data"
exec 9>"$stack/lock"
flock 9
choose_users
[ -d "$stack/data/postgres" ] || create_cluster
"""

KEEPER = """
read -r _
deploy/stack/down
[ -n "$KEEP" ] || rm -rf "$STACK_DIR"
"""


def cluster():
    """Where it is: data/postgres, and its superuser's password in secrets/."""
    version = postgres_bin("postgres").split("/")[-3]
    path = ROOT / "build" / f"test-cluster-{version}"
    env = {"PATH": os.environ["PATH"], "STACK_DIR": str(path)}
    subprocess.run(["bash", "-c", CLUSTER], check=True, cwd=ROOT, env=env)
    return path


class Stack:
    """One running system. env: variables for `make up`, e.g. RATE_LIMIT_PER_MINUTE, INGEST=3."""

    workspace = "default"  # of who names none
    key_options = ()  # of the keys that are made

    def __init__(self, directory=None, **env):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix=f"gantry-{ROOT.name}-"))
        self.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=False))
        self.settings = {"RATE_LIMIT_PER_MINUTE": "0", **{k: str(v) for k, v in env.items()}}
        self.env, self._keys = {}, {}
        # The end of our standard input: destroy() was called, or we are gone, whatever killed us.
        self.keeper = subprocess.Popen(
            ["setsid", "sh", "-c", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=self._environment(KEEP=os.environ.get("KEEP", "")),
        )

    @classmethod
    def of(cls, directory, workspace="default"):
        """The system that runs there, whoever started it: it is left running, and the keys that are
        made for it end after a day."""
        one = cls.__new__(cls)
        one.directory, one.keeper = pathlib.Path(directory).resolve(), None
        one.ports, one.settings, one.env, one._keys = {}, {}, {}, {}
        one.workspace, one.key_options = workspace, ("--expires", "1d")
        one.read_env()
        addresses = {
            "GATEWAY_PORT": "GANTRY_URL",
            "ADMIN_PORT": "GANTRY_ADMIN_URL",
            "NATS_PORT": "NATS_URL",
            "NATS_MONITOR_PORT": "NATS_MONITOR_URL",
            "POSTGRES_PORT": "DATABASE_SUPERUSER_URL",
            "REDIS_PORT": "REDIS_URL",
        }
        one.ports = {port: str(urlsplit(one.env[name]).port) for port, name in addresses.items()}
        return one

    # --- life -----------------------------------------------------------------------------------
    def _environment(self, **env):
        clean = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TERM")
        }
        own = {"STACK_DIR": str(self.directory), **self.ports}
        return {**clean, **own, **self.settings, **env}

    def _run(self, script, **env):
        return subprocess.run(
            [ROOT / "deploy" / "stack" / script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            env=self._environment(**env),
        )

    def up(self, **env):
        """Start it, or repair and change it; the variables are kept for the next time."""
        self.settings.update({name: str(value) for name, value in env.items()})
        if not (self.directory / "data").exists():
            self._put_cluster()
        done = self._run("up")
        assert done.returncode == 0, f"make up: {done.stdout}\n{done.stderr}"
        return self.read_env()

    def _put_cluster(self):
        made = cluster()
        for folder in ("data", "secrets"):
            (self.directory / folder).mkdir(parents=True)
        shutil.copy(made / "secrets/postgres_superuser", self.directory / "secrets")
        subprocess.run(
            ["cp", "-a", "--sparse=always", made / "data/postgres", self.directory / "data"],
            check=True,
        )

    def read_env(self):
        for line in (self.directory / "env").read_text().splitlines():
            name, equals, value = line.partition("=")
            if not equals:
                continue
            self.env[name] = "".join(shlex.split(value))
        return self

    def down(self):
        done = self._run("down")
        assert done.returncode == 0, f"make down: {done.stdout}\n{done.stderr}"

    def destroy(self):
        """Stop everything and remove it. The logs of a failed stack are worth keeping: KEEP=1."""
        self.keeper.stdin.close()
        self.keeper.wait(600)

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.destroy()

    # --- addresses and clients --------------------------------------------------------------------
    @property
    def url(self):
        return self.env["GANTRY_URL"]

    @property
    def api_key(self):
        return self.env["GANTRY_API_KEY"]

    def key(self, role="admin", workspace=None):
        """A key of that role; made once for each role and workspace. The workspace is created."""
        workspace = workspace or self.workspace
        if (role, workspace) == ("admin", "default"):
            return self.api_key
        if (role, workspace) not in self._keys:
            if workspace not in ["default"] + [w for _, w in self._keys]:
                self.gantry("workspace", "create", workspace)
            words = ("--workspace", workspace, "--role", role, *self.key_options)
            made = self.gantry("key", "create", *words)
            self._keys[role, workspace] = made["key"]
        return self._keys[role, workspace]

    def client(self, role="admin", workspace=None, **options):
        return Client(self.url, self.key(role, workspace), **options)

    def anonymous(self, **options):
        return Client(self.url, **options)

    def nats(self, role="admin", workspace=None, **options):
        """A NATS connection with an API key as its token."""
        return Nats(self.env["NATS_URL"], token=self.key(role, workspace), **options)

    def operator(self, **options):
        """A NATS connection as the operator."""
        return Nats(self.env["GANTRY_NATS_OPERATOR_URL"], **{"inbox": "_INBOX.operator", **options})

    def nats_as(self, program, **options):
        """A NATS connection as one of our programs."""
        return Nats(self.nats_url(program), **{"inbox": f"_INBOX.{program}", **options})

    def gantry(self, *words, check=True):
        """Run the command line; with check the JSON that it prints, else the finished process."""
        done = subprocess.run(
            [ROOT / "build" / "gantry", *words, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": os.environ["PATH"], **self.env},
        )
        if not check:
            return done
        assert done.returncode == 0, (
            f"gantry {words}: {done.returncode} {done.stdout} {done.stderr}"
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    def database(self, role="superuser"):
        """A psycopg2 connection (autocommit): the superuser, the owner, or a program's role."""
        import psycopg2

        connection = psycopg2.connect(self.database_url(role))
        connection.autocommit = True
        return connection

    def database_url(self, role="superuser"):
        if role in ("superuser", "owner"):
            return self.env["DATABASE_SUPERUSER_URL" if role == "superuser" else "DATABASE_URL"]
        port = self.ports["POSTGRES_PORT"]
        return f"postgresql://{role}:{self.secret('postgres_' + role)}@127.0.0.1:{port}/gantry"

    def nats_url(self, user):
        """With the password of one of our programs."""
        return f"nats://{user}:{self.secret('nats_' + user)}@127.0.0.1:{self.ports['NATS_PORT']}"

    def redis_url(self, user="admin"):
        return (
            f"redis://{user}:{self.secret('redis_' + user)}@127.0.0.1:{self.ports['REDIS_PORT']}/0"
        )

    def redis(self, *words):
        """What redis-cli prints, as the administrator; an error of Redis is printed too."""
        return subprocess.run(
            ["redis-cli", "--no-auth-warning", "-u", self.redis_url(), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()

    def secret(self, name):
        return (self.directory / "secrets" / name).read_text().strip()

    # --- processes --------------------------------------------------------------------------------
    def pid(self, name):
        """The pid of a process (gateway, ingest, ingest-2, nats, postgres, redis …); 0 if none."""
        try:
            return int((self.directory / "pids" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def names(self):
        return sorted(path.stem for path in (self.directory / "pids").glob("*.pid"))

    def kill(self, name, how=signal.SIGKILL):
        """Send a signal; returns the pid that had it."""
        pid = self.pid(name)
        assert pid, f"{name} does not run"
        os.kill(pid, how)
        return pid

    def restart(self, name, how=signal.SIGKILL, ready=True):
        """Kill a process, wait until the supervisor has started it again and all is ready."""
        self.wait_started_again(name, self.kill(name, how))
        if ready:
            self.wait_ready()

    def wait_started_again(self, name, old):
        """After kill(), which returned the old pid. What PostgreSQL recovers takes its time, and
        /readyz may not have seen yet that it was away."""
        wait_until(lambda: self.pid(name) not in (0, old), 60, f"{name} is started again")
        if name == "postgres":
            self.wait_database()

    def wait_ready(self, seconds=40):
        wait_until(lambda: self.anonymous().get("/readyz").status == 200, seconds, "/readyz is 200")

    def wait_database(self):
        """Until PostgreSQL takes connections."""
        import psycopg2

        def connects():
            try:
                self.database().close()
            except psycopg2.OperationalError:
                return False
            return True

        wait_until(connects, 60, "PostgreSQL takes connections")

    def wait_provisioned(self, seconds=20):
        """Until what runs beside a start of NATS has done its work: the log begins anew at each
        start."""
        wait_until(
            lambda: "in place" in self.log("nats.beside"), seconds, "streams are provisioned"
        )

    def pause(self, name):
        """Stop the process as a whole (SIGSTOP); resume() goes on."""
        self.kill(name, signal.SIGSTOP)

    @contextlib.contextmanager
    def paused(self, name):
        """The process is stopped within, and goes on however that ends."""
        self.pause(name)
        try:
            yield
        finally:
            self.resume(name)

    def resume(self, name):
        self.kill(name, signal.SIGCONT)

    def take_down(self, name):
        """Stop a process and keep it down, until bring_back()."""
        service = self.directory / "services" / name
        service.rename(self.directory / "state" / f"{name}.stopped")
        self._hup()
        wait_until(lambda: not self.pid(name), 60, f"{name} is down")

    def bring_back(self, name, ready=True):
        (self.directory / "state" / f"{name}.stopped").rename(self.directory / "services" / name)
        self._hup()
        wait_until(lambda: self.pid(name), 20, f"{name} is up")
        if name == "postgres":
            self.wait_database()
        if ready:
            self.wait_ready()

    def _hup(self):
        os.kill(int((self.directory / "supervisor.pid").read_text()), signal.SIGHUP)

    def metrics(self):
        """{name with its labels: value}, as text, of /metrics."""
        address = self.env["GANTRY_ADMIN_URL"] + "/metrics"
        with urllib.request.urlopen(address, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")

    def debug(self):
        """/debug/status of the gateway; this request is in its counts."""
        return Client(self.env["GANTRY_ADMIN_URL"]).get("/debug/status").ok().json

    def in_flight(self):
        return self.debug()["requests_in_flight"] - 1  # the one that asks

    def whose_bound(self, bound, program):
        """The workspaces that the program's log names for a full bound; /readyz and `gantry status`
        name the bound too, and `gantry status` the workspace that reached a worker's last."""
        assert bound in self.anonymous().get("/readyz").json["full"]
        status = json.loads(self.gantry("status", check=False).stdout)
        assert bound in status["full"].split(", ")
        lines = [json.loads(line) for line in self.log(program).splitlines()]
        named = {line["workspace"] for line in lines if line.get("bound") == bound}
        if program != "gateway" and "" not in named:
            assert set(status["full_workspaces"].get(bound, ())) <= named
        return named

    def log(self, name):
        return (self.directory / "log" / f"{name}.log").read_text(errors="replace")
