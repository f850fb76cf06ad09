# SPDX-License-Identifier: MIT
"""Many connections, hostile framing, slow clients, rate limits, servers that are unavailable."""
import contextlib
import json
import resource
import selectors
import signal
import socket
import threading
import time
import uuid

import pytest
from gantry_testing.wait import wait_until

INGEST = "/webhook/memory/ingest"


@pytest.fixture(scope="module")
def own(make_stack):
    """A system whose servers these tests may stop."""
    return make_stack()


@pytest.fixture(scope="module")
def tight(make_stack):
    return make_stack(CONNECTION_TIMEOUT_SECONDS=2, RATE_LIMIT_PER_MINUTE=30, MAX_BODY_BYTES=2000)


@pytest.fixture(scope="module")
def crowded(make_stack):
    """Few connections; what comes from this machine is no trusted proxy."""
    return make_stack(
        TRUSTED_PROXIES="10.9.8.7/32",
        MAX_CONNECTIONS=40,
        MAX_CONNECTIONS_PER_ADDRESS=20,
        HEAD_TIMEOUT_SECONDS=120,
        BODY_TIMEOUT_SECONDS=2,
    )


@pytest.fixture(scope="module")
def patient(make_stack):
    """Few connections, and bodies that may take longer than any test."""
    return make_stack(
        TRUSTED_PROXIES="10.9.8.7/32",
        MAX_CONNECTIONS=40,
        MAX_CONNECTIONS_PER_ADDRESS=20,
        BODY_TIMEOUT_SECONDS=300,
    )


def connect(stack, source="127.0.0.1"):
    host, port = stack.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 120, (source, 0))


def ended(sockets):
    """Those that the server has closed."""
    gone = []
    for s in sockets:
        s.setblocking(False)
        try:
            if s.recv(1) == b"":
                gone.append(s)
        except BlockingIOError:
            pass
        except OSError:
            gone.append(s)
    return gone


def exchange(stack, data, timeout=60, shut=True):
    """Send raw bytes; everything that comes back until the end."""
    with connect(stack) as s:
        s.settimeout(timeout)
        back = b""
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                back += chunk
        except OSError:
            pass  # the server has had enough
        return back


