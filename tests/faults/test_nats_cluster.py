# SPDX-License-Identifier: MIT
"""Three NATS servers with nats/cluster.conf: streams with three replicas where their tag says; the
servers that lead are killed under load, nothing that was acknowledged is lost, and no program is
restarted for it."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

import pytest
from gantry_testing import servers
from gantry_testing.nats import Nats, NatsError
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until

PROGRAMS = ("gateway", "ingest", "search", "audit", "executor")
STREAMS = ("MEMORY", "TASKS", "AUDIT", "DEAD")


class Cluster:
    """Three servers instead of a stack's one, with its secrets."""

    def __init__(self, stack, directory):
        self.stack, self.directory, self.nodes = stack, pathlib.Path(directory), {}
        script = (stack.directory / "state/nats.stopped").read_text()
        words = (shlex.split(line)[1] for line in script.splitlines() if line.startswith("export "))
        self.env = dict(word.split("=", 1) for word in words)
        for conf in (ROOT / "nats").glob("*.conf"):
            shutil.copy(conf, directory)
            os.chmod(self.directory / conf.name, 0o644)
        self.program = servers.lend(directory, servers.nats_server(), "nats-server")

    def _new_nodes(self):
        ports = free_ports(9)
        clients, routes, monitors = ports[:3], ports[3:6], ports[6:]
        for i, name in enumerate(("n1", "n2", "n3")):
            store = self.directory / name
            shutil.rmtree(store, ignore_errors=True)
            store.mkdir()
            shutil.chown(store, servers.USER) if os.geteuid() == 0 else None
            others = ", ".join(
                f'"nats://routes:pw@127.0.0.1:{port}"' for port in routes if port != routes[i]
            )
            self.nodes[name] = servers.Server(
                [
                    "env",
                    *(f"{k}={v}" for k, v in self.env.items()),
                    f'NATS_NAME="{name}"',
                    'NATS_TAG="region:here"',
                    f'NATS_LISTEN="127.0.0.1:{clients[i]}"',
                    f'NATS_HTTP="127.0.0.1:{monitors[i]}"',
                    f'NATS_STORE_DIR="{store}"',
                    f'NATS_CLUSTER="127.0.0.1:{routes[i]}"',
                    f"NATS_ROUTES=[{others}]",
                    'NATS_PASSWORD_ROUTES="pw"',
                    self.program,
                    "-c",
                    f"{self.directory}/cluster.conf",
                ],
                clients[i],
                str(self.directory),
                f"{self.directory}/{name}.log",
            )
        self.replace = (f"127.0.0.1:{self.stack.ports['NATS_PORT']}", clients)

    def start(self):
        """Servers that begin at the same moment can close each other's routes as duplicates and
        never place a replica on one of them (seen with 2.10.27): then all begin anew."""
        for attempt in range(5):
            self._new_nodes()
            for node in self.nodes.values():
                # All at once: a server alone waits for the others before JetStream answers.
                threading.Thread(target=node.start).start()
            if self._places_three(30 * (attempt + 1)):
                return
            self.stop()
        raise AssertionError("no three servers form a cluster")

    def _places_three(self, seconds):
        """Whether a stream can have three replicas, which takes all servers. Who is only slow
        begins anew, too, and has longer then."""
        probe = {"name": "PROBE", "subjects": ["probe"], "num_replicas": 3, "storage": "memory"}
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if "config" in self.api("STREAM.CREATE.PROBE", probe):
                self.api("STREAM.DELETE.PROBE")
                return True
            time.sleep(0.1)
        return False

    def urls(self, text):
        """Every URL of the one server becomes the list of the three."""
        old, ports = self.replace
        return re.sub(r"nats://(\w+:\w+@|)" + re.escape(old),
                      lambda m: ",".join(f"nats://{m[1]}127.0.0.1:{port}" for port in ports), text)

    def api(self, subject, body=None):
        """Of whatever server answers."""
        for node in self.nodes.values():
            if node.process is None or node.process.poll() is not None:
                continue
            url = self.stack.nats_url("operator").rsplit(":", 1)[0] + f":{node.port}"
            client = None
            try:
                client = Nats(url, inbox="_INBOX.operator", timeout=5)
                return client.api(subject, body)
            except (OSError, NatsError):
                continue
            finally:
                if client:
                    client.close()
        return {}

    def config(self, stream):
        """Once somebody answers in time."""
        return wait_until(lambda: self.api(f"STREAM.INFO.{stream}").get("config"), 30, stream)

    def leader(self, stream):
        return self.api(f"STREAM.INFO.{stream}").get("cluster", {}).get("leader")

    def whole(self):
        """Every stream has a leader and two replicas that are up to date."""
        for stream in STREAMS:
            cluster = self.api(f"STREAM.INFO.{stream}").get("cluster", {})
            replicas = cluster.get("replicas") or []
            if (
                not cluster.get("leader")
                or len(replicas) != 2
                or not all(one.get("current") for one in replicas)
            ):
                return False
        return True

    def stop(self):
        for node in self.nodes.values():
            node.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster(make_stack):
    stack = make_stack(ALLOW_ACTIONS_DEFAULT="ping", SYNC_WAIT_MS=1000)
    for name in (*PROGRAMS, "nats"):
        stack.take_down(name)
    with servers.scratch() as directory:
        os.chmod(directory, 0o755)
        one = Cluster(stack, directory)
        try:
            one.start()
            for name in ("GANTRY_NATS_OPERATOR_URL", "NATS_URL"):
                stack.env[name] = one.urls(stack.env[name])
            stack.gantry("provision", "--place", "region:here")
            for name in PROGRAMS:
                script = stack.directory / f"state/{name}.stopped"
                script.write_text(one.urls(script.read_text()))
                stack.bring_back(name, ready=False)
            stack.wait_ready()
            yield one
        finally:
            stack.down()
            one.stop()


