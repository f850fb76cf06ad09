# SPDX-License-Identifier: MIT
"""The cases from outside and the attacks, each as a check against a running stack.

CASES has a function for each id; it takes a gantry_testing Stack and fails by AssertionError.
ELSEWHERE names the tests of those that need a system of their own (an embedding server, faults,
floods). `tests/cases/run` runs them and prints a table.
"""

import concurrent.futures
import json
import re
import socket
import urllib.request
import uuid

from gantry_testing.stack import ROOT
from gantry_testing.wait import wait_until

CASES = {}
INGEST, APPEND, RUN = "/webhook/memory/ingest", "/webhook/audit/append", "/webhook/executor/run"
EVENT = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}
ELSEWHERE = {
    "63": "tests/integration/test_memory_openai.py::test_a_text_is_cut_until_it_is_taken",
    "65": "tests/faults/test_embedding_server.py::test_an_embedding_server_that_does_not_work",
    "35": "tests/e2e/test_search_cases.py",
    "F1": "tests/integration/test_fairness.py::test_a_full_dead_loses_the_oldest_and_stops_nobody",
    "F2": "tests/integration/test_fairness_audit.py",
    "F4": "tests/e2e/test_redis_share.py::test_previews_fill_their_own_share_only",
    "F5": "tests/integration/test_direct_clients.py::test_a_done_subject_carries_events_only",
    "F6": "tests/e2e/test_http_connections.py::test_idle_connections_make_room",
    "F6+": "tests/e2e/test_http_connections.py::test_begun_heads_make_room",
    "F6++": "tests/e2e/test_http_connections.py::test_kept_connections_make_room",
    "F13": "tests/faults/test_health.py::test_bad_messages_of_one_workspace_are_a_few_lines",
    "F16": "tests/integration/test_audit_log.py",
    "F14++": "tests/e2e/test_metrics.py::test_names_follow_the_conventions",
    "F16+": "tests/integration/test_audit_log.py::test_a_tile_beside_the_leaves_is_told",
    "F16++": "tests/integration/test_audit_log.py::test_a_damaged_checkpoint_is_told",
    "F17": "tests/faults/test_health.py::test_audit_is_stopped_while_no_worker_tells_of_itself",
    "F17+": "tests/faults/test_health.py::test_audit_is_stopped_while_its_workers_hang",
    "F17++": "tests/faults/test_health.py::test_audit_is_stopped_while_nothing_can_be_recorded",
}


def case(*names):
    def add(check):
        for name in names:
            CASES[name] = (check, (name,) if len(names) > 1 else ())
        return check

    return add


def run_case(stack, name):
    check, more = CASES[name]
    check(stack, *more)


def words(answer):
    problem = answer.json
    return " ".join(
        [problem["detail"], *(f"{e['field']}: {e['detail']}" for e in problem.get("errors", []))]
    )


# --- search -----------------------------------------------------------------------------------
FOUND = {  # case: [(text, [query, …]), …]
    "6": [("今日は成語しりとりをした", ["しりとり"])],
    "7": [("今天玩成语接龙游戏", ["成语接龙"])],
    "10": [("민수는 부산에서 커피숍을 열었다", ["커피숍", "부산"])],
    "11": [
        ("部署流程：先运行 make build，然后部署方案交给老王", ["部署方案", "go 部署 deployment"])
    ],
    "13": [
        ("getUserById reads one", ["user by id"]),
        ("my iPhone15 is new", ["iphone", "iphone 15", "iphone15", "phone"]),
        ("OAuth2Client connects", ["oauth", "oauth client"]),
    ],
    "16": [
        ("OvertimeService counts", ["overtime service"]),
        ("AttendanceRepository keeps", ["attendance repository"]),
    ],
    "17": [("screenshot foo.png is attached", ["foo"])],
    "18": [
        (
            "see https://www.canlii.org/en/on/laws/stat/rso-1990?lang=en&page=2",
            ["canlii", "canlii.org", "rso-1990"],
        )
    ],
    "19": [
        (
            'File "/srv/app/payments/stripe_client.py", line 3',
            ["stripe_client.py", "stripe_client", "payments"],
        )
    ],
    "21": [("Hikvision DS-7604NI-E1/4P/A", ["DS-7604", "DS-7604NI"])],
    "23": [
        ("write to ada.lovelace@example.com", ["lovelace", "example.com"]),
        ("POST /v1/orders/{id}/refund", ["orders refund"]),
        ("change postgresql.conf first", ["postgresql"]),
    ],
    "27": [("ΟΔΥΣΣΕΥΣ", ["οδυσσευς"])],
    "28": [("Bergstraße 5", ["BERGSTRASSE"])],
    "29": [("IŞIK yandı", ["ışık"])],
    "30": [("Herr Müller", ["muller", "mueller"]), ("محمد", ["مُحَمَّد"]), ("Nguyễn Văn", ["nguyen"])],  # noqa: E501
    "31": [("To be or not to be, that is the question", ["to be or not to be"])],
    "33": [
        ("Don Quixote is the favourite book of Will", ["Will", "Don"]),
        ("we discussed it at length with IT", ["IT"]),
    ],
    "34": [("extract with tar -xvf backup.tar.gz here", ["tar -xvf"])],
}


