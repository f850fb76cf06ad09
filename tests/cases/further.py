# SPDX-License-Identifier: MIT
"""Further samples of the kinds in tests/cases/table.py: two or more of each, none of them in the files
of cases."""

import contextlib
import json
import re
import urllib.request
import uuid

from gantry_testing.wait import wait_until

from cases.table import (
    CHUNK,
    EVENT,
    INGEST,
    RUN,
    case,
    chunked,
    python,
    raw,
    shell,
    until_printed,
    words,
)

SEARCH = "/webhook/memory/search"


# --- K8, K9, K10: the sandbox --------------------------------------------------------------------
@case("K8+")
def printed_and_then_lost(stack):
    for kind, code, said in (
        (python, "import os,signal\nprint('one')\nos.kill(os.getpid(), signal.SIGKILL)", "one\n"),
        (python, "import sys\nsys.stdout.write('no newline')\nwhile True: pass", "no newline"),
        (
            shell,
            "printf before; python3 -c 'import os; print(1); os.abort()'; kill -9 $$",
            "before1\n",
        ),
    ):
        answer = until_printed(kind, stack, code, said)
        assert answer["output"]["stdout"] == said, answer


@case("K9+")
def results_are_kept_or_refused(stack):
    for code, value in (
        ("result=[1e308, -0.0, 12345678901234567890123]", b"12345678901234567890123"),
        ("result={'\\u2028': 'a\\tb'}", b"a\\tb"),
    ):
        body = {"task": {"type": "code.python", "code": code}}
        assert value in stack.client().post("/webhook/executor/run", body).ok().body
    for code, said in (("result={'a': b'x'}", "result.a"), ("result=[1, complex(1)]", "result[1]")):
        assert said in python(stack, code)["output"]["stderr"]


@case("K10+")
def the_workplace_counts_characters(stack):
    code = "printf 'é漢\\n' | awk '{print length}'; printf '漢\\n' | sed 's/./-/g'; date +%Z; TZ=Asia/Tokyo date +%Z"
    assert shell(stack, code)["output"]["stdout"] == "2\n-\nUTC\nJST\n"
    answer = python(
        stack, "import tempfile,pathlib\nprint(tempfile.gettempdir(), pathlib.Path.home())"
    )
    assert answer["output"]["stdout"] == "/tmp /work\n"


# --- K11: what was acknowledged and then refused can be heard --------------------------------------
REFUSED = {  # what a client publishes: (subject, payload, the subject of the event, its status)
    "malformed": ("memory.ingest", b'{"scope":', "memory", 400),
    "an array": ("memory.ingest", b"[]", "memory", 422),
    "another id": (
        "memory.ingest",
        b'{"scope":"s","text":"t","client_request_id":"a"}',
        "memory",
        422,
    ),
    "a secret": (
        "memory.ingest",
        b'{"scope":"s","text":"POSTGRES_PASSWORD=q7Zp2Lx9Vb4Nc8Rt6Wm3"}',
        "memory",
        422,
    ),
    "another tenant": (
        "memory.ingest",
        b'{"scope":"s","text":"t","tenant_id":"other"}',
        "memory",
        403,
    ),
    "no such memory": (
        "memory.patch",
        b'{"id":"01a2232f-5ce3-7712-9387-bd19c24906a2","text":"t"}',
        "memory",
        404,
    ),
    "an event": (
        "audit.append",
        json.dumps({**EVENT, "decision": "perhaps"}).encode(),
        "audit",
        422,
    ),
    "no event": ("audit.append", b"not json", "audit", 400),
    "no action": ("executor.run", b'{"task":{"type":"python","code":"1"}}', "job", 403),
}


