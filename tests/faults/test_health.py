# SPDX-License-Identifier: MIT
"""What /readyz and the gateway say when a server is there but does not do its work."""
import contextlib
import datetime
import json
import signal
import time
import uuid

import pytest
from gantry_testing.reports import announcement, event, reporting
from gantry_testing.unwritable import unwritable
from gantry_testing.wait import wait_until

TASK = {"task": {"type": "ping", "message": "m"}}
EVENT = {"actor": "a", "action": "b", "target": "c", "decision": "allowed"}


@pytest.fixture(scope="module")
def system(make_stack):
    return make_stack(ALLOW_ACTIONS_DEFAULT="ping", AUDIT=2)


def ready(stack):
    answer = stack.anonymous().get("/readyz")
    return answer.status, answer.json["status"], answer.json["dependencies"]


def test_redis_is_up_if_it_takes_writes(system):
    up = {name: "up" for name in ("nats", "postgresql", "redis", "audit", "embedding")}
    wait_until(lambda: ready(system) == (200, "ready", up), 60, "all is up")
    assert system.redis("config", "set", "maxmemory", "1") == "OK"
    try:
        wait_until(
            lambda: ready(system) == (200, "degraded", {**up, "redis": "down"}), 60, "Redis is down"
        )
    finally:
        assert system.redis("config", "set", "maxmemory", "512mb") == "OK"
    wait_until(lambda: ready(system) == (200, "ready", up), 60, "Redis is up")


def test_a_slow_redis_is_not_a_full_one(system):
    refusals = system.log("gateway").count("Redis takes no writes")
    system.pause("redis")
    time.sleep(2.2)  # a write each second: two are late, and the connection is not yet given up
    system.resume("redis")
    wait_until(lambda: ready(system)[1] == "ready", 60, "Redis is up")
    assert system.log("gateway").count("Redis takes no writes") == refusals


def test_audit_is_stopped_while_no_worker_tells_of_itself(system):
    system.take_down("audit")
    system.take_down("audit-2")
    try:
        wait_until(lambda: ready(system)[2]["audit"] == "stopped", 90, "audit is stopped")
        assert ready(system)[:2] == (200, "degraded")
    finally:
        system.bring_back("audit-2", ready=False)
    wait_until(lambda: ready(system)[:2] == (200, "ready"), 90, "one of two is enough")
    system.bring_back("audit")


def test_audit_is_stopped_while_its_workers_hang(system):
    """Processes that are there and do nothing record nothing."""
    system.pause("audit")
    system.pause("audit-2")
    try:
        wait_until(lambda: ready(system)[2]["audit"] == "stopped", 90, "audit is stopped")
        assert ready(system)[:2] == (200, "degraded")
        said = json.loads(system.gantry("status", check=False).stdout)
        assert said["gateway"] == "degraded"
    finally:
        system.resume("audit")
        system.resume("audit-2")
    wait_until(lambda: ready(system)[:2] == (200, "ready"), 90, "they go on")


def test_audit_is_stopped_while_nothing_can_be_recorded(system):
    """Workers that are there, tell of themselves and try, but whose table takes no row."""
    client, name = system.client("admin", "unlogged"), str(uuid.uuid4())
    with unwritable(system, "audit_log", "XX000") as tries:
        client.post("/webhook/audit/append", {**EVENT, "target": name}, prefer="respond-async")
        wait_until(tries, 60, "it is tried")
        wait_until(lambda: ready(system)[2]["audit"] == "stopped", 120, "audit is stopped")
        assert ready(system)[:2] == (200, "degraded")
        said = json.loads(system.gantry("status", check=False).stdout)
        assert said["gateway"] == "degraded"
        wait_until(lambda: "none is recorded" in system.log("gateway"), 60, "and told of")
    wait_until(
        lambda: name in client.get("/ai/audit?limit=100").ok().body.decode(), 120, "it is recorded"
    )
    wait_until(lambda: ready(system)[:2] == (200, "ready"), 90, "they go on")


