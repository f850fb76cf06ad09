# SPDX-License-Identifier: MIT
"""A second implementation of the NATS client protocol on a plain socket, so that no library stands
between a test and the server. One thread; read() is called by whoever waits."""
import collections
import json
import os
import socket
import ssl
import time
import uuid
from urllib.parse import unquote, urlsplit

Message = collections.namedtuple("Message", "subject sid reply headers data")


class NatsError(Exception):
    """The server refused or closed the connection, or nobody answered."""


class Nats:
    def __init__(
        self,
        url,
        token=None,
        user=None,
        password=None,
        inbox=None,
        name="test",
        timeout=60,
        address=None,
    ):
        """tls:// checks the server's name; address says where it is, if that name is not known
        here."""
        parts = urlsplit(url)
        user, password = user or parts.username, password or parts.password
        self.timeout, self.errors, self.closed = timeout, [], False
        self.inbox = inbox or (f"_INBOX.{token[9:21]}" if token else "_INBOX")
        self._pending, self._buffer, self._sid, self._pongs = collections.deque(), b"", 0, 0
        self._socket = socket.create_connection((address or parts.hostname, parts.port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.info = json.loads(self._line()[len("INFO "):])
        if parts.scheme == "tls":
            trusted = ssl.create_default_context(cafile=os.environ["GANTRY_TEST_CA"])
            self._socket = trusted.wrap_socket(self._socket, server_hostname=parts.hostname)
        options = {
            "verbose": False,
            "pedantic": False,
            "lang": "test",
            "version": "1",
            "name": name,
            "protocol": 1,
            "headers": True,
            "no_responders": True,
        }
        if token:
            options["auth_token"] = token
        if user:
            options.update(user=unquote(user), **{"pass": unquote(password or "")})
        self._send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        try:
            self.flush()
        except (OSError, NatsError) as error:
            self.close()
            raise NatsError(f"connection refused: {self.errors or error}") from error

    # --- the protocol ----------------------------------------------------------------------------
    def _send(self, data):
        self._socket.sendall(data)

    def _more(self):
        data = self._socket.recv(65536)
        if not data:
            self.closed = True
            raise NatsError(f"closed by the server: {self.errors}")
        self._buffer += data

    def _line(self):
        while b"\r\n" not in self._buffer:
            self._more()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode()

    def _bytes(self, count):
        while len(self._buffer) < count + 2:
            self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count + 2:]
        return data

    def _read(self):
        """Take in one protocol message."""
        line = self._line()
        verb, _, rest = line.partition(" ")
        if verb in ("MSG", "HMSG"):
            words = rest.split()
            head = int(words.pop(-2)) if verb == "HMSG" else 0
            data = self._bytes(int(words[-1]))
            reply = words[2] if len(words) == 4 else None
            self._pending.append(
                Message(words[0], int(words[1]), reply, _headers(data[:head]), data[head:])
            )
        elif verb == "PING":
            self._send(b"PONG\r\n")
        elif verb == "PONG":
            self._pongs += 1
        elif verb == "-ERR":
            self.errors.append(rest.strip("'"))
        elif verb not in ("INFO", "+OK"):
            raise NatsError(f"unexpected: {line}")

    # --- what tests use ---------------------------------------------------------------------------
    def publish(self, subject, data=b"", headers=None, reply=None):
        self.publish_all([(subject, data, headers, reply)])

    def publish_all(self, messages):
        """Each (subject, data, headers, reply), in one piece."""
        self._send(b"".join(_message(*one) for one in messages))

    def subscribe(self, subject, queue=None):
        self._sid += 1
        self._send(f"SUB {subject} {queue + ' ' if queue else ''}{self._sid}\r\n".encode())
        return self._sid

    def unsubscribe(self, sid):
        self._send(f"UNSUB {sid}\r\n".encode())

    def flush(self, timeout=None):
        """Wait until the server has taken in everything sent before; errors are in self.errors."""
        wanted = self._pongs + 1
        self._send(b"PING\r\n")
        self._until(lambda: self._pongs >= wanted, timeout, "no PONG")

    def _until(self, condition, timeout, what):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise NatsError(f"{what}; server said {self.errors}")
            self._socket.settimeout(left)
            try:
                self._read()
            except socket.timeout:
                continue

    def _refused(self, subject, known):
        """No answer comes to what the server did not take."""
        for error in self.errors[known:]:
            if error.startswith("Permissions Violation") and f'"{subject}"' in error:
                raise NatsError(error)

    def next(self, timeout=None, sid=None, check=lambda: None):
        """The next message of a subscription (of any, without sid)."""
        found = []

        def look():
            check()
            for message in self._pending:
                if sid is None or message.sid == sid:
                    found.append(message)
                    self._pending.remove(message)
                    return True
            return False

        self._until(look, timeout, "no message")
        return found[0]

    def request(self, subject, data=b"", headers=None, timeout=None):
        inbox = f"{self.inbox}.{uuid.uuid4().hex}"
        sid, known = self.subscribe(inbox), len(self.errors)
        self.publish(subject, data, headers, reply=inbox)
        try:
            message = self.next(timeout, sid, lambda: self._refused(subject, known))
        finally:
            if not self.closed:
                self.unsubscribe(sid)
        if message.headers.get("Status", "").startswith("503"):
            raise NatsError(f"no responders for {subject}; server said {self.errors}")
        return message

    def js_publish(self, subject, data=b"", msg_id=None, headers=None, timeout=None):
        """Publish to a stream; returns the PubAck as a dict."""
        headers = {**({"Nats-Msg-Id": msg_id} if msg_id else {}), **(headers or {})}
        return json.loads(self.request(subject, data, headers, timeout).data)

    def api(self, subject, body=None, timeout=None):
        """A JetStream API request ($JS.API. is put before the subject)."""
        return json.loads(self.request("$JS.API." + subject, body or b"", timeout=timeout).data)

    def wait_closed(self, timeout=60):
        """Whether the server closes the connection in time."""
        try:
            self._until(lambda: False, timeout, "still open")
        except (NatsError, OSError):
            pass
        return self.closed

    def close(self):
        self.closed = True
        self._socket.close()


def _payload(data):
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


def _message(subject, data, headers, reply):
    data = _payload(data)
    words = f"{subject} {reply} " if reply else f"{subject} "
    if not headers:
        return f"PUB {words}{len(data)}\r\n".encode() + data + b"\r\n"
    head = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    head = head.encode()
    start = f"HPUB {words}{len(head)} {len(head) + len(data)}\r\n".encode()
    return start + head + data + b"\r\n"


def _headers(block):
    headers = {}
    if block:
        first, *lines = block.decode().split("\r\n")
        if len(first.split(" ", 1)) == 2:
            headers["Status"] = first.split(" ", 1)[1]
        for line in lines:
            if ":" in line:
                name, value = line.split(":", 1)
                headers[name] = value.strip()
    return headers
