# SPDX-License-Identifier: MIT
"""The index in the search worker's memory against the database behind it: what was answered is
found by the next search at any replica, whatever is killed, restored, evicted, too large or of an
older release."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid

import pytest
from gantry_testing import servers
from gantry_testing.memory import memory_system, program
from gantry_testing.nats import NatsError

CHECKS = int(os.environ.get("GANTRY_CHECKS", "2000"))  # of read-your-writes
IN_FLIGHT = 16


@pytest.fixture(scope="module")
def system():
    with memory_system() as s:
        s.worker("ingest")
        s.worker("search")
        yield s


@pytest.fixture
def ws():
    return "w" + uuid.uuid4().hex[:12]


def contents(answer):
    return [r["content"] for r in answer["results"]]


def ids(answer):
    return [r["id"] for r in answer["results"]]


def letters(n):
    """A word of its own for each number, which nothing takes apart or stems."""
    return "qu" + "".join("bdfghjklmp"[int(digit)] + "o" for digit in f"{n:04}")


class Flight:
    """Many memories at once over one connection: stored, searched for, changed, deleted."""

    def __init__(self, s, workspaces):
        self.s, self.workspaces, self.checks, self.n = s, workspaces, 0, 0
        self.inbox = "_INBOX.operator." + uuid.uuid4().hex[:8]
        self.replies = s.bus.subscribe(self.inbox + ".*")
        s.bus.flush()
        self.waiting = {}  # command or reply subject -> what to do with its answer

    def command(self, workspace, command, body, then):
        self.waiting[self.s.publish(workspace, command, body)] = then

    def search(self, workspace, query, then, mode="text"):
        self.n += 1
        subject = f"{self.inbox}.{self.n}"
        self.waiting[subject] = then
        self.s.bus.publish(
            f"gantry.v1.{workspace}.memory.search",
            json.dumps({"query": query, "mode": mode, "k": 3}).encode(),
            reply=subject,
        )

    def check(self, workspace, word, expected, then):
        def judge(answer):
            assert answer.get("status") == "success", answer
            assert ids(answer) == expected, (workspace, word, expected, answer)
            self.checks += 1
            then()
        self.search(workspace, word, judge)

    def one_life(self, i):
        """Stored, found; changed, found as it is now and not as it was; deleted, not found."""
        workspace, first, second = (
            self.workspaces[i % len(self.workspaces)],
            f"alpha{i}x",
            f"omega{i}x",
        )

        def stored(answer):
            id = answer["id"]
            self.check(workspace, first, [id], lambda: self.command(
                workspace, "patch", {"id": id, "text": f"{second} came after"}, changed))

        def changed(answer):
            id = answer["id"]
            self.check(
                workspace,
                second,
                [id],
                lambda: self.check(
                    workspace,
                    first,
                    [],
                    lambda: self.command(
                        workspace,
                        "delete",
                        {"id": id},
                        lambda _: self.check(workspace, second, [], lambda: None),
                    ),
                ),
            )

        self.command(
            workspace,
            "ingest",
            {"scope": f"user:{i % 3}", "text": f"{first} is a word of its own"},
            stored,
        )

    def turn(self):
        """The next answer, whosever it is."""
        message = self.s.bus.next(60)
        answer = json.loads(message.data)
        key = message.subject if message.subject in self.waiting else message.subject.split(".")[4]
        if key in self.waiting:
            self.waiting.pop(key)(
                answer.get("body") if "status" in answer and "body" in answer else answer
            )

    def run(self, checks):
        i = 0
        while self.checks < checks or self.waiting:
            while len(self.waiting) < IN_FLIGHT and self.checks < checks:
                self.one_life(i)
                i += 1
            self.turn()


def test_what_was_answered_is_found_by_the_next_search(system, ws):
    """Two replicas of each, four checks a memory."""
    others = [system.worker("ingest"), system.worker("search")]
    flight = Flight(system, [ws, "x" + ws])
    flight.run(CHECKS)
    assert flight.checks >= CHECKS
    for worker in others:
        worker.stop()


def test_a_guess_that_nothing_changed_is_checked(system, ws):
    """A workspace that was steady twice is searched before anybody asks for its version."""
    for i in range(20):
        system.ingest(ws, "s", f"tea number {letters(i)}")
        for mode in ("hybrid", "text", "vector"):
            for _ in range(3):
                found = system.search(ws, f"tea number {letters(i)}", mode=mode, k=50)
                assert found["results_count"] == i + 1 or mode == "text", found
                assert f"tea number {letters(i)}" in contents(found), found
    system.sql("UPDATE memory SET text = 'coffee', terms = NULL WHERE workspace = %s", ws)
    assert not contents(system.search(ws, "coffee", mode="text"))  # it has not heard of it
    system.sql("UPDATE memory_version SET stamp = gen_random_uuid() WHERE workspace = %s", ws)
    assert len(contents(system.search(ws, "coffee", mode="text", k=50))) == 20


def test_search_is_killed_under_load_and_while_it_follows(system, ws):
    """kill -9 at any moment: what comes up again knows everything that was answered."""
    search = system.workers[1]
    expected, stop, failures = {}, threading.Event(), []
    system.ingest(ws, "s", "the first")

    def killer():
        while not stop.wait(0.5):
            search.stop(signal.SIGKILL)
            search.start()

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        for round in range(6):
            words = [letters(round * 150 + i) for i in range(150)]
            commands = {
                system.publish(
                    ws, "ingest", {"scope": "s", "text": f"{word} of round {round}"}
                ): word
                for word in words
            }
            for command, word in commands.items():
                assert system.done(command)[0] == 200
                expected[word] = command
            for word in list(commands.values())[::30]:
                try:  # an answer may be lost with its worker, but none may be wrong
                    answer = system.ask(ws, "search", {"query": word, "mode": "text"}, timeout=2)
                except (TimeoutError, NatsError):
                    continue
                if answer.get("status") == "success" and ids(answer) != [expected[word]]:
                    failures.append((word, answer))
    finally:
        stop.set()
        thread.join()
    assert not failures
    for word, command in list(expected.items())[::7]:
        assert ids(system.search(ws, word, mode="text")) == [command]
    assert system.search(ws, "round", mode="vector", k=50)["results_count"] == 50


# --- another past -----------------------------------------------------------------------------

TABLES = ("memory", "memory_version", "memory_log", "command_done")


def keep(s, workspace):
    for table in TABLES:
        s.sql(f"DROP TABLE IF EXISTS kept_{table}")
        s.sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table} WHERE workspace = %s", workspace)


def restore(s, workspace):
    for table in TABLES:
        s.sql(f"DELETE FROM {table} WHERE workspace = %s", workspace)
        s.sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")


def test_the_rows_are_restored_in_place(system, ws):
    old = [system.ingest(ws, "s", f"old {i}")["id"] for i in range(5)]
    assert set(ids(system.search(ws, "old new", k=50))) == set(old)
    keep(system, ws)
    for i in range(4):
        system.ingest(ws, "s", f"new {i}")
    system.command(ws, "delete", {"id": old[0]})
    assert system.search(ws, "old new", k=50)["results_count"] == 8
    restore(system, ws)
    assert set(ids(system.search(ws, "old new", k=50))) == set(old)
    # The same number of changes leads to the same version, by another way.
    for i in range(3):
        system.ingest(ws, "s", f"new {i}")
    assert system.search(ws, "old new", k=50)["results_count"] == 8
    restore(system, ws)
    now = [system.ingest(ws, "s", f"other {i}")["id"] for i in range(3)]
    assert set(ids(system.search(ws, "old new other", k=50))) == set(old + now)
    restore(system, ws)
    for i in range(20):  # beyond what the index has seen
        now.append(system.ingest(ws, "s", f"further {i}")["id"])
    assert set(ids(system.search(ws, "old new other further", k=50))) == set(old + now[3:])


def test_the_table_is_written_anew():
    """No row is where the index last saw it, and where it was is another one."""
    modes = ("text", "vector", "hybrid")
    with memory_system() as s:
        s.worker("ingest")
        s.worker("search")
        rows = {w: [s.ingest(w, "s", f"row {i}")["id"] for i in range(12)] for w in ("a", "b")}

        def found():
            return {(w, mode): ids(s.search(w, "row", k=50, mode=mode))
                    for w in rows for mode in modes}

        def places():
            return dict(s.sql("SELECT id::text, ctid::text FROM memory"))

        before, was = found(), places()
        for (w, _), some in before.items():
            assert set(some) == set(rows[w])
        s.sql("CLUSTER memory USING memory_newest")  # backwards
        now = places()
        assert set(now.values()) == set(was.values())
        assert all(now[id] != was[id] for id in now)
        assert found() == before
        for id in rows["a"][:3]:  # the others move up
            s.command("a", "delete", {"id": id})
            for some in before.values():
                if id in some:
                    some.remove(id)
        s.sql("VACUUM FULL memory")
        assert found() == before


def test_the_files_are_restored(ws):
    """As a failover to an older standby: the same server with the files of some time ago."""
    with memory_system() as s:
        s.worker("ingest")
        s.worker("search")
        old = [s.ingest(ws, "s", f"old {i}")["id"] for i in range(5)]
        assert set(ids(s.search(ws, "old", k=50))) == set(old)
        server, data = s.postgres, os.path.join(s.postgres.directory, "data")
        server.stop(signal.SIGINT)
        shutil.copytree(data, data + ".kept", symlinks=True)
        if os.geteuid() == 0:
            for folder, _, files in os.walk(data + ".kept"):
                for name in [folder] + [os.path.join(folder, f) for f in files]:
                    shutil.chown(name, servers.USER)
        server.start()
        again(lambda: s.ingest(ws, "s", "new one"))
        assert again(lambda: s.search(ws, "old new", k=50))["results_count"] == 6
        server.stop(signal.SIGINT)
        shutil.rmtree(data)
        os.rename(data + ".kept", data)
        server.start()
        assert set(ids(again(lambda: s.search(ws, "old new", k=50)))) == set(old)
        later = again(lambda: s.ingest(ws, "s", "another new one"))["id"]
        # Each thread of the worker notices for itself that its connection has ended.
        assert set(ids(again(lambda: s.search(ws, "old new", k=50)))) == {*old, later}


def again(call):
    """Until the programs have their connections again."""
    end = time.monotonic() + 120
    while True:
        try:
            return call()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


# --- memory -----------------------------------------------------------------------------------

WORDS = (
    "amber birch cedar delta ember frost grove heath "
    "inlet jewel knoll larch maple north ocean pearl"
).split()


def fill(s, workspace, n, prefix=""):
    commands = []
    for i in range(n):
        a, b, c = WORDS[i % 16], WORDS[i // 16 % 16], WORDS[i // 7 % 16]
        body = {
            "scope": f"user:{i % 3}",
            "text": f"{prefix}{a} {b} {c} number {i}",
            "tags": [f"t{i % 4}"],
        }
        commands.append(s.publish(workspace, "ingest", body))
    for command in commands:
        assert s.done(command)[0] == 200
    return commands


def test_a_workspace_beyond_the_bound_is_answered_the_same(system, ws):
    fill(system, ws, 3000)
    queries = [
        {"query": q, "mode": mode, "k": 20, **more}
        for q in ("amber", "birch cedar", "number 77", "ocean or pearl")
        for mode in ("text", "vector", "hybrid")
        for more in ({}, {"scope": "user:1"}, {"tags": ["t2"]})
    ]
    usual = [system.ask(ws, "search", q) for q in queries]
    assert sum(a["results_count"] > 0 for a in usual) > 24
    system.workers[1].stop()
    small = system.worker("search", INDEX_MEMORY_BYTES="1048576", SEARCH_BUDGET_MS="60000")
    try:
        for query, expected in zip(queries, usual, strict=False):
            found = system.ask(ws, "search", query)
            strip(found), strip(expected)
            assert found == expected, query
        servers.wait_until(
            lambda: small.said("does not fit into INDEX_MEMORY_BYTES") == 1, 10, "the log says so"
        )
        new = system.ingest(ws, "user:1", "zanzibar is new")["id"]
        assert ids(system.search(ws, "zanzibar", mode="text")) == [new]
        system.command(ws, "delete", {"id": new})
        assert ids(system.search(ws, "zanzibar", mode="text")) == []
    finally:
        small.stop()
        system.workers[1].start()


def strip(answer):
    for name in ("timestamp", "request_id"):
        answer.pop(name, None)


def test_indexes_make_room_for_each_other(system, ws):
    """More workspaces than fit, in turns."""
    names = [f"{ws}{i}" for i in range(4)]
    for name in names:
        fill(system, name, 1000, prefix=name + " ")
    system.workers[1].stop()
    small = system.worker("search", INDEX_MEMORY_BYTES="1048576", LOG_LEVEL="debug")
    try:
        for _ in range(3):
            for name in names:
                answer = system.search(name, "amber", mode="text", k=50)
                assert answer["results_count"] == 50
                assert all(c.startswith(name + " ") for c in contents(answer))
        assert small.said("leaves the memory") > 3
        assert small.said("does not fit") == 0
    finally:
        small.stop()
        system.workers[1].start()


def test_a_search_beyond_its_budget_disturbs_nobody(system, ws):
    fill(system, ws, 3000)
    other = "x" + ws
    system.ingest(other, "s", "tea for two")
    system.workers[1].stop()
    small = system.worker("search", INDEX_MEMORY_BYTES="1048576", SEARCH_BUDGET_MS="5000")
    try:
        system.sql("ALTER TABLE memory RENAME TO memory_away")  # nobody can be quick now
        system.sql(
            "CREATE VIEW memory AS SELECT m.ctid, m.* FROM memory_away m,"
            " LATERAL (SELECT CASE WHEN m.workspace = "
            f"'{ws}' THEN pg_sleep(0.05) END) wait"
        )
        system.sql("GRANT SELECT ON memory TO gantry_search")
        small.stop()
        small.start()
        answer = system.ask(ws, "search", {"query": "amber"})
        assert answer["code"] == "timeout", answer
        assert answer["status"] == 504, answer
        assert contents(system.search(other, "tea")) == ["tea for two"]
    finally:
        small.stop()
        system.sql("DROP VIEW memory")
        system.sql("ALTER TABLE memory_away RENAME TO memory")
        system.workers[1].start()


def test_a_short_query_passes_long_ones(system, ws):
    """Of its own workspace and of others': one long query is answered at a time."""
    other = "x" + ws
    for workspace in (ws, other):
        system.ingest(workspace, "s", "tea for two")
        assert contents(system.search(workspace, "tea")) == ["tea for two"]
    flight = Flight(system, [ws])
    answered = []
    long = " ".join(letters(n) for n in range(2500))
    with system.connect_to(system.superuser) as locker:
        cursor = locker.cursor()
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE memory_version IN ACCESS EXCLUSIVE MODE")
        for n in range(60):
            flight.search(ws, long, lambda answer, n=n: answered.append(n), mode="hybrid")
        for workspace in (ws, other):
            flight.search(workspace, "tea", lambda answer, w=workspace: answered.append(w))
        system.bus.flush()
        servers.wait_until(  # a long one, and a short one, which came after all of them
            lambda: system.sql(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE usename = 'gantry_search' AND wait_event_type = 'Lock'"
            )[0][0] >= 2,
            20,
        )
        cursor.execute("ROLLBACK")
    while flight.waiting:
        flight.turn()
    assert len(answered) == 62
    assert answered.index(ws) < 50  # behind all of them, if they were one queue
    assert answered.index(other) < 50
    assert [n for n in answered if isinstance(n, int)] == list(range(60))