def test_audit_is_stopped_while_the_log_cannot_be_continued(system):
    """The last checkpoint is not the one that was signed: both workers end with 100, and say so.
    What was asked meanwhile is recorded once the log is whole again."""
    client, name = system.client("admin", "unlogged"), str(uuid.uuid4())
    client.post("/webhook/audit/append", EVENT, prefer="wait=60").ok()
    system.take_down("audit-2")
    triggers = "ALTER TABLE audit_checkpoint {} TRIGGER audit_checkpoint_change"
    change = (
        "UPDATE audit_checkpoint SET note = {} WHERE tree_size ="
        " (SELECT max(tree_size) FROM audit_checkpoint)"
    )
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute(triggers.format("DISABLE"))
        cursor.execute(change.format("'x' || note"))
        try:
            client.post("/webhook/audit/append", {**EVENT, "target": name}, prefer="respond-async")
            wait_until(lambda: ready(system)[2]["audit"] == "stopped", 90, "audit is stopped")
            assert "exit 100" in (system.directory / "state/audit.status").read_text()
            assert client.get("/memory?limit=1").status == 200
        finally:
            cursor.execute(change.format("substr(note, 2)"))
            cursor.execute(triggers.format("ENABLE ALWAYS"))
            system.bring_back("audit-2", ready=False)
    wait_until(lambda: ready(system)[:2] == (200, "ready"), 90, "one of two is enough")
    wait_until(
        lambda: name in client.get("/ai/audit?limit=100").ok().body.decode(), 90, "it is recorded"
    )