@case(*FOUND)
def found(stack, name):
    client, scope = stack.client(), f"case:{uuid.uuid4()}"
    for number in range(6):
        client.ingest(scope, f"an unrelated row about gardens and rivers, number {number}").ok()
    for text, _ in FOUND[name]:
        client.ingest(scope, text).ok()
    for text, queries in FOUND[name]:
        for query in queries:
            results = client.search(query, scope=scope, mode="text").ok().json["results"]
            assert results, f"{query}: nothing"
            assert results[0]["content"] == text, f"{query}: {results[0]['content']}"


@case("1")
def a_long_query(stack):
    """Two at once, and a one-word search of somebody else meanwhile."""
    client, scope = stack.client(timeout=60), f"case:{uuid.uuid4()}"
    line = "2026-01-01T00:00:00Z worker-{0}-{1} request {2} took {3} ms and more words for a log"
    logs = [
        "\n".join(line.format(i, j, uuid.uuid4(), i * j) for j in range(120)) for i in range(150)
    ]
    for text in logs:
        client.ingest(scope, text).ok()
    neighbour = stack.client("admin", "neighbour")
    neighbour.ingest("s", "anything").ok()

    def ask(number):
        asked = stack.client(timeout=60).search(logs[number][:4000], scope=scope)
        return asked.ok().json["results"][0]["content"] == logs[number]

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ask, number) for number in (3, 140)]
        neighbour.search("anything").ok()
        assert all(one.result() for one in both)


@case("3", "5", "F11")
def queries_that_broke_the_parser(stack, name):
    query = {"3": "-" * 33, "5": "- " * 33 + "tea", "F11": '"' * 60000}[name]
    stack.client().search(query, mode="text").ok()


@case("F3")
def one_search_blocks_no_other(stack):
    stack.client().ingest("case:lorem", "lorem ipsum dolor " * 20).ok()
    for query in ("lorem ipsum dolor " * 3640, "-lorem " * 9000, "lorem or " * 7000):
        assert stack.client().search(query[:65536], k=50).status in (200, 504)
        stack.client("admin", "neighbour").search("x").ok()


@case("24")
def normal_forms(stack):
    client, scope = stack.client(), f"case:{uuid.uuid4()}"
    client.ingest(scope, "caf\u00e9 au lait").ok()
    assert client.search("cafe\u0301", scope=scope, mode="text").ok().json["results_count"] == 1


# --- the sandbox -------------------------------------------------------------------------------
def submit(stack, kind, code, **task):
    seconds = task.pop("timeout_seconds", 20)
    body = {"task": {"type": kind, "code": code, **task}, "timeout_seconds": seconds}
    return stack.client(timeout=90).post(RUN, body, prefer="wait=60").ok().json


def python(stack, code, **task):
    return submit(stack, "code.python", code, **task)


def shell(stack, code, **task):
    return submit(stack, "code.shell", code, **task)


def until_printed(run, stack, code, said):
    """Its answer under a limit of time in which it has printed that: a slow machine needs more than
    two seconds to begin a program."""
    for seconds in (2, 10, 40):
        answer = run(stack, code, timeout_seconds=seconds)
        if answer["outcome"] != "timeout" or answer["output"]["stdout"].startswith(said):
            break
    return answer


