# SPDX-License-Identifier: MIT
"""The memory path without a gateway: real NATS, PostgreSQL and Redis, gantry-ingest and
gantry-search, and the gateway's part (signed commands, core requests) played by the tests."""
import contextlib
import json
import os
import signal
import subprocess
import time
import uuid

import psycopg2

from . import nats_files, servers
from .echo import actor_key, claim
from .keeper import keep
from .streams import done_event

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program(name, mode="release"):
    return os.path.join(ROOT, "build", mode, name)


class Worker:
    def __init__(self, system, name, **env):
        self.system, self.name, self.env, self.process = system, name, env, None
        self.log = os.path.join(system.nats.directory, f"{name}-{uuid.uuid4().hex[:8]}.log")

    def start(self):
        s = self.system
        env = {
            "PATH": "/usr/bin:/bin",
            "NATS_URL": s.nats.url(self.name),
            "ACTOR_KEY": actor_key(self.name).hex(),
            "DATABASE_URL": s.role_url(f"gantry_{self.name}"),
            "LOG_LEVEL": "info",
            "RATE_LIMIT_PER_MINUTE": "0",
        }
        if self.name == "search":
            env["REDIS_URL"] = s.redis.url
            env["SEARCH_BUDGET_MS"] = "60000"  # a busy machine is no reason for 504
        seen = self.said('"ready"')
        with open(self.log, "ab") as log:
            self.process = keep(
                subprocess.Popen(
                    [program(f"gantry-{self.name}")], env={**env, **self.env}, stderr=log
                )
            )
        servers.wait_until(
            lambda: self.process.poll() is not None or self.said('"ready"') > seen,
            20,
            self.name + " is ready",
        )
        assert self.process.poll() is None, open(self.log).read()[-3000:]
        return self

    def said(self, text):
        try:
            with open(self.log, errors="replace") as f:
                return f.read().count(text)
        except FileNotFoundError:
            return 0

    def stop(self, how=signal.SIGTERM):
        code = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            code = self.process.wait(120)
        self.process = None
        return code


class MemorySystem:
    def __init__(self, stack, *postgres_options, before=None):
        self.postgres = stack.enter_context(servers.postgres(*postgres_options))
        self.nats = stack.enter_context(nats_files.server())
        self.redis = stack.enter_context(servers.redis())
        nats_files.provision(self.nats)
        base = self.postgres.url.rsplit("/", 1)[0]
        with self.connect_to(self.postgres.url) as connection:
            connection.cursor().execute("CREATE DATABASE gantry")
        self.superuser = f"{base}/gantry"
        if before:  # what an earlier release left
            before(self)
        env = {"DATABASE_SUPERUSER_URL": self.superuser}
        env.update({f"DB_PASSWORD_{r}": f"p{r.lower()}" for r in
                    ("OWNER", "GATEWAY", "INGEST", "SEARCH", "AUDIT", "PRUNER")})
        done = subprocess.run(
            [program("gantry"), "migrate"], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        self.workers = []
        self.bus = stack.enter_context(self.nats.connect("operator"))
        self.sid = self.bus.subscribe("gantry.v1.*.*.*.done")
        self.bus.flush()
        self.answers = {}
        self.provisioned = set()
        stack.callback(self.stop)

    def role_url(self, role):
        name = role.removeprefix("gantry_")
        return f"postgresql://{role}:p{name}@127.0.0.1:{self.postgres.port}/gantry"

    @contextlib.contextmanager
    def connect_to(self, url):
        connection = psycopg2.connect(url)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def sql(self, statement, *values, url=None, workspace=None):
        """Rows of one statement, as superuser unless told otherwise."""
        with self.connect_to(url or self.superuser) as connection:
            cursor = connection.cursor()
            if workspace:
                cursor.execute("SELECT set_config('gantry.workspace', %s, false)", (workspace,))
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else None

    def worker(self, name, **env):
        self.workers.append(Worker(self, name, **env).start())
        return self.workers[-1]

    def stop(self):
        for worker in self.workers:
            worker.stop(signal.SIGKILL)

    # --- the gateway's part ---------------------------------------------------------------------

    def provision(self, workspace):
        if workspace not in self.provisioned:
            nats_files.provision_workspace(self.bus, workspace)
            self.provisioned.add(workspace)

    def publish(self, workspace, command, body, command_id=None, attempt=1, direct=False):
        self.provision(workspace)
        command_id = command_id or str(uuid.uuid4())
        subject = f"gantry.v1.{workspace}.memory.{command}"
        payload = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        headers = (
            {} if direct else {"Gantry-Actor": claim(subject, payload, command_id, role="admin")}
        )
        message = command_id if direct else f"{command_id}.{attempt}"
        nats_files.taken(self.bus.js_publish(subject, payload, message, headers))
        return command_id

    def done(self, command_id, timeout=60):
        """The answer to a command: (status, body)."""
        deadline = time.monotonic() + timeout
        while command_id not in self.answers:
            message = self.bus.next(max(0.01, deadline - time.monotonic()), self.sid)
            answer = done_event(message)
            self.answers.setdefault(message.subject.split(".")[4], []).append(
                (answer["status"], answer.get("body")))
        return self.answers[command_id][-1]

    def command(self, workspace, command, body, **more):
        return self.done(self.publish(workspace, command, body, **more))

    def ingest(self, workspace, scope, text, **members):
        status, body = self.command(workspace, "ingest", {"scope": scope, "text": text, **members})
        assert status == 200, body
        return body

    def ask(self, workspace, command, body, timeout=60):
        message = self.bus.request(f"gantry.v1.{workspace}.memory.{command}",
                                   json.dumps(body, ensure_ascii=False).encode(), timeout=timeout)
        return json.loads(message.data)

    def search(self, workspace, query, **members):
        answer = self.ask(workspace, "search", {"query": query, **members})
        assert answer.get("status") == "success", answer
        return answer


@contextlib.contextmanager
def memory_system(*postgres_options, before=None):
    with contextlib.ExitStack() as stack:
        yield MemorySystem(stack, *postgres_options, before=before)
