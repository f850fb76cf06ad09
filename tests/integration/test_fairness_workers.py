# SPDX-License-Identifier: MIT
"""What one workspace can fill of the workers: /readyz, the metrics and `gantry status` name it, and
another workspace is served meanwhile (docs/security.md has the table)."""

import concurrent.futures
import contextlib
import json
import subprocess
import uuid

import pytest
from gantry_testing.stack import ROOT
from gantry_testing.wait import wait_until

SEARCH = "/webhook/memory/search"
PING = {"task": {"type": "ping", "message": "m"}}
SLEEP = {"task": {"type": "code.shell", "code": "sleep 1"}}


@pytest.fixture(scope="module")
def system(make_stack):
    stack = make_stack(
        ALLOW_ACTIONS_DEFAULT="ping,code.shell",
        EXECUTOR_SLOTS=1,
        INDEX_MEMORY_BYTES=1 << 20,
        SEARCH_BUDGET_MS=5000,  # nothing but a locked table takes as long
        RATE_LIMIT_PER_MINUTE=1200,
    )
    # Hog has used up its rate after the first test.
    for workspace in ("hog", "greedy", "neighbour"):
        stack.client("admin", workspace).get("/memory?limit=1").ok()
    return stack


def is_full(stack, bound, program, whose):
    """In all places; the log has the workspace's name."""
    wait_until(
        lambda: bound in stack.anonymous().get("/readyz").json["full"], 30, f"{bound} is named"
    )
    values = {
        name: value
        for name, value in stack.metrics().items()
        if f'program="{program}"' in name and f'bound="{bound}"' in name
    }
    assert {name.split("{")[0] for name in values} == {
        "gantry_worker_full",
        "gantry_worker_full_refusals_total",
    }
    assert all(int(value) >= 1 for value in values.values())
    named = stack.whose_bound(bound, program)
    assert named
    assert named <= set(whose)


def served(stack):
    client = stack.client("admin", "neighbour")
    client.ingest("s", f"the neighbour's {uuid.uuid4()}").ok()
    client.search("neighbour", scope="s", mode="text").ok()
    client.get("/memory?limit=1").ok()


def flood(stack, count, command, payload, **headers):
    ids = [str(uuid.uuid4()) for _ in range(count)]
    with contextlib.closing(stack.nats("admin", "hog")) as nats:
        for one in ids:
            headers["Nats-Msg-Id"] = one
            nats.publish(f"gantry.v1.hog.{command}", payload(), headers=headers)
        nats.flush()
    return ids


def test_dead_letters_log_lines_and_the_rate(system):
    """What its direct clients may publish: dead letters beyond their room, lines, the rate."""
    with contextlib.closing(system.operator()) as operator:
        config = operator.api("STREAM.INFO.DEAD")["config"]
        assert "error" not in operator.api(
            "STREAM.UPDATE.DEAD", {**config, "max_msgs_per_subject": 50}
        )
        try:
            flood(system, 1500, "memory.ingest", lambda: b'{"scope":"z"')
            for bound in ("dead_letters", "log_lines", "direct_rate"):
                is_full(system, bound, "ingest", {"hog", ""})
            served(system)
        finally:
            operator.api("STREAM.UPDATE.DEAD", config)
        wait_until(
            lambda: operator.api("STREAM.INFO.MEMORY")["state"]["messages"] == 0,
            60,
            "the flood is over",
        )


def test_malformed_commands_take_turns_and_transactions_together(system):
    """They are remembered for their publisher, many in a transaction, and nobody waits for all;
    also those with the header of a command that came out of a list, which is handled alone."""
    system.take_down("ingest")
    bad = b'{"scope":"z"'
    ids = flood(system, 500, "memory.ingest", lambda: bad)
    ids += flood(system, 500, "memory.ingest", lambda: bad, **{"Gantry-Stored": "1"})
    body = {"scope": "s", "text": f"among them {uuid.uuid4()}"}
    mine = system.client("admin", "neighbour").post(
        "/webhook/memory/ingest", body, prefer="respond-async"
    )
    system.bring_back("ingest")
    with contextlib.closing(system.operator()) as operator:
        wait_until(
            lambda: operator.api("STREAM.INFO.MEMORY")["state"]["messages"] == 0, 60, "all settled"
        )
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT xmin::text), max(done_at) FROM command_done"
            " WHERE id = ANY (%s::uuid[]) AND refusal ->> 'code' = 'malformed_json'",
            (ids,),
        )
        count, transactions, last = cursor.fetchone()
        cursor.execute(
            "SELECT done_at FROM command_done WHERE id = %s", (mine.ok(202).json["id"],)
        )
        assert count == 1000
        assert transactions < count / 4
        assert cursor.fetchone()[0] < last


