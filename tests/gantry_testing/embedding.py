# SPDX-License-Identifier: MIT
"""A stand-in for an embedding server: OpenAI's POST /v1/embeddings, with a direction for each
word."""

import hashlib
import http.server
import json
import threading

DIM = 12


def vector(text, dim=DIM):
    """A direction for each word, so that shared words make near vectors."""
    out = [0.0] * dim
    for word in text.lower().split():
        for i, byte in enumerate(hashlib.sha256(word.encode()).digest()[:dim]):
            out[i] += byte / 255 - 0.5
    return [3 * x for x in out]  # not of length 1: the client has to see to that


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append((self.path, self.headers.get("Authorization"), body))
        texts = body["input"]
        if server.answers:
            return self.answer(*server.answers.pop(0))
        if server.always:
            return self.answer(*server.always)
        if any(len(t) > server.longest for t in texts):
            return self.answer(server.refusal, {"error": {"message": "too many tokens"}})
        data = [
            {"object": "embedding", "index": i, "embedding": vector(t, server.dim)}
            for i, t in enumerate(texts)
        ]
        return self.answer(200, {"object": "list", "data": data[::-1], "model": body["model"]})

    def answer(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class StandIn(http.server.ThreadingHTTPServer):
    """requests: what was asked. answers: (status, body) for the next ones; always: for all, while
    it is set."""

    def __init__(self, dim=DIM):
        super().__init__(("127.0.0.1", 0), Handler)
        self.dim, self.requests, self.answers, self.always = dim, [], [], None
        self.longest, self.refusal = 10**9, 400  # characters of a text; the status beyond them

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"