@pytest.mark.parametrize("count", [300, 1000, 4000])
def test_keep_alive_connections(stack, count):
    """All of them idle, then all of them busy at once, several rounds; none is forgotten."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"only {hard} descriptors allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = ("GET /memory?limit=1 HTTP/1.1", "Host: x", f"X-API-Key: {stack.api_key}")
    request = "\r\n".join([*lines, "Prefer: wait=60", "", ""]).encode()
    selector = selectors.DefaultSelector()
    sockets = [connect(stack) for _ in range(count)]
    try:
        for s in sockets:
            selector.register(s, selectors.EVENT_READ, {"data": b""})
        for _ in range(3):
            for s in sockets:
                s.sendall(request)
            waiting, deadline = set(sockets), time.monotonic() + 300
            for s in sockets:
                selector.get_key(s).data["data"] = b""
            while waiting:
                assert time.monotonic() < deadline, f"{len(waiting)} of {count} have no answer"
                for key, _ in selector.select(1):
                    chunk = key.fileobj.recv(65536)
                    assert chunk, "the server closed a connection"
                    key.data["data"] += chunk
                    head, _, body = key.data["data"].partition(b"\r\n\r\n")
                    if not _:
                        continue
                    assert head.startswith(b"HTTP/1.1 200"), key.data["data"]
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    if len(body) == length:
                        waiting.discard(key.fileobj)
        stack.client().get("/memory").ok()
    finally:
        for s in sockets:
            s.close()


def head(stack, *lines, method="POST", path=INGEST):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"X-API-Key: {stack.api_key}",
                        "Content-Type: application/json", *lines, "", ""]).encode()


def test_smuggling_shapes(stack):
    """Two readings of where a body ends: refused, and what follows is never taken for a request."""
    place = str(uuid.uuid4())
    inner = json.dumps({"scope": place, "text": "smuggled"}).encode()
    smuggled = head(stack, f"Content-Length: {len(inner)}") + inner
    chunked = b"0\r\n\r\n"
    shapes = {
        "cl and te": head(stack, "Content-Length: 5", "Transfer-Encoding: chunked")
        + chunked
        + smuggled,
        "te and cl": head(
            stack, "Transfer-Encoding: chunked", f"Content-Length: {len(chunked + smuggled)}"
        )
        + chunked
        + smuggled,
        "two lengths": head(stack, "Content-Length: 0", "Content-Length: 5") + b"hello" + smuggled,
        "odd te": head(stack, "Transfer-Encoding: xchunked") + chunked + smuggled,
        "te twice": head(stack, "Transfer-Encoding: chunked", "Transfer-Encoding: identity")
        + chunked
        + smuggled,
        "te list": head(stack, "Transfer-Encoding: gzip, chunked") + chunked + smuggled,
        "negative length": head(stack, "Content-Length: -1") + smuggled,
        "plus length": head(stack, "Content-Length: +5") + b"hello" + smuggled,
        "hex length": head(stack, "Content-Length: 0x5") + b"hello" + smuggled,
        "list length": head(stack, "Content-Length: 5, 5") + b"hello" + smuggled,
        "space before te": head(
            stack, "Transfer-Encoding : chunked", f"Content-Length: {len(chunked)}"
        )
        + chunked,
        "two hosts": head(stack, "Host: y", "Content-Length: 0"),
        "space before colon": head(stack, "Content-Length : 5") + b"hello" + smuggled,
        "bad chunk": head(stack, "Transfer-Encoding: chunked") + b"zz\r\n" + smuggled,
    }
    for name, data in shapes.items():
        back = exchange(stack, data)
        assert b" 200 " not in back.split(b"\r\n")[0], f"{name}: {back[:200]}"
        assert b"Memory ingested" not in back, f"{name}: {back}"
    stack.client().ingest("after", "all is well").ok()  # behind what might have been taken
    assert stack.client().get(f"/memory?scope={place}").ok().json["items"] == []


def test_answers_before_a_body_that_may_never_come(stack):
    """The answer leaves and the connection ends, although the client has not said that its body is
    complete."""
    for data, status in (
        (head(stack, "Transfer-Encoding: gzip, chunked"), b" 400 "),
        (head(stack, "Transfer-Encoding: identity", "Content-Length: 5"), b" 400 "),
        (head(stack, "Content-Length: 600000", "Expect: 100-continue"), b" 413 "),
        (head(stack, "Content-Length: 9000", "Expect: 100-continue", path="/keys/x"), b" 405 "),
        (head(stack, "Content-Length: 99999999999"), b" 413 "),
    ):
        back = exchange(stack, data, shut=False)
        assert status in back.split(b"\r\n")[0], back[:200]
        assert b"\r\nConnection: close\r\n" in back
        assert back.endswith(b"}")


def test_broken_requests(stack):
    for data in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"G" * 100_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /keys HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx",
    ):
        back = exchange(stack, data)
        assert b" 200 " not in back.split(b"\r\n")[0]
    stack.anonymous().get("/healthz").ok()


def test_pipelined(stack):
    one = f"GET /memory?limit=1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {stack.api_key}\r\n\r\n".encode()
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    back = exchange(stack, one * 9 + last, shut=False)
    assert back.count(b"HTTP/1.1 200") == 10


def test_absolute_form(stack):
    assert (
        b"200"
        in exchange(
            stack, b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ).split(b"\r\n")[0]
    )


def test_slow_clients(tight):
    """A byte now and then does not hold a connection."""
    one = tight
    with connect(one) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")

        def cut():
            try:
                s.sendall(b"A: b\r\n")
            except OSError:
                return True
            return bool(ended([s]))

        wait_until(cut, 60, "it is cut off", interval=0.3)
    one.anonymous().get("/healthz").ok()


def test_idle_connections_make_room(crowded):
    """A stranger's hundred silent connections keep nobody out: the longest idle ones end."""
    idle = [connect(crowded, f"127.0.0.{10 + n % 10}") for n in range(100)]
    try:
        for _ in range(3):
            crowded.anonymous().get("/healthz").ok()
        wait_until(lambda: len(ended(idle)) >= 60, 30, "the bound is kept")
        assert idle[-1] not in ended(idle)  # the newest are not the ones
        ready = crowded.anonymous()
        wait_until(lambda: "connections" in ready.get("/readyz").json["full"], 20, "it is named")
    finally:
        for s in idle:
            s.close()