def test_streams_have_replicas_where_they_belong(cluster):
    assert cluster.config("MEMORY")["num_replicas"] == 1
    answer = cluster.stack.client().ingest("s", "stored while there was one replica")
    assert answer.status in (200, 202), answer  # SYNC_WAIT_MS may be over first
    kept = answer.json["id"]
    cluster.stack.gantry("provision", "--replicas", "3")
    wait_until(
        lambda: cluster.stack.client().get(f"/memory/{kept}").status == 200,
        20,
        "it is stored, and the new replicas have a leader",
    )
    for stream in STREAMS:
        config = cluster.config(stream)
        assert (config["num_replicas"], config["placement"]) == (3, {"tags": ["region:here"]}), (
            stream
        )
    # Who provisions again, after an upgrade, need not know.
    cluster.stack.gantry("provision")
    config = cluster.config("MEMORY")
    assert (config["num_replicas"], config["placement"]) == (3, {"tags": ["region:here"]})

    tries = []

    def refused():
        """Once the servers say why in the time that it has."""
        words = ("provision", "--place", "region:elsewhere", "--wait=1")
        tries.append(cluster.stack.gantry(*words, check=False))
        return "no suitable peers" in tries[-1].stderr

    wait_until(refused, 60, "no server has that tag")
    assert all(one.returncode != 0 for one in tries), tries


def test_provision_waits_for_an_election(cluster):
    """Two of three servers are gone, so nobody leads; what is asked meanwhile is done when they are
    back."""
    stack = cluster.stack
    wait_until(cluster.whole, 60, "all replicas are up to date")
    words = [ROOT / "build" / "gantry", "provision"]
    env = {"PATH": os.environ["PATH"], **stack.env}
    gone = [cluster.nodes[name] for name in ("n1", "n2")]
    for node in gone:
        node.stop(signal.SIGKILL)
    try:
        done = subprocess.run(
            [*words, "--wait=1"], env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 111, done
        assert "given up after" in done.stderr
        with subprocess.Popen(
            [*words, "--wait=300"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr.readline().startswith("waiting for JetStream, ")
            for node in gone:
                node.start()
            out, rest = running.communicate(timeout=400)
    finally:
        for node in gone:
            if node.process is None or node.process.poll() is not None:
                node.start()
    assert running.returncode == 0, rest
    assert "4 brought up to date" in out
    wait_until(cluster.whole, 60, "all replicas are up to date")


class Load(threading.Thread):
    """Memories and tasks; keeps what was answered 200 or 202, and counts the rest."""

    def __init__(self, client, kind):
        super().__init__()
        self.client, self.kind = client, kind
        self.kept, self.refused, self.ended = [], 0, threading.Event()
        self.start()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            one = self.client.clone()
            try:
                if self.kind == "memory":
                    answer = one.ingest("load", f"{self.kind} {number}")
                else:
                    answer = one.post(
                        "/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"}
                    )
            except OSError:
                answer = None
            if answer is not None and answer.status in (200, 202):
                self.kept.append(answer.json["id" if self.kind == "memory" else "job_id"])
            else:
                self.refused += 1
            one.close()


def test_who_leads_is_killed_under_load(cluster):
    stack = cluster.stack
    pids = {name: stack.pid(name) for name in PROGRAMS}
    wait_until(cluster.whole, 30, "all replicas are up to date")
    client = stack.client()
    loads = [Load(client, "memory"), Load(client, "task")]
    try:
        for stream in ("MEMORY", "TASKS"):
            name = wait_until(lambda: cluster.leader(stream), 20, "a leader")
            node = cluster.nodes[name]
            wait_until(lambda: all(len(load.kept) > 10 for load in loads), 30, "load")
            node.stop(signal.SIGKILL)
            wait_until(lambda: cluster.leader(stream) not in (None, name), 30, "another leads")
            before = [len(load.kept) for load in loads]
            wait_until(
                lambda: all(
                    len(load.kept) > count + 5 for load, count in zip(loads, before, strict=False)
                ),
                40,
                f"work goes on without {name}",
            )
            node.start()
            wait_until(cluster.whole, 40, f"{name} has caught up")
    finally:
        for load in loads:
            load.ended.set()
        for load in loads:
            load.join()
    memories, jobs = (load.kept for load in loads)
    print(
        f"kept {len(memories)} memories and {len(jobs)} jobs; refused "
        f"{[load.refused for load in loads]}"
    )
    for memory in memories:
        wait_until(
            lambda m=memory: client.get(f"/memory/{m}").status == 200, 30, f"memory {memory}"
        )
    for job in jobs:
        wait_until(
            lambda j=job: client.get(f"/ai/jobs/{j}").ok().json["status"] == "completed",
            30,
            f"job {job}",
        )
    assert {name: stack.pid(name) for name in PROGRAMS} == pids, "no program was restarted"


def test_keys_at_every_server(cluster):
    """The gateway answers logins at all three, and a revoked key's connections end at all three."""
    stack = cluster.stack
    made = stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")
    clients = [
        Nats(f"nats://127.0.0.1:{node.port}", token=made["key"]) for node in cluster.nodes.values()
    ]
    for client in clients:
        assert (
            b'"status":"success"'
            in client.request("gantry.v1.default.memory.search", {"query": "load"}).data
        )
    stack.gantry("key", "revoke", made["key_id"])
    assert all(client.wait_closed() for client in clients)
