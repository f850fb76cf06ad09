# SPDX-License-Identifier: MIT
"""Traces from an HTTP request through the workers to the audit log, as a collector receives
them."""

import json
import os
import re
import subprocess
import urllib.request
import uuid

import pytest
from gantry_testing.collector import Collector
from gantry_testing.stack import ROOT
from gantry_testing.wait import wait_until

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(make_stack, collector):
    return make_stack(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url + "/",
        OTEL_TRACES_SAMPLER="parentbased_always_off",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a%2Cb, authorization=Basic%20c2VjcmV0",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,team=caf%C3%A9",
        TRACE_CLIENTS_PER_MINUTE=600,
        LOG_LEVEL="debug",
        ALLOW_ACTIONS_DEFAULT="ping",
    )


def new_trace(sampled=True):
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


def wait_for(collector, trace, *names):
    """The trace's spans by "program: name", when these are there."""
    def found():
        spans = {f"{span.program}: {span.name}": span for span in collector.of(trace)}
        return spans if set(names) <= set(spans) else None

    try:
        return wait_until(found, 60, str(names))
    except Exception:
        print(*collector.of(trace), sep="\n")
        raise


def check_common(spans, trace):
    ids = {span.id for span in spans.values()}
    for name, span in spans.items():
        assert span.trace == trace
        assert span.resource["service.name"] == "gantry-" + span.program
        assert span.resource["deployment.environment.name"] == "test"
        assert span.resource["team"] == "café"
        assert re.fullmatch("[0-9a-f]{8}", span.resource["service.instance.id"])
        if span.kind != SERVER:
            assert span.parent in ids, (name, span.parent)


def test_a_memory_from_the_gateway_to_the_log(traced, collector):
    trace, caller, parent = new_trace()
    client = traced.client()
    answer = client.post("/webhook/memory/ingest", {"scope": "traces", "text": f"follow {trace}"},
                         traceparent=parent, tracestate="rojo=1,congo=2")
    assert answer.status == 200
    address = "gantry.v1.{workspace}."
    spans = wait_for(
        collector,
        trace,
        "gateway: POST /webhook/memory/ingest",
        f"gateway: publish {address}memory.ingest",
        f"ingest: process {address}memory.ingest",
        "ingest: queue memory.ingest",
        "ingest: handle memory.ingest",
        "ingest: database postgresql",
        f"ingest: publish {address}audit.request",
        f"audit: process {address}audit.request",
    )
    check_common(spans, trace)
    server = spans["gateway: POST /webhook/memory/ingest"]
    publish = spans[f"gateway: publish {address}memory.ingest"]
    process = spans[f"ingest: process {address}memory.ingest"]
    report = spans[f"ingest: publish {address}audit.request"]
    audited = spans[f"audit: process {address}audit.request"]
    assert server.parent == caller
    assert publish.parent == server.id
    assert process.parent == publish.id
    assert report.parent == process.id
    assert audited.parent == report.id
    for stage in ("handle memory.ingest", "database postgresql"):
        assert spans["ingest: " + stage].parent == process.id
    assert [span.kind for span in (server, publish, process, report, audited)] == \
        [SERVER, PRODUCER, CONSUMER, PRODUCER, CONSUMER]
    assert server.state == publish.state == process.state == "rojo=1,congo=2"
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/webhook/memory/ingest",
        "url.path": "/webhook/memory/ingest",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "gantry.request_id": answer.headers["X-Request-ID"],
        "gantry.workspace": "default",
    }
    command = answer.json["id"]
    assert (
        publish.attributes["messaging.system"] == process.attributes["messaging.system"] == "nats"
    )
    assert publish.attributes["messaging.operation.type"] == "send"
    assert process.attributes["messaging.operation.type"] == "process"
    assert process.attributes["messaging.consumer.group.name"] == "ingest"
    assert process.attributes["messaging.destination.name"] == "gantry.v1.default.memory.ingest"
    assert process.attributes["messaging.message.id"] == publish.attributes["messaging.message.id"]
    assert process.attributes["gantry.request_id"] == answer.headers["X-Request-ID"]
    assert spans["ingest: database postgresql"].attributes["db.system.name"] == "postgresql"
    assert not any(span.failed for span in spans.values())
    path, headers = collector.requests[0]
    assert path == "/v1/traces"
    assert headers["Content-Type"] == "application/json"
    assert headers["x-tenant"] == "a,b"
    assert headers["authorization"] == "Basic c2VjcmV0"
    # The audit log knows the trace too.
    event = wait_until(
        lambda: next(
            (
                item
                for item in client.get("/ai/audit?action=memory.ingest&limit=100").json["items"]
                if item["request_id"] == answer.headers["X-Request-ID"]
            ),
            None,
        ),
        60,
        "its event",
    )
    assert event["trace_id"] == trace, (event, command)