def test_begun_heads_make_room(crowded):
    """So do connections that have sent a part of a head and wait."""
    begun = []
    try:
        for n in range(100):
            begun.append(connect(crowded, f"127.0.0.{60 + n % 10}"))
            with contextlib.suppress(OSError):
                begun[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA:")
        for _ in range(3):
            crowded.anonymous().get("/healthz").ok()
        wait_until(lambda: len(ended(begun)) >= 60, 60, "the bound is kept")
    finally:
        for s in begun:
            s.close()


def test_kept_connections_make_room(crowded):
    """Answered once and kept: each newcomer is answered all the same, and the oldest ones end."""
    kept = []
    try:
        for n in range(100):
            kept.append(connect(crowded, f"127.0.0.{70 + n % 10}"))
            kept[-1].settimeout(60)
            kept[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in kept[-1].recv(65536).split(b"\r\n")[0]
        wait_until(lambda: len(ended(kept)) >= 60, 60, "the bound is kept")
    finally:
        for s in kept:
            s.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /webhook/memory/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{",
        b"POST /webhook/memory/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["short", "long", "chunked"],
)
def test_bodies_that_do_not_come_make_room(patient, begun):
    """Promised without a key, and not sent: others do not wait for their end."""
    waiting = []
    try:
        for n in range(100):
            waiting.append(connect(patient, f"127.0.0.{90 + n % 10}"))
            with contextlib.suppress(OSError):
                waiting[-1].sendall(begun)
        for _ in range(3):
            patient.anonymous().get("/healthz").ok()
        wait_until(lambda: len(ended(waiting)) >= 60, 60, "the bound is kept")
        assert len(ended(waiting)) < 100
    finally:
        for s in waiting:
            s.close()


def test_a_slow_body_is_waited_for_while_there_is_room(patient):
    """Nobody else wants its place."""
    body = json.dumps({"scope": "slow", "text": "in its own time"}).encode()
    with connect(patient) as s:
        s.settimeout(120)
        s.sendall(head(patient, f"Content-Length: {len(body)}"))
        for byte in body[:3]:
            time.sleep(1.2)  # longer than one that makes room would have
            s.sendall(bytes([byte]))
        s.sendall(body[3:])
        assert b" 200 " in s.recv(65536).split(b"\r\n")[0]


def test_an_address_takes_no_place_of_another(crowded):
    """One address opens connection after connection; another one's, idle for longer, stays."""
    other, many = connect(crowded, "127.0.0.81"), []
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        other.settimeout(60)
        other.sendall(request)
        assert b" 200 " in other.recv(65536).split(b"\r\n")[0]
        many = [connect(crowded, "127.0.0.80") for _ in range(60)]
        wait_until(lambda: len(ended(many)) >= 40, 60, "its number is kept")
        other.sendall(request)
        assert b" 200 " in other.recv(65536).split(b"\r\n")[0]
    finally:
        for s in (other, *many):
            s.close()


def test_an_address_has_its_share(crowded):
    """Connections of one address that are all at work: no more than its number, and others go
    on."""
    busy, ready = [], crowded.anonymous()

    def more():
        """Until all that there may be are at work at once: bodies that do not come end them."""
        for _ in range(30):
            s = connect(crowded, "127.0.0.2")
            busy.append(s)
            try:
                s.sendall(head(crowded, "Content-Length: 5000") + b"{")
            except OSError:
                pass  # refused already
        return "address_connections" in ready.get("/readyz").json["full"]

    try:
        wait_until(more, 60, "it is named")
        wait_until(lambda: len(ended(busy)) >= len(busy) - 20, 60, "those beyond are refused")
        wait_until(
            lambda: len(ended(busy)) == len(busy), 60, "a body that does not come is not waited for"
        )
    finally:
        for s in busy:
            s.close()
    with connect(crowded, "127.0.0.2") as s:
        s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 " in s.recv(65536)


def test_all_connections_at_work(crowded):
    """Then a new one waits, and comes when one of them makes room or ends."""
    busy = [connect(crowded, f"127.0.0.{30 + n % 10}") for n in range(41)]
    try:
        for s in busy:
            s.sendall(head(crowded, "Content-Length: 5000") + b"{")
        crowded.anonymous().get("/healthz").ok()
        wait_until(lambda: len(ended(busy)) == 41, 60)
    finally:
        for s in busy:
            s.close()


def test_a_body_that_drips(crowded):
    """One byte now and then is no progress."""
    with connect(crowded, "127.0.0.50") as s:
        s.sendall(head(crowded, "Content-Length: 500"))

        def cut():
            try:
                s.sendall(b" ")
            except OSError:
                return True
            return bool(ended([s]))

        wait_until(cut, 60)


def test_a_refusal_does_not_wait_for_ever_for_its_body(crowded):
    """A long body whose key was refused stops coming: the answer leaves all the same."""
    with connect(crowded, "127.0.0.51") as s:
        s.settimeout(60)
        s.sendall(b"POST /memory/forget HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
        assert b" 401 " in s.recv(65536).split(b"\r\n")[0]


def test_a_small_bound_of_bodies(tight):
    client = tight.client("admin", "small")
    body = json.dumps({"scope": "s", "text": "x"}).encode()
    client.post(INGEST, body.ljust(2000)).ok()
    assert client.post(INGEST, body.ljust(2001)).ok(413).code == "body_too_large"
    assert client.post("/nowhere", body.ljust(2001)).ok(404)
    client.post(INGEST, body).ok()


def test_rate_limits_in_redis(tight):
    """One workspace at its limit has a small key that goes within a minute, as any other has, and a
    neighbour its whole rate; a stranger leaves nothing."""
    hog, neighbour = tight.client("admin", "rate-hog"), tight.client("admin", "rate-neighbour")
    wait_until(lambda: hog.get("/memory?limit=1").status == 429, 60, "it is limited")
    answers = []
    for _ in range(30):
        answers.append(neighbour.get("/memory?limit=1").status)
        hog.get("/memory?limit=1")
    assert answers == [200] * 30
    before = set(tight.redis("--scan", "--pattern", "rate:[wk]:*").split())
    assert {"rate:w:rate-hog", "rate:w:rate-neighbour"} <= before
    assert int(tight.redis("memory", "usage", "rate:w:rate-hog")) < 200
    assert 0 < int(tight.redis("pttl", "rate:w:rate-hog")) <= 61000
    for n in range(30):
        stranger = {"X-API-Key": f"gtk_{n:012}_{'0' * 43}"}
        assert tight.anonymous().request("GET", "/memory", None, stranger).status == 401
    assert set(tight.redis("--scan", "--pattern", "rate:[wk]:*").split()) <= before


def test_rate_limit(tight):
    one = tight
    client = one.client()
    answers = [client.get("/memory?limit=1") for _ in range(30)]
    assert [a.status for a in answers] == [200] * 30
    limited = wait_until(
        lambda: (a := client.get("/memory?limit=1")).status == 429 and a, 60, "it is limited"
    )
    assert limited.code == "rate_limited"
    assert 1 <= int(limited.headers["Retry-After"]) <= 3
    assert answers[0].headers["RateLimit-Policy"] == '"workspace";q=30;w=60'
    assert answers[0].headers["RateLimit"].startswith('"workspace";r=29;t=')
    assert limited.headers["RateLimit"].startswith('"workspace";r=0;t=')
    one.anonymous().get("/healthz").ok()
    other = one.client("admin", "elsewhere")
    other.get("/memory").ok()
    one.take_down("redis")
    local = [other.get("/memory?limit=1").status for _ in range(80)]
    assert local.count(200) >= 20
    assert 429 in local
    assert set(local) <= {200, 429}
    one.bring_back("redis")


def test_servers_away(own):
    one = own
    client = one.client()
    ready = one.anonymous()
    client.ingest("unavailable", "before").ok()

    one.take_down("redis")
    wait_until(lambda: ready.get("/readyz").json["dependencies"]["redis"] == "down", 60)
    client.ingest("unavailable", "without redis").ok()
    assert (
        client.post(INGEST, {"scope": "unavailable", "text": "x"}, idempotency_key="k").ok(503).code
        == "unavailable"
    )
    # what is not about jobs needs no Redis, also where the executor answers it
    assert client.get("/ai/actions").ok().json["count"] > 0
    assert client.get("/ai/jobs").ok(503).json["detail"] == "Redis is unavailable"
    one.bring_back("redis")
    wait_until(lambda: ready.get("/readyz").json["dependencies"]["redis"] == "up", 60)
    client.post(INGEST, {"scope": "unavailable", "text": "x"}, idempotency_key="k").ok()

    one.take_down("nats")
    wait_until(lambda: ready.get("/readyz").status == 503, 60)
    assert ready.get("/readyz").json["dependencies"]["nats"] == "down"
    for path in ("/memory", "/keys"):
        refused = client.get(path).ok(503)
        assert refused.code == "unavailable"
        assert refused.json["detail"] == "NATS is unavailable"
    assert ready.get("/memory").status == 401
    one.bring_back("nats")
    wait_until(lambda: client.ingest("unavailable", "nats is back").status == 200, 60)

    start = time.monotonic()
    one.take_down("postgres")
    assert client.get("/keys").status == 503
    wait_until(lambda: ready.get("/readyz").status == 503, 60)
    assert ready.get("/readyz").json["dependencies"]["postgresql"] == "down"
    details = []

    def stale():  # a key that is known is good for ten seconds
        details.append(client.get("/memory").ok(503).json["detail"])
        return details[-1].startswith("keys")

    wait_until(stale, 60)
    assert time.monotonic() - start > 5
    assert set(details[:-1]) <= {"PostgreSQL is unavailable."}
    assert ready.get("/readyz").ok(503).json["dependencies"]["postgresql"] == "down"
    one.bring_back("postgres")
    wait_until(lambda: client.ingest("unavailable", "postgres is back").status == 200, 60)


def test_drain(own):
    """SIGTERM: what is under way is answered, nothing new is taken, the exit is 0."""
    one = own
    one.take_down("ingest")
    answers, before = [], one.debug()["published_total"]
    thread = threading.Thread(target=lambda: answers.append(
        one.client().post(INGEST, {"scope": "d", "text": "x"}, prefer="wait=60")))
    thread.start()
    wait_until(lambda: one.debug()["published_total"] > before, 60, "it is under way")
    for path in ("/memory", "/keys", "/ai/jobs"):
        assert one.anonymous().get(path).status == 401  # counted: the counts are sent at the end
    old = one.kill("gateway", signal.SIGTERM)
    thread.join()
    assert answers[0].status == 202
    assert answers[0].headers["Connection"] == "close"
    wait_until(lambda: one.pid("gateway") not in (0, old), 60)
    assert "drained" in one.log("gateway")
    assert "exit 0" in (one.directory / "state" / "gateway.status").read_text()
