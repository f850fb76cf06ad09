# SPDX-License-Identifier: MIT
"""The operators' page shows every program of the stack, in both of Prometheus' formats."""
import re
import shutil
import subprocess
import urllib.request

import pytest
from gantry_testing import servers
from gantry_testing.stack import ROOT

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def page(stack):
    """page() is the text; page(accept) asks for a format and gives (content type, text)."""
    def read(accept=None):
        request = urllib.request.Request(stack.env["GANTRY_ADMIN_URL"] + "/metrics",
                                         headers={"Accept": accept} if accept else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
            return (answer.headers["Content-Type"], text) if accept else text
    return read


@pytest.fixture(scope="module")
def busy(stack, page):
    """One of each kind of work, counted."""
    client = stack.client()
    client.post("/webhook/memory/ingest", {"scope": "metrics", "text": "numbers to count by"})
    client.post("/webhook/memory/search", {"query": "numbers", "scope": "metrics"})
    client.post("/webhook/executor/run", {"task": {"type": "ping"}})
    client.get("/ai/audit?limit=1")
    client.get("/no/such/path")
    wanted = [
        'command="memory.ingest",stage="database"',
        'command="memory.search",stage="database"',
        'command="executor.run",stage="queue"',
        'action="ping",outcome="ok"',
    ]
    servers.wait_until(lambda: all(one in page() for one in wanted), 60, "every program's numbers")
    return page


def test_every_worker_shows_its_numbers(page):
    def of_all():
        text = page()
        healthy = r'^gantry_worker_healthy\{program="(\w+)",replica="\w+"\} 1$'
        programs = set(re.findall(healthy, text, re.M))
        return programs == {"ingest", "search", "audit", "executor"} and text

    text = servers.wait_until(of_all, 60, "all workers")
    names = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert len(names) == len(set(names)), "each name is declared once"
    wanted = set(
        re.findall(r"\b(?:gantry|http|ai|process)_\w+", (ROOT / "deploy/alerts.yml").read_text())
    )
    wanted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in wanted}
    assert len(wanted) > 15, "no alert waits for a number that nobody counts"
    assert not wanted - set(names), "no alert waits for a number that nobody counts"


def sample(text, name, **labels):
    """The value of the one sample with these labels."""
    found = [line for line in text.splitlines() if re.match(name + r"[{ ]", line)
             and all(f'{key}="{value}"' in line for key, value in labels.items())]
    assert len(found) == 1, (name, labels, found)
    return float(found[0].split(" # ")[0].rsplit(" ", 1)[1])


def test_requests_are_counted_by_route_method_and_status(busy, stack):
    before, client = busy(), stack.client()
    labels = {"route": "/webhook/memory/search", "method": "POST"}
    for query in ("numbers", "numbers to count"):
        assert (
            client.post("/webhook/memory/search", {"query": query, "scope": "metrics"}).status
            == 200
        )
    client.post("/webhook/memory/search", {"scope": "metrics"})
    after = busy()

    def grown(name, **more):
        return sample(after, name, **labels, **more) - (
            sample(before, name, **labels, **more)
            if f"{name}{{" in before and all(str(v) in before for v in more.values())
            else 0
        )

    assert grown("http_requests_total", status="200") == 2
    assert sample(after, "http_requests_total", **labels, status="422") >= 1
    assert grown("http_request_duration_seconds_count") == 3
    assert grown("http_request_duration_seconds_bucket", le="+Inf") == 3
    assert grown("http_request_duration_seconds_sum") > 0