def test_slots_of_the_executor(system):
    """One slot, and six tasks of one workspace: the neighbour's comes among them."""
    greedy, neighbour = system.client("admin", "greedy"), system.client("admin", "neighbour")
    ids = [
        greedy.post("/webhook/executor/run", SLEEP, prefer="respond-async").ok(202).json["job_id"]
        for _ in range(6)
    ]
    wait_until(
        lambda: greedy.get(f"/ai/jobs/{ids[0]}").ok().json["status"] != "pending",
        30,
        "the first runs",
    )
    neighbour.post("/webhook/executor/run", PING, prefer="wait=60").ok()
    assert greedy.get(f"/ai/jobs/{ids[-1]}").ok().json["status"] in ("pending", "running")
    is_full(system, "executor_slots", "executor", {"greedy", "neighbour"})  # whose task waits
    wait_until(
        lambda: greedy.get(f"/ai/jobs/{ids[-1]}").ok().json["status"] == "completed",
        60,
        "all have run",
    )


def test_the_time_of_a_search(system):
    greedy = system.client("admin", "greedy")
    greedy.ingest("s", "tea").ok()
    greedy.search("tea").ok()
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE memory")
        # On a slow machine the worker's 504 can come after the gateway has given up (503).
        wait_until(lambda: greedy.search("tea").status == 504, 60, "its time is over")
    is_full(system, "search_time", "search", {"greedy", ""})
    served(system)


def of_search(system, metric):
    """Of all workers together: one that has ended is forgotten meanwhile."""
    values = system.metrics().items()
    return sum(float(value) for name, value in values if f"{metric}{{" in name and "search" in name)


def index_loads(system):
    """Up to now: workers tell their metrics every few seconds."""
    known = of_search(system, "uptime_seconds")
    wait_until(lambda: of_search(system, "uptime_seconds") > known, 30, "metrics are told")
    return of_search(system, "index_loads_total")


def admitted(send):
    """Its answer, as soon as the workspace's rate allows it."""
    return wait_until(lambda: (answer := send()).status != 429 and answer, 60, "it is admitted")


def test_memory_of_the_index(system):
    """One workspace has more than all of it: it is read for each search, the neighbour's stays."""
    neighbour = system.client("admin", "neighbour")
    neighbour.ingest("s", "a small index").ok()
    neighbour.search("small").ok()
    lines = "\n".join(
        json.dumps({"scope": "big", "text": f"{uuid.uuid4()} " * 20}) for _ in range(1500)
    )
    names = system.directory / "large.jsonl"
    names.write_text(lines)
    done = subprocess.run(
        [ROOT / "build" / "gantry", "memory", "import", str(names)],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin",
            "GANTRY_URL": system.url,
            "GANTRY_API_KEY": system.key("admin", "greedy"),
        },
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    def search_all():
        return system.client("admin", "greedy").search("x", scope="s", mode="text")

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for answer in threads.map(lambda _: admitted(search_all), range(4)):
            assert answer.status in (200, 504)
    is_full(system, "index_memory", "search", {"greedy"})
    status = json.loads(system.gantry("status", check=False).stdout)
    assert status["full_workspaces"]["index_memory"] == ["greedy"]
    before = index_loads(system)
    neighbour.search("small").ok()
    for _ in range(10):
        assert admitted(search_all).status in (200, 504)
        neighbour.search("small").ok()
    assert index_loads(system) == before
