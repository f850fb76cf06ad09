# SPDX-License-Identifier: MIT
"""Single real servers in a temporary directory, on ports of their own.

For tests of one door; whoever needs the whole system takes a stack instead. As root, the servers
run as an unprivileged user.
"""
import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from .keeper import keep
from .wait import wait_until

USER = "nobody"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unprivileged():
    """The words before a command that drop root's rights; nothing when there are none."""
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(USER)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


@contextlib.contextmanager
def scratch():
    path = tempfile.mkdtemp(prefix="gantry-test-")
    if os.geteuid() == 0:
        shutil.chown(path, USER)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def accepts(port):
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A process that can be killed and started again on the same data and port."""

    def __init__(self, command, port, directory, log):
        self.command, self.port, self.directory, self.log = command, port, directory, log
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = keep(
                subprocess.Popen(
                    unprivileged() + self.command, stdout=log, stderr=log, cwd=self.directory
                )
            )
        wait_until(lambda: self.alive() and accepts(self.port), what=self.command[0])
        return self

    def alive(self):
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as log:
                raise AssertionError(f"{self.command[0]} died:\n{log.read()[-2000:]}")
        return True

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        return self.start()


def nats_server():
    """The path of the nats-server binary."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = subprocess.run(
        [os.path.join(root, "deploy/dependencies"), "--nats-server"],
        capture_output=True, text=True, check=True,
    )
    return found.stdout.strip()


def lend(directory, path, name):
    """A copy of a program that the unprivileged user can reach, wherever the clone lies."""
    copy = os.path.join(directory, name)
    shutil.copy(path, copy)
    os.chmod(copy, 0o755)
    return copy


def redis_server():
    """The path of the Redis server: in the package redis-tools it has another name."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


def postgres_bin(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else name


@contextlib.contextmanager
def postgres(*options):
    """A cluster with the superuser `postgres`, password `super`; yields a Server with .url."""
    with scratch() as directory:
        password = os.path.join(directory, "password")
        with open(password, "w") as f:
            f.write("super\n")
        os.chmod(password, 0o644)
        data = os.path.join(directory, "data")
        subprocess.run(
            unprivileged()
            + [postgres_bin("initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256"]
            + ["--pwfile", password, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=directory,
        )
        port = free_port()
        settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories="]
        command = [postgres_bin("postgres"), "-D", data]
        for setting in settings + ["fsync=off"] + list(options):
            command += ["-c", setting]
        server = Server(command, port, directory, os.path.join(directory, "log"))
        server.url = f"postgresql://postgres:super@127.0.0.1:{port}/postgres"
        server.start()
        wait_until(lambda: postgres_answers(server.url), what="postgres answers")
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def postgres_answers(url):
    import psycopg2

    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def certificates(directory, host="127.0.0.1"):
    """An authority, ca.pem, and a certificate of its for host: cert.pem and key.pem."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=directory, capture_output=True)

    kind = "IP" if host[0].isdigit() else "DNS"
    with open(os.path.join(directory, "names"), "w") as f:
        f.write(f"subjectAltName={kind}:{host}\n")
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req",
        "-x509",
        *ec,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=test CA",
        "-days",
        "2",
    )
    openssl("req", *ec, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=server")
    openssl(
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-extfile",
        "names",
    )
    for name in ["ca.pem", "cert.pem", "key.pem"]:
        os.chmod(os.path.join(directory, name), 0o644)


@contextlib.contextmanager
def redis(*options, tls_host=None):
    """A Redis with one user `tester`, password `secret`; yields a Server with .url. With tls_host
    it speaks TLS only, with a certificate for that host, and .ca is the authority's file."""
    with scratch() as directory:
        port = free_port()
        command = [
            lend(directory, redis_server(), "redis-server"),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]
        command += ["--dir", directory, "--user", "default", "off", "--user"]
        command += ["tester", "on", ">secret", "~*", "&*", "+@all", "-flushall"]
        if tls_host:
            certificates(directory, tls_host)
            command[command.index("--port") + 1] = "0"
            command += [
                "--tls-port",
                str(port),
                "--tls-cert-file",
                "cert.pem",
                "--tls-key-file",
                "key.pem",
            ]
            command += ["--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no"]
        server = Server(command + list(options), port, directory, os.path.join(directory, "log"))
        server.url = f"redis://tester:secret@127.0.0.1:{port}/0"
        if tls_host:
            server.ca = os.path.join(directory, "ca.pem")
            server.url = server.url.replace("redis:", "rediss:") + f"?cacert={server.ca}"
        server.start()
        try:
            yield server
        finally:
            server.stop()