@case("K11+")
def every_refusal_can_be_heard(stack):
    with contextlib.closing(stack.nats()) as nats:
        for what, (command, payload, family, status) in REFUSED.items():
            made = str(uuid.uuid4())
            sid = nats.subscribe(f"gantry.v1.{stack.workspace}.{family}.{made}.done")
            nats.flush()
            nats.js_publish(f"gantry.v1.{stack.workspace}.{command}", payload, msg_id=made)
            heard = nats.next(60, sid)
            assert heard.headers["Gantry-Status"] == str(status), (what, heard)
            assert json.loads(heard.data)["status"] == status, (what, heard)


# --- K13, K14, K15: strictness with help -----------------------------------------------------------
@case("K13+")
def names_of_credentials(stack):
    letters = "q7Zp2Lx9Vb4Nc8Rt6Wm3Ks5Jd1Hf0Gy"
    for text in (
        f"STRIPE_WEBHOOK_SECRET={letters}",
        f"export REDIS_PASSWORD='{letters}'",
        f'"client_secret": "{letters}"',
        f"Set-Cookie: sid={letters}{letters}",
    ):
        answer = stack.client().ingest("case:secrets", text)
        assert (answer.status, answer.code) == (422, "secret_in_text"), (text, answer)
    for text in ("password: <your password>", "the token is in the vault", "API_KEY=$API_KEY"):
        stack.client().ingest("case:secrets", f"{text} {uuid.uuid4()}").ok()


@case("K13++")
def passwords_of_commands_and_on_lines_of_their_own(stack):
    letters, short = "q7Zp2Lx9Vb4Nc8Rt6Wm3Ks5Jd1Hf0Gy", "q7Zp2Lx9"
    client = stack.client()
    for text in (
        f"mysql -u root -p{short} shop",
        f"mysqldump -h db -u root -p'{short}' shop | gzip",
        f"curl -sS -u ada:{short} https://x",
        f"curl https://x \\\n  --user 'ada:{short}'",
        f"sshpass -p {short} ssh host",
        f"docker login -u ada -p {short} registry.local",
        f"redis-cli -a {short} ping",
        f"svn co --username ada --password {short} svn://x",
        f"PGPASSWORD={short} psql -h db",
        f"password:\n  {letters}\n",
        f"db:\n  password: |\n    {letters}\n  port: 1\n",
        f'{{\n  "client_secret":\n    "{letters}"\n}}',
        f"tokens:\n  - {letters}\n",
        f"API key\n{letters}\n",
        f"ACCESS_KEY_ID={letters}",
        f"Access Key ID: {letters}",
    ):
        answer = client.ingest("case:secrets", text)
        assert (answer.status, answer.code) == (422, "secret_in_text"), (text, answer)
        assert letters not in words(answer)
        assert short not in words(answer)
    for metadata, field in (
        ({"args": ["mysql", "-u", "root", f"-p{short}"]}, "metadata.args[3]"),
        ({"args": ["sshpass", "-p", short, "ssh"]}, "metadata.args[2]"),
        ({"password": [letters]}, "metadata.password[0]"),
    ):
        answer = client.ingest("case:secrets", str(uuid.uuid4()), metadata=metadata)
        assert (answer.status, answer.code) == (422, "secret_in_text"), (metadata, answer)
        assert field in words(answer), answer
    for text in (
        "mkdir -p Release2024x",
        "docker run -p 8080:80 -u app:Group2024x img",
        "mysql -u root -p shop2024db",
        "mysql -uroot -p$MYSQL_PASSWORD1 shop",
        "cp -p Backup2024x.tar /srv",
        "ps -u ada2024xyz",
        "ssh -p 2222 host2024x",
        "curl -u admin:admin https://x",
        'curl -u "$USER:$TOKEN2024" https://x',
        "psql -p 5433 -U ada shop2024db",
        "password:\n  minLength: 12\n  pattern: ^[A-Za-z0-9]{12,64}$\n",
        "Rotate the token\n9fceb02d0ae598e95dc970b74767f19372d61af8 is the commit\n",
        "Password\nhunter2\n",
        "ACCESS_KEY_ID=<your access key id>",
        "The option -p of mysql asks for the password.",
        "tool --password PASSWORD",
    ):
        client.ingest("case:secrets", f"{text} {uuid.uuid4()}").ok()