@case("36", "37", "39")
def nothing_printed_is_lost(stack, name):
    code, expected = {
        "36": ("import time\nprint('step 1 done'); time.sleep(300)", "step 1 done\n"),
        "37": ("import time\nwhile 1: print('.', end=''); time.sleep(.1)", "."),
        "39": ("import os\nprint('hello'); os._exit(1)", "hello\n"),
    }[name]
    answer = until_printed(python, stack, code, expected)
    assert answer["output"]["stdout"].startswith(expected), answer
    assert answer["outcome"] == ("nonzero_exit" if name == "39" else "timeout")
    if name == "39":
        code = "import ctypes\nprint('before')\nctypes.string_at(0)"
        answer = python(stack, code)
        assert (answer["outcome"], answer["output"]["stdout"]) == ("signaled", "before\n"), answer


@case("41")
def an_exact_integer(stack):
    answer = stack.client().post(
        RUN, {"task": {"type": "code.python", "code": "result={'id':9007199254740993}"}}
    )
    assert b"9007199254740993" in answer.ok().body


@case("43")
def control_characters_in_a_result(stack):
    answer = python(stack, "result='a\\x1b[31mb'")
    assert answer["output"]["result"]["value"] == "a\x1b[31mb", answer


@case("45")
def a_query_of_a_long_number(stack):
    body = {
        "task": {
            "type": "json.query",
            "query": ".x|tonumber",
            "input": {"x": "7615917337495251231"},
        }
    }
    answer = stack.client().post(RUN, body).ok()
    out = answer.json["output"]
    assert answer.json["status"] == "failed" or out[
        "stdout"
    ].strip().encode() in answer.body.replace(out["stdout"].encode(), b"", 1), answer


@case("46")
def what_is_no_json(stack):
    for code, said in (
        ("import datetime\nresult={'d': datetime.datetime.now()}", "result.d"),
        ("result=float('nan')", "nan"),
        ("result={1,2}", "set"),
    ):
        answer = python(stack, code)
        assert said in answer["output"]["stderr"].lower(), answer


@case("47")
def files_left_out(stack):
    answer = python(
        stack,
        "open('big.txt','w').write('x'*200000)\nfor i in range(70): open(f'f{i}','w').write('x')",
    )
    assert answer["output"]["truncated"] is True
    assert "big.txt" in answer["output"]["stderr"]
    assert "200000" in answer["output"]["stderr"].replace(",", "").replace(" ", "")


@case("48", "50", "52", "54", "58")
def the_workplace(stack, name):
    kind, code, expected = {
        "48": (
            python,
            "import zoneinfo\nprint(zoneinfo.ZoneInfo('Asia/Tokyo'), len(zoneinfo.available_timezones())>400)",  # noqa: E501
            "Asia/Tokyo True\n",
        ),
        "50": (shell, "printf 'aé漢' | wc -m; x=漢字; echo ${#x}", "3\n2\n"),
        "52": (
            shell,
            "printf 'import asyncio\\nasync def m(): print(1)\\nasyncio.run(m())\\n' > b.py; python3 b.py",  # noqa: E501
            "1\n",
        ),
        "54": (shell, "set -u; echo $HOME; cd; pwd", "/work\n/work\n"),
        "58": (python, "\ufeffprint('ok')", "ok\n"),
    }[name]
    answer = kind(stack, code)
    assert answer["output"]["stdout"] == expected, answer
    if name == "58":
        assert shell(stack, "echo a\r\nexit 0\r\n")["outcome"] == "ok"


@case("55")
def what_is_visible_works(stack):
    """Each program of the case: it works, or it is not there."""
    tries = {
        "file": "echo text > a; file a | grep -q text",
        "perl": "perl -MJSON::PP -e 'print encode_json([1])' | grep -q 1",
        "gcc": "echo 'int main(void){return 0;}' > a.c; gcc a.c -o a.out && ./a.out",
        "openssl": "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout k -out c 2>/dev/null",  # noqa: E501
        "man": "man ls 2>/dev/null | grep -q ls",
    }
    broken = []
    for program, script in tries.items():
        code = f"command -v {program} >/dev/null || exit 42\n{script}"
        answer = shell(stack, code)
        if answer["output"]["exit_code"] not in (0, 42):
            broken.append((program, answer["output"]))
    assert not broken, broken


@case("56")
def no_network(stack):
    answer = python(stack, "import urllib.request\nurllib.request.urlopen('http://example.com')")
    assert "no network" in answer["output"]["stderr"], answer