@contextlib.contextmanager
def broken(system, table, state):
    """Whoever reads that table hears of an error with that SQLSTATE."""
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            (table,),
        )
        secured, forced = cursor.fetchone()
        cursor.execute(
            "CREATE FUNCTION broken() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'x' "
            f"USING ERRCODE = '{state}'; END $$; GRANT EXECUTE ON FUNCTION broken() TO PUBLIC;"
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            f"CREATE POLICY broken ON {table} AS {'RESTRICTIVE' if secured else 'PERMISSIVE'}"
            " FOR SELECT USING (broken())"
        )
        try:
            yield
        finally:
            cursor.execute(
                f"DROP POLICY broken ON {table}; DROP FUNCTION broken();"
                + ("" if secured else f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;")
                + ("" if forced else f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;")
            )


@pytest.mark.parametrize("state", ["XX000", "P0002"])
def test_an_allowlist_that_cannot_be_read_is_no_verdict(system, state):
    client = system.client("developer")
    client.post("/webhook/executor/run", TASK, prefer="wait=60").ok()
    answers = []
    with broken(system, "workspace", state):
        # What was read a moment ago is still good; then it is 503, and at no time a refusal.
        wait_until(
            lambda: (
                answers.append(client.post("/webhook/executor/run", TASK))
                or answers[-1].status == 503
            ),
            60,
            "the allowlist is asked for",
        )
    assert {one.status for one in answers} <= {200, 202, 503}
    assert answers[-1].code == "unavailable"
    assert "allowlist" in answers[-1].json["detail"]
    wait_until(
        lambda: client.post("/webhook/executor/run", TASK).status == 200, 60, "it is read again"
    )


def test_a_server_that_fails_is_named(system):
    """It answers in general, so that nothing else says which one it is."""
    client = system.client("admin", "named")
    made = client.ingest("s", "stored before").ok().json["id"]
    client.post("/webhook/audit/append", EVENT, prefer="wait=60").ok()
    with broken(system, "memory", "XX000"):
        for answer in (client.get(f"/memory/{made}"), client.get("/memory?limit=1")):
            assert answer.ok(503).json["detail"].startswith("PostgreSQL ")
    with broken(system, "audit_log", "53100"):
        assert client.get("/ai/audit?limit=1").ok(503).json["detail"].startswith("PostgreSQL ")
    wait_until(lambda: client.get(f"/memory/{made}").status == 200, 60, "it is read again")
    wait_until(lambda: client.get("/ai/audit?limit=1").status == 200, 60, "and the log")


@pytest.mark.parametrize("state", ["23505", "P0002"])
def test_rows_that_cannot_be_read_are_no_verdict(system, state):
    """No worker takes what failed in the database for what is wrong with the request: neither
    "there is none", as P0002 says, nor "there is one already"."""
    client = system.client("admin", "rows")
    memory = {"scope": "s", "text": f"stored before {state}"}
    made = client.post("/webhook/memory/ingest", memory, prefer="wait=60").ok().json["id"]
    client.post("/webhook/audit/append", EVENT, prefer="wait=60").ok()
    with broken(system, "memory", state):
        for answer in (
            client.get(f"/memory/{made}"),
            client.search(f"stored before {state}"),
        ):
            assert answer.status in (500, 503), answer
    with broken(system, "audit_log", state):
        answer = client.get("/ai/audit?limit=1")
        assert answer.status in (500, 503), answer
    with broken(system, "audit_checkpoint", state):
        for path in ("/ai/audit/checkpoint", "/ai/audit/0/proof"):
            answer = client.get(path)
            assert answer.status in (500, 503), answer
    wait_until(lambda: client.get(f"/memory/{made}").status == 200, 60, "it is read again")
    wait_until(lambda: client.get("/ai/audit?limit=1").status == 200, 60, "and the log")


FAILED = {  # what a failure of ours may be answered, by SQLSTATE: held for later, or given up
    "23505": {202},
    "P0002": {202, 500},
}


def change_memories(system, table, state):
    """One of each command that writes the table; each takes effect when it can, or, given up, when
    it is replayed."""
    client, scope = system.client("admin", "writes"), f"{table} {state}"
    patched, deleted = (
        client.ingest(scope, f"{one} {scope}").ok().json["id"] for one in ("patched", "deleted")
    )
    client.ingest(scope + " gone", "forgotten").ok()
    ask = {
        "memory_log": ("ingest", "patch", "delete", "forget"),
        "memory_version": ("ingest", "patch", "delete", "forget"),
        "memory_history": ("patch",),
        "memory_forget": ("forget",),
    }[table]
    calls = {
        "ingest": lambda: client.post(
            "/webhook/memory/ingest", {"scope": scope, "text": f"new {scope}"}, prefer="wait=1"
        ),
        "patch": lambda: client.request(
            "PATCH", f"/memory/{patched}", {"tags": ["later"]}, {"Prefer": "wait=1"}
        ),
        "delete": lambda: client.request(
            "DELETE", f"/memory/{deleted}", None, {"Prefer": "wait=1"}
        ),
        "forget": lambda: client.post(
            "/memory/forget", {"scope": scope + " gone"}, prefer="wait=1"
        ),
    }
    with unwritable(system, table, state) as tries:
        answers = [calls[one]() for one in ask]
        wait_until(tries, 60, f"a write of {table} is tried")
    assert {one.status for one in answers} <= FAILED[state], answers
    effects = {
        "ingest": lambda: len(client.get(f"/memory?scope={scope.replace(' ', '%20')}").ok()
                              .json["items"]) == (2 if "delete" in ask else 3),
        "patch": lambda: client.get(f"/memory/{patched}").ok().json["tags"] == ["later"],
        "delete": lambda: client.get(f"/memory/{deleted}").status == 404,
        "forget": lambda: client.get(f"/memory?scope={scope.replace(' ', '%20')}%20gone").ok()
        .json["items"] == [],
    }

    def all_done():
        replay_the_dead(client)
        return all(effects[one]() for one in ask)

    wait_until(all_done, 120, "each takes effect")


def replay_the_dead(client):
    for one in client.get("/ai/dead-letters").ok().json["items"]:
        assert client.post(f"/ai/dead-letters/{one['seq']}/replay", {}).status in (200, 202, 404)


@pytest.mark.parametrize("state", FAILED)
@pytest.mark.parametrize(
    "table", ["memory_log", "memory_version", "memory_history", "memory_forget"]
)
def test_memories_that_cannot_be_written_are_no_verdict(system, table, state):
    change_memories(system, table, state)


# --- the audit log that cannot be written ---------------------------------------------------------

def look(system, query, *values):
    with contextlib.closing(system.database()) as database, database.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall()


def kinds(system, ids):
    """{event id: what the log has of it}"""
    query = "SELECT event_id::text, array_agg(kind ORDER BY kind) FROM audit_log WHERE event_id ="
    return dict(look(system, query + " ANY(%s::uuid[]) GROUP BY 1", list(ids)))


def append(client, prefer):
    return client.post("/webhook/audit/append", EVENT, prefer=prefer)


def fill_a_tile(system, client, tries):
    """Nothing can be appended that would fill a tile, after which nothing can be appended at all;
    an append makes two leaves."""
    made = []
    wait_until(
        lambda: made.append(append(client, "respond-async").ok(202)) or tries(), 60, "a full tile"
    )
    edge = "SELECT mod(count(*), 256) >= 254 FROM audit_log"
    wait_until(lambda: look(system, edge) == [(True,)], 60, "the log ends before it")
    return made


@pytest.mark.parametrize("state", ["XX000", "53100", "P0002"])
@pytest.mark.parametrize(
    "table", ["audit_log", "audit_tile", "audit_checkpoint", "audit_announced"]
)
def test_events_that_cannot_be_written_are_no_verdict(system, table, state):
    """None is refused or given up, and of none is said that it is in the log. The worker is the
    only one: it does not look where the log ends before a batch, and P0002 is what it hears if that
    is elsewhere."""
    client, theirs, written = system.client("admin", "unwritten"), "unwritten", {}
    ended, begun = str(uuid.uuid4()), str(uuid.uuid4())
    success = {"status": "success", "http_status": 201}
    system.take_down("audit-2")
    try:
        for _ in range(3):
            append(client, "wait=60").ok()
        pid, said = system.pid("audit"), len(system.log("audit"))
        with reporting(system) as report:
            report(theirs, announcement(ended), "intent")
            announced = "SELECT count(*) FROM audit_announced WHERE workspace = %s"
            wait_until(lambda: look(system, announced, theirs) == [(1,)], 60, "it is announced")
            with unwritable(system, table, state) as tries:
                report(theirs, event(ended, **success))
                made = fill_a_tile(system, client, tries) if table == "audit_tile" else []
                report(theirs, announcement(begun), "intent")
                wait_until(tries, 60, f"a write of {table} is tried")
                asked = [append(client, "wait=1") for _ in range(2)]
                report(theirs, event(begun, **success))
                told = {one.json["event_id"] for one in asked if one.status == 200}
                assert kinds(system, told) == dict.fromkeys(told, ["event", "request"])
                assert table == "audit_announced" or not told
                assert {one.status for one in asked} <= {200, 202, 503}, asked
                assert table == "audit_tile" or kinds(system, [ended]) == {}
                wait_until(
                    lambda: f"SQLSTATE {state}" in system.log("audit")[said:], 60, "the reason"
                )
        for answer in made + [one for one in asked if one.status != 503]:
            written[answer.json["event_id"]] = ["event", "request"]
        written.update({ended: ["request"], begun: ["request"]})
        wait_until(lambda: kinds(system, written) == written, 120, "each is recorded")
        wait_until(lambda: look(system, announced, theirs) == [(0,)], 60, "nothing is open")
        assert system.pid("audit") == pid
    finally:
        system.bring_back("audit-2", ready=False)
    assert system.gantry("dlq", "list", "--workspace", theirs)["items"] == []
    assert system.gantry("audit", "verify")["ok"]


def test_postgresql_told_to_stop_comes_back(system):
    """SIGTERM to the postmaster waits for its clients, and ours stay."""
    client = system.client()
    pid = system.kill("postgres", signal.SIGTERM)
    wait_until(lambda: system.pid("postgres") not in (0, pid), 90, "PostgreSQL is started again")
    system.wait_ready(90)
    wait_until(lambda: client.ingest("s", "stored by the new one").status == 200, 90, "it stores")


def test_a_cancel_that_is_not_done_has_one_status(system):
    """The executor that has the job is gone: what the caller gets is what the log says."""
    job = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
    words = [
        f"job:default:{job}",
        "status",
        "running",
        "action",
        "ping",
        "message",
        "1",
        "delivery",
        "1",
        "started",
        "1",
        "enqueued",
        "1",
    ]
    system.redis("hset", *words)
    answer = system.client().request(
        "DELETE", f"/ai/jobs/{job}", None, {"X-Request-ID": "cancel-1"}
    )
    assert (answer.status, answer.json["status"]) == (202, "running")

    def told():
        with contextlib.closing(system.database()) as database, database.cursor() as cursor:
            cursor.execute("SELECT http_status FROM audit_events WHERE request_id = 'cancel-1'")
            return cursor.fetchall()
    assert wait_until(told, 60, "the request is recorded") == [(202,)]


def test_counts_of_refusals_outlive_the_gateway(system):
    """Counted while AUDIT is out of reach, by a gateway that is killed then: each is recorded, and
    none twice."""
    client, stranger = system.client(), system.anonymous()
    client.get("/memory").ok()
    system.take_down("nats")
    wait_until(lambda: client.get("/none-1").status == 503, 60, "NATS is unavailable")

    def counted():
        with contextlib.closing(system.database()) as database, database.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum((event->>'count')::int) FILTER (WHERE http_status = 401), 0),"
                " coalesce(sum((event->>'count')::int) FILTER (WHERE http_status = 503 AND action "
                "= 'memory.list'), 0)"
                " FROM audit_events"
            )
            return cursor.fetchone()

    before = counted()
    assert {client.get("/memory").status for _ in range(30)} == {503}
    assert {stranger.get("/memory").status for _ in range(30)} == {401}

    def kept():
        """Of the two kinds: the requests for /none-1 are counted as well."""
        lines = system.redis("hvals", "rate:refused").splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        refused = sum(row["count"] for row in rows if row["http_status"] == 401)
        return refused, sum(
            row["count"]
            for row in rows
            if row["http_status"] == 503 and row["action"] == "memory.list"
        )

    wait_until(lambda: kept() == (30, 30), 60, "the counts are in Redis")
    system.kill("gateway")
    system.bring_back("nats")
    wait_until(lambda: counted() == (before[0] + 30, before[1] + 30), 120, "each is recorded")
    wait_until(lambda: kept() == (0, 0), 60, "none is left")
    assert counted() == (before[0] + 30, before[1] + 30)


def test_bad_messages_of_one_workspace_are_a_few_lines(system):
    """Each is a dead letter; the log has the first five and the number of the rest."""
    with contextlib.closing(system.nats("developer", "noisy")) as nats:
        for _ in range(300):
            nats.publish("gantry.v1.noisy.memory.ingest", b'{"scope":"z","text":"x"',
                         headers={"Nats-Msg-Id": str(uuid.uuid4())})
        nats.flush()

    def lines():
        found = [
            json.loads(line)
            for line in system.log("ingest").splitlines()
            if '"dead letter"' in line
        ]
        return [line for line in found if line["workspace"] == "noisy"]

    def told():
        return sum(int(line.get("more_like_it", 1)) for line in lines())
    wait_until(lambda: told() == 300, 120, "all are told of")
    # However slow the machine: five and a number in each ten seconds from the first to the last.
    first, last = (datetime.datetime.fromisoformat(lines()[n]["ts"][:19]) for n in (0, -1))
    intervals = (last - first).total_seconds() // 10 + 3
    assert len(lines()) <= 6 * intervals
