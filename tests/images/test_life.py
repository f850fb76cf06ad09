# SPDX-License-Identifier: MIT
"""The life of a deployment in containers: a task, Caddy, replicas, a version replaced under load,
one that fails and is taken back, backup and restore."""
import os
import subprocess
import threading
import time

import pytest
from gantry_testing.containers import PROGRAMS, VERSION, docker
from gantry_testing.http import Client
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until


def ping(client, scope="s"):
    body = {"task": {"type": "ping"}, "scope": scope}
    return client.post("/webhook/executor/run", body, prefer="wait=60").ok().json


def test_ping(client):
    answer = ping(client)
    assert answer["outcome"] == "ok", answer


def test_caddy(client, stack):
    """HTTPS with an authority of its own, the headers, the size limit, the request's id, no plain
    HTTP."""
    answer = client.get("/healthz", x_request_id="trace-1").ok()
    assert answer.headers["X-Request-ID"] == "trace-1"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] is None
    assert len(answer.headers.get_all("Strict-Transport-Security")) == 1
    assert client.post("/webhook/memory/ingest", b"x" * 600000).status == 413
    plain = Client(f"http://localhost:{os.environ['HTTP_PORT']}").get("/healthz")
    assert plain.status in (301, 308), plain
    assert plain.headers["Location"].startswith("https://"), plain


def test_the_client_behind_caddy_is_the_one_that_is_counted(stack):
    """A refusal's event names the address that Caddy saw, not Caddy's."""
    assert stack.anonymous().get("/memory", x_forwarded_for="192.0.2.1").status == 401

    def clients():
        with stack.database() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT event ->> 'client' FROM audit_events WHERE actor_type = "
                "'anonymous'"
            )
            return {row[0] for row in cursor.fetchall()}

    wait_until(clients, 40, "the refusal's event")
    assert clients() == {stack.client_address}


def test_replicas(client, stack):
    """Three executors, all of which get work; then one again."""
    stack.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "executor=3", "executor")
    stack.wait_healthy(11)
    replicas = stack.containers("executor")
    before = list(map(spent, replicas))
    body = {"task": {"type": "code.python", "code": "sum(range(10000000))"}, "scope": "s"}

    def each_has_run():
        threads = [
            threading.Thread(target=client.clone().post, args=("/webhook/executor/run", body))
            for _ in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return all(now > then for now, then in zip(map(spent, replicas), before, strict=False))

    wait_until(each_has_run, 60, "each has run tasks")
    ping(client)
    stack.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "executor=1", "executor")
    stack.wait_healthy(9)


def spent(container):
    """Processor time of an executor's ended tasks, in ticks."""
    fields = docker("exec", container, "cat", "/proc/1/stat").stdout.rsplit(")", 1)[1].split()
    return int(fields[13]) + int(fields[14])


class Traffic:
    """Requests of every kind, each with a new connection, until stop(): the statuses that came."""

    def __init__(self, client):
        self.client, self.seen, self.ended = client, [], threading.Event()
        self.threads = [
            threading.Thread(target=self._run, args=(kind,)) for kind in ("ingest", "search", "run")
        ]
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
                    answer = one.post(
                        "/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"}
                    )
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
    release = folder / "releases" / VERSION
    release.mkdir(parents=True)
    (release / "compose.yaml").write_bytes((ROOT / "compose.yaml").read_bytes())
    (release / "deploy").mkdir()
    (release / "deploy/seccomp-executor.json").write_bytes(
        (ROOT / "deploy/seccomp-executor.json").read_bytes()
    )
    (folder / "version").write_text(VERSION + "\n")
    return folder


def deploy(stack, target, version, *broken):
    """deploy.sh with the images that are there, under the new version's name."""
    for image in PROGRAMS + ("cli", "nats", "postgres", "redis", "caddy"):
        docker(
            "tag",
            f"gantry/{'search' if image in broken else image}:{VERSION}",
            f"gantry/{image}:{version}",
        )
    return subprocess.run(
        [ROOT / "deploy/deploy.sh", "--no-build", target],
        capture_output=True,
        text=True,
        env=variables(stack, version),
        timeout=1500,
        check=False,
    )


def images(stack):
    return {
        service: stack.inspect(service)["Config"]["Image"].split(":")[1] for service in PROGRAMS
    }


