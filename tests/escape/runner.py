# SPDX-License-Identifier: MIT
"""Runs attempts through `gantry-executor --run-one`, as root or as an unprivileged user, and looks
at the host before and after."""
import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import time

from corpus import CPU_SMALL, CPU_UNREACHED

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER = 64321  # a number that nothing else on a machine runs as
CPU_LIMITS = (CPU_SMALL, CPU_UNREACHED)


def become_subreaper(on):
    """What an executor leaves behind becomes our child, and is seen."""
    assert ctypes.CDLL(None, use_errno=True).prctl(36, int(on), 0, 0, 0) == 0


def children():
    pid = os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def prepare(folder):
    """The program and the task folders where every user may read them, once for each processor
    limit."""
    folder = pathlib.Path(folder)
    shutil.copy(ROOT / "build/gantry-executor", folder / "gantry-executor")
    for cpu_ms in CPU_LIMITS:
        tasks = folder / f"tasks-{cpu_ms}"
        shutil.copytree(ROOT / "workers/executor/tasks", tasks)
        for name in ("code.python", "code.shell"):
            path = tasks / name / "manifest.json"
            manifest = json.loads(path.read_text())
            manifest["limits"]["cpu_ms"] = cpu_ms
            path.write_text(json.dumps(manifest))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    canary = folder / "canary"
    canary.write_text("CANARY")
    canary.chmod(0o666)
    return folder


class Answer(dict):
    """What was answered; text: as it was written."""

    def __init__(self, text):
        super().__init__(json.loads(text))
        self.text = text


class RunOne:
    """Submits tasks to --run-one. privileged: started as root, which it must give up by itself."""

    def __init__(self, folder, privileged):
        self.folder = folder
        self.prefix = []
        if os.geteuid() == 0 and not privileged:
            self.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                           "--inh-caps=-all", "--bounding-set=-all"]

    def submit(self, task, timeout, cpu_ms=CPU_UNREACHED):
        command = [
            *self.prefix,
            str(self.folder / "gantry-executor"),
            "--run-one",
            "--timeout",
            str(timeout),
        ]
        env = {
            "EXECUTOR_TASKS_DIR": str(self.folder / f"tasks-{cpu_ms}"),
            "CANARY": "CANARY",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            command,
            input=json.dumps(task).encode(),
            capture_output=True,
            env=env,
            timeout=timeout + 30,
            pass_fds=(),
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr.decode()
        return Answer(done.stdout.decode())


class Host:
    """What must be the same before and after."""

    FILES = (
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hosts",
        "/usr/bin/bwrap",
        "/usr/bin/python3",
        "/usr/bin/su",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/randomize_va_space",
    )

    def __init__(self, folder):
        self.folder = folder
        self.before = self.look()

    def look(self):
        seen = {}
        for path in self.FILES:
            info = os.stat(path)
            seen[path] = (
                (info.st_ino, info.st_mtime_ns, info.st_mode, info.st_uid)
                if not path.startswith("/proc")
                else open(path, encoding="ascii").read()
            )
        seen["canary"] = (self.folder / "canary").read_text()
        # What a sandbox mounts in its own namespace; others on this machine may mount elsewhere.
        points = [line.split()[1] for line in open("/proc/self/mounts", encoding="utf-8")]
        seen["mounts"] = {
            point: points.count(point)
            for point in ("/", "/usr", "/etc", "/proc", "/dev", "/tmp", "/work")
        }
        seen["children"] = children()
        return seen

    def check(self):
        deadline = time.monotonic() + 60
        while True:
            after, left = self.look(), processes()
            if (after == self.before and not left) or time.monotonic() >= deadline:
                break
            time.sleep(0.02)
        changed = {
            name: (self.before[name], now)
            for name, now in after.items()
            if now != self.before[name]
        }
        assert not changed, (changed, [describe(pid) for pid in after["children"]])
        assert not left, [describe(pid) for pid in left]


def processes():
    """Of the unprivileged user."""
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and owner(pid) == USER]


def describe(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return " ".join(file.read().split()[:16])
    except OSError as error:
        return str(error)


def owner(pid):
    try:
        return os.stat("/proc/" + pid).st_uid
    except FileNotFoundError:
        return -1