@case("K14+")
def strict_and_helpful(stack):
    client = stack.client()
    client.search("x", since="2026-01-01 00:00:00Z").ok()
    assert "UTF-16" in words(
        client.post("/webhook/memory/search", '{"query":"x"}'.encode("utf-16-be")).ok(400)
    )
    client.request("GET", "/memory/?limit=1").ok()
    client.post(
        "/webhook/memory/search", {"query": "x", "since": None, "tags": None, "k": None}
    ).ok()
    said = words(
        client.request("POST", "/webhook/memory/search", "{}", {"Content-Type": "text/plain"}).ok(
            415
        )
    )
    assert "text/plain" in said
    assert "application/json" in said


@case("K14++")
def types_and_names(stack):
    client = stack.client()
    for kind in (
        "application/json; charset=us-ascii",
        'Application/JSON;Charset="US-ASCII" ; ',
        "application/json, application/json",
        "application/json; utf-8",
    ):
        client.request("POST", SEARCH, '{"query":"x"}', {"Content-Type": kind}).ok()
    said = words(
        client.request(
            "POST", SEARCH, "{}", {"Content-Type": "application/json, text/plain"}
        ).ok(415)
    )
    assert "Content-Type is text/plain, among 2 types: send application/json, once" in said
    for path, body, field in (
        (INGEST, {"scope": " ", "text": "x"}, "scope"),
        (INGEST, {"scope": "s", "text": "x", "tags": ["a", "\u200b"]}, "tags[1]"),
        (INGEST, {"scope": "s", "text": "x", "source": "\u2060\ufeff"}, "source"),
        ("/webhook/audit/append", {**EVENT, "actor": "\u3000"}, "actor"),
        ("/webhook/audit/append", {**EVENT, "target": "  "}, "target"),
        ("/keys", {"role": "viewer", "name": "\u00a0"}, "name"),
        ("/keys", {"role": "viewer", "owner": " \u200d "}, "owner"),
        (INGEST, {"scope": "s", "text": "x", "client_request_id": " "}, "client_request_id"),
    ):
        said = words(client.post(path, body).ok(422))
        assert f"{field}: must not be blank" in said, (path, body, said)
    client.get("/memory?scope=%20").ok()
    client.post("/memory/forget", {"scope": " "}).ok()


@case("K15+")
def one_word_for_one_thing(stack):
    client = stack.client()
    for path, body in (
        (RUN, {"task": {"type": "shell"}}),
        ("/ai/execute", {"actions": [{"action": "shell", "params": {}}]}),
    ):
        said = words(client.post(path, body).ok(403))
        assert "there is no action shell, or this workspace is not allowed it" in said
        assert "GET /ai/actions" in said
    client.get("/ai/jobs?status=done").ok(422)
    client.get("/ai/audit?decision=maybe").ok(422)


# --- attacks ----------------------------------------------------------------------------------------
def served(stack):
    client = stack.client("admin", "neighbour")
    client.ingest("s", f"the neighbour's {uuid.uuid4()}").ok()
    client.search("neighbour", scope="s").ok()
    client.get("/memory?limit=1").ok()


@case("F1+", "F2+", "F13+")
def a_flood_of_one_workspace(stack, name):
    """Without a limit of the rate; the neighbour is served while it goes on."""
    stream, command, payloads = {
        "F1+": ("MEMORY", "memory.delete", [b'{"id":', b"\xff", b"{}", b'{"id":"x"}']),
        "F2+": ("AUDIT", "audit.append", [b"{", b"{}", b'{"actor":1}', b"[]"]),
        "F13+": ("TASKS", "executor.run", [b"{", b"{}", b'{"task":{"type":"none"}}', b"null"]),
    }[name]
    lines = len(stack.log("ingest").splitlines()) if name == "F1+" else 0
    with contextlib.closing(stack.nats("admin", "hog")) as nats:
        for number in range(4000):
            nats.publish(
                f"gantry.v1.hog.{command}",
                payloads[number % len(payloads)],
                headers={"Nats-Msg-Id": str(uuid.uuid4())},
            )
            if number % 1000 == 999:
                nats.flush()
                served(stack)
    with contextlib.closing(stack.operator()) as operator:
        wait_until(
            lambda: operator.api(f"STREAM.INFO.{stream}")["state"]["messages"] == 0,
            60,
            "all is handled",
        )
    served(stack)
    if name == "F1+":
        assert len(stack.log("ingest").splitlines()) - lines < 200