@case("57")
def a_traceback_has_source(stack):
    answer = python(stack, "def f():\n    raise ValueError('x')\nf()")
    assert "raise ValueError('x')" in answer["output"]["stderr"], answer
    code = "import inspect\ndef f():\n    return 41\nprint(inspect.getsource(f))"
    assert "return 41" in python(stack, code)["output"]["stdout"]
    # It works, or fails at once and says so.
    code = (
        "import multiprocessing as m\nif __name__ == '__main__':\n"
        "    p = m.get_context('spawn').Process(target=print, args=('spawned',))\n"
        "    p.start(); p.join(); print(p.exitcode)"
    )
    answer = python(stack, code)
    out = answer["output"]
    assert answer["outcome"] != "timeout", answer
    assert "spawned" in out["stdout"] or "spawn" in out["stderr"], answer


@case("F12")
def the_order_of_oom(stack):
    answer = shell(stack, "echo 0 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj")
    assert answer["output"]["stdout"].strip() == "1000", answer


# --- NATS --------------------------------------------------------------------------------------
@case("59")
def without_an_id(stack):
    nats = stack.nats()
    sid = nats.subscribe(f"gantry.v1.{stack.workspace}.memory.*.done")
    nats.flush()
    text = f"without an id {uuid.uuid4()}"
    for more in ({}, {"Nats-Msg-Id": f"order-{uuid.uuid4()}"}):
        nats.publish(
            f"gantry.v1.{stack.workspace}.memory.ingest",
            json.dumps({"scope": "n", "text": text + str(len(more))}),
            headers=more,
        )
        while (done := nats.next(60, sid)).headers.get(
            "Gantry-Event"
        ) != "done" or text.encode() not in _stored(stack, done):
            pass
    nats.close()


def _stored(stack, done):
    return stack.client().get("/memory/" + done.subject.split(".")[-2]).body


@case("60")
def a_refusal_can_be_heard(stack):
    nats, made = stack.nats(), str(uuid.uuid4())
    memory = f"gantry.v1.{stack.workspace}.memory"
    sid = nats.subscribe(f"{memory}.{made}.done")
    nats.flush()
    nats.js_publish(f"{memory}.ingest", b'{"scope":"n","txt":"bad"}', msg_id=made)
    assert json.loads(nats.next(60, sid).data)["errors"]
    nats.close()
    answer = wait_until(
        lambda: (a := stack.client().get(f"/memory/{made}")).status != 404 and a, 30
    )
    assert answer.status == 422
    assert "txt" in words(answer)


@case("62")
def a_page_for_clients(stack):
    text = (ROOT / "docs/protocol.md").read_text()
    assert all(
        word in text for word in ("nats CLI", "nats-py", "nats.js", "_INBOX.", "Nats-Msg-Id")
    )


# --- HTTP: strictness with help ---------------------------------------------------------------
LETTERS = "q7Zp2Lx9Vb4Nc8Rt6Wm3Ks5Jd1Hf0GyTeUaXoQi"
SECRETS = {
    "66": [
        "DB_PASSWORD=" + LETTERS[:20],
        "DB_PASSWORD=" + LETTERS[:32],
        "DB_PASSWORD=" + LETTERS[:40],
    ],
    "67": [
        f"{n}={LETTERS[:40]}" for n in ("POSTGRES_PASSWORD", "MYSQL_ROOT_PASSWORD", "JWT_SECRET")
    ],
    "69": [
        "api_key=" + LETTERS[:16],
        "SECRET_KEY=" + LETTERS[:16],
        "token: " + LETTERS[:16],
        "Cookie: session=" + LETTERS + LETTERS[:24],
    ],
}


@case(*SECRETS)
def secrets(stack, name):
    for text in SECRETS[name]:
        answer = stack.client().ingest("case:secrets", text)
        assert (answer.status, answer.code) == (422, "secret_in_text"), (text, answer)


@case("70")
def placeholders(stack):
    for text in (
        "OPENAI_API_KEY=sk-" + "x" * 48,
        "AKIAIOSFODNN7EXAMPLE",
        "postgres://postgres:postgres@db:5432/app",
    ):
        stack.client().ingest("case:placeholders", text).ok()


