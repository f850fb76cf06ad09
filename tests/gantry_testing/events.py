# SPDX-License-Identifier: MIT
"""GET /ai/events, read as a browser does (WHATWG HTML 9.2)."""

import http.client
import json
from urllib.parse import urlsplit


class Stream:
    """Iterates (name, data, id); a heartbeat is (None, None, last id). Eight of these with nothing
    between them are an error: what is waited for does not come."""

    def __init__(self, url, key, last_id=None, timeout=120):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        headers = {"X-API-Key": key, **({"Last-Event-ID": last_id} if last_id else {})}
        self.connection.request("GET", "/ai/events", headers=headers)
        self.answer = self.connection.getresponse()
        self.status, self.headers = self.answer.status, self.answer.headers
        self.last_id = last_id
        self.beats = 0

    def __iter__(self):
        return self

    def __next__(self):
        name, data = None, []
        for raw in iter(self.answer.readline, b""):
            line = raw.decode().rstrip("\n")
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.beats = 0 if name else self.beats + 1
                assert self.beats < 8, "the stream tells nothing"
                return name, json.loads("\n".join(data)) if data else None, self.last_id
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = value
        raise StopIteration

    def until(self, name, **members):
        """The data of the next event of that name with these members; all before it are dropped."""
        for seen, data, _ in self:
            if seen == name and all(data.get(key) == value for key, value in members.items()):
                return data
        raise AssertionError(f"the stream ended without {name} {members}")

    def close(self):
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()
