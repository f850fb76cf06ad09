# SPDX-License-Identifier: MIT
"""Each built-in action against what its service documents: success, refusal, throttling, a token
that has expired, a failure that says nothing. And against a hostile one. A stand-in counts: nothing
is sent twice that may have had its effect."""

import contextlib
import gzip
import json
import threading
import uuid

import pytest
from gantry_testing import services as stand_ins
from gantry_testing.services import SERVICES
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until

NAMES = list(SERVICES)
WITH_GRANT = [name for name in NAMES if SERVICES[name].tokens]
LONG = {"Retry-After": "3600"}
SOON = {"Retry-After": "1"}


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack_of(services):
    """name -> a stack with its secrets. Microsoft's tasks need a connector of their own."""
    running, actions = {}, ",".join(sorted({one.task["type"] for one in SERVICES.values()}))
    with contextlib.ExitStack() as opened:

        def stack(name):
            where = SERVICES[name].task_service or "google"
            if where not in running:
                running[where] = opened.enter_context(
                    Stack(
                        ALLOW_ACTIONS_DEFAULT=actions,
                        CONNECTOR_TASK_SERVICE=where,
                        **services.settings(),
                    )
                )
                running[where].gantry("workspace", "egress", "default", *stand_ins.HOSTS)
                for service in SERVICES.values():
                    put_secret(running[where], service)
            return running[where]

        yield stack


def put_secret(stack, service):
    if service.secret:
        value = {"value": service.secret_value}
        stack.client().request("PUT", f"/secrets/{service.secret}", value).ok()


@pytest.fixture
def ask(stack_of, services):
    """Runs a service's action, and gives the answer's output; the outcome is checked."""
    services.forget()

    def run(name, outcome):
        client = stack_of(name).client()
        body = {"task": SERVICES[name].task}
        answer = client.post("/webhook/executor/run", body, prefer="wait=60").ok().json
        assert answer["outcome"] == outcome, answer
        assert answer["status"] == ("success" if outcome == "ok" else "failed")
        return answer["output"]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_success(ask, services, name):
    output = ask(name, "ok")
    assert output["result"] == SERVICES[name].result
    assert (output["attempts"], output["message"]) == (1, None)
    assert len(services.asked(SERVICES[name].place)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_refusal(ask, services, name):
    """As the service documents it; nothing was done, and it is not asked again."""
    for status, document in SERVICES[name].refusals:
        services.forget()
        services.say(SERVICES[name].place, (status, document))
        output = ask(name, "http_error")
        assert (output["http_status"], output["attempts"]) == (status, 1)
        assert output["result"] == document
        assert len(services.asked(SERVICES[name].place)) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [429, 503])
def test_throttled(ask, services, name, status):
    """It waits as long as it is told to, but not for an hour; 503 alone may have been done."""
    service = SERVICES[name]
    services.say(service.place, (status, service.throttled, SOON))
    assert ask(name, "ok")["attempts"] == 2
    services.forget()
    services.say(service.place, (status, service.throttled, LONG))
    output = ask(name, "throttled")
    assert (output["http_status"], output["attempts"]) == (status, 1)
    services.forget()
    if status == 503:
        services.say(service.place, (503, service.throttled))
        assert ask(name, "unknown")["attempts"] == 1
    assert len(services.asked(service.place)) == (status == 503)


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_or_no_answer_is_not_repeated(ask, services, name):
    service = SERVICES[name]
    for answer in ((500, service.throttled), services.hang_up):
        services.forget()
        services.say(service.place, answer)
        output = ask(name, "unknown")
        assert output["attempts"] == 1
        assert "may have been done" in output["message"]
        assert len(services.asked(service.place)) == 1


@pytest.mark.parametrize("name", WITH_GRANT)
def test_an_access_token_that_has_expired(ask, services, name):
    """401: another is had, once; the second 401 is a refusal."""
    service = SERVICES[name]
    services.say(service.place, service.expired)
    assert ask(name, "ok")["attempts"] == 2
    assert len(services.asked(service.tokens)) >= 1
    first, second = services.asked(service.place)
    assert first.headers["Authorization"] != second.headers["Authorization"]
    services.forget()
    services.say(service.place, service.expired, service.expired)
    output = ask(name, "http_error")
    assert (output["http_status"], output["attempts"]) == (401, 2)
    assert len(services.asked(service.place)) == 2


