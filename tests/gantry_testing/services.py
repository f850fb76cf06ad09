# SPDX-License-Identifier: MIT
"""Stand-ins for the services of connector actions: Gmail, Microsoft Graph, Slack, GitHub, Google
Tasks, the token endpoints of Google and Microsoft, and a plain one. One server with a certificate
for all names counts what it is asked, and answers as documented unless a test says otherwise."""

import contextlib
import dataclasses
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


@dataclasses.dataclass
class Service:
    """A built-in action, and what its service answers as documented."""

    task: dict
    place: str  # host and path
    result: dict  # of success
    refusals: list  # (status, document)
    throttled: dict  # the body of 429 and 503
    expired: tuple  # the answer to a token that is no longer valid
    secret: str = ""
    secret_value: str = ""
    tokens: str = ""  # the token endpoint, where there is a grant
    task_service: str = ""  # CONNECTOR_TASK_SERVICE


GRANT = {
    "client_id": "the-client-id",
    "client_secret": "the-client-secret",
    "refresh_token": "the-refresh-token",
}
MAIL = {"to": ["a@example.com"], "subject": "s"}


def google_error(code, status, message, reason):
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return {"error": {"code": code, "message": message, "errors": errors, "status": status}}


def graph_error(code, message):
    inner = {"date": "2026-11-28T12:00:00", "request-id": "r", "client-request-id": "c"}
    return {"error": {"code": code, "message": message, "innerError": inner}}


GOOGLE = {
    "refusals": [
        (400, google_error(400, "INVALID_ARGUMENT", "Invalid To header", "invalidArgument")),
        (403, google_error(403, "PERMISSION_DENIED", "Insufficient Permission", "forbidden")),
        (404, google_error(404, "NOT_FOUND", "Not Found", "notFound")),
    ],
    "throttled": google_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", "rateLimitExceeded"),
    "expired": (401, google_error(401, "UNAUTHENTICATED", "Invalid Credentials", "authError")),
    "tokens": "oauth2.googleapis.com/token",
    "secret_value": json.dumps(GRANT),
}
GRAPH = {
    "refusals": [
        (400, graph_error("ErrorInvalidRecipients", "At least one recipient is not valid.")),
        (403, graph_error("ErrorAccessDenied", "Access is denied.")),
        (404, graph_error("ErrorItemNotFound", "The object was not found.")),
    ],
    "throttled": graph_error("ApplicationThrottled", "Application is over its MailboxConcurrency."),
    "expired": (401, graph_error("InvalidAuthenticationToken", "Lifetime validation failed.")),
}
SERVICES = {
    "gmail": Service(
        task={"type": "gmail.send", **MAIL},
        place="gmail.googleapis.com/gmail/v1/users/me/messages/send",
        result={"message_id": "msg-1", "thread_id": "thread-1"},
        secret="gmail",
        **GOOGLE,
    ),
    "google tasks": Service(
        task={"type": "task.create", "title": "t", "list": "l"},
        place="tasks.googleapis.com/tasks/v1/lists/l/tasks",
        result={"task_id": "task-1", "link": "https://tasks.example/1"},
        secret="google_tasks",
        task_service="google",
        **GOOGLE,
    ),
    "outlook": Service(
        task={"type": "outlook.send", "from": "me@example.com", **MAIL},
        place="graph.microsoft.com/v1.0/users/me%40example.com/sendMail",
        result={"accepted": True},
        secret="outlook",
        secret_value=json.dumps({**GRANT, "tenant": "the-tenant"}),
        tokens="login.microsoftonline.com/the-tenant/oauth2/v2.0/token",
        **GRAPH,
    ),
    "slack": Service(
        task={"type": "slack.post", "channel": "C1", "text": "hello"},
        place="slack.com/api/chat.postMessage",
        result={"channel": "C1", "ts": "1700000000.000100"},
        # Slack refuses with 200.
        refusals=[
            (200, {"ok": False, "error": "channel_not_found"}),
            (200, {"ok": False, "error": "not_in_channel", "warning": "missing_charset"}),
            (200, {"ok": False, "error": "msg_too_long", "response_metadata": {"messages": []}}),
        ],
        throttled={"ok": False, "error": "ratelimited"},
        expired=(200, {"ok": False, "error": "token_expired"}),
        secret="slack",
        secret_value="xoxb-stand-in-token",
    ),
    "github": Service(
        task={"type": "github.issue", "owner": "o", "repo": "r", "title": "t"},
        place="api.github.com/repos/o/r/issues",
        result={"number": 7, "url": "https://github.example/7"},
        refusals=[
            (
                422,
                {
                    "message": "Validation Failed",
                    "errors": [{"resource": "Issue", "field": "title", "code": "missing_field"}],
                    "documentation_url": "https://docs.github.com/rest",
                },
            ),
            (404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}),
            (410, {"message": "Issues are disabled for this repo"}),
            (403, {"message": "Resource not accessible by personal access token"}),
        ],
        throttled={"message": "You have exceeded a secondary rate limit."},
        expired=(401, {"message": "Bad credentials"}),
        secret="github",
        secret_value="ghp-stand-in-token",
    ),
    "http.request": Service(
        task={"type": "http.request", "method": "POST", "url": "https://plain.example/do"},
        place="plain.example/do",
        result={
            "status": 200,
            "content_type": "application/json",
            "json": {"method": "POST", "path": "/do"},
        },
        refusals=[(400, {"error": "no"}), (404, {"error": "none"}), (409, {"error": "busy"})],
        throttled={"error": "slow down"},
        expired=(401, {"error": "invalid_token"}),
    ),
    "microsoft to do": Service(
        task={"type": "task.create", "title": "t", "list": "l"},
        place="graph.microsoft.com/v1.0/me/todo/lists/l/tasks",
        result={"task_id": "task-2"},
        secret="microsoft_todo",
        secret_value=json.dumps(GRANT),
        tokens="login.microsoftonline.com/common/oauth2/v2.0/token",
        task_service="microsoft",
        **GRAPH,
    ),
}


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
        if place.startswith("graph.microsoft.com/v1.0/me/todo/lists/"):
            return 201, {"@odata.etag": "W/1", "id": "task-2", "status": "notStarted"}
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
    with (
        Authority() as services.authority,
        serving(
            services.authority.context(*HOSTS, "inner.example"), services.handler()
        ) as services.port,
    ):
        yield services
        services.over.set()
