# SPDX-License-Identifier: MIT
"""What a container may not do, tried from inside each: reach what it has no business with, write its
root, hold a capability, gain a right."""
import os
import shutil
import socket
import subprocess
import sys

import pytest
from gantry_testing.containers import PROGRAMS, SERVERS, docker
from gantry_testing.wait import wait_until

PORTS = {"nats": 4222, "postgres": 5432, "redis": 6379, "gateway": 8080, "caddy": 8443}
MAY = {
    "caddy": {"gateway"}, "gateway": {"nats", "postgres", "redis"}, "ingest": {"nats", "postgres"},
    "search": {"nats", "postgres", "redis"}, "audit": {"nats", "postgres"}, "executor": {"nats", "redis"},
    "nats": set(), "postgres": set(), "redis": set(),
}
# A server sees who shares its network, or it could not answer: the gateway's port and no other.
SEES = {"gateway": {"caddy"}, "nats": {"gateway"}, "postgres": {"gateway"}, "redis": {"gateway"}}


def connects(stack, service, address, port):
    done = stack.sh(service, f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'")
    return done.returncode == 0


@pytest.mark.parametrize("service", PROGRAMS + SERVERS)
def test_connections(stack, service):
    """By name and, where that is unknown, by address: only what its networks give."""
    for other, port in PORTS.items():
        if other == service:
            continue
        networks = stack.inspect(other)["NetworkSettings"]["Networks"].values()
        reached = any(connects(stack, service, net["IPAddress"], port) for net in networks)
        if other in MAY[service]:
            assert reached, f"{service} must reach {other}"
        elif other not in SEES.get(service, ()):
            assert not reached, f"{service} reaches {other}"


@pytest.fixture(scope="module")
def internet():
    """Another machine beyond this one: a network namespace that this machine routes to."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("only root can make another machine to be reached")
    name, port = f"gantry{os.getpid()}", 8123
    end = name[:12]

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", end + "-a", "type", "veth", "peer", "name", end + "-b", "netns", name)
        ip("addr", "add", "198.51.100.1/30", "dev", end + "-a")
        ip("link", "set", end + "-a", "up")
        ip("-n", name, "addr", "add", "198.51.100.2/30", "dev", end + "-b")
        ip("-n", name, "link", "set", end + "-b", "up")
        ip("-n", name, "route", "add", "default", "via", "198.51.100.1")
        with subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-m", "http.server", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            wait_until(lambda: reachable("198.51.100.2", port), 10, "the other machine listens")
            yield "198.51.100.2", port
            server.kill()
    finally:
        ip("netns", "del", name)


def reachable(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def test_no_way_out(stack, internet):
    assert connects(stack, "caddy", *internet), "caddy alone reaches other machines"
    out = [service for service in PROGRAMS + SERVERS if service != "caddy" and connects(stack, service, *internet)]
    assert not out


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
    assert not host["Privileged"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["Memory"] and host["PidsLimit"] and host["NanoCpus"] and host["ReadonlyRootfs"]
    assert host["NetworkMode"] != "host" and host["PidMode"] == "" and host["IpcMode"] in ("private", "")
    published = [port for ports in host["PortBindings"].values() for port in ports] if host["PortBindings"] else []
    assert bool(published) == (service == "caddy")
    assert not any("docker.sock" in mount["Source"] for mount in facts["Mounts"])
    assert facts["State"]["Health"]["Status"] == "healthy"


def test_secrets_are_each_ones_own(stack):
    """No file of another's secrets, no secret in an environment, none in an image."""
    seen = {}
    for service in PROGRAMS + ("nats", "postgres", "redis"):
        listed = stack.sh(service, "cd /run/secrets && for f in *; do [ \"$f\" = ca.crt ] || md5sum $f; done").stdout
        for line in listed.splitlines():
            digest, name = line.split()
            seen.setdefault(digest, set()).add((service, name))
        facts = stack.inspect(service)
        assert not [one for one in facts["Config"]["Env"] if "KEY=" in one and one.split("=")[1]], service
    shared = {names for names in map(frozenset, seen.values()) if len(names) > 1}
    assert all(name in ("ACTOR_PUBLIC_KEY", "DATA_KEY") for names in shared for _, name in names), shared


def test_images_are_small_and_run_as_users(stack):
    for service in PROGRAMS + SERVERS + ("cli",):
        facts = docker("image", "inspect", "-f", "{{.Config.User}} {{.Size}}", f"gantry/{service}").stdout.split()
        assert facts[0] not in ("", "root", "0"), service
        print(service, int(facts[1]) // 1000000, "MB")