def test_a_search_behind_a_lock_ends_with_its_budget(system, ws):
    system.ingest(ws, "s", "tea for two")
    system.workers[1].stop()
    small = system.worker("search", SEARCH_BUDGET_MS="5000", SEARCH_THREADS="1")
    try:
        assert contents(system.search(ws, "tea")) == ["tea for two"]
        with system.connect_to(system.superuser) as locker:
            cursor = locker.cursor()
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE memory_version IN ACCESS EXCLUSIVE MODE")
            # the usual limit of a statement is 60 s
            answer = system.ask(ws, "search", {"query": "tea"}, timeout=50)
            cursor.execute("ROLLBACK")
        assert answer["code"] == "timeout", answer
        assert answer["status"] == 504, answer
        assert contents(system.search(ws, "tea")) == ["tea for two"]
    finally:
        small.stop()
        system.workers[1].start()


# --- tenancy and deletion ---------------------------------------------------------------------


def test_workspaces_with_the_same_texts(system, ws):
    other = "x" + ws
    mine, theirs = fill(system, ws, 200), fill(system, other, 200)
    for mode in ("text", "vector", "hybrid"):
        a, b = (system.search(w, "amber birch", mode=mode, k=50) for w in (ws, other))
        assert contents(a) == contents(b)
        assert [r["score"] for r in a["results"]] == [r["score"] for r in b["results"]]
        assert set(ids(a)) <= set(mine)
        assert set(ids(b)) <= set(theirs)
    assert system.command(other, "forget", {"scope": "user:1"})[0] == 200
    assert contents(system.search(ws, "amber birch", k=50)) == contents(a)
    assert {r["scope"] for r in system.search(other, "amber birch", k=50)["results"]} == {
        "user:0",
        "user:2",
    }


