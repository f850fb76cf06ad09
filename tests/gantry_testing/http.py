# SPDX-License-Identifier: MIT
"""A small HTTP client: one connection kept alive, nothing hidden, nothing retried but a connection
that the server closed while it was idle."""
import http.client
import json
import os
import ssl
from urllib.parse import urlsplit

from . import openapi


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable code of a problem document, or None."""
        kind = self.headers.get("Content-Type", "")
        return self.json.get("code") if kind.startswith("application/problem+json") else None

    def ok(self, status=200):
        """This response, if it has that status."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body[:2000]!r}"
        return self

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """Not for several threads at once: give each its own (clone())."""

    def __init__(self, url, key=None, timeout=120, source=None):
        """source: the address to connect from, any of 127.0.0.0/8, to be told from other tests."""
        self.url, self.key, self.timeout = url, key, timeout
        source = source and (source, 0)
        parts = urlsplit(url)
        if parts.scheme == "https":
            trusted = ssl.create_default_context(cafile=os.environ.get("GANTRY_TEST_CA"))
            self._connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=trusted, source_address=source
            )
        else:
            self._connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=timeout, source_address=source
            )

    def clone(self, key=None):
        return Client(self.url, key or self.key, self.timeout)

    def request(self, method, path, body=None, headers=None):
        """body: bytes and str are sent as they are, everything else as JSON."""
        send = {"X-API-Key": self.key} if self.key else {}
        if body is not None:
            send["Content-Type"] = "application/json"
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body, ensure_ascii=False)
            if isinstance(body, str):
                body = body.encode()
        send.update(headers or {})
        send = {name: value for name, value in send.items() if value is not None}
        idle = self._connection.sock is not None
        try:
            self._connection.request(method, path, body, send)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            if not idle:
                raise
            self._connection.request(method, path, body, send)
            answer = self._connection.getresponse()
        except Exception:
            self._connection.close()
            raise
        if method == "GET" and answer.headers.get("Content-Type") == "text/event-stream":
            body = b"".join(iter(answer.readline, b"\n"))  # its first event: a stream has no end
            self._connection.close()
        else:
            body = answer.read()
        if method != "HEAD" and not os.environ.get("GANTRY_CONTAINERS"):
            openapi.check(method, path, answer.status, answer.headers.get("Content-Type"), body)
        return Response(answer.status, answer.headers, body)

    def get(self, path, **headers):
        return self.request("GET", path, headers=_names(headers))

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, _names(headers))

    def patch(self, path, body=None, **headers):
        return self.request("PATCH", path, body, _names(headers))

    def delete(self, path, **headers):
        return self.request("DELETE", path, headers=_names(headers))

    # The routes that most tests use.
    def ingest(self, scope, text, **members):
        return self.post("/webhook/memory/ingest", {"scope": scope, "text": text, **members})

    def search(self, query, **members):
        return self.post("/webhook/memory/search", {"query": query, **members})

    def close(self):
        self._connection.close()


def _names(headers):
    """prefer="wait=1" stands for the header Prefer, idempotency_key for Idempotency-Key."""
    return {name.replace("_", "-"): value for name, value in headers.items()}