def variables(stack, version=VERSION):
    return {**os.environ, "PROJECT": stack.project, "VERSION": version}


def test_dry_run_does_nothing(stack, target):
    before = sorted(map(str, target.rglob("*"))), sorted(sum(map(stack.containers, PROGRAMS), []))
    done = subprocess.run(
        [ROOT / "deploy/deploy.sh", "--dry-run", target],
        env=variables(stack, ""),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "+ replace" in done.stderr, done.stderr
    assert before == (
        sorted(map(str, target.rglob("*"))),
        sorted(sum(map(stack.containers, PROGRAMS), [])),
    )


def test_change_me_is_refused(stack, target):
    settings = (target / ".env").read_text()
    (target / ".env").write_text(settings + "EMBED_API_KEY=CHANGE_ME\n")
    done = subprocess.run(
        [ROOT / "deploy/deploy.sh", target],
        env=variables(stack, ""),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (target / ".env").write_text(settings)
    assert done.returncode != 0, done.stderr
    assert "CHANGE_ME" in done.stderr, done.stderr


def test_upgrade_without_a_failed_request(client, stack, target):
    old = {service: stack.containers(service) for service in PROGRAMS}
    version = f"{stack.project}-second"
    traffic = Traffic(client)
    try:
        done = deploy(stack, target, version)
    finally:
        seen = traffic.stop()
    assert done.returncode == 0, done.stderr
    bad = [one for one in seen if one[1] not in (200, 202)]
    assert not bad, (len(bad), len(seen), bad[:5])
    kinds = [kind for kind, _, _ in seen]
    assert all(kinds.count(kind) > 10 for kind in ("ingest", "search", "run")), len(seen)
    assert (target / "version").read_text().strip() == version
    assert set(images(stack).values()) == {version}
    for service in PROGRAMS:
        assert not set(old[service]) & set(stack.containers(service)), service
    sources = target / "releases" / version
    assert (sources / "compose.yaml").is_file()
    assert not any((sources / name).exists() for name in (".git", "build", "var", ".env"))
    assert (target / "releases").stat().st_mode & 0o007 == 0


def test_a_bad_version_is_taken_back(client, stack, target):
    """An executor that cannot start: what was replaced before it goes back, and all goes on."""
    before = images(stack)
    done = deploy(stack, target, f"{stack.project}-third", "executor")
    assert done.returncode != 0, done.stderr
    assert "was taken back" in done.stderr, done.stderr
    assert images(stack) == before
    assert (target / "version").read_text().strip() == f"{stack.project}-second"
    ping(client)


def test_backup_and_restore(client, stack, tmp_path):
    """The drill: a restored system answers with what was stored, under the same key, and its log
    verifies."""
    memory = {"scope": "drill", "text": "the anchor lies in the north bay"}
    client.post("/webhook/memory/ingest", memory, prefer="wait=60").ok()
    job = ping(client, "drill")["job_id"]
    folder = tmp_path / "backup"
    done = subprocess.run(
        [ROOT / "deploy/backup", folder],
        env=variables(stack),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    stack.wait_healthy(9)
    stack.wait_ready(60)
    http, https = free_ports(2)
    env = {
        **variables(stack),
        "PROJECT": stack.project + "-drill",
        "HTTP_PORT": str(http),
        "HTTPS_PORT": str(https),
    }
    env.pop("COMPOSE_PROJECT_NAME")
    try:
        done = subprocess.run(
            [ROOT / "deploy/restore", folder],
            env=env,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "its audit log verifies" in done.stdout, done.stdout
        restored = Client(f"https://localhost:{https}", client.key)
        wait_until(
            lambda: restored.get("/readyz").status == 200, 30, "the restored system is ready"
        )

        def results():
            return restored.search("where is the anchor", scope="drill").ok().json["results"]

        found = wait_until(results, 60, "it answers")
        assert [one["content"] for one in found] == ["the anchor lies in the north bay"]
        assert restored.get(f"/ai/jobs/{job}").ok().json["status"] == "completed"
        again = subprocess.run(
            [ROOT / "deploy/restore", folder],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert again.returncode != 0
        assert "has data" in again.stderr
    finally:
        stack.compose("-p", env["PROJECT"], "down", "-v", "--timeout", "5", check=False, env=env)
