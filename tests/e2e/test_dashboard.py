# SPDX-License-Identifier: MIT
"""deploy/grafana and deploy/alerts.yml against the distribution's Prometheus, which scrapes a
loaded stack."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest
from gantry_testing.collector import Collector
from gantry_testing.stack import ROOT, free_ports
from gantry_testing.wait import wait_until

DASHBOARD = json.loads((ROOT / "deploy/grafana/gantry.json").read_text())
RATE_INTERVAL = "1m"  # four scrapes and more, as Grafana would choose it

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="prometheus is not installed (package prometheus)"
)


class Prometheus:
    def __init__(self, directory, target):
        self.port, = free_ports(1)
        rules = directory / "alerts.yml"
        rules.write_text((ROOT / "deploy/alerts.yml").read_text())
        config = {
            "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "gantry", "static_configs": [{"targets": [target]}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.log = open(directory / "log", "w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            document = json.loads(answer.read())
        assert document["status"] == "success", document
        return document["data"]

    def target(self):
        with contextlib.suppress(OSError):
            return next(
                (one for one in self.get("targets")["activeTargets"] if one["health"] != "unknown"),
                None,
            )
        return None

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def prometheus(make_stack, tmp_path_factory):
    """A stack under a little load of every kind until the module ends, scraped every two
    seconds."""
    collector = Collector()
    stack = make_stack(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, ALLOW_ACTIONS_DEFAULT="ping")
    over = threading.Event()

    def load():
        client = stack.client()
        for number in range(100000):
            client.post(
                "/webhook/memory/ingest", {"scope": "board", "text": f"a number to show: {number}"}
            )
            client.post("/webhook/memory/search", {"query": "number"})
            client.get("/ai/audit?limit=1")
            client.get("/nothing/here")
            client.post("/webhook/executor/run", {"task": {"type": "ping"}})
            if over.wait(0.05):
                return

    thread = threading.Thread(target=load)
    thread.start()
    server = Prometheus(
        tmp_path_factory.mktemp("prometheus"),
        urllib.parse.urlsplit(stack.env["GANTRY_ADMIN_URL"]).netloc,
    )
    yield server
    over.set()
    thread.join()
    server.close()
    collector.close()


def queries():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_the_page_is_scraped_as_openmetrics(prometheus):
    target = wait_until(prometheus.target, 60, "a scrape")
    assert (target["health"], target["lastError"]) == ("up", "")
    samples = wait_until(
        lambda: prometheus.get("query", query="scrape_samples_scraped")["result"], 60, "its samples"
    )
    assert int(samples[0]["value"][1]) > 500


def test_every_query_of_the_dashboard_returns_something(prometheus):
    assert len(list(queries())) > 40
    missing = {}

    def all_there():
        missing.clear()
        for title, expression in queries():
            expression = expression.replace("$__rate_interval", RATE_INTERVAL).replace(
                "$job", "gantry"
            )
            values = [
                float(row["value"][1])
                for row in prometheus.get("query", query=expression)["result"]
            ]
            if not any(value == value for value in values):  # NaN: nothing was counted
                missing[title] = expression
        return not missing

    try:
        wait_until(all_there, 60, "a value for each query")
    except AssertionError:
        raise AssertionError(missing) from None


def test_panels_do_not_overlap_and_name_their_unit():
    taken, ids = set(), set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not taken & cells, panel["title"]
        taken |= cells
        assert panel["id"] not in ids
        ids.add(panel["id"])
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(re.search(r'job="\$job"', target["expr"]) for target in panel["targets"])


def test_exemplars_arrive(prometheus):
    def found():
        data = prometheus.get(
            "query_exemplars", query="http_request_duration_seconds_bucket", start=0, end=9999999999
        )
        return [
            one
            for series in data
            for one in series["exemplars"]
            if re.fullmatch("[0-9a-f]{32}", one["labels"]["trace_id"])
        ]

    assert wait_until(found, 60, "an exemplar")


def test_the_rules_run_and_a_well_stack_alerts_nobody(prometheus):
    def evaluated():
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if rules and all(rule["health"] == "ok" for rule in rules) else None

    rules = wait_until(evaluated, 60, "all rules evaluated")
    assert len(rules) > 10
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert not firing
