# SPDX-License-Identifier: MIT
"""Raw bytes to the real server: as many answers as a strict parser written here finds requests.

The parser follows RFC 9112 alone. Where the RFC leaves a choice it takes the one that docs/http.md
names. FRAMING_CASES=N FRAMING_SEED=S make more or other cases."""
import json
import os
import random
import re
import socket

import pytest

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TEXT = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
HOST = re.compile(rb"[0-9A-Za-z._~%!$&'()*+,;=:\[\]-]*")
HEAD_MAX, FIELDS_MAX, BODY_MAX = 16384, 128, 524288
BAD, TOO_LARGE, BAD_BODY = "bad", "too large", "bad body"


class Refused(Exception):
    """Nobody can say where the next request begins."""


# --- the independent parser -----------------------------------------------------------------------


def read_lines(data):
    """The lines of a head and what follows; None while it is not complete."""
    lines, at = [], 0
    while True:
        end = data.find(b"\n", at, HEAD_MAX)
        if end < 0:
            if len(data) >= HEAD_MAX:
                raise Refused(TOO_LARGE)
            return None
        if end == at or data[end - 1:end] != b"\r":
            raise Refused(BAD)
        line, at = data[at:end - 1], end + 1
        if not line:
            return lines, data[at:]
        lines.append(line)


def read_request(data):
    """(closes, rest) of the first request; None if it is not complete; Refused."""
    if data[:2] == b"\r\n":
        data = data[2:]
    if data and not TOKEN.match(data[:1]):
        raise Refused(BAD)
    found = read_lines(data)
    if found is None:
        return None
    (start, *lines), rest = found
    parts = re.fullmatch(rb"([^ ]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([0-9])", start)
    if not parts or not TOKEN.fullmatch(parts[1]):
        raise Refused(BAD)
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name) or not TEXT.fullmatch(value):
            raise Refused(BAD)
        if len(fields) == FIELDS_MAX:
            raise Refused(TOO_LARGE)
        fields.append((name.lower(), value.strip(b" \t")))
    return read_body(fields, parts[3] != b"0", rest)


def read_body(fields, modern, rest):
    def values(name):
        return [value for given, value in fields if given == name]

    hosts, lengths, codings = (
        values(b"host"),
        values(b"content-length"),
        values(b"transfer-encoding"),
    )
    if len(hosts) > 1 or (modern and not hosts) or not all(HOST.fullmatch(host) for host in hosts):
        raise Refused(BAD)
    if len(lengths) + len(codings) > 1 or (
        codings and (not modern or codings[0].lower() != b"chunked")
    ):
        raise Refused(BAD)
    if lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise Refused(BAD)
    options = [
        option.strip(b" \t").lower()
        for value in values(b"connection")
        for option in value.split(b",")
    ]
    closes = b"close" in options or (not modern and b"keep-alive" not in options)
    if codings:
        rest = read_chunks(rest)
    elif lengths and len(rest) < int(lengths[0]):
        return None
    elif lengths:
        rest = rest[int(lengths[0]):]
    return None if rest is None else (closes, rest)


