# SPDX-License-Identifier: MIT
"""The doors to the servers, as C programs against real ones."""
import collections
import contextlib
import http.server
import os
import shutil
import subprocess
import tempfile
import threading

import pytest
from gantry_testing import servers
from gantry_testing.building import make

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build(name):
    target = f"build/release/integration/{name}"
    make(target)
    return os.path.join(ROOT, target)


def run(program, **env):
    done = subprocess.run(
        [program], env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "\nok 1" in done.stdout


@pytest.fixture(scope="module")
def postgres():
    with servers.postgres() as server:
        yield server


def test_db(postgres):
    run(build("door_db"), DATABASE_URL=postgres.url)


def test_kv():
    with servers.redis() as server:
        run(build("door_kv"), REDIS_URL=server.url)


def test_kv_over_a_unix_socket():
    path = tempfile.mkdtemp(prefix="gantry-") + "/redis.sock"
    os.chmod(os.path.dirname(path), 0o777)
    with servers.redis("--unixsocket", path, "--unixsocketperm", "777"):
        run(build("door_kv"), REDIS_URL=f"unix://tester:secret@{path}?db=0")
    shutil.rmtree(os.path.dirname(path))


def needs_tls():
    if subprocess.run(["pkg-config", "--exists", "hiredis_ssl"]).returncode != 0:
        pytest.skip("hiredis has no TLS on this system (Debian 13 has it)")


def test_kv_over_tls():
    needs_tls()
    with servers.redis(tls_host="127.0.0.1") as server:
        run(build("door_kv"), REDIS_URL=server.url)


def test_kv_verifies_the_server():
    needs_tls()
    program = build("door_kv")
    with servers.redis(tls_host="elsewhere.example") as server:
        wrong_name = subprocess.run([program], env={"REDIS_URL": server.url, "KV_MUST_FAIL": "1"})
        unknown = subprocess.run(
            [program], env={"REDIS_URL": server.url.split("?")[0], "KV_MUST_FAIL": "1"}
        )
    assert (wrong_name.returncode, unknown.returncode) == (0, 0)


class StandIn(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = collections.Counter()
    lock = threading.Lock()

    def log_message(self, *args):
        pass

    def answer(self, status, text, **headers):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with self.lock:
            self.seen[self.path] += 1
            times = self.seen[self.path]
        first, _, rest = self.path[1:].partition("/")
        if first == "echo":
            h = self.headers
            self.answer(200, f"{self.command} {h['Authorization']} {h['Content-Type']} {body}")
        elif first == "status":
            self.answer(int(rest), "a long answer", Location="/echo")
        elif first == "flaky":
            self.answer(200 if times > 2 else 503, "third")
        elif first == "later":
            self.answer(200 if times > 1 else 429, "done", Retry_After="1")
        elif first == "large":
            self.answer(200, "x" * 5000)
        elif first == "silent":
            self.rfile.read(1)  # returns when the client gives up
        elif first == "second":
            self.answer(200 if times > 1 else 503, "good")
        elif first == "keyed":
            self.answer(200, f"{self.headers['X-API-Key']} {self.headers['Idempotency-Key']}")
        else:
            self.answer(404, '{"detail":"no such thing"}')


class StandInServer(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # more than the connections that door_fetch opens at once


def test_fetch():
    server = StandInServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run(build("door_fetch"), FETCH_URL=f"http://127.0.0.1:{server.server_port}",
            http_proxy="http://127.0.0.1:1")
    finally:
        server.shutdown()