def test_a_search_and_a_task(traced, collector):
    client = traced.client()
    trace, _, parent = new_trace()
    assert (
        client.post("/webhook/memory/search", {"query": "follow"}, traceparent=parent).status == 200
    )
    address = "gantry.v1.{workspace}."
    spans = wait_for(
        collector,
        trace,
        "gateway: POST /webhook/memory/search",
        f"gateway: request {address}memory.search",
        f"search: process {address}memory.search",
        "search: handle memory.search",
        "search: database postgresql",
        f"search: publish {address}audit.request",
        f"audit: process {address}audit.request",
    )
    check_common(spans, trace)
    request, process = (spans[name] for name in (f"gateway: request {address}memory.search",
                                                 f"search: process {address}memory.search"))
    assert request.kind == CLIENT
    assert process.parent == request.id
    assert (
        spans[f"audit: process {address}audit.request"].parent
        == spans[f"search: publish {address}audit.request"].id
    )

    trace, _, parent = new_trace()
    assert (
        client.post("/webhook/executor/run", {"task": {"type": "ping"}}, traceparent=parent).status
        == 200
    )
    spans = wait_for(
        collector,
        trace,
        "gateway: POST /webhook/executor/run",
        f"gateway: publish {address}executor.run",
        f"executor: process {address}executor.run",
        "executor: handle executor.run",
        "executor: database redis",
        f"executor: publish {address}audit.request",
        f"audit: process {address}audit.request",
    )
    check_common(spans, trace)
    assert (
        spans[f"executor: process {address}executor.run"].parent
        == spans[f"gateway: publish {address}executor.run"].id
    )


def test_every_action_of_a_call_is_in_its_trace(traced, collector):
    trace, _, parent = new_trace()
    answer = traced.client().post(
        "/ai/execute", {"actions": [{"action": "ping", "params": {}}] * 2}, traceparent=parent
    )
    assert answer.status == 202

    def ends():
        return {span.attributes["messaging.message.id"]: span for span in collector.of(trace)
                if span.name == "process gantry.v1.{workspace}.executor.run"}

    wait_until(lambda: set(ends()) == set(answer.json["job_ids"]), 60, "both jobs")
    hops = {
        span.id
        for span in collector.of(trace)
        if span.name == "publish gantry.v1.{workspace}.executor.run"
    }
    assert len(hops) == 2
    assert {span.parent for span in ends().values()} == hops


def test_failures_are_marked(traced, collector):
    trace, _, parent = new_trace()
    assert traced.client().get("/no/such/path", traceparent=parent).status == 404
    span = wait_for(collector, trace, "gateway: GET")["gateway: GET"]
    assert not span.failed
    assert span.attributes["http.response.status_code"] == 404
    assert "http.route" not in span.attributes
    assert span.attributes["url.path"] == "/"


def test_what_is_not_wished_is_not_exported(traced, collector):
    """parentbased_always_off: without a parent, with one that is dark, or with one that is none."""
    client = traced.client()
    dark, _, parent = new_trace(sampled=False)
    assert client.post("/webhook/memory/search", {"query": "x"}, traceparent=parent).status == 200
    upper = uuid.uuid4().hex.upper()
    bad = [
        f"00-{upper}-{'a' * 16}-01",
        f"ff-{uuid.uuid4().hex}-{'a' * 16}-01",
        f"00-{'0' * 32}-{'a' * 16}-01",
        f"00-{uuid.uuid4().hex}-{'0' * 16}-01",
        f"00-{uuid.uuid4().hex}-{'a' * 16}-01-more",
        "x" * 4000,
        "00",
        "",
    ]
    for text in bad:
        assert client.post("/webhook/memory/search", {"query": "x"}, traceparent=text).status == 200
    last, _, parent = new_trace()
    assert client.post("/webhook/memory/search", {"query": "x"}, traceparent=parent,
                       tracestate="a=" + "x" * 600).status == 200
    spans = wait_for(collector, last, "audit: process gantry.v1.{workspace}.audit.request")
    assert all(span.state is None for span in spans.values())
    known = {span.trace for span in collector.spans}
    assert dark not in known
    assert not known & {text[3:35].lower() for text in bad if len(text) > 35}


def test_a_nats_client_may_bring_a_trace(traced, collector):
    trace, caller, parent = new_trace()
    nats = traced.nats()
    reply = nats.request(
        "gantry.v1.default.memory.search",
        json.dumps({"query": "follow"}).encode(),
        headers={"traceparent": parent},
        timeout=60,
    )
    nats.close()
    assert json.loads(reply.data)["status"] == "success"
    spans = wait_for(collector, trace, "search: process gantry.v1.{workspace}.memory.search")
    assert spans["search: process gantry.v1.{workspace}.memory.search"].parent == caller


