# SPDX-License-Identifier: MIT
"""The supervisor of the local stack, with scripts in place of servers."""
import os
import signal
import subprocess
import time

import pytest
from gantry_testing.stack import ROOT
from gantry_testing.wait import promised, wait_until


class Supervised:
    def __init__(self, path):
        self.path = path
        for name in ("services", "pids", "state", "log"):
            (path / name).mkdir()

    def start(self):
        """As a script does that begins it in the background: SIGINT and SIGQUIT are ignored."""
        subprocess.run(
            ["env", "--ignore-signal=INT,QUIT", ROOT / "build" / "gantry-supervisor", self.path],
            check=True,
            timeout=60,
        )
        wait_until(lambda: (self.path / "supervisor.pid").exists(), 20)
        return int((self.path / "supervisor.pid").read_text())

    def service(self, name, script):
        file = self.path / "services" / name
        note = f"echo started $$ $(date +%s.%N) >>{self.path / 'starts'}"
        file.write_text(f"#!/bin/sh\n{note}\n{script}\n")
        file.chmod(0o700)

    def hup(self):
        os.kill(int((self.path / "supervisor.pid").read_text()), signal.SIGHUP)

    def pid(self, name):
        try:
            return int((self.path / "pids" / f"{name}.pid").read_text())
        except FileNotFoundError:
            return 0

    def status(self, name):
        return (self.path / "state" / f"{name}.status").read_text().rstrip("\n").split("\t")

    def starts(self):
        return len((self.path / "starts").read_text().splitlines())


@pytest.fixture
def supervised(built, tmp_path):
    one = Supervised(tmp_path)
    yield one
    for file in (tmp_path / "services").iterdir():
        file.unlink()
    try:
        one.hup()
        wait_until(lambda: not list((tmp_path / "pids").iterdir()), 20)
        os.kill(int((tmp_path / "supervisor.pid").read_text()), signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        pass


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_what_dies_is_started_again_at_once_and_then_later(supervised):
    names = ["one", "two", "three"]
    for name in names:
        supervised.service(name, "exec sleep 1000")
    supervised.start()
    delays = []
    for name in names:
        first = wait_until(lambda: supervised.pid(name), 20)
        wait_until(lambda: supervised.status(name)[0] == "running", 20)
        before = time.monotonic()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervised.pid(name) not in (0, first), 20)
        delays.append(time.monotonic() - before)
        assert supervised.status(name)[4] == "signal 9"
    assert min(delays) < promised(0.4)  # the least of three
    second = supervised.pid("three")
    before = time.monotonic()
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: supervised.pid("three") not in (0, second), 20)
    assert time.monotonic() - before >= 0.5


def test_the_delay_doubles(supervised):
    supervised.service("one", "exit 111")
    supervised.start()
    wait_until(lambda: supervised.starts() >= 5, 30)  # 0, at once, 0.5 s, 1 s, 2 s
    lines = (supervised.path / "starts").read_text().splitlines()
    fourth, fifth = (float(line.split()[-1]) for line in lines[3:5])
    assert fifth - fourth > 1.2


def test_exit_100_is_not_started_again_until_asked(supervised):
    supervised.service("one", "echo bad configuration >&2; exit 100")
    supervised.start()
    wait_until(lambda: supervised.status("one")[0] == "failed", 20)
    assert supervised.status("one")[4] == "exit 100"
    starts = supervised.starts()
    supervised.service("two", "exec sleep 1000")
    supervised.hup()
    wait_until(lambda: supervised.pid("two"), 20)
    wait_until(lambda: supervised.starts() == starts + 2, 20)  # two, and one's new chance
    wait_until(lambda: supervised.status("one")[0] == "failed", 20)
    assert "bad configuration" in (supervised.path / "log" / "one.log").read_text()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killing_the_supervisor_kills_nothing_and_the_next_adopts(supervised, how):
    supervised.service("one", "exec sleep 1000")
    pid = supervised.start()
    one = wait_until(lambda: supervised.pid("one"), 20)
    os.kill(pid, how)
    wait_until(lambda: not alive(pid), 20)
    assert alive(one)
    (supervised.path / "supervisor.pid").unlink(missing_ok=True)
    supervised.start()
    assert supervised.pid("one") == one
    assert supervised.starts() == 1
    os.kill(one, signal.SIGKILL)  # what was adopted is watched like a child
    wait_until(lambda: supervised.pid("one") not in (0, one), 20)