def read_chunks(data):
    while True:
        first = re.match(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n", data)
        if not first:
            if re.fullmatch(
                rb"(?:[0-9A-Fa-f]{1,15}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?)?\r?)?", data
            ):
                return None
            raise Refused(BAD_BODY)
        size, data = int(first[1], 16), data[first.end():]
        if size == 0:
            break
        if len(data) < size + 2:
            if not b"\r\n".startswith(data[size:]):
                raise Refused(BAD_BODY)
            return None
        if data[size:size + 2] != b"\r\n":
            raise Refused(BAD_BODY)
        data = data[size + 2:]
    while data[:2] != b"\r\n":
        line = re.match(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n", data)
        if not line:
            if re.fullmatch(
                rb"\r?|[!#$%&'*+.^_`|~0-9A-Za-z-]+(?::[\t\x20-\x7e\x80-\xff]*\r?)?", data
            ):
                return None
            raise Refused(BAD_BODY)
        data = data[line.end():]
    return data[2:]


def expected(data):
    """What comes back: one word for each request; one that begins with "bad" or "too large" ends
    it."""
    words = []
    while data:
        try:
            found = read_request(data)
        except Refused as refused:
            return [*words, str(refused)]
        if found is None:
            return words
        words.append("answer")
        closes, data = found
        if closes:
            return words
    return words


# --- what comes back ------------------------------------------------------------------------------


def send(stack, data):
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as s:
        s.settimeout(60)
        back = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has refused already
        while chunk := s.recv(65536):
            back += chunk
        return back


def read_answers(back, methods):
    """The answers, each (status, headers, body); nothing may be left over."""
    answers = []
    while back:
        head, end, back = back.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        assert end, start
        assert re.fullmatch(rb"HTTP/1\.1 [2-5][0-9][0-9] [A-Za-z ]*", start), start
        headers = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
        status = int(start.split()[1])
        size = int(headers.get(b"content-length", 0))
        if len(answers) < len(methods) and methods[len(answers)] == b"HEAD":
            size = 0
        assert len(back) >= size
        answers.append((status, headers, back[:size]))
        back = back[size:]
    return answers


def words_of(answers, words):
    """A body that is malformed may find its answer made: the head was enough for it."""
    got = [{400: BAD, 431: TOO_LARGE}.get(status, "answer") for status, _, _ in answers]
    if words[-1:] == [BAD_BODY] and got[-1:] in ([BAD], ["answer"]):
        got[-1] = BAD_BODY
    return got


def judge(stack, data, name=""):
    words = expected(data)
    back = send(stack, data)
    answers = read_answers(back, [])
    assert words_of(answers, words) == words, f"{name} {data[:600]!r}: {back[:600]!r}"
    for status, headers, body in answers:
        if status >= 400:
            assert headers[b"content-type"] == b"application/problem+json", name
            assert json.loads(body)["status"] == status, name
    if words and words[-1] != "answer":
        assert answers[-1][1][b"connection"] == b"close", name
    return answers


# --- the samples of outsiders, and their kin ------------------------------------------------------

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
NEXT = b"GET /readyz HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n"
SAMPLES = {
    "empty name": GET + b": x\r\n" + NEXT,
    "empty name, no value": GET + b":\r\n" + NEXT,
    "empty name before a coding": b"POST /healthz HTTP/1.1\r\nHost: x\r\n: "
                                  b"x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + NEXT,
    "a line of NUL": GET + b"\0\r\n" + NEXT,
    "a line of blanks": GET + b" \r\n" + NEXT,
    "NUL in a length": GET + b"Content-Length: 30\x005\r\n\r\n" + NEXT,
    "NUL in a coding": GET + b"Transfer-Encoding: chunked\0identity\r\n\r\n0\r\n\r\n" + NEXT,
    "NUL in a key": GET + b"X-API-Key: KEY\0x\r\n\r\n" + NEXT,
    "NUL in a name": GET + b"A\0B: x\r\n\r\n" + NEXT,
    "NUL in the method": b"G\0T /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "NUL in the target": b"GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "1.0 and chunked": b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: "
                       b"chunked\r\n\r\n0\r\n\r\n"
    + NEXT,
    "1.0 that stays": b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + NEXT,
    "1.0 that ends": b"GET /healthz HTTP/1.0\r\n\r\n" + NEXT,
    "a list of lengths": GET + b"Content-Length: 30, 30\r\n\r\n" + NEXT,
    "plus": GET + b"Content-Length: +30\r\n\r\n" + NEXT,
    "hexadecimal": GET + b"Content-Length: 0x1d\r\n\r\n" + NEXT,
    "negative": GET + b"Content-Length: -1\r\n\r\n" + NEXT,
    "no length in the length": GET + b"Content-Length: \r\n\r\n" + NEXT,
    "2^64 + 1": GET + b"Content-Length: 18446744073709551617\r\n\r\n" + NEXT,
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n" + NEXT,
    "an odd Host": b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n" + NEXT,
    "bare CR": GET + b"A: b\rTransfer-Encoding: chunked\r\n\r\n" + NEXT,
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n" + NEXT,
    "a folded line": GET + b"A: b\r\n c\r\n\r\n" + NEXT,
    "vertical tab": GET + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an extension ended by LF": GET
    + b"Transfer-Encoding: chunked\r\n\r\n1;x\nA\r\n0\r\n\r\n"
    + NEXT,
    "an extension with CR": GET
    + b"Transfer-Encoding: chunked\r\n\r\n1;x\ry\r\nA\r\n0\r\n\r\n"
    + NEXT,
    "a chunk too long": GET + b"Transfer-Encoding: chunked\r\n\r\n1\r\nAB\r\n0\r\n\r\n" + NEXT,
    "a trailer without a name": GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n: x\r\n\r\n" + NEXT,
    "8,000 bytes of Cookie": GET + b"Cookie: " + b"c" * 8000 + b"\r\n\r\n" + NEXT,
    "a head of 16,384 bytes": GET + b"A: " + b"a" * (HEAD_MAX - len(GET) - 7) + b"\r\n\r\n" + NEXT,
    "a head of 16,385 bytes": GET + b"A: " + b"a" * (HEAD_MAX - len(GET) - 6) + b"\r\n\r\n" + NEXT,
    "a target too long": b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "128 lines": GET + b"a: b\r\n" * 127 + b"\r\n" + NEXT,
    "129 lines": GET + b"a: b\r\n" * 128 + b"\r\n" + NEXT,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(stack, name):
    judge(stack, SAMPLES[name], name)


def test_a_whole_head_is_taken(stack):
    answers = judge(stack, SAMPLES["a head of 16,384 bytes"])
    assert [status for status, _, _ in answers] == [200, 200]


def test_too_large_a_head_is_a_problem(stack):
    answers = judge(stack, SAMPLES["a head of 16,385 bytes"])
    assert json.loads(answers[-1][2])["code"] == "head_too_large"


def test_head_is_answered_without_its_body(stack):
    data = GET.replace(b"GET", b"HEAD") + b"\r\n" + NEXT
    answers = read_answers(send(stack, data), [b"HEAD"])
    assert [status for status, _, _ in answers] == [200, 200]


def test_what_follows_the_end_takes_no_answer_along(stack):
    """Connection: close and bytes behind it: a reset would overtake the answer."""
    data = (
        GET.replace(b"/healthz", b"/openapi.json") + b"Connection: close\r\n\r\n" + b"\r\n" * 50000
    )
    answers = read_answers(send(stack, data), [])
    assert [status for status, _, _ in answers] == [200]


# --- odd heads: what is answered, and how often ---------------------------------------------------

CHUNKED = GET + b"Transfer-Encoding: chunked\r\n\r\n"
HI = b"2\r\nhi\r\n0\r\n\r\n"
NOTHING, ENDS_IT, BOTH = [], [400], [200, 200]
IN_BODY = "in the body"  # the head was good: its answer, or that of its body, which ends it
ODD = {
    "NUL first": (b"\0" + GET + b"\r\n" + NEXT, ENDS_IT),
    "NUL behind the version": (b"GET /healthz HTTP/1.1\0\r\nHost: x\r\n\r\n" + NEXT, ENDS_IT),
    "NUL in Host": (b"GET /healthz HTTP/1.1\r\nHost: x\0y\r\n\r\n" + NEXT, ENDS_IT),
    "NUL in a chunk's size": (CHUNKED + b"2\0\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "NUL in a trailer": (CHUNKED + b"0\r\nA: \0\r\n\r\n" + NEXT, IN_BODY),
    "a name of two words": (GET + b"A B: x\r\n\r\n" + NEXT, ENDS_IT),
    "a name in brackets": (GET + b"A[]: x\r\n\r\n" + NEXT, ENDS_IT),
    "a name outside ASCII": (GET + b"\xc3\xa9: x\r\n\r\n" + NEXT, ENDS_IT),
    "a colon in a value": (GET + b"A:b:c\r\n\r\n" + NEXT, BOTH),
    "bare LF between lines": (GET + b"A: b\nB: c\r\n\r\n" + NEXT, ENDS_IT),
    "bare LF at the end": (GET + b"\n" + NEXT, ENDS_IT),
    "CR CR LF": (GET + b"A: b\r\r\n\r\n" + NEXT, ENDS_IT),
    "bare CR in the first line": (b"GET /healthz\rHTTP/1.1\r\nHost: x\r\n\r\n", ENDS_IT),
    "a folded length": (GET + b"Content-Length:\r\n 2\r\n\r\nhi" + NEXT, ENDS_IT),
    "a fold by a tab": (GET + b"A: b\r\n\tc\r\n\r\n" + NEXT, ENDS_IT),
    "a fold before any line": (b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n" + NEXT, ENDS_IT),
    "equal lengths": (GET + b"Content-Length: 2\r\n" * 2 + b"\r\nhi" + NEXT, ENDS_IT),
    "two lengths": (
        GET + b"Content-Length: 0\r\nContent-Length: 2\r\n\r\nhi" + NEXT,
        ENDS_IT,
    ),
    "a length and more": (GET + b"Content-Length: 2;\r\n\r\nhi" + NEXT, ENDS_IT),
    "a length in blanks": (GET + b"Content-Length: \t 2 \r\n\r\nhi" + NEXT, BOTH),
    "a length, then a coding": (
        GET + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + HI + NEXT,
        ENDS_IT,
    ),
    "a coding, then a length": (
        GET + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + HI + NEXT,
        ENDS_IT,
    ),
    "chunked twice": (
        GET + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + HI + NEXT,
        ENDS_IT,
    ),
    "chunked in two lines": (
        GET + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + HI + NEXT,
        ENDS_IT,
    ),
    "no coding": (GET + b"Transfer-Encoding: \r\n\r\n" + HI + NEXT, ENDS_IT),
    "CHUNKED": (GET + b"Transfer-Encoding: CHUNKED\r\n\r\n" + HI + NEXT, BOTH),
    "an extension": (CHUNKED + b'2;a="b;c"\r\nhi\r\n0;z\r\n\r\n' + NEXT, BOTH),
    "a trailer that would frame": (CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n" + NEXT, BOTH),
    "a folded trailer": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n" + NEXT, IN_BODY),
    "a size with a sign": (CHUNKED + b"+2\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "a size with 0x": (CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "a size behind a blank": (CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "no size": (CHUNKED + b"\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "a size of 2^64 + 2": (CHUNKED + b"10000000000000002\r\nhi\r\n0\r\n\r\n" + NEXT, IN_BODY),
    "a refused path": (GET.replace(b"/healthz", b"/nowhere") + b"\r\n" + NEXT, [404, 200]),
    "a refused caller": (GET.replace(b"/healthz", b"/memory") + b"\r\n" + NEXT, [401, 200]),
    "a refused caller's body": (
        b"POST /webhook/memory/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" + NEXT,
        [401, 200],
    ),
    "a refused method": (GET.replace(b"GET", b"DELETE") + b"\r\n" + NEXT, [405, 200]),
    "a name too long": (GET + b"a" * 17000 + b": b\r\n\r\n" + NEXT, [431]),
    "1.0 without Host": (b"GET /healthz HTTP/1.0\r\n\r\n" + NEXT, [200]),
    "HTTP/1.2": (GET.replace(b"1.1", b"1.2") + b"\r\n" + NEXT, BOTH),
    "HTTP/1.10": (GET.replace(b"1.1", b"1.10") + b"\r\n" + NEXT, ENDS_IT),
    "HTTP/01.1": (GET.replace(b"1.1", b"01.1") + b"\r\n" + NEXT, ENDS_IT),
    "http/1.1": (GET.replace(b"HTTP", b"http") + b"\r\n" + NEXT, ENDS_IT),
    "HTTP/0.9": (b"GET /healthz\r\n" + NEXT, ENDS_IT),
    "a blank before the method": (b" " + GET + b"\r\n" + NEXT, ENDS_IT),
    "a tab in the first line": (GET.replace(b" /", b"\t/") + b"\r\n" + NEXT, ENDS_IT),
    "two empty lines first": (b"\r\n\r\n" + GET + b"\r\n" + NEXT, ENDS_IT),
    "absolute-form": (GET.replace(b"/healthz", b"http://x/healthz") + b"\r\n" + NEXT, BOTH),
    "a Host with a path": (GET.replace(b"Host: x", b"Host: x/y") + b"\r\n" + NEXT, ENDS_IT),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT, [404, 200]),
    "an upgrade": (
        GET + b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n" + NEXT,
        BOTH,
    ),
    "keep-alive and close": (GET + b"Connection: keep-alive, Close\r\n\r\n" + NEXT, [200]),
    "a head that ends": (GET[:-2], NOTHING),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_heads(stack, name):
    data, wanted = ODD[name]
    answers = read_answers(send(stack, data), [])
    statuses = [status for status, _, _ in answers]
    if wanted == IN_BODY:
        assert statuses in ([200], [400]), answers
    else:
        assert statuses == wanted, answers
    for status, headers, body in answers:
        if status >= 400:
            assert headers[b"content-type"] == b"application/problem+json"
            assert json.loads(body)["status"] == status
    if statuses and len(statuses) < 2:
        assert answers[-1][1][b"connection"] == b"close"


# --- generated ------------------------------------------------------------------------------------

LINES = [
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:chunked ",
    b"Transfer-Encoding: identity",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Host: y",
    b"X: y",
    b": x",
    b"\0",
    b"X:",
    b"X : y",
    b"X y",
    b" x",
    b"Content-Length: 5\0",
    b"Content-Length: 05",
    b"Content-Length: 5 ",
    b"Expect: x",
    b"Cookie: " + b"c" * 9000,
    b"X: \xff\xfe",
    b"X: \x01",
    b"X: \x7f",
    b"Keep-Alive: 5",
]
STARTS = [
    b"GET /healthz HTTP/1.1",
    b"GET /healthz HTTP/1.1",
    b"POST /healthz HTTP/1.1",
    b"GET /nowhere HTTP/1.1",
    b"GET /healthz HTTP/1.0",
    b"GET  /healthz HTTP/1.1",
    b"GET /healthz",
    b"GET /healthz HTTP/1.1 ",
    b"G@T / HTTP/1.1",
    b"GET /healthz HTTP/3.1",
    b"OPTIONS * HTTP/1.1",
    b"\r\nGET /healthz HTTP/1.1",
]
BODIES = [
    b"",
    b"",
    b"hello",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"05 ;x\r\nhello\r\n000\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"g\r\n",
    b"0\r\n: x\r\n\r\n",
]
ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"]


def make_case(rng):
    out = b""
    for _ in range(rng.randrange(1, 4)):
        lines = rng.sample(LINES, rng.choice([0, 0, 1, 1, 2, 3]))
        if rng.random() < 0.9:
            lines.insert(rng.randrange(len(lines) + 1), b"Host: x")
        out += rng.choice(STARTS) + rng.choice(ENDS)
        out += (
            b"".join(line + rng.choice(ENDS) for line in lines)
            + rng.choice(ENDS)
            + rng.choice(BODIES)
        )
    for _ in range(rng.choice([0, 0, 0, 1, 2])):  # and bytes of chance
        at = rng.randrange(len(out))
        out = (
            out[:at]
            + rng.choice([b"", bytes([rng.randrange(256)]), b"\0", b"\r", b"\n", b" ", b":"])
            + out[at + 1 :]
        )
    return out


def test_generated(stack):
    rng = random.Random(os.environ.get("FRAMING_SEED", "7"))
    words = set()
    for number in range(int(os.environ.get("FRAMING_CASES", "500"))):
        case = make_case(rng)
        words.update(expected(case))
        judge(stack, case, f"case {number}")
    assert words == {"answer", BAD, BAD_BODY}  # the generator reaches all


def test_generated_in_pieces(stack):
    """The same answers when every byte comes by itself."""
    rng = random.Random(os.environ.get("FRAMING_SEED", "8"))
    host, port = stack.url.removeprefix("http://").split(":")
    for _ in range(20):
        case = next(c for c in iter(lambda: make_case(rng), None) if len(c) < 400)
        with socket.create_connection((host, int(port)), 30) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(60)
            back = b""
            try:
                for byte in case:
                    s.sendall(bytes([byte]))
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            while chunk := s.recv(65536):
                back += chunk
        assert words_of(read_answers(back, []), expected(case)) == expected(case), (
            f"{case!r}: {back!r}"
        )