def test_exemplars_name_exported_traces(traced, collector):
    trace, _, parent = new_trace()
    traced.client().post("/webhook/memory/search", {"query": "exemplar"}, traceparent=parent)

    def page():
        request = urllib.request.Request(
            traced.env["GANTRY_ADMIN_URL"] + "/metrics",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    assert re.search(
        rf'^http_request_duration_seconds_bucket\{{.*\}} \d+ # \{{trace_id="{trace}"\}} ',
        page(),
        re.M,
    )
    wait_until(
        lambda: re.search(
            rf'^gantry_command_stage_seconds_bucket\{{program="search".*trace_id="{trace}"',
            page(),
            re.M,
        ),
        60,
        "the worker's exemplar",
    )
    shown = set(re.findall(r'trace_id="(\w+)"', page()))
    wait_until(
        lambda: shown <= {span.trace for span in collector.spans},
        60,
        "all of them at the collector",
    )


def log_lines(stack, request_id):
    done = subprocess.run(
        [ROOT / "deploy/stack/logs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "STACK_DIR": str(stack.directory), "REQUEST": request_id},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def traces_of(stack, answer, *programs):
    """The trace ids that these programs name in their log lines about the request."""
    request_id = answer.headers["X-Request-ID"]
    lines = wait_until(
        lambda: (found := log_lines(stack, request_id))
        and {line["prog"] for line in found} >= set(programs)
        and found,
        60,
        f"lines of {programs}",
    )
    return {line["trace_id"] for line in lines}


def test_a_request_without_a_trace_is_one_of_its_id(traced):
    """No header says which trace it is: every program finds it in the request's id."""
    client, text = traced.client(), f"implied {uuid.uuid4().hex}"
    stored = client.post("/webhook/memory/ingest", {"scope": "traces", "text": text})
    listed = client.get("/memory?limit=1")
    many = client.post("/ai/execute", {"actions": [{"action": "ping", "params": {}}] * 2})
    for answer, programs in (
        (stored, ["gateway", "ingest", "audit"]),
        (listed, ["gateway", "search"]),
        (many, ["gateway", "executor", "audit"]),
    ):
        assert answer.status in (200, 202)
        request_id = answer.headers["X-Request-ID"]
        assert traces_of(traced, answer, *programs) == {request_id.replace("-", "")}

    def event():
        items = client.get("/ai/audit?action=memory.ingest&limit=100").json["items"]
        wanted = stored.headers["X-Request-ID"]
        return next((item for item in items if item["request_id"] == wanted), None)

    trace = stored.headers["X-Request-ID"].replace("-", "")
    assert wait_until(event, 60, "its event")["trace_id"] == trace


def test_a_clients_request_id_is_no_trace(traced):
    """A client may send one id again and again: the trace of each request is its own, and the same
    in every program."""
    client, request_id = traced.client(), str(uuid.uuid4())
    for _ in range(2):
        answer = client.post("/webhook/memory/search", {"query": "x"}, x_request_id=request_id)
        assert answer.headers["X-Request-ID"] == request_id

    def traces():
        lines = log_lines(traced, request_id)
        found = {program: [line["trace_id"] for line in lines if line["prog"] == program]
                 for program in ("gateway", "search")}
        return found if all(len(ids) == 2 for ids in found.values()) else None

    found = wait_until(traces, 60, "two lines of each program")
    assert sorted(found["gateway"]) == sorted(found["search"])
    assert len(set(found["gateway"])) == 2
    assert request_id.replace("-", "") not in found["gateway"]


def test_logs_follow_a_request(traced):
    """The same request in the logs of every program that it passed, by request id and by trace
    id."""
    trace, _, parent = new_trace()
    client, request_id = traced.client(), f"follow-{uuid.uuid4().hex}"
    answer = client.post("/webhook/memory/ingest", {"scope": "traces", "text": f"logged {trace}"},
                         x_request_id=request_id, traceparent=parent)
    assert answer.status == 200
    assert answer.headers["X-Request-ID"] == request_id

    def lines():
        return log_lines(traced, request_id)

    wait_until(
        lambda: {line["prog"] for line in lines()} >= {"gateway", "ingest", "audit"},
        60,
        "three programs",
    )
    for line in lines():
        assert line["request_id"] == request_id
        assert line["trace_id"] == trace
        assert line["workspace"] == "default"
        assert line["route"] in ("/webhook/memory/ingest", "memory.ingest", "audit.request"), line
    text = subprocess.run(
        "cat " + str(traced.directory / "log/*.log"), shell=True, capture_output=True, text=True
    ).stdout
    assert "c2VjcmV0" not in text, "the collector's credential is in no log"


def test_a_dead_collector_delays_nobody(traced, collector):
    def counts():
        with urllib.request.urlopen(
            traced.env["GANTRY_ADMIN_URL"] + "/metrics", timeout=60
        ) as answer:
            text = answer.read().decode()
        return {
            name: int(value)
            for name, value in re.findall(
                r"^gantry_gateway_(spans_\w+|traces_\w+) (\d+)$", text, re.M
            )
        }

    before, client = counts(), traced.client()
    assert before["spans_exported_total"] > 0
    collector.status = 400  # final: no further try
    try:
        trace, _, parent = new_trace()
        assert client.get("/memory?limit=1", traceparent=parent).status == 200
        wait_until(
            lambda: counts()["spans_dropped_total"] > before["spans_dropped_total"],
            60,
            "dropped spans",
        )
    finally:
        collector.status = 200
    trace, _, parent = new_trace()
    assert client.get("/memory?limit=1", traceparent=parent).status == 200
    wait_for(collector, trace, "gateway: GET /memory")
