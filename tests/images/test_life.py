# SPDX-License-Identifier: MIT
"""The life of a deployment in containers: a task, Caddy, replicas, a version replaced under load, one
that fails and is taken back, backup and restore."""
import os
import pathlib
import subprocess
import threading
import time

import pytest
from gantry_testing.containers import PROGRAMS, docker
from gantry_testing.http import Client
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until


def test_ping(client):
    answer = client.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"}).ok().json
    assert answer["outcome"] == "ok", answer


def test_caddy(client, stack):
    """HTTPS with an authority of its own, the headers, the size limit, the request's id, no plain HTTP."""
    answer = client.get("/healthz", x_request_id="trace-1").ok()
    assert answer.headers["X-Request-ID"] == "trace-1"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] is None
    assert len(answer.headers.get_all("Strict-Transport-Security")) == 1
    assert client.post("/webhook/memory/ingest", b"x" * 600000).status == 413
    plain = Client(f"http://localhost:{os.environ['HTTP_PORT']}").get("/healthz")
    assert plain.status in (301, 308) and plain.headers["Location"].startswith("https://"), plain


def test_replicas(client, stack):
    """Three executors, all of which get work; then one again."""
    stack.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "executor=3", "executor")
    stack.wait_healthy(11)
    for _ in range(4):
        params = {"type": "code.shell", "code": "sleep 0.3"}
        clients = [client.clone() for _ in range(8)]
        threads = [threading.Thread(target=one.post, args=("/webhook/executor/run", {"task": params, "scope": "s"}))
                   for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for container in stack.containers("executor"):
        stats = docker("exec", container, "bash", "-c", "grep -c . /proc/self/status").stdout
        assert stats.strip() != "0"
    client.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"}).ok()
    stack.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "executor=1", "executor")
    stack.wait_healthy(9)


class Traffic:
    """Requests of every kind, each with a new connection, until stop(): the statuses that came."""

    def __init__(self, client):
        self.client, self.seen, self.ended = client, [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(kind,)) for kind in ("ingest", "search", "run")]
        for thread in self.threads:
            thread.start()

    def _run(self, kind):
        number = 0
        while not self.ended.is_set():
            number += 1
            one = self.client.clone()
            try:
                if kind == "ingest":
                    answer = one.ingest("upgrade", f"memory number {number}")
                elif kind == "search":
                    answer = one.search("memory", scope="upgrade")
                else:
                    answer = one.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"})
                self.seen.append((kind, answer.status, answer.body[:200]))
            except OSError as error:
                self.seen.append((kind, repr(error), b""))
            one.close()
            time.sleep(0.05)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.seen


@pytest.fixture(scope="module")
def target(stack, tmp_path_factory):
    """A deployment folder in which the running version is named."""
    folder = tmp_path_factory.mktemp("target")
    settings = folder / ".env"
    names = ("HTTP_PORT", "HTTPS_PORT", "RATE_LIMIT_PER_MINUTE", "ALLOW_ACTIONS_DEFAULT")
    settings.write_text("".join(f"{name}={os.environ[name]}\n" for name in names))
    settings.chmod(0o600)
    release = folder / "releases" / "latest"
    release.mkdir(parents=True)
    (release / "compose.yaml").write_bytes((ROOT / "compose.yaml").read_bytes())
    (release / "deploy").mkdir()
    (release / "deploy/seccomp-executor.json").write_bytes((ROOT / "deploy/seccomp-executor.json").read_bytes())
    (folder / "version").write_text("latest\n")
    return folder


def deploy(stack, target, *options, tag=True, check=True):
    """deploy.sh with the images that are there, under the new version's name."""
    dry = subprocess.run([ROOT / "deploy/deploy.sh", "--dry-run", "--no-build", target], env=variables(stack),
                         capture_output=True, text=True, timeout=60, check=False)
    assert dry.returncode == 0, dry.stderr
    version = dry.stderr.split(" to ")[1].split()[0]
    if "-" in version:  # of an uncommitted tree: named after the moment
        return None
    if tag:
        for image in PROGRAMS + ("cli", "nats", "postgres", "redis", "caddy"):
            docker("tag", f"gantry/{image}:latest", f"gantry/{image}:{version}")
    done = subprocess.run([ROOT / "deploy/deploy.sh", "--no-build", *options, target], env=variables(stack),
                          capture_output=True, text=True, timeout=600, check=False)
    assert not check or done.returncode == 0, done.stderr
    return version, done


def variables(stack):
    return {**os.environ, "PROJECT": stack.project}


