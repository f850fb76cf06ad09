# SPDX-License-Identifier: MIT
"""The systemd units, run by a systemd: installed with `make install`, configured with
deploy/configure as docs/operations.md says. PostgreSQL and Redis run beside it, everything else
inside."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from gantry_testing import servers
from gantry_testing.http import Client
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until

PROGRAMS = ("gateway", "ingest", "search", "audit", "executor")
TASK = {"task": {"type": "code.python", "code": "print(6 * 7)"}, "scope": "s"}


class Machine:
    """A systemd with processes, mounts and control groups of its own, on a view of this machine's
    root."""

    def __init__(self, work):
        self.work, self.log = pathlib.Path(work), pathlib.Path(work) / "boot.log"
        self.process = self.pid = None

    def boot(self):
        """Whether it has; a machine that does not let it is no fault of the units."""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([ROOT / "tests/integration/boot-systemd", self.work],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def booted():
            if self.process.poll() is not None:
                return True
            self.pid = int((self.work / "pid").read_text())
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded")

        with contextlib.suppress(AssertionError):
            return wait_until(booted, 60) and self.process.poll() is None
        return False

    def run(self, *words, check=True):
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-w", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, f"gantry-{unit}").stdout.strip()

    def main(self, unit):
        return int(self.show(unit, "MainPID"))

    def status(self, unit):
        """/proc/PID/status of a unit's program."""
        lines = self.run("cat", f"/proc/{self.main(unit)}/status").stdout.splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def settings(self, unit, **changes):
        """Change a unit's file of settings."""
        path = f"/etc/gantry/{unit}.env"
        lines = [
            line
            for line in self.run("cat", path).stdout.splitlines()
            if line.split("=")[0] not in changes
        ]
        text = "\n".join(lines + [f"{name}={value}" for name, value in changes.items()])
        self.run("sh", "-c", 'printf "%s\\n" "$1" >"$2"', "sh", text, path)

    def halt(self):
        if self.pid and self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait(120)


def reason_not_to():
    if os.geteuid() != 0:
        return "systemd units: only root can boot a systemd"
    if not os.access("/lib/systemd/systemd", os.X_OK) or not shutil.which("dbus-daemon"):
        return "systemd units: systemd and dbus are not installed"
    if subprocess.run(
        ["unshare", "--mount", "--pid", "--cgroup", "--fork", "true"], check=False
    ).returncode:
        return "systemd units: no namespaces permitted here"
    return None


@contextlib.contextmanager
def redis_of(folder, port):
    """A Redis with what deploy/configure wrote for it."""
    with servers.scratch() as directory:
        program = servers.lend(directory, servers.redis_server(), "redis-server")
        for name in ("redis.conf", "redis.acl"):
            text = (folder / name).read_text().replace(str(folder), directory)
            pathlib.Path(directory, name).write_text(text)
            os.chmod(pathlib.Path(directory, name), 0o644)
        command = [
            program,
            f"{directory}/redis.conf",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
        ]
        server = servers.Server(command, port, directory, os.path.join(directory, "log")).start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def machine(built):
    reason = reason_not_to()
    if reason:
        pytest.skip(reason)
    http, admin, nats, monitor, redis = free_ports(5)
    with servers.scratch() as work, servers.postgres() as postgres:
        etc = pathlib.Path(work, "add/etc/gantry")
        subprocess.run(
            ["make", "-s", "install", f"DESTDIR={work}/add", "PREFIX=/usr/local"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            umask=0o077,
        )
        os.makedirs(f"{work}/add/usr/local/sbin")
        servers.lend(f"{work}/add/usr/local/sbin", servers.nats_server(), "nats-server")
        subprocess.run([ROOT / "deploy/configure", etc], check=True, env={
            **os.environ, "NATS": f"127.0.0.1:{nats}", "NATS_MONITOR": f"127.0.0.1:{monitor}",
            "POSTGRES": f"127.0.0.1:{postgres.port}", "REDIS": f"127.0.0.1:{redis}"})
        subprocess.run(
            ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", etc / "postgres.sql", postgres.url],
            check=True,
        )
        one = Machine(work)
        try:
            with redis_of(etc, redis):
                if not one.boot():
                    pytest.skip(
                        "systemd units: it does not boot here: "
                        + one.log.read_text().strip()[-300:]
                    )
                one.settings(
                    "gateway",
                    LISTEN_ADDR=f"127.0.0.1:{http}",
                    ADMIN_LISTEN_ADDR=f"127.0.0.1:{admin}",
                    ALLOW_ACTIONS_DEFAULT="code.python,code.shell",
                    RATE_LIMIT_PER_MINUTE=0,
                )
                one.run("systemd-sysusers")
                one.run("systemctl", "enable", "--now", "gantry-nats.service")
                wait_until(lambda: servers.accepts(nats), 20, "NATS listens")
                shell = "set -ae; . /etc/gantry/operator.env; "
                one.run(
                    "bash",
                    "-c",
                    shell + "gantry migrate && gantry provision && gantry workspace create default",
                )
                made = one.run(
                    "bash", "-c", shell + "gantry key create --workspace default --role admin"
                )
                key = next(word for word in made.stdout.split() if word.startswith("relay_sk_"))
                one.run("systemctl", "enable", "--now", "gantry.target")
                one.client = Client(f"http://127.0.0.1:{http}", key)
                ready(one)
                yield one
        finally:
            one.halt()


def ready(machine):
    def answers():
        client = machine.client = machine.client.clone()
        client.get("/readyz").ok()
        client.search("tea").ok()
        return client.post("/webhook/executor/run", TASK).ok().json["outcome"] == "ok"

    try:
        wait_until(answers, 60, "everything answers")
    except AssertionError:
        print(
            machine.run("journalctl", "--no-pager", "-n", "60", "-u", "gantry*", check=False).stdout
        )
        raise


def test_memory_and_tasks(machine):
    """A task runs in bubblewrap under the unit's own confinement."""
    machine.client.ingest("user:1", "Alice likes green tea").ok()
    found = machine.client.search("what does Alice drink").ok().json["results"]
    assert [one["content"] for one in found] == ["Alice likes green tea"]
    answer = machine.client.post("/webhook/executor/run", TASK).ok().json
    assert (answer["outcome"], answer["output"]["stdout"]) == ("ok", "42\n"), answer
    event = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
    machine.client.post("/webhook/audit/append", event).ok()


def test_what_the_programs_may(machine):
    users = set()
    for unit in PROGRAMS + ("nats",):
        status = machine.status(unit)
        assert status["CapEff"] == status["CapBnd"] == "0" * 16, (unit, status)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), (unit, status)
        users.add(status["Uid"].split()[0])
        mounts = machine.run("cat", f"/proc/{machine.main(unit)}/mountinfo").stdout.splitlines()
        root = next(line.split() for line in mounts if line.split()[4] == "/")
        assert root[5].split(",")[0] == "ro", (unit, root)
        limits = machine.run("cat", f"/proc/{machine.main(unit)}/limits").stdout
        files = next(
            line.split() for line in limits.splitlines() if line.startswith("Max open files")
        )
        assert int(files[3]) >= 16384, (unit, files)
        assert limits.splitlines()[5].split()[4:6] == ["0", "0"], limits  # core files
    assert machine.show("nats", "TimerSlackNSec") == "1000000"
    assert len(users) == 6, "a user for each"
    assert "0" not in users, "a user for each"
    assert (
        machine.run(
            "systemctl", "list-units", "--failed", "--plain", "--no-legend", "gantry*"
        ).stdout
        == ""
    )