@case("71")
def nulls(stack):
    stack.client().ingest(
        "case:null", str(uuid.uuid4()), tags=None, metadata=None, source=None, ttl_seconds=None
    ).ok()


@case("73", "75")
def encodings(stack, name):
    text = json.dumps({"scope": "case:bom", "text": str(uuid.uuid4())})
    if name == "73":
        stack.client().post(INGEST, b"\xef\xbb\xbf" + text.encode()).ok()
    else:
        assert "UTF-16" in words(stack.client().post(INGEST, text.encode("utf-16")).ok(400))


@case("76", "77", "79")
def content_types(stack, name):
    client, body = stack.client(), {"scope": "case:types", "text": str(uuid.uuid4())}
    post = lambda headers: client.request("POST", INGEST, json.dumps(body), headers)  # noqa: E731
    if name == "79":
        assert "application/x-www-form-urlencoded" in words(
            post({"Content-Type": "application/x-www-form-urlencoded"}).ok(415)
        )
        assert "gzip" in words(post({"Content-Encoding": "gzip"}).ok(415))
        return
    for kind in {
        "76": ("application/json; charset=utf8", "application/json; foo=bar", ""),
        "77": ("application/cloudevents+json; charset=utf-8",),
    }[name]:
        post({"Content-Type": kind}).ok()


@case("80")
def a_trailing_slash(stack):
    stack.client().post(INGEST + "/", {"scope": "case:slash", "text": "x"}).ok()


@case("82", "84")
def times(stack, name):
    client = stack.client()
    if name == "82":
        for since in ("2026-01-01", "2026-01-01T00:00:00"):
            client.search("x", since=since).ok()
        assert "Z" in words(client.search("x", since="yesterday").ok(422))
        return
    answer = client.get("/ai/audit?from=2026-01-01T00:00:00+00:00")
    assert answer.status == 200 or "%2B" in words(answer), answer


@case("85")
def a_plus_is_a_blank(stack):
    assert stack.client().get("/memory?scope=user:jeff+one@x.org").ok().json["items"] == []
    assert "%2B" in (ROOT / "docs/http.md").read_text()


@case("86")
def long_integers(stack):
    answer = stack.client().ingest("case:int", "x", metadata={"p_id": 7615917337495251231})
    assert answer.status == 422
    assert "send it as a string" in words(answer)


@case("87")
def control_characters(stack):
    stack.client().ingest("case:esc", f"\x1b[31m red \f {uuid.uuid4()}").ok()
    stack.client().search("\x1b[0m red").ok()
    assert "U+0007" in words(stack.client().ingest("a\x07", "x").ok(422))


@case("88")
def a_401_says_where(stack):
    said = set()
    for headers in (
        {},
        {"Authorization": "Basic eDp5"},
        {"X-API-Key": "Bearer " + stack.key()},
        {"X-API-Key": f'"{stack.key()}"'},
    ):
        answer = stack.anonymous().request("GET", "/memory", headers=headers).ok(401)
        said.add(answer.json["detail"])
    assert len(said) == 1
    assert "X-API-Key" in next(iter(said))
    assert "Authorization: Bearer" in next(iter(said))


@case("89")
def an_action_that_there_is_not(stack):
    answer = stack.client().post(RUN, {"task": {"type": "python", "code": "1"}}).ok(403)
    assert "GET /ai/actions" in words(answer)
    assert "there is no action python" in words(answer)
    assert "there is no action python" in words(
        stack.client().post("/ai/preview", {"action": "python", "params": {}})
    )


@case("90")
def a_long_cookie(stack):
    stack.client().request("GET", "/healthz", headers={"Cookie": "a=" + "x" * 8000}).ok()
    answer = stack.client().request("GET", "/healthz", headers={"Cookie": "a=" + "x" * 20000})
    assert (answer.status, answer.headers["Content-Type"]) == (431, "application/problem+json")


@case("91")
def blanks(stack):
    stack.client().ingest("case:blank", "   \n").ok(422)
    stack.client().search("   ").ok(422)


@case("93")
def an_empty_patch(stack):
    made = stack.client().ingest("case:patch", str(uuid.uuid4())).ok().json["id"]
    answer = stack.client().patch(f"/memory/{made}", {})
    assert answer.status == 422 or answer.json["version"] == 1