def test_dry_run_does_nothing(stack, target):
    before = sorted(map(str, target.rglob("*"))), sorted(sum(map(stack.containers, PROGRAMS), []))
    done = subprocess.run([ROOT / "deploy/deploy.sh", "--dry-run", target], env=variables(stack),
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "+ replace" in done.stderr, done.stderr
    assert before == (sorted(map(str, target.rglob("*"))), sorted(sum(map(stack.containers, PROGRAMS), [])))


def test_change_me_is_refused(stack, target):
    settings = (target / ".env").read_text()
    (target / ".env").write_text(settings + "EMBED_API_KEY=CHANGE_ME\n")
    done = subprocess.run([ROOT / "deploy/deploy.sh", target], env=variables(stack), capture_output=True,
                          text=True, timeout=60, check=False)
    (target / ".env").write_text(settings)
    assert done.returncode != 0 and "CHANGE_ME" in done.stderr, done.stderr


def test_upgrade_without_a_failed_request(client, stack, target):
    old = {service: stack.containers(service) for service in PROGRAMS}
    traffic = Traffic(client)
    try:
        deployed = deploy(stack, target)
    finally:
        seen = traffic.stop()
    if deployed is None:
        pytest.skip("the clone has uncommitted changes: a version of its own would be made")
    version, _ = deployed
    bad = [one for one in seen if one[1] not in (200, 202)]
    assert not bad, (len(bad), len(seen), bad[:5])
    assert len(seen) > 100 and {"ingest", "search", "run"} == {kind for kind, _, _ in seen}
    assert (target / "version").read_text().strip() == version
    for service in PROGRAMS:
        assert not set(old[service]) & set(stack.containers(service)), service
        assert stack.inspect(service)["Config"]["Image"] == f"gantry/{service}:{version}"
    sources = target / "releases" / version
    assert (sources / "compose.yaml").is_file() and not (sources / ".git").exists()
    assert not (sources / "build").exists()
    assert pathlib.Path(target / "releases").stat().st_mode & 0o007 == 0


def test_a_bad_version_is_taken_back(client, stack, target):
    """An executor that cannot start: what was replaced before it goes back, and all goes on."""
    if (target / "version").read_text().strip() == "latest":
        pytest.skip("nothing was deployed before")
    version = (target / "version").read_text().strip()
    (target / "version").write_text("latest\n")
    docker("tag", "gantry/search:latest", f"gantry/executor:{version}")  # a program without its variables
    _, done = deploy(stack, target, tag=False, check=False)
    assert done.returncode != 0 and "back to latest" in done.stderr, done.stderr
    for service in PROGRAMS:
        if service != "gateway":
            assert stack.inspect(service)["Config"]["Image"].split(":")[1] in ("latest", version)
    assert stack.inspect("audit")["Config"]["Image"] == "gantry/audit:latest"
    client.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"}).ok()


def test_backup_and_restore(client, stack, tmp_path):
    """The drill: a restored system answers with what was stored, under the same key, and its log verifies."""
    client.ingest("drill", "the anchor lies in the north bay").ok()
    job = client.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "drill"}).ok().json["job_id"]
    folder = tmp_path / "backup"
    done = subprocess.run([ROOT / "deploy/backup", folder], env=variables(stack), capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    stack.wait_healthy(9)
    stack.wait_ready(60)
    http, https = free_ports(2)
    env = {**variables(stack), "PROJECT": stack.project + "-drill", "HTTP_PORT": str(http), "HTTPS_PORT": str(https)}
    env.pop("COMPOSE_PROJECT_NAME")
    try:
        done = subprocess.run([ROOT / "deploy/restore", folder], env=env, capture_output=True, text=True,
                              timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "its audit log verifies" in done.stdout, done.stdout
        restored = Client(f"https://localhost:{https}", client.key)
        wait_until(lambda: restored.get("/readyz").status == 200, 30, "the restored system is ready")
        found = restored.search("where is the anchor", scope="drill").ok().json["results"]
        assert [one["content"] for one in found] == ["the anchor lies in the north bay"]
        assert restored.get(f"/ai/jobs/{job}").ok().json["status"] == "completed"
        again = subprocess.run([ROOT / "deploy/restore", folder], env=env, capture_output=True, text=True,
                               timeout=60, check=False)
        assert again.returncode != 0 and "has data" in again.stderr
    finally:
        stack.compose("-p", env["PROJECT"], "down", "-v", "--timeout", "5", check=False, env=env)
