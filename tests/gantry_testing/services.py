# SPDX-License-Identifier: MIT
"""Stand-ins for the services of connector actions: Gmail, Microsoft Graph, Slack, GitHub, Google
Tasks, the token endpoints of Google and Microsoft, and a plain one. One server with a certificate
for all names counts what it is asked, and answers as documented unless a test says otherwise."""

import contextlib
import http.server
import json
import threading
import urllib.parse

from .hostile import Authority, serving

HOSTS = [
    "slack.com",
    "api.github.com",
    "gmail.googleapis.com",
    "oauth2.googleapis.com",
    "tasks.googleapis.com",
    "graph.microsoft.com",
    "login.microsoftonline.com",
    "plain.example",
]


class Request:
    def __init__(self, handler, body):
        self.method, self.headers, self.body = handler.command, handler.headers, body
        self.host = handler.headers["Host"].split(":")[0]
        self.path = handler.path

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    def __repr__(self):
        return f"<{self.method} {self.host}{self.path}>"


class Services:
    """requests: all that came, in order. script: answers for "host/path", used up one by one:
    (status, document, headers) or a function of the handler, which may do anything."""

    def __init__(self):
        self.requests, self.script, self.lock = [], {}, threading.Lock()
        self.tokens = 0
        self.port = 0
        self.authority = None
        self.over = threading.Event()

    def asked(self, place=""):
        with self.lock:
            return [
                request
                for request in self.requests
                if (request.host + request.path).startswith(place)
            ]

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.script.clear()

    def say(self, place, *answers):
        with self.lock:
            self.script.setdefault(place, []).extend(answers)

    def usual(self, request):
        place = request.host + request.path.split("?")[0]
        authorization = request.headers.get("Authorization", "")
        if place == "slack.com/api/chat.postMessage":
            if not authorization.startswith("Bearer xoxb-"):
                return 200, {"ok": False, "error": "invalid_auth"}
            return 200, {
                "ok": True,
                "channel": request.json["channel"],
                "ts": "1700000000.000100",
                "message": {},
            }
        if place.startswith("api.github.com/repos/"):
            return 201, {"number": 7, "html_url": "https://github.example/7", "id": 1}
        if request.host == "oauth2.googleapis.com" or request.host == "login.microsoftonline.com":
            with self.lock:
                self.tokens += 1
                number = self.tokens
            return 200, {
                "access_token": f"access-token-{number}",
                "expires_in": 3600,
                "token_type": "Bearer",
            }
        if place == "gmail.googleapis.com/gmail/v1/users/me/messages/send":
            return 200, {"id": "msg-1", "threadId": "thread-1", "labelIds": ["SENT"]}
        if place.startswith("graph.microsoft.com/v1.0/users/"):
            return 202, None
        if place.startswith("tasks.googleapis.com/tasks/v1/lists/"):
            return 200, {"id": "task-1", "webViewLink": "https://tasks.example/1"}
        if request.host == "plain.example":
            return 200, {"method": request.method, "path": request.path}
        return 404, {"message": "Not Found"}

    def handler(self):
        services = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, document=None, headers=None):
                body = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def handle_any(self):
                request = Request(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                with services.lock:
                    services.requests.append(request)
                    waiting = services.script.get(request.host + request.path.split("?")[0])
                    said = waiting.pop(0) if waiting else None
                if callable(said):
                    said(self)
                else:
                    self.answer(*(said or services.usual(request)))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        return Handler

    # Answers that are none.
    @staticmethod
    def hang_up(handler):
        handler.close_connection = True

    def hold(self, handler):
        """Say nothing until the test is over."""
        self.over.wait(300)
        handler.close_connection = True

    def settings(self):
        """For make up."""
        return {
            "CONNECTOR": "1",
            "CONNECTOR_NETWORKS": "127.0.0.1/32",
            "CONNECTOR_HOSTS": " ".join(f"{host}=127.0.0.1:{self.port}" for host in HOSTS)
            + f" other.example=127.0.0.1:{self.port} inner.example=127.0.0.2:{self.port}",
            "CONNECTOR_CA_FILE": str(self.authority.file),
        }


@contextlib.contextmanager
def running():
    services = Services()
    services.authority = Authority()
    with serving(
        services.authority.context(*HOSTS, "inner.example"), services.handler()
    ) as services.port:
        yield services
        services.over.set()