@case("F3+")
def searches_that_cost(stack):
    hog = stack.client("admin", "hog", timeout=60)
    hog.ingest("case:cost", "tea and coffee and water " * 100).ok()
    for query in (
        '"tea coffee" ' * 2500,
        "(" * 20000,
        "te* " * 8000,
        "\u0301" * 15000,
        "tea OR " * 9000,
    ):
        assert hog.search(query[:60000], k=50, mode="text").status in (200, 504)
        served(stack)


@case("F5+")
def answers_to_foreign_subjects(stack):
    """Of every family, and to the id of a command that there is."""
    victim = stack.client("admin", "neighbour")
    stack.client().ingest("case:foreign", "not for others").ok()
    made = victim.ingest("s", str(uuid.uuid4())).ok().json["id"]
    with contextlib.closing(stack.nats("admin", "neighbour")) as ears:
        for family in ("memory", "audit", "job"):
            ears.subscribe(f"gantry.v1.neighbour.{family}.*.done")
        ears.flush()
        with contextlib.closing(stack.nats()) as nats:
            for family in ("memory", "audit", "job"):
                for one in (made, str(uuid.uuid4())):
                    nats.publish(
                        f"gantry.v1.{stack.workspace}.memory.list",
                        b'{"scope":"case:foreign"}',
                        reply=f"gantry.v1.neighbour.{family}.{one}.done",
                    )
            nats.flush()
            nats.request(f"gantry.v1.{stack.workspace}.memory.list", b'{"scope":"case:foreign"}')
        mark = victim.ingest("s", str(uuid.uuid4())).ok().json["id"]
        while (heard := ears.next(60)).subject.split(".")[-2] != mark:
            assert b"not for others" not in heard.data


