# SPDX-License-Identifier: MIT
"""What a container may not do, tried from inside each: reach what it has no business with, write
its root, hold a capability, gain a right."""
import concurrent.futures
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest
from gantry_testing.containers import PROGRAMS, SERVERS, VERSION, docker
from gantry_testing.wait import wait_until

PORTS = {"nats": 4222, "postgres": 5432, "redis": 6379, "gateway": 8080, "caddy": 8443}
MAY = {
    "caddy": {"gateway"},
    "gateway": {"nats", "postgres", "redis"},
    "ingest": {"nats", "postgres"},
    "search": {"nats", "postgres", "redis"},
    "audit": {"nats", "postgres"},
    "executor": {"nats", "redis"},
    "nats": set(),
    "postgres": set(),
    "redis": set(),
}
# A server sees who shares its network, or it could not answer: the gateway's port and no other.
SEES = {"gateway": {"caddy"}, "nats": {"gateway"}, "postgres": {"gateway"}, "redis": {"gateway"}}


def reached(stack, service, targets, seconds=3):
    """Those of the targets (name, address, port) that a connection from inside the service gets
    to."""
    tries = [
        f"(timeout {seconds} bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo {name}) "
        "2>/dev/null &"
        for name, address, port in targets
    ]
    return set(stack.sh(service, "\n".join([*tries, "wait"])).stdout.split())


def reached_by_each(stack, targets):
    """Service → what it reaches, of others' targets."""
    services = PROGRAMS + SERVERS
    with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
        seen = pool.map(
            lambda one: reached(stack, one, [target for target in targets if target[0] != one]),
            services,
        )
    return dict(zip(services, seen, strict=False))


@pytest.fixture(scope="module")
def connections(stack):
    """To each listening service by its name, and by each of its addresses."""
    targets = [
        (name, address, port)
        for name, port in PORTS.items()
        for address in [
            name,
            *(network["IPAddress"] for network in stack.networks(name).values()),
        ]
    ]
    found = reached_by_each(stack, targets)
    for service, names in found.items():  # what it may reach may be slow on a busy machine
        slow = [target for target in targets if target[0] in MAY[service] - names]
        if slow:
            names |= reached(stack, service, slow, 60)
    return found


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_connections(connections, service):
    """Only what a service's networks give it."""
    assert connections[service] - SEES.get(service, set()) == MAY[service]


