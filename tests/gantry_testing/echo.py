# SPDX-License-Identifier: MIT
"""The test worker `echo` and what the gateway would send it."""
import base64
import hashlib
import json
import os
import signal
import subprocess
import time
import uuid

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import servers
from .building import make
from .keeper import keep

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIGNING_KEY = bytes(range(32))
SIGNER = Ed25519PrivateKey.from_private_bytes(SIGNING_KEY)
PUBLIC = SIGNER.public_key().public_bytes(
    serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def build(mode=None):
    mode = mode or os.environ.get("MODE", "release")
    path = f"build/{mode}/test-workers/echo"
    make(f"MODE={mode}", path)
    return os.path.join(ROOT, path)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


PROGRAMS = ("ingest", "search", "audit", "executor")  # that carry out commands


def actor_key(program, signing_key=SIGNING_KEY):
    """ACTOR_KEY of a worker: what gantry-gateway --print-actor-key makes of ACTOR_SIGNING_KEY."""
    return hashlib.blake2b(b"actor " + program.encode(), key=signing_key, digest_size=32).digest()


def program_of(subject):
    """Who carries out the command of a subject (common/protocol/command.h)."""
    family, name = subject.split(".")[3:5]
    if family == "memory":
        return "search" if name in ("search", "get", "list") else "ingest"
    return "audit" if family == "audit" else "executor"


def claim(
    subject,
    payload,
    command_id,
    role="developer",
    key_id="AAAAAAAAAAAA",
    key=None,
    idem="",
    rid=None,
):
    """The header Gantry-Actor, made by a second implementation."""
    rid = f"req-{command_id[:8]}" if rid is None else rid
    head = f"2,{command_id},{key_id},{role},{int(time.time() * 1000)},{rid},{idem},".encode()
    mac = hashlib.blake2b(head + b"\0" + subject.encode() + b"\0" + payload,
                          key=key or actor_key(program_of(subject)), digest_size=32)
    return head.decode() + b64(mac.digest())


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def listed(texts, subject="gantry.v1.w1.memory.ingest", key=None):
    """(payload of a list, ids of its commands in their order), made by a second implementation."""
    ids, parts = [], []
    for text in texts:
        command, payload = str(uuid.uuid4()), json.dumps({"scope": "s", "text": text}).encode()
        head = (
            f"{command}.1 {claim(subject, payload, command, key=key)} {PARENT} {len(payload)} a=1"
        )
        parts.append(head.encode() + b"\n" + payload + b"\n")
        ids.append(command)
    return b"".join(parts), ids


def signed_claim(
    subject, payload, command_id, role="developer", key_id="AAAAAAAAAAAA", signer=SIGNER, **more
):
    """The same as a gateway of the version before wrote it, signed."""
    body = {"id": command_id, "kid": key_id, "role": role, "at": int(time.time() * 1000),
            "rid": f"req-{command_id[:8]}", **more}
    wire = json.dumps(body, separators=(",", ":")).encode()
    text = b"gantry-actor-v1\n%s\n%s\n%s" % (
        subject.encode(), hashlib.sha256(payload).hexdigest().encode(), wire)
    return f"{b64(wire)}.{b64(signer.sign(text))}"


class Echo:
    """One worker process with its log of handler calls."""

    def __init__(self, program, nats_server, role="ingest", user=None, **env):
        self.role, self.program = role, program
        self.user = user or {"database": "ingest"}.get(role, role)
        self.directory = nats_server.directory
        self.log = os.path.join(self.directory, f"echo-{uuid.uuid4().hex}")
        self.errors = self.log + ".err"
        self.env = {"PATH": "/usr/bin:/bin", "ECHO_ROLE": role, "ECHO_LOG": self.log,
                    "NATS_URL": nats_server.url(self.user), "ACTOR_KEY": actor_key(self.user).hex(),
                    "REGION": "test", "LOG_LEVEL": "info",
                    # a program's configuration lives as long as it does: no leak
                    "ASAN_OPTIONS": "detect_leaks=0", **env}
        self.process = None

    def start(self, wait=True, **env):
        seen = self.said('"ready"')  # before the start: on a busy machine it may be ready at once
        with open(self.errors, "ab") as errors:
            self.process = keep(
                subprocess.Popen([self.program], env={**self.env, **env}, stderr=errors)
            )
        if wait:
            servers.wait_until(
                lambda: self.process.poll() is not None or self.said('"ready"') > seen,
                15,
                "the worker is ready: " + self.errors,
            )
            assert self.process.poll() is None, open(self.errors).read()[-3000:]
        return self

    def said(self, text):
        if not os.path.exists(self.errors):
            return 0
        with open(self.errors, errors="replace") as f:
            return f.read().count(text)

    def calls(self):
        """(pid, id, deliveries, jobs in the call, text) of each job that a handler saw."""
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            rows = [line.rstrip("\n").split(" ", 4) for line in f]
        return [(int(a), b, int(c), int(d), e) for a, b, c, d, e in rows]

    def texts(self):
        return [call[4] for call in self.calls()]

    def stop(self, how=signal.SIGTERM, timeout=120):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