@case("F7+", "F8+", "F9+", "F10+")
def framing_again(stack, name):
    get, post = b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"POST /healthz HTTP/1.1\r\nHost: x\r\n"
    for data in {
        "F7+": [
            get + b" : x\r\nGET /readyz HTTP/1.1\r\nHost: y\r\n\r\n",
            get + b"\t\r\nGET /readyz HTTP/1.1\r\nHost: y\r\n\r\n",
            post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ],
        "F8+": [
            get + b"X-A\0B: x\r\n\r\n",
            b"GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n",
            post + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
        ],
        "F9+": [
            b"POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
            + get
            + b"\r\n",
            b"POST /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            + get
            + b"\r\n",
        ],
        "F10+": [
            post + b"Content-Length: " + length + b"\r\n\r\n"
            for length in (b"1e3", b"3 0", b"30;", b"\xb2", b"30\r\nContent-Length: 31", b"0,0")
        ]
        + [b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    }[name]:
        answer = raw(stack, data)
        assert answer.count(b"HTTP/1.1 ") == 1, (data, answer)
        assert answer.startswith(b"HTTP/1.1 4"), (data, answer)
        assert b"application/problem+json" in answer, (data, answer)


@case("F11+")
def nested_queries(stack):
    for query in (
        "((" * 16000,
        '"(' * 16000,
        "!" * 40000,
        "a & " * 9000,
        "<->" * 9000,
        ":* " * 9000,
        "\\" * 50000,
    ):
        for mode in ("text", "hybrid"):
            assert stack.client().search(query[:60000], mode=mode).status == 200, query[:6]


@case("F12+")
def the_order_of_oom_again(stack):
    code = (
        "choom -n 0 -p $$ 2>/dev/null; python3 - <<'E' 2>/dev/null\n"
        "open('/proc/self/oom_score_adj', 'w').write('500')\nE\n"
        "(echo 10 > /proc/1/oom_score_adj) 2>/dev/null; cat /proc/self/oom_score_adj /proc/1/oom_score_adj"
    )
    assert shell(stack, code)["output"]["stdout"] == "1000\n1000\n"


# --- what is told -----------------------------------------------------------------------------------
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
NUMBER = r"(?:[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|NaN|[-+]Inf)"
SAMPLE = re.compile(
    rf"([a-z_]+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({NUMBER})(?: # \{{{LABEL}\}} {NUMBER}(?: {NUMBER})?)?"
)


def page_of_metrics(stack, accept):
    request = urllib.request.Request(
        stack.env["GANTRY_ADMIN_URL"] + "/metrics", headers={} if accept is None else {"Accept": accept}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        return answer.read().decode()


def read_metrics(text):
    """{(name, labels): value}; each line is well formed, each series there once, under its family."""
    told, closed, family, declared = {}, set(), None, set()
    for line in text.splitlines():
        if line == "# EOF":
            continue
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE", "UNIT"), line
            assert rest, line
            assert (word, name) not in declared, line
            declared.add((word, name))
            if name != family:
                closed.add(family)
            assert name not in closed, f"{name}: in two places"
            family = name
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        assert re.fullmatch(rf"{family}(_total|_bucket|_sum|_count)?", name), (family, line)
        assert (name, labels) not in told, line
        told[name, labels] = value
    return told


@case("F14+")
def the_page_of_metrics(stack):
    """Whatever strangers send, every line can be read, and the buckets of a histogram add up."""
    for start in (
        b'GET /a"b HTTP/1.1',
        b"GET /a%0Ab%22%7D%201 HTTP/1.1",
        b'B"REW /healthz HTTP/1.1',
        b"GET /healthz HTTP/1.1\r\ntraceparent: 00-\"\\-x-01",
    ):
        assert b"HTTP/1.1 " in raw(stack, start + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    for kind in ('a"b', "a\\", "x{y}", "a" * 64):
        assert stack.client().post(RUN, {"task": {"type": kind}}).status in (403, 422)
    for accept in (
        None,
        "",
        "*/*",
        "text/html",
        "application/json;q=0.9, text/*;q=0.1",
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        "application/openmetrics-text; q=, ;;,",
        "x" * 4000,
    ):
        told = read_metrics(page_of_metrics(stack, accept))
        assert len(told) > 100, accept
        buckets = {}
        for (name, labels), value in told.items():
            if name.endswith("_bucket"):
                le = re.search(r'(?:^|,)le="([^"]*)"', labels)
                key = name.removesuffix("_bucket"), re.sub(r'(?:^|,)le="[^"]*"', "", labels)
                buckets.setdefault(key, []).append((float(le[1]), float(value)))
        assert buckets
        for (name, labels), counts in buckets.items():
            assert counts == sorted(counts), (name, labels)
            assert [n for _, n in counts] == sorted(n for _, n in counts), (name, labels)
            assert counts[-1] == (float("inf"), float(told[f"{name}_count", labels or None]))


def references(doc):
    if isinstance(doc, dict):
        if isinstance(doc.get("$ref"), str):
            yield doc["$ref"]
        doc = list(doc.values())
    if isinstance(doc, list):
        for one in doc:
            yield from references(one)


def follow(document, reference):
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def excluded(schema):
    """Values that the schema of a parameter does not allow."""
    if "maximum" in schema:
        yield str(schema["maximum"] + 1)
    if "minimum" in schema:
        yield str(schema["minimum"] - 1)
    if schema.get("type") == "integer":
        yield from ("1.5", "x", "0x1")
    if "enum" in schema or schema.get("format") in ("uuid", "date-time"):
        yield "bogus"
    if "pattern" in schema and not re.search(schema["pattern"], "\x7f"):
        yield "%7F"


@case("F15+")
def the_document_is_true(stack):
    """What it points at is there, names are used once, what it excludes is refused, and methods that
    it does not name are 405."""
    document, client = stack.anonymous().get("/openapi.json").ok().json, stack.client()
    for reference in references(document):
        follow(document, reference)
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names)) > 20
    tried = 0
    for path, methods in document["paths"].items():
        place = re.sub(r"\{[^}]*\}", "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f", path)
        for method in {"get", "post", "put", "patch", "delete"} - set(methods):
            answer = client.request(method.upper(), place, None)
            assert answer.status == 405, (method, path, answer)
            allowed = {one.strip().lower() for one in answer.headers["Allow"].split(",")}
            assert allowed - {"head", "options"} == set(methods), (path, allowed)
        parameters = methods.get("get", {}).get("parameters", [])
        for parameter in parameters:
            if "$ref" in parameter or parameter["in"] != "query" or "{" in path:
                continue
            for value in excluded(parameter["schema"]):
                answer = client.get(f"{place}?{parameter['name']}={value}").ok(422)
                assert parameter["name"] in words(answer), (path, parameter, value)
                tried += 1
    assert tried > 20


def untyped(document, schema, place, seen=()):
    """Where an answer is any object, or a list of anything, and nothing says that it may be."""
    reference = schema.get("$ref")
    if reference:
        if reference not in seen:
            yield from untyped(document, follow(document, reference), place, (*seen, reference))
        return
    shaped = {"properties", "additionalProperties", "oneOf", "anyOf", "allOf"}
    if "object" in schema.get("type", "") and not shaped & set(schema):
        yield place
    if "array" in schema.get("type", "") and "items" not in schema:
        yield place + "[]"
    inner = [(f".{name}", one) for name, one in schema.get("properties", {}).items()]
    inner += [("[]", schema[word]) for word in ("items", "additionalProperties") if word in schema]
    inner += [("", one) for word in ("oneOf", "anyOf", "allOf") for one in schema.get(word, [])]
    for name, one in inner:
        if isinstance(one, dict):
            yield from untyped(document, one, place + name, seen)


@case("F15++")
def the_document_is_typed_and_taken(stack):
    """Answers have a type down to their leaves. The header of idempotency and the numbers of lists
    are taken and refused at the edges of what it says."""
    document, client = stack.anonymous().get("/openapi.json").ok().json, stack.client()
    found = [
        where
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        for status, answer in one["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind.endswith("json")
        for where in untyped(document, content["schema"], f"{method} {path} {status} ")
    ]
    assert not found
    pattern = document["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]
    for key in (uuid.uuid4().hex * 4, f"~ {uuid.uuid4()} !", "k" * 129, "k\xe9", "a\tb"):
        allowed = re.search(pattern, key) is not None
        body = {"scope": "case:key", "text": key}
        answer = client.post("/webhook/memory/ingest", body, idempotency_key=key)
        assert answer.status == (200 if allowed else 422), (key, answer)
        assert allowed or "Idempotency-Key" in words(answer), (key, answer)
    for path, methods in document["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            schema = parameter.get("schema", {})
            if "{" in path or parameter.get("in") != "query" or "maximum" not in schema:
                continue
            for value in (schema["minimum"], schema["maximum"]):
                answer = client.get(f"{path}?{parameter['name']}={value}")
                said = words(answer) if answer.status == 422 else ""
                wrong = rf"\b{parameter['name']}: must be (a whole number|from|at least|at most)"
                assert not re.search(wrong, said), (path, value, answer)


@case("F18+")
def more_small_things(stack):
    for path in ("/ai/audit?cursor=!", "/ai/jobs?cursor=%00", "/ai/dead-letters?cursor=x"):
        answer = stack.client().get(path).ok(422)
        assert "body" not in answer.json["detail"].lower(), answer
    for first in (b"d;a\r\r\n", b'd;a="\n"\r\n', b"0000000000000000000d\n", b"d;a\r\r\r\n"):
        assert b'"code":"malformed_request"' in chunked(stack, first + CHUNK), first
    for code in ("result='\\ud800'", "import sys\nresult={1: 'a', '1': 'b'}"):
        out = python(stack, code)["output"]
        assert out["stderr"] or out["result"]["value"] is not None, out


GET, POST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"POST /healthz HTTP/1.1\r\nHost: x\r\n"
CODES = {  # the code of what is refused before it is a request
    b"GET /healthz HTTP/1.1\r\n\r\n": "malformed_request",
    GET + b"A : b\r\n\r\n": "malformed_request",
    GET + b"Host: y\r\n\r\n": "malformed_request",
    POST + b"Content-Length: x\r\n\r\n": "malformed_request",
    POST + b"Transfer-Encoding: gzip\r\n\r\n": "malformed_request",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "malformed_request",
    GET + b"A: " + b"a" * 17000 + b"\r\n\r\n": "head_too_large",
    GET + b"A: b\r\n" * 200 + b"\r\n": "head_too_large",
}
EXTENSIONS = {  # the line before a chunk: whether it is taken
    b"d;a\n": False,
    b"d;a=\x00\r\n": False,
    b"d;a=\x1b[0m\r\n": False,
    b"d;\r\r": False,
    b"d a\r\n": False,
    b"d;" + b"a" * 70000 + b"\r\n": False,
    b'd ;a="b;c"\t;d\r\n': True,
    b"d;\xff\r\n": True,
}
BOUNDS = {  # a number in free JSON, as it is written: whether it is taken
    "9007199254740992": True,
    "-9007199254740992": True,
    "9007199254740993": False,
    "-9007199254740993": False,
    "1" + "0" * 30: False,
    "1" + "0" * 30 + ".0": True,
    "1e30": True,
    "-1.7976931348623157E+308": True,
    "1.8e308": False,
    "1e-400": True,
    "0." + "0" * 70 + "1": False,
}


@case("F18++")
def still_more_small_things(stack):
    for data, code in CODES.items():
        head, _, body = raw(stack, data).partition(b"\r\n\r\n")
        assert json.loads(body)["code"] == code, (data[:80], head, body)
    for first, taken in EXTENSIONS.items():
        answer = chunked(stack, first + CHUNK)
        assert answer.count(b"HTTP/1.1 ") == 1, first[:80]
        assert answer.startswith(b"HTTP/1.1 200 " if taken else b"HTTP/1.1 400 "), first[:80]
        assert taken or b'"code":"malformed_request"' in answer, first[:80]
    client = stack.client()
    for text, taken in BOUNDS.items():
        body = f'{{"scope":"case:bounds","text":"{uuid.uuid4()}","metadata":{{"n":{text}}}}}'
        answer = client.post("/webhook/memory/ingest", body)
        assert answer.status == (200 if taken else 422), (text, answer)
        assert taken or "metadata.n" in words(answer), (text, answer)
        assert taken or "send it as a string" in words(answer), (text, answer)
    for path, parameter in (
        ("/memory?limit=20&cursor=%F0%9F", "cursor"),
        ("/ai/audit?cursor=-1", "cursor"),
        ("/ai/jobs?limit=1e1", "limit"),
        ("/ai/audit?from=now", "from"),
    ):
        answer = client.get(path).ok(422)
        assert "body" not in words(answer).lower(), answer
        assert answer.json["errors"][0]["field"] == parameter, answer
    for written, said in (
        ('["a\\u0000b"]', "U+0000"),
        ('["\\udc00"]', "surrogate"),
        ('{"a":{"b":1,"b":2}}', "repeated"),
        ('{"\\ud800":1}', "surrogate"),
    ):
        code = f"import os; os.write(3, {written.encode()!r}); os._exit(0)"
        out = python(stack, code)["output"]
        assert (out["result"], out["truncated"]) == (None, False), (written, out)
        assert said in out["stderr"], (written, out)