@pytest.mark.parametrize("name", WITH_GRANT)
def test_a_grant_that_is_revoked(ask, stack_of, services, name):
    """RFC 6749 5.2, with Google's and Microsoft's words: the outcome names the secret, and nothing
    is sent to the service."""
    service = SERVICES[name]
    put_secret(stack_of(name), service)  # so that it has no token
    description = f"the grant {service.secret_value} is revoked"
    services.say(
        service.tokens, (400, {"error": "invalid_grant", "error_description": description})
    )
    output = ask(name, "secret_refused")
    assert f"'{service.secret}'" in output["message"]
    assert "invalid_grant" in output["message"]
    assert not services.asked(service.place)
    services.forget()
    services.say(service.tokens, *[(503, None)] * 3)
    assert f"'{service.secret}'" in ask(name, "token_error")["message"]
    assert not services.asked(service.place)
    assert ask(name, "ok")["attempts"] == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_GRANT])
def test_a_token_without_a_grant_that_is_refused(ask, services, name):
    """There is nothing to refresh: a refusal, once, and the token is not in it."""
    service = SERVICES[name]
    status, document = service.expired
    services.say(service.place, (status, {**document, "token": service.secret_value}))
    output = ask(name, "http_error")
    assert (output["http_status"], output["attempts"]) == (status, 1)
    assert len(services.asked(service.place)) == 1
    if service.secret:
        assert service.secret_value not in json.dumps(output)


# --- a hostile service ---------------------------------------------------------------------------


def redirect(status, where):
    """where: None is where it was asked for."""
    return lambda handler: handler.answer(status, None, {"Location": where or handler.path})


def pour(head, data):
    """An answer that does not end while the client reads."""

    def answer(handler):
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.write(head)
            while True:
                handler.wfile.write(data)

    return answer


def drip(head):
    """A byte at a time, until the client has had enough."""

    def answer(handler):
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.write(head)
            while not OVER.wait(0.05):
                handler.wfile.write(b"x")

    return answer


def bomb(handler):
    body = gzip.compress(bytes(64 << 20))
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(body)


OVER = threading.Event()
OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
# way -> answer, outcome of a GET, what its message has, requests that it is worth
HOSTILE = {
    "redirect inside": (redirect(307, "https://127.0.0.1/"), "egress_denied", "list", 1),
    "redirect to another name": (
        redirect(302, "https://inner.example/"),
        "egress_denied",
        "list",
        1,
    ),
    "a hundred redirects": (redirect(307, None), "egress_denied", "more redirects", 6),
    "endless body": (pour(OK_HEAD + b"\r\n", b"x" * 65536), "answer_too_large", "bound", 1),
    "endless head": (pour(OK_HEAD, b"X-Long: " + b"x" * 4096 + b"\r\n"), "answer_too_large", "", 1),
    "gzip bomb": (bomb, "answer_too_large", "bound", 1),
    "slow head": (drip(OK_HEAD + b"X-Slow: "), "timeout", "", 1),
    "slow body": (drip(OK_HEAD + b"Content-Length: 60000\r\n\r\n"), "timeout", "", 1),
}


@pytest.mark.parametrize("way", list(HOSTILE))
def test_a_hostile_service(stack_of, services, way):
    """Each ends in its own outcome. Nothing with an effect is sent twice, and no other host is
    asked."""
    answer, outcome, says, count = HOSTILE[way]
    client = stack_of("http.request").client()
    # Where the time is to run out it must be long enough to send the request.
    limits = [{"timeout_seconds": n} for n in (2, 10, 30)] if outcome == "timeout" else [{}]
    for method in ("GET", "POST"):
        for limit in limits:
            services.forget()
            # A place of its own: what was under way before may still arrive.
            place = f"plain.example/{uuid.uuid4()}"
            services.say(place, *[answer] * 100)
            task = {"type": "http.request", "method": method, "url": f"https://{place}"}
            body = {"task": task, **limit}
            done = client.post("/webhook/executor/run", body, prefer="wait=60").ok().json
            if services.asked(place):
                break
        # A POST may have been done, except where the service says that it is to be sent elsewhere.
        assert done["outcome"] == (outcome if method == "GET" else "unknown"), done
        wanted = says if method == "GET" else "may have been done"
        assert wanted in done["output"]["message"]
        assert {request.host for request in services.asked()} == {"plain.example"}
        if outcome != "timeout" or method == "POST":  # a GET may be asked again
            assert len(services.asked(place)) == count


def test_a_certificate_of_another_name(stack_of, services):
    stack = stack_of("http.request")
    stack.gantry("workspace", "egress", "default", *stand_ins.HOSTS, "other.example")
    services.forget()
    body = {"task": {"type": "http.request", "method": "POST", "url": "https://other.example/"}}

    def is_refused():
        return (
            stack.client()
            .post("/webhook/executor/run", body, prefer="wait=60")
            .ok()
            .json["outcome"]
            == "tls_error"
        )

    wait_until(is_refused, 60, "the list is heard of, and the certificate refused")
    assert not services.asked()