def test_paths_of_others_are_one_route(busy, stack):
    client = stack.client()
    for path in ("/wp-login.php", "/webhook/memory/ingest/deeper", "/memory/not-an-id/what"):
        client.get(path)
    client.request("BREW", "/coffee")
    routes = set(re.findall(r'^http_requests_total\{route="([^"]*)"', busy(), re.M))
    document = client.get("/openapi.json").json
    pages = {"/docs", "/console", "/console/{file}", "other"}
    assert routes <= set(document["paths"]) | pages
    assert "other" in routes
    assert not any("not-an-id" in route for route in routes)
    assert set(re.findall(r'^http_requests_total\{.*method="([^"]*)"', busy(), re.M)) <= \
        {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OTHER"}


def test_jobs_and_stages(busy):
    assert sample(busy(), "ai_job_duration_seconds_count", action="ping", outcome="ok") >= 1
    for status in ("running", "pending"):
        depth = f'ai_queue_depth_total{{status="{status}"}}'
        servers.wait_until(lambda depth=depth: depth in busy(), 60, depth)
        assert sample(busy(), "ai_queue_depth_total", status=status) >= 0
    for program, command, stages in [
        ("ingest", "memory.ingest", {"queue", "handler", "database", "audit"}),
        ("search", "memory.search", {"queue", "handler", "database", "audit"}),
        ("executor", "executor.run", {"queue", "handler", "database", "audit"}),
        ("gateway", "memory.ingest", {"publish"}),
        ("gateway", "memory.search", {"reply"}),
    ]:
        count = (
            rf'^gantry_command_stage_seconds_count\{{program="{program}",replica="\w+",'
            rf'command="{re.escape(command)}",stage="(\w+)"\}}'
        )
        # A worker tells its numbers every few seconds, and its event is recorded after its answer.
        servers.wait_until(
            lambda count=count, stages=stages: stages <= set(re.findall(count, busy(), re.M)),
            60,
            f"{stages} of {program}, {command}",
        )


def test_processes_tell_of_themselves(busy):
    text = busy()
    for program in ("gateway", "ingest", "search", "audit", "executor"):
        assert sample(text, "process_resident_memory_bytes", program=program) > 1e6
        assert sample(text, "process_cpu_seconds_total", program=program) > 0
        assert (
            3
            < sample(text, "process_open_fds", program=program)
            < sample(text, "process_max_fds", program=program)
        )
        assert sample(text, "process_start_time_seconds", program=program) > 1.7e9
        assert sample(text, "gantry_build_info", program=program) == 1


def test_names_follow_the_conventions(busy):
    """What `promtool check metrics` looks at; it is asked itself where it is installed."""
    text = busy()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
    assert len(kinds) > 40
    helped = set(re.findall(r"^# HELP (\S+) \S+", text, re.M))
    for name, kind in kinds.items():
        assert name in helped, name
        # The contract's name of a gauge: told as "untyped", which promtool lets pass.
        assert name.endswith("_total") == (kind == "counter") or (name, kind) == (
            "ai_queue_depth_total",
            "untyped",
        )
        assert not re.search(
            r"_(us|ms|ns|usec|msec|kb|mb|min|micros|millis|milliseconds|kilobytes)(_|$)", name
        ), name
        assert not re.search(r"counter|gauge|histogram|jobs_", name), name
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done


def test_alert_rules_are_valid():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(
        ["promtool", "check", "rules", ROOT / "deploy/alerts.yml"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "SUCCESS" in done.stdout, done


def test_the_document_names_both_formats(busy, stack):
    page = (
        stack.client()
        .get("/openapi.json")
        .json["x-operator-paths"]["/metrics"]["get"]["responses"]["200"]
    )
    assert {busy("text/plain")[0], busy(OPENMETRICS)[0]} == set(page["content"])


def test_openmetrics(busy):
    kind, text = busy(OPENMETRICS + ",text/plain;version=0.0.4;q=0.5")
    assert kind == OPENMETRICS + "; charset=utf-8"
    assert text.endswith("\n# EOF\n")
    assert busy("text/plain")[0] == "text/plain; version=0.0.4; charset=utf-8"
    parser = pytest.importorskip(
        "prometheus_client.openmetrics.parser", reason="python3-prometheus-client is not installed"
    )
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["http_requests"].type == "counter"
    assert families["ai_queue_depth_total"].type == "unknown"
    assert families["http_request_duration_seconds"].type == "histogram"
