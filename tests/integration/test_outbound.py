# SPDX-License-Identifier: MIT
"""Requests to servers that somebody else has named (common/fetch/outbound.h): a hostile one."""

import gzip
import http.server
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest
from gantry_testing.hostile import Authority, serving

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Hostile(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    other_port = 0
    over = threading.Event()

    def log_message(self, *_):
        pass

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/plain",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _endless(self, data):
        try:
            while not self.over.is_set():
                self.wfile.write(data)
        except OSError:
            pass
        self.close_connection = True

    def do_GET(self):  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path, port = self.path, self.server.server_address[1]
        if path == "/echo":
            self._answer(
                200, f"{self.command} {path} {self.headers.get('X-Test', '-')} {body}".encode()
            )
        elif path == "/to-echo":
            self._answer(302, Location="/echo")
        elif path == "/keep-to-echo":
            self._answer(307, Location="/echo")
        elif path in ("/to-other", "/keep-to-other"):
            self._answer(
                302 if path == "/to-other" else 307,
                Location=f"https://other.test:{self.other_port}/echo",
            )
        elif path == "/to-loopback":
            self._answer(302, Location=f"https://127.0.0.2:{port}/echo")
        elif path == "/to-http":
            self._answer(302, Location=f"http://server.test:{port}/echo")
        elif path == "/to-file":
            self._answer(302, Location="file:///etc/passwd")
        elif path.startswith("/again/"):
            number = int(path[7:])
            self._answer(*((302,) if number < 100 else (200,)), Location=f"/again/{number + 1}")
        elif path == "/endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            self._endless(b"x" * 4096)
        elif path == "/bomb":
            body = gzip.compress(bytes(64 << 20))
            self._answer(200, body, Content_Encoding="gzip")
        elif path == "/gzip":
            self._answer(200, gzip.compress(b"small"), Content_Encoding="gzip")
        elif path == "/long-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self._endless(b"X-Long: " + b"x" * 1000 + b"\r\n")
        elif path == "/slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.over.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    break
            self.close_connection = True
        elif path == "/slow-body":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not self.over.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    break
            self.close_connection = True
        elif path == "/hang-up":
            self.close_connection = True
        elif path == "/no-http":
            self.wfile.write(b"220 mail.example.com ESMTP\r\n" * 10)
            self.close_connection = True
        elif path == "/busy":
            self._answer(429, Retry_After="7")
        elif path == "/cookie-then-show":
            self._answer(302, Location="/show-cookie", Set_Cookie="a=b; Path=/")
        elif path == "/show-cookie":
            self._answer(200, f"cookie: {self.headers.get('Cookie', '-')}".encode())
        else:
            self._answer(404)

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def authority():
    with Authority() as made:
        yield made


def test_outbound(authority):
    old = authority.context("server.test")
    with_warnings = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, with_warnings
    subprocess.run(["make", "-s", "build/release/integration/door_outbound"], cwd=ROOT, check=True)
    with (
        serving(authority.context("server.test"), Hostile) as port,
        serving(authority.context("other.test"), Hostile) as other,
        serving(old, Hostile) as old_port,
    ):
        Hostile.other_port = other
        done = subprocess.run(
            [os.path.join(ROOT, "build/release/integration/door_outbound")],
            env={
                **os.environ,
                "OUTBOUND_PORT": str(port),
                "OUTBOUND_OTHER_PORT": str(other),
                "OUTBOUND_OLD_PORT": str(old_port),
                "OUTBOUND_CA": str(authority.file),
                "https_proxy": "http://127.0.0.1:1",
                "CMOCKA_MESSAGE_OUTPUT": "TAP",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        Hostile.over.set()
    assert done.returncode == 0, done.stdout[-4000:]
    assert "\nok 10" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="binds port 53 and replaces /etc/resolv.conf")
def test_a_name_server_that_never_answers():
    """The system's resolver asks it for as long as resolv.conf says; the request does not wait."""
    door = os.path.join(ROOT, "build/release/integration/door_outbound")
    subprocess.run(["make", "-s", "build/release/integration/door_outbound"], cwd=ROOT, check=True)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        server.bind(("127.0.0.153", 53))
        server.settimeout(60)
        conf = pathlib.Path(directory) / "resolv.conf"
        conf.write_text("nameserver 127.0.0.153\noptions timeout:30 attempts:5\n")
        mounted = f"mount --bind {conf} /etc/resolv.conf && exec {door}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", mounted],
            env={
                **os.environ,
                "OUTBOUND_SILENT": "1",
                "OUTBOUND_PORT": "1",
                "CMOCKA_MESSAGE_OUTPUT": "TAP",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert b"server" in server.recv(512)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "ok 1 - a_name_server_that_is_silent\n" in done.stdout, done.stdout
