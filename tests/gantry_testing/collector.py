# SPDX-License-Identifier: MIT
"""A stand-in for an OpenTelemetry collector: keeps the spans that are POSTed to it as OTLP/HTTP in
JSON."""

import http.server
import json
import re
import threading


def _value(value):
    return value["stringValue"] if "stringValue" in value else int(value["intValue"])


def _attributes(items):
    named = {item["key"]: _value(item["value"]) for item in items}
    assert len(named) == len(items), "an attribute twice"
    return named


class Span:
    def __init__(self, span, resource):
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        self.trace, self.id, self.parent = span["traceId"], span["spanId"], span.get("parentSpanId")
        self.name, self.kind, self.state = span["name"], span["kind"], span.get("traceState")
        self.start, self.end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert 0 < self.start <= self.end
        self.failed = span["status"].get("code") == 2
        self.attributes, self.resource = _attributes(span["attributes"]), resource
        self.program = resource["gantry.program"]

    def __repr__(self):
        return f"<{self.program}: {self.name} {self.trace[:4]} {self.parent} -> {self.id}>"


class Collector:
    def __init__(self):
        self.spans, self.requests, self.status = [], [], 200
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer._take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, path, headers, body):
        document = json.loads(body)
        with self._lock:
            self.requests.append((path, headers))
            if self.status != 200:
                return self.status
            for one in document["resourceSpans"]:
                resource = _attributes(one["resource"]["attributes"])
                for scope in one["scopeSpans"]:
                    assert scope["scope"]["name"] == "gantry"
                    self.spans += [Span(span, resource) for span in scope["spans"]]
        return 200

    def of(self, trace):
        with self._lock:
            return [span for span in self.spans if span.trace == trace]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