@pytest.mark.parametrize("unit", PROGRAMS + ("nats",))
def test_restart_and_kill(machine, unit):
    """systemctl restart ends a program cleanly, and one that is killed is started again."""
    before = machine.main(unit)
    machine.run("systemctl", "restart", f"gantry-{unit}")
    assert machine.main(unit) not in (0, before)
    assert machine.show(unit, "NRestarts") == "0"
    ready(machine)
    before = machine.main(unit)
    machine.run("systemctl", "kill", "--signal=KILL", f"gantry-{unit}")
    wait_until(lambda: machine.main(unit) not in (0, before), 20, "it is started again")
    assert machine.show(unit, "NRestarts") == "1"
    ready(machine)
    if unit == "nats":  # what a server that was killed needs was done
        wait_until(lambda: "code=exited ; status=0" in machine.show(unit, "ExecStartPost"), 20)


def test_a_clean_end(machine):
    """What the restarts before this did not show: each program's own end, by SIGTERM, is a
    success."""
    for unit in PROGRAMS:
        machine.run("systemctl", "stop", f"gantry-{unit}")
        assert machine.show(unit, "Result") == "success", unit
        assert machine.show(unit, "ExecMainStatus") == "0", unit
    machine.run("systemctl", "start", "gantry.target")
    ready(machine)


def test_a_task_that_runs_is_finished_first(machine):
    """systemctl restart asks the executor to end, and not its sandboxes."""
    for seconds in (3, 10, 25):  # until it is seen to run: a busy machine may look too late
        slow = {"type": "code.shell", "code": f"/usr/bin/sleep {seconds} && echo finished"}
        answer = machine.client.post(
            "/webhook/executor/run",
            {"task": slow, "scope": "s"},
            prefer="respond-async",
        )
        job = answer.ok(202).json["job_id"]

        def in_state(*states, job=job):
            now = machine.client.get(f"/ai/jobs/{job}").ok().json
            return now if now["status"] in states else None

        begun = wait_until(lambda: in_state("running", "completed"), 20, "it runs")
        if begun["status"] == "running":
            break
    machine.run("systemctl", "restart", "gantry-executor")
    ended = wait_until(lambda: in_state("completed", "failed", "dead"), 20, "it has ended")
    assert (ended["status"], ended["result"]["stdout"]) == ("completed", "finished\n"), ended
    assert ended["started_at"] == begun["started_at"], "it ran once"


@pytest.mark.parametrize("unit", PROGRAMS)
def test_a_wrong_configuration_is_not_retried(machine, unit):
    right = next(
        line.split("=", 1)[1]
        for line in machine.run("cat", f"/etc/gantry/{unit}.env").stdout.splitlines()
        if line.startswith("NATS_URL=")
    )
    machine.settings(unit, NATS_URL="CHANGE_ME")
    machine.run("systemctl", "restart", f"gantry-{unit}", check=False)
    wait_until(lambda: machine.show(unit, "ActiveState") == "failed", 20, "it has failed")
    assert machine.show(unit, "ExecMainStatus") == "100"
    assert machine.show(unit, "NRestarts") == "0"
    said = machine.run("systemctl", "status", "--no-pager", f"gantry-{unit}", check=False).stdout
    assert "NATS_URL" in said, said
    assert "CHANGE_ME" in said, said
    machine.settings(unit, NATS_URL=right)
    machine.run("systemctl", "start", f"gantry-{unit}")
    ready(machine)
