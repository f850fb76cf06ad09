# SPDX-License-Identifier: MIT
"""deploy/backup of a stack that is at work, deploy/restore beside it: everything that was
acknowledged before is there, what was accepted and not done is done, and the log verifies with the
old checkpoint."""

import os
import subprocess
import threading

import pytest
from gantry_testing.stack import PORTS, ROOT, Stack, free_ports
from gantry_testing.wait import wait_until


class Writer(threading.Thread):
    """Memories, one after the other, until the first one that fails or stop()."""

    def __init__(self, client):
        super().__init__()
        self.client, self.stored, self.ended = client, [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            text = f"memory number {len(self.stored)}"
            try:
                body = {"scope": "load", "text": text}
                answer = self.client.post("/webhook/memory/ingest", body, prefer="wait=60")
            except OSError:
                return
            if answer.status != 200:
                return
            self.stored.append((answer.json["id"], text))

    def stop(self):
        self.ended.set()
        self.join()


def run(script, folder, stack, **env):
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return subprocess.run(
        [ROOT / "deploy" / script, folder],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**clean, "STACK_DIR": str(stack.directory), **env},
    )


@pytest.fixture(scope="module")
def drill(make_stack, tmp_path_factory):
    """The stack, a backup of it, a stack that was restored from that, and what each should know."""
    stack = make_stack(ALLOW_ACTIONS_DEFAULT="ping,code.python")
    client, folder = stack.client(), tmp_path_factory.mktemp("backup") / "it"
    known = {
        "job": client.post("/webhook/executor/run", {"task": {"type": "ping"}, "scope": "s"})
        .ok()
        .json["job_id"]
    }
    client.ingest("drill", "the anchor lies in the north bay", client_request_id="once").ok()
    # Accepted and not done before the backup.
    stack.take_down("executor")
    body = {"task": {"type": "code.python", "code": "print(6 * 7)"}, "scope": "s"}
    known["late"] = (
        client.post("/webhook/executor/run", body, prefer="respond-async").ok(202).json["job_id"]
    )
    writer = Writer(client.clone())
    wait_until(lambda: len(writer.stored) > 20, 20, "some load")
    done = run("backup", folder, stack)
    writer.stop()
    assert done.returncode == 0, done.stderr
    known["stored"] = writer.stored
    restored = Stack()
    restored.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=False))
    try:
        done = run("restore", folder, restored, **restored.ports)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "its audit log verifies" in done.stdout, done.stdout
        yield stack, folder, restored.read_env(), known
    finally:
        restored.destroy()


def test_what_was_acknowledged_is_there(drill):
    _, _, restored, known = drill
    client = restored.client()
    found = client.search("where is the anchor", scope="drill").ok().json["results"]
    assert [one["content"] for one in found] == ["the anchor lies in the north bay"]
    for memory, text in known["stored"]:
        assert client.get(f"/memory/{memory}").ok().json["content"] == text
    again = client.ingest(
        "drill", "the anchor lies in the north bay", client_request_id="once"
    ).ok()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_streams_and_jobs_are_back(drill):
    stack, _, restored, known = drill
    assert restored.client().get(f"/ai/jobs/{known['job']}").ok().json["status"] == "completed"
    for one in (stack, restored):
        client = one.client()
        done = wait_until(
            lambda: (
                (now := client.get(f"/ai/jobs/{known['late']}").ok().json)["status"] == "completed"
                and now
            ),
            30,
            "the job that waited in the stream is done",
        )
        assert done["result"]["stdout"] == "42\n"


def test_the_log_is_held_to_the_checkpoint(drill):
    """What the restore verified would have been refused otherwise."""
    _, folder, restored, _ = drill
    checkpoint = str(folder / "checkpoint")
    assert (
        restored.gantry("audit", "verify", "--checkpoint", checkpoint, check=False).returncode == 0
    )
    with restored.database().cursor() as cursor:
        cursor.execute(
            "ALTER TABLE audit_log DISABLE TRIGGER ALL; UPDATE audit_log SET event = 'x' WHERE "
            "leaf_index = 0"
        )
    assert (
        restored.gantry("audit", "verify", "--checkpoint", checkpoint, check=False).returncode == 1
    )


def test_nothing_is_overwritten(drill):
    stack, folder, restored, _ = drill
    assert folder.stat().st_mode & 0o777 == 0o700
    done = run("restore", folder, restored)
    assert done.returncode == 1
    assert "has data" in done.stderr
    done = run("backup", folder, stack)
    assert done.returncode == 1
    assert "exists" in done.stderr
    archive = folder / "stack.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    empty = Stack()
    empty.directory.rmdir()
    done = run("restore", folder, empty)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stack.tar.gz: FAILED" in done.stdout, done.stdout + done.stderr
    assert not empty.directory.exists()