@pytest.fixture(scope="module")
def internet():
    """Another machine beyond this one: a network namespace that this machine routes to."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("only root can make another machine to be reached")
    end, port = f"gantry{os.getpid()}"[:12], 8123

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    # It is gone when the server in it is.
    with subprocess.Popen(["unshare", "--net", sys.executable, "-m", "http.server", str(port)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(
                lambda: (
                    os.readlink(f"/proc/{server.pid}/ns/net") != os.readlink("/proc/self/ns/net")
                ),
                60,
            )
            ip(
                "link",
                "add",
                end + "-a",
                "type",
                "veth",
                "peer",
                "name",
                end + "-b",
                "netns",
                str(server.pid),
            )
            ip("addr", "add", "198.51.100.1/30", "dev", end + "-a")
            ip("link", "set", end + "-a", "up")
            inside = ["nsenter", "--net", "--target", str(server.pid), "ip"]
            for words in (
                ["addr", "add", "198.51.100.2/30", "dev", end + "-b"],
                ["link", "set", end + "-b", "up"],
                ["route", "add", "default", "via", "198.51.100.1"],
            ):
                subprocess.run([*inside, *words], check=True)
            wait_until(lambda: reachable("198.51.100.2", port), 60, "the other machine listens")
            yield "198.51.100.2", port
        finally:
            server.kill()


def reachable(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def test_no_way_out(stack, internet):
    targets = [("out", *internet)]
    out = reached_by_each(stack, targets)
    out["caddy"] |= reached(stack, "caddy", targets, 60)  # it may be slow on a busy machine
    assert {service for service, seen in out.items() if seen} == {"caddy"}, (
        "caddy alone reaches other machines"
    )


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_rights(stack, service):
    status = stack.sh(service, "cat /proc/1/status", check=True).stdout
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(lines[kind], 16) == 0, (kind, lines[kind])
    assert lines["NoNewPrivs"].strip() == "1"
    assert lines["Seccomp"].strip() == "2"
    assert "0" not in lines["Uid"].split(), "not root"


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_nothing_is_writable(stack, service):
    """But /tmp and /data, and what the engine mounts for every container."""
    script = """
        for folder in / /etc /usr /usr/bin /var /root /home /opt /run /run/secrets /srv; do
            if (: >$folder/.try) 2>/dev/null; then echo "$folder"; fi
        done
        awk '$2 == "/" { print $4 }' /proc/mounts | cut -d, -f1
        command -v gcc cc make g++ clang as ld
    """
    assert stack.sh(service, script).stdout.split() == ["ro"]


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_limits_and_ports(stack, service):
    facts = stack.inspect(service)
    host = facts["HostConfig"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Memory"]
    assert host["PidsLimit"]
    assert host["NanoCpus"]
    assert host["ReadonlyRootfs"]
    assert host["NetworkMode"] != "host"
    assert host["PidMode"] == ""
    assert host["IpcMode"] in ("private", "")
    published = (
        [port for ports in host["PortBindings"].values() for port in ports]
        if host["PortBindings"]
        else []
    )
    assert bool(published) == (service == "caddy")
    assert not any("docker.sock" in mount["Source"] for mount in facts["Mounts"])

    def healthy():
        return stack.inspect(service)["State"]["Health"]["Status"] == "healthy"

    wait_until(healthy, 60, "it is healthy")


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_limits_are_in_force(stack, service):
    """What compose.yaml asks for is what the kernel counts against, and what the process got."""
    host = stack.inspect(service)["HostConfig"]
    told = stack.sh(service, """
        cd /sys/fs/cgroup
        cat memory.max memory/memory.limit_in_bytes 2>/dev/null
        cat pids.max pids/pids.max 2>/dev/null
        cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us
        awk '/^Max open files/ { print $5 }' /proc/1/limits
    """).stdout.split()
    memory, pids, quota, period, files = map(int, told)
    assert (memory, pids) == (host["Memory"], host["PidsLimit"])
    assert quota / period == host["NanoCpus"] / 1e9
    assert files == 16384


def test_too_much_ends_what_takes_it(stack):
    """Memory and processes beyond the limit of a container: who asks for them fails, the program
    goes on."""
    before = stack.inspect("ingest")["State"]
    greedy = stack.sh(
        "ingest", "head -c 400m /dev/zero | tail; echo ${PIPESTATUS[1]}"
    ).stdout.split()
    assert greedy[-1:] == ["137"], "killed"
    many = stack.sh(
        "ingest", "for i in {1..200}; do sleep 6 & done; jobs -p | wc -l; kill $(jobs -p)"
    )
    assert "fork" in many.stderr, many
    assert "unavailable" in many.stderr, many
    after = stack.inspect("ingest")["State"]
    assert after["Pid"] == before["Pid"]
    assert not after["OOMKilled"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the slack of others")
def test_the_timers_of_nats_are_coarse(stack):
    pid = stack.inspect("nats")["State"]["Pid"]
    assert pathlib.Path(f"/proc/{pid}/timerslack_ns").read_text() == "1000000\n"


def test_secrets_are_each_ones_own(stack):
    """No file of another's secrets, no secret in an environment, none in an image."""
    seen = {}
    for service in PROGRAMS + ("nats", "postgres", "redis"):
        listed = stack.sh(
            service, 'cd /run/secrets && for f in *; do [ "$f" = ca.crt ] || md5sum $f; done'
        ).stdout
        for line in listed.splitlines():
            digest, name = line.split()
            seen.setdefault(digest, set()).add((service, name))
        facts = stack.inspect(service)
        assert not [one for one in facts["Config"]["Env"] if "KEY=" in one and one.split("=")[1]], (
            service
        )
    shared = {names for names in map(frozenset, seen.values()) if len(names) > 1}
    among = [names for names in shared if len({service for service, _ in names}) > 1]
    assert all(name in ("ACTOR_PUBLIC_KEY", "DATA_KEY") for names in among for _, name in names), (
        among
    )
    # Of one's own, the key before a rotation is the key itself when there was none.
    assert all({name for _, name in names} == {"ACTOR_KEY", "ACTOR_KEY_PREVIOUS"}
               for names in shared if names not in among), shared


def test_images_are_small_and_run_as_users(stack):
    for service in PROGRAMS + SERVERS + ("cli",):
        facts = docker(
            "image", "inspect", "-f", "{{.Config.User}} {{.Size}}", f"gantry/{service}:{VERSION}"
        ).stdout.split()
        assert facts[0] not in ("", "root", "0"), service
        print(service, int(facts[1]) // 1000000, "MB")