def test_what_is_gone_never_appears_again(system, ws):
    """Searches go on while memories are deleted, forgotten, changed and expire."""
    flight_ids = fill(system, ws, 120)
    gone, stop, wrong = set(), threading.Event(), []

    def searcher():
        with system.nats.connect("operator") as bus:
            while not stop.is_set():
                before = set(gone)
                message = bus.request(
                    f"gantry.v1.{ws}.memory.search",
                    json.dumps({"query": "number", "mode": "text", "k": 50}).encode(),
                    timeout=60,
                )
                found = ids(json.loads(message.data))
                if before & set(found):
                    wrong.append(before & set(found))

    threads = [threading.Thread(target=searcher) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for i, id in enumerate(flight_ids[:60]):
            if i % 3 == 0:
                assert (
                    system.command(ws, "patch", {"id": id, "text": f"without the word {i}"})[0]
                    == 200
                )
            else:
                assert system.command(ws, "delete", {"id": id})[0] == 204
            gone.add(id)
        for scope in ("user:0", "user:1"):
            scoped = {
                r
                for (r,) in system.sql(
                    "SELECT id::text FROM memory WHERE workspace = %s AND scope = %s", ws, scope
                )
            }
            assert system.command(ws, "forget", {"scope": scope})[0] == 200
            gone.update(scoped)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    left = system.search(ws, "number", mode="text", k=50)
    assert {r["scope"] for r in left["results"]} == {"user:2"}
    assert left["results_count"] == 20
    short = system.ingest(ws, "user:2", "number of the short lived", ttl_seconds=1)["id"]
    servers.wait_until(
        lambda: short not in ids(system.search(ws, "short lived", mode="text")), 10, "expired"
    )


# --- releases side by side --------------------------------------------------------------------


def state(s, workspace):
    return s.sql(
        "SELECT count(*) FILTER (WHERE terms IS NULL), count(*) FILTER (WHERE get_byte(terms, 0)"
        " <> (SELECT get_byte(terms, 0) FROM memory WHERE workspace = %s"
        " AND text LIKE 'current%%')),"
        " count(*) FILTER (WHERE model <> (SELECT max(model) FROM memory WHERE workspace = %s"
        " AND text LIKE 'current%%')) FROM memory WHERE workspace = %s",
        workspace,
        workspace,
        workspace,
    )[0]


def test_rows_of_another_analyser_and_model(system, ws):
    """As an upgrade leaves them: found meanwhile, and brought up to date in the background."""
    current = system.ingest(ws, "s", "current deployments of the server")["id"]
    null = system.ingest(ws, "s", "without terms: deployment of the harbour")["id"]
    older = system.ingest(ws, "s", "older terms: deploying the lighthouse")["id"]
    other = system.ingest(ws, "s", "other model: deployed in the tower")["id"]
    ingest = system.workers[0]
    ingest.stop()
    system.sql("INSERT INTO memory_model (name) VALUES ('another') ON CONFLICT DO NOTHING")
    system.sql("UPDATE memory SET terms = NULL WHERE workspace = %s AND id = %s", ws, null)
    system.sql("UPDATE memory SET terms = '\\xc8ffff' WHERE workspace = %s AND id = %s", ws, older)
    system.sql("UPDATE memory SET model = (SELECT model FROM memory_model WHERE name = 'another'),"
               " embedding = '[1,0,0]' WHERE workspace = %s AND id = %s", ws, other)
    system.sql("UPDATE memory_version SET stamp = gen_random_uuid() WHERE workspace = %s", ws)
    try:
        assert state(system, ws) == (1, 1, 1)
        assert set(ids(system.search(ws, "deploy", mode="text"))) == {current, null, older, other}
        assert ids(system.search(ws, "lighthouse", mode="text")) == [older]
        found = system.search(ws, "tower", mode="vector")["results"]
        assert found[-1]["id"] == other
        assert found[-1]["cosine_distance"] is None
        assert len(found) == 4
    finally:
        ingest.start()
    env = {"DATABASE_URL": system.superuser}
    done = subprocess.run(
        [program("gantry"), "memory", "reindex", "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["finished"], told
    assert told["changed"] >= 3, told
    assert told["seen"] >= 4, told
    assert state(system, ws) == (0, 0, 0)
    found = system.search(ws, "tower", mode="vector")["results"]
    assert found[0]["id"] == other
    assert found[0]["cosine_distance"] < 0.9
    assert set(ids(system.search(ws, "deploy", mode="text"))) == {current, null, older, other}
    again = subprocess.run(
        [program("gantry"), "memory", "reindex", "--status"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again
    assert again.stdout.startswith("finished: "), again


def test_a_log_that_was_swept_is_a_load(system, ws):
    system.ingest(ws, "s", "one")
    assert contents(system.search(ws, "one two")) == ["one"]
    system.ingest(ws, "s", "two")
    system.sql("DELETE FROM memory_log WHERE workspace = %s", ws)
    assert set(contents(system.search(ws, "one two"))) == {"one", "two"}
    system.sql("UPDATE memory_log SET ids = NULL WHERE workspace = %s", ws)
    system.ingest(ws, "s", "three")
    system.sql("UPDATE memory_log SET ids = NULL WHERE workspace = %s", ws)  # too many to name
    assert set(contents(system.search(ws, "one two three"))) == {"one", "two", "three"}