@case("94")
def a_status_that_there_is_not(stack):
    stack.client().get("/ai/audit?status=bogus").ok(422)
    stack.client().get("/ai/jobs?status=bogus").ok(422)


# --- framing -----------------------------------------------------------------------------------
def raw(stack, data):
    with socket.create_connection(("127.0.0.1", int(stack.ports["GATEWAY_PORT"])), 120) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        got = b""
        while part := link.recv(65536):
            got += part
    return got


CHUNK = b'{"query":"x"}\r\n0\r\n\r\n'  # behind the line of its size, which is d


def chunked(stack, chunks):
    """The answer to a search with this body: it is read, since key and path are right."""
    head = (
        "POST /webhook/memory/search HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"X-API-Key: {stack.key()}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return raw(stack, head.encode() + chunks)


@case("F7", "F8", "F9", "F10")
def framing(stack, name):
    key = stack.key().encode()
    for data in {
        "F7": [
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n: x\r\nGET /readyz HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",  # noqa: E501
            b"POST /healthz HTTP/1.1\r\nHost: x\r\n: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # noqa: E501
        ],
        "F8": [
            b"POST /webhook/memory/search HTTP/1.1\r\nHost: x\r\nX-API-Key: "
            + key
            + b"\0x\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /webhook/memory/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\0005\r\n\r\n{}",
        ],
        "F9": [
            b"POST /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"  # noqa: E501
            b"GET /healthz HTTP/1.0\r\n\r\n"
        ],
        "F10": [
            b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n"
            for length in (b"30, 30", b"+30", b"0x1d", b"-1", b"", b"18446744073709551617")
        ]
        + [b"GET /healthz HTTP/1.1\r\n\r\n"],
    }[name]:
        answer = raw(stack, data)
        assert answer.count(b"HTTP/1.1 ") == 1, answer
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"application/problem+json" in answer


@case("X-Forwarded-For")
def several_lines(stack):
    """One list in several lines: the nearest proxy wrote its end."""
    name = f"198.51.100.{uuid.uuid4().int % 200 + 1}"
    raw(
        stack,
        b"GET /memory HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.5, "
        + name.encode()
        + b"\r\nX-Forwarded-For: 127.0.0.9\r\n\r\n",
    )
    wait_until(
        lambda: (
            name in stack.client().get("/ai/audit?limit=100").ok().body.decode()
            or _refused(stack, name)
        ),
        40,
    )


def _refused(stack, address):
    with stack.database().cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_log WHERE convert_from(event, 'UTF8') LIKE %s",
            (f"%{address}%",),
        )
        return cursor.fetchone()[0] > 0


# --- what is told ------------------------------------------------------------------------------
@case("F14")
def names_of_metrics(stack):
    with urllib.request.urlopen(stack.env["GANTRY_ADMIN_URL"] + "/metrics", timeout=60) as answer:
        kinds = re.findall(r"^# TYPE (\S+) (\S+)$", answer.read().decode(), re.M)
    assert kinds
    assert not [n for n, kind in kinds if kind == "counter" and not n.endswith("_total")]
    assert not [n for n, kind in kinds if kind == "gauge" and n.endswith("_total")]
    assert not [n for n, _ in kinds if re.search(r"_(us|ms)(_|$)", n)]


@case("F15")
def the_document(stack):
    document = stack.anonymous().get("/openapi.json").ok().json
    assert document["servers"]
    bare = [
        (path, method)
        for path, operations in document["paths"].items()
        for method, one in operations.items()
        if any(
            content.get("schema") == {"type": "object"}
            for answer in one["responses"].values()
            for content in answer.get("content", {}).values()
        )
    ]
    assert not bare


@case("F18")
def small_things(stack):
    assert "body" not in stack.client().get("/memory?cursor=!").ok(422).json["detail"]
    stack.client().ingest("case:float", str(uuid.uuid4()), metadata={"n": 1e308}).ok()
    good = b"d;a=b\r\n" + CHUNK
    assert chunked(stack, good).startswith(b"HTTP/1.1 200 ")
    for first in (b"d;a=b\n", b"d;a\rb\r\n"):
        assert b'"code":"malformed_request"' in chunked(stack, first + CHUNK), first
    answer = python(stack, "result='a\\0b'")
    assert answer["output"]["stderr"] or answer["output"]["result"]["value"] is not None


import cases.further  # noqa: E402, F401 - it adds to CASES