def test_a_reused_pid_is_not_adopted(supervised):
    stranger = subprocess.Popen(["sleep", "1000"])
    boot = open("/proc/sys/kernel/random/boot_id").read().strip()
    (supervised.path / "state" / "one.start").write_text(f"{stranger.pid} 12345 {boot}\n")
    (supervised.path / "pids" / "one.pid").write_text(f"{stranger.pid}\n")
    supervised.service("one", "exec sleep 1000")
    supervised.start()
    wait_until(lambda: supervised.pid("one") not in (0, stranger.pid), 20)
    (supervised.path / "services" / "one").unlink()
    supervised.hup()
    wait_until(lambda: not supervised.pid("one"), 20)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_only_one_supervisor_for_a_directory(supervised):
    supervised.start()
    second = subprocess.run(
        [ROOT / "build" / "gantry-supervisor", supervised.path], capture_output=True, timeout=60
    )
    assert second.returncode == 111
    assert b"runs already" in second.stderr


def test_a_process_that_ignores_term_gets_int(supervised):
    supervised.service("one", "trap '' TERM\ntrap 'exit 0' INT\nwhile :; do sleep 0.1; done")
    supervised.start()
    one = wait_until(lambda: supervised.pid("one"), 20)
    wait_until(lambda: supervised.starts() == 1, 20)
    (supervised.path / "services" / "one").unlink()
    supervised.hup()
    wait_until(lambda: not alive(one), 30)


def test_when_its_folder_is_removed_everything_ends(supervised):
    supervised.service("one", "exec sleep 1000")
    pid = supervised.start()
    one = wait_until(lambda: supervised.pid("one"), 20)
    for folder in ("services", "pids", "state", "log"):
        for file in (supervised.path / folder).iterdir():
            file.unlink()
    (supervised.path / "supervisor.lock").unlink()
    wait_until(lambda: not alive(one) and not alive(pid), 15)


def test_a_long_log_is_turned_over_while_its_process_writes(supervised):
    """The process keeps its descriptor; the file that it writes to stays short."""
    go = supervised.path / "go"
    supervised.service(
        "talker",
        "yes 'a line of a log' | head -c 40000000; echo last of the first;"
        f" until [ -e {go} ]; do sleep 0.1; done; echo first of the second; exec sleep 1000",
    )
    supervised.start()
    log, old = (supervised.path / "log" / name for name in ("talker.log", "talker.log.1"))
    wait_until(lambda: old.exists() and log.stat().st_size < 1000, 60, "the log was turned over")
    assert old.stat().st_size == 40000000 + len("last of the first\n")
    assert old.read_bytes()[-18:] == b"last of the first\n"
    go.touch()
    wait_until(lambda: log.read_text() == "first of the second\n", 60, "it writes on")
    assert supervised.starts() == 1


def test_a_postgres_that_waits_for_its_clients_is_ended(supervised):
    """TERM is PostgreSQL's "when all have gone"; what it says of itself is line 8 of its file."""
    (supervised.path / "data/postgres").mkdir(parents=True)
    say = "{ echo $$; for i in 2 3 4 5 6 7; do echo; done; echo %s; } >data/postgres/postmaster.pid"
    supervised.service(
        "postgres",
        f"trap '{say % 'stopping'}' TERM; trap 'exit 0' INT; {say % 'ready'}\n"
        "while :; do sleep 0.1; done",
    )
    supervised.start()
    said = supervised.path / "data/postgres/postmaster.pid"
    wait_until(lambda: said.exists() and said.read_text().endswith("ready\n"), 20)
    pid = supervised.pid("postgres")
    os.kill(pid, signal.SIGTERM)
    wait_until(
        lambda: supervised.pid("postgres") not in (0, pid), 60, "it was ended and started again"
    )
    assert supervised.status("postgres")[4] == "exit 0"
