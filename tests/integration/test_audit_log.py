# SPDX-License-Identifier: MIT
"""The audit log's tables, and what `gantry audit verify` sees when a superuser has changed them."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import subprocess

import psycopg2
import psycopg2.errors
import pytest
from gantry_testing import merkle, servers
from gantry_testing.building import make

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = hashlib.sha256(b"a key for tests").hexdigest()
HELD, ALL = 600, 1000  # leaves when the older checkpoint was taken, and in the end


def build(target):
    make(target)
    return os.path.join(ROOT, target)


class Database:
    def __init__(self, server, name):
        self.server, self.name = server, name

    def url(self, role):
        password = "super" if role == "postgres" else role
        return re.sub(
            "//postgres:super@(.*)/postgres$",
            rf"//{role}:{password}@\1/{self.name}",
            self.server.url,
        )

    def connect(self, role="postgres"):
        connection = psycopg2.connect(self.url(role))
        connection.autocommit = True
        return connection

    def sql(self, text, *values, role="postgres"):
        with contextlib.closing(self.connect(role)) as connection, connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return cursor.fetchall() if cursor.description else None

    def try_append(self, count=1, batch=1, first=5000):
        program = build("build/release/bench/audit_append")
        return subprocess.run(
            [program, self.url("gantry_audit"), str(count), str(batch), SEED, str(first)],
            capture_output=True, text=True, timeout=120,
        )

    def append(self, count, batch=50, first=0):
        done = self.try_append(count, batch, first)
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()[0]

    def gantry(self, *words, vkey=None, **env):
        return subprocess.run(
            [os.path.join(ROOT, "build/gantry"), "audit", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": self.url("gantry_owner"),
                **({"GANTRY_AUDIT_VKEY": vkey} if vkey else {}),
                **env,
            },
        )


@pytest.fixture(scope="module")
def cluster():
    build("build/gantry")
    with servers.postgres() as server:
        yield server


def create(server, name):
    database = Database(server, name)
    Database(server, "postgres").sql(f"CREATE DATABASE {name}")
    with open(os.path.join(ROOT, "sql/roles.sql")) as roles:
        database.sql(roles.read())
    for role in ("gantry_owner", "gantry_audit", "gantry_pruner"):
        database.sql(f"ALTER ROLE {role} PASSWORD '{role}'")
    database.sql("CREATE TABLE deployment (id uuid NOT NULL DEFAULT gen_random_uuid());"
                 "INSERT INTO deployment DEFAULT VALUES; GRANT SELECT ON deployment TO PUBLIC")
    for migration in sorted(pathlib.Path(ROOT, "sql/migrations").glob("01*_audit*.sql")):
        database.sql(migration.read_text(), role="gantry_owner")
    return database


@pytest.fixture(scope="module")
def filled(cluster, tmp_path_factory):
    """A log of ALL leaves, and the checkpoint that somebody took at HELD."""
    database = create(cluster, "filled")
    database.vkey = database.append(HELD)
    held = tmp_path_factory.mktemp("held") / "checkpoint"
    held.write_text(database.gantry("checkpoint", vkey=database.vkey).stdout)
    assert merkle.Note(held.read_text()).verify(database.vkey).size == HELD
    database.append(ALL - HELD, first=HELD)
    database.held = str(held)
    return database


@pytest.fixture
def log(cluster, filled, request):
    """A copy to break."""
    name = re.sub(r"\W", "_", request.node.name.lower())[:60]
    Database(cluster, "postgres").sql(f"CREATE DATABASE {name} TEMPLATE filled")
    copy = Database(cluster, name)
    copy.vkey, copy.held = filled.vkey, filled.held
    copy.sql(
        "ALTER TABLE audit_log DISABLE TRIGGER ALL; ALTER TABLE audit_tile DISABLE TRIGGER ALL;"
        "ALTER TABLE audit_checkpoint DISABLE TRIGGER ALL"
    )
    yield copy
    Database(cluster, "postgres").sql(f"DROP DATABASE {name}")


def verify(database, held=True):
    words = ["verify", "--json"] + (["--checkpoint", database.held] if held else [])
    done = database.gantry(*words, vkey=database.vkey)
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] == (done.returncode == 0)
    return result


def rewrite(database, first, change_tiles=True):
    """Change the event of leaf `first` and make everything after it fit: hashes and tiles."""
    rows = database.sql(
        "SELECT leaf_index, event FROM audit_log WHERE leaf_index >= %s ORDER BY 1", first
    )
    for index, event in rows:
        event = bytes(event)
        if index == first:
            event = event.replace(b'"target":"user:1"', b'"target":"user:2"')
        database.sql("UPDATE audit_log SET event = %s, leaf_hash = %s WHERE leaf_index = %s",
                     event, merkle.leaf_hash(event), index)
    if change_tiles:
        hashes = [
            bytes(h) for (h,) in database.sql("SELECT leaf_hash FROM audit_log ORDER BY leaf_index")
        ]
        for tile in range(len(hashes) // 256):
            part = hashes[tile * 256:tile * 256 + 256]
            database.sql(
                "UPDATE audit_tile SET hashes = %s, root = %s WHERE level = 0 AND tile_index = %s",
                b"".join(part),
                merkle.Tree(part).root(),
                tile,
            )


# --- an untouched log -----------------------------------------------------------------------------

def test_good_log(filled):
    assert verify(filled) == {"ok": True, "leaves": ALL, "pruned": 0, "checkpoint_size": HELD,
                              "checkpoint_held": True, "unproven": ALL - HELD}
    text = filled.gantry("verify", "--checkpoint", filled.held, vkey=filled.vkey).stdout
    assert text.startswith(f"OK: {HELD} leaves")
    assert f"Unproven: leaves {HELD} to {ALL - 1}" in text
    without = filled.gantry("verify", vkey=filled.vkey)
    assert without.returncode == 0
    assert "no checkpoint was given" in without.stdout


def test_roots_and_proofs_agree_with_the_second_implementation(filled):
    rows = filled.sql("SELECT event, leaf_hash FROM audit_log ORDER BY leaf_index")
    tree = merkle.Tree(merkle.leaf_hash(bytes(event)) for event, _ in rows)
    assert tree.hashes == [bytes(leaf_hash) for _, leaf_hash in rows]
    notes = filled.sql("SELECT tree_size, root_hash, note FROM audit_checkpoint ORDER BY tree_size")
    assert [size for size, _, _ in notes] == list(range(50, ALL + 1, 50))
    for size, root, note in notes:
        note = merkle.Note(note).verify(filled.vkey)
        assert (note.size, note.root) == (size, bytes(root)) == (size, tree.root(size))
    for level, index, hashes, root in filled.sql(
        "SELECT level, tile_index, hashes, root FROM audit_tile"
    ):
        part = tree.hashes[index * 256:index * 256 + 256]
        assert level == 0
        assert bytes(hashes) == b"".join(part)
        assert bytes(root) == merkle.Tree(part).root()


def test_events_are_canonical_and_have_nonces(filled):
    nonces, last = set(), ""
    for (event,) in filled.sql("SELECT event FROM audit_log ORDER BY leaf_index"):
        event = bytes(event)
        doc = json.loads(event)
        assert (
            json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            == event
        )
        nonces.add(doc["nonce"])
        assert last <= doc["recorded_at"]
        last = doc["recorded_at"]
    assert len(nonces) == ALL
    assert all(re.fullmatch("[0-9a-f]{32}", nonce) for nonce in nonces)


def test_export_verifies_offline(filled, tmp_path):
    path = tmp_path / "export.jsonl"
    assert filled.gantry("export", "--output", str(path), vkey=filled.vkey).returncode == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    note = merkle.Note(lines[0]["checkpoint"]).verify(filled.vkey)
    assert len(lines) == ALL + 1
    assert note.size == ALL
    for line in lines[1::37]:
        event = json.dumps(line["event"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        leaf = merkle.leaf_hash(event.encode())
        assert leaf.hex() == line["leaf_hash"]
        merkle.verify_inclusion(
            leaf, line["leaf_index"], ALL, [bytes.fromhex(h) for h in line["proof"]], note.root
        )
    offline = {"DATABASE_URL": "", "PATH": os.environ["PATH"], "GANTRY_AUDIT_VKEY": filled.vkey}
    del offline["DATABASE_URL"]

    def check(file):
        done = subprocess.run(
            [
                os.path.join(ROOT, "build/gantry"),
                "audit",
                "verify",
                "--export",
                str(file),
                "--checkpoint",
                filled.held,
                "--json",
            ],
            capture_output=True,
            text=True,
            env=offline,
        )
        return done.returncode, json.loads(done.stdout)

    assert check(path) == (0, {"ok": True, "leaves": ALL, "pruned": 0, "checkpoint_size": HELD,
                               "checkpoint_held": True, "unproven": ALL - HELD})
    text = path.read_text().splitlines(keepends=True)
    for name, broken, leaf in [
        ("edited", text[:18] + [text[18].replace('"user:1"', '"user:2"')] + text[19:], 17),
        ("missing", text[:18] + text[19:], 17),
        ("swapped", text[:18] + [text[19], text[18]] + text[20:], 17),
        ("cut", text[:-1], ALL - 1),
        ("twice", text[:19] + [text[18]] + text[19:], 17),
    ]:
        file = tmp_path / name
        file.write_text("".join(broken))
        code, result = check(file)
        assert (code, result["ok"], result["wrong_from"]) == (1, False, leaf), (name, result)


def test_key_is_needed_and_must_fit(filled):
    done = filled.gantry("verify")
    assert done.returncode == 100
    assert "GANTRY_AUDIT_VKEY" in done.stderr
    name, key_id, key = filled.vkey.split("+", 2)
    other = create(filled.server, "other").append(1, 1)
    done = filled.gantry("verify", "--json", "--checkpoint", filled.held, vkey=other)
    assert done.returncode == 1
    assert "not signed by" in done.stdout
    done = filled.gantry("verify", "--json", vkey=other)
    assert done.returncode == 1
    assert "not signed by" in done.stdout


# --- what the role and the owner may do -----------------------------------------------------------

@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'x' WHERE leaf_index = 3",
        "UPDATE audit_log SET event = NULL, kind = NULL, workspace = NULL, event_id = NULL, time "
        "= NULL,"
        " recorded_at = NULL, actor = NULL, action = NULL, status = NULL WHERE leaf_index = 3",
        "DELETE FROM audit_log WHERE leaf_index = 3",
        "TRUNCATE audit_log",
        "UPDATE audit_tile SET root = root",
        "DELETE FROM audit_tile",
        "TRUNCATE audit_tile",
        "UPDATE audit_checkpoint SET note = ''",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_checkpoint",
    ],
)
@pytest.mark.parametrize("role", ["gantry_audit", "gantry_pruner", "gantry_owner", "postgres"])
def test_nothing_is_changed(filled, role, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        filled.sql(statement, role=role)
    if role in ("gantry_owner", "postgres"):  # nor with the switch that turns ordinary triggers off
        if role == "postgres":
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                filled.sql("SET session_replication_role = replica; " + statement, role=role)


def test_worker_reads_one_workspace_only(filled):
    read = "SELECT count(*), min(workspace), max(workspace) FROM audit_log"
    assert filled.sql(read, role="gantry_audit") == [(0, None, None)]
    assert filled.sql("SET gantry.workspace = 'a'; " + read, role="gantry_audit") == [
        (ALL / 2, "a", "a")
    ]
    assert filled.sql(read, role="gantry_owner") == [(ALL, "a", "b")]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        filled.sql(read, role="gantry_pruner")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        filled.sql("SELECT audit_prune(10)", role="gantry_audit")
    assert filled.sql("SELECT audit_prune(10)", role="gantry_pruner") == [(0,)]


def test_views(filled):
    row = filled.sql(
        "SELECT kind, workspace_id, actor, key_id, action, decision, status, http_status, pruned"
        " FROM audit_events WHERE leaf_index = 0",
        role="gantry_owner",
    )
    assert row == [
        (
            "request",
            "a",
            "AbCdEf123456",
            "AbCdEf123456",
            "memory.search",
            "allowed",
            "success",
            200,
            False,
        )
    ]
    assert filled.sql("SELECT count(*) FROM action_audit", role="gantry_owner") == [(0,)]


# --- a superuser who changes the log, with the triggers off ---------------------------------------

def test_field_edited(log):
    log.sql(
        "UPDATE audit_log SET event = replace(convert_from(event, 'UTF8'), 'user:1', "
        "'user:2')::bytea"
        " WHERE leaf_index = 17"
    )
    result = verify(log)
    assert result["problem"].startswith("leaf 17: the event does not fit its hash")


def test_field_edited_with_its_hash(log):
    event = bytes(log.sql("SELECT event FROM audit_log WHERE leaf_index = 17")[0][0]).replace(
        b"user:1", b"user:2"
    )
    log.sql(
        "UPDATE audit_log SET event = %s, leaf_hash = %s WHERE leaf_index = 17",
        event,
        merkle.leaf_hash(event),
    )
    assert verify(log)["problem"].startswith("leaf 17: it is not the leaf that was signed")


@pytest.mark.parametrize(
    "column,value",
    [
        ("actor", "'x'"),
        ("action", "'x'"),
        ("status", "'denied'"),
        ("workspace", "'b'"),
        ("kind", "'event'"),
        ("time", "now()"),
        ("recorded_at", "now()"),
        ("event_id", "gen_random_uuid()"),
    ],
)
def test_column_edited(log, column, value):
    log.sql(f"UPDATE audit_log SET {column} = {value} WHERE leaf_index = 18")
    assert verify(log)["problem"].startswith(f"leaf 18: the column {column} does not say")


def test_leaf_deleted(log):
    log.sql("DELETE FROM audit_log WHERE leaf_index = 17")
    assert verify(log)["problem"] == "leaf 17: it is missing"


def insert_at(log, index):
    event = bytes(log.sql("SELECT event FROM audit_log WHERE leaf_index = %s", index)[0][0])
    event = event.replace(b"0198c0de-0000", b"0198c0de-ffff")
    new_id = json.loads(event)["event_id"]
    log.sql("ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey")
    log.sql("UPDATE audit_log SET leaf_index = leaf_index + 1 WHERE leaf_index >= %s", index)
    log.sql(
        "INSERT INTO audit_log SELECT %s, %s, %s, kind, workspace, %s, time, recorded_at, actor, "
        "action, status"
        " FROM audit_log WHERE leaf_index = %s",
        index,
        merkle.leaf_hash(event),
        event,
        new_id,
        index + 1,
    )


def test_leaf_inserted(log):
    """Every leaf after it has moved, so the stored checkpoints can only say before which size."""
    insert_at(log, 17)
    assert verify(log)["problem"].startswith("leaves 0 to 49 are not those that were signed")


def test_leaf_appended(log):
    event = bytes(log.sql("SELECT event FROM audit_log WHERE leaf_index = %s", ALL - 1)[0][0])
    event = event.replace(b"0198c0de-0000", b"0198c0de-ffff")
    log.sql(
        "INSERT INTO audit_log SELECT %s, %s, %s, kind, workspace, %s, time, recorded_at, actor, "
        "action, status"
        " FROM audit_log WHERE leaf_index = %s",
        ALL,
        merkle.leaf_hash(event),
        event,
        json.loads(event)["event_id"],
        ALL - 1,
    )
    assert verify(log)["problem"].startswith(f"leaf {ALL}: it was never signed")


def test_leaves_swapped(log):
    log.sql("ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey")
    log.sql("UPDATE audit_log SET leaf_index = 17 + 18 - leaf_index WHERE leaf_index IN (17, 18)")
    assert verify(log)["problem"].startswith("leaf 17: it is not the leaf that was signed")


def test_tail_cut_off(log):
    log.sql(
        "DELETE FROM audit_log WHERE leaf_index >= 500; DELETE FROM audit_checkpoint WHERE "
        "tree_size > 500;"
        "DELETE FROM audit_tile WHERE tile_index >= 1"
    )
    result = verify(log)
    assert result["problem"] == (
        f"the log ends at size 500, but the checkpoint covers {HELD} leaves: leaves 500 to "
        f"{HELD - 1} were cut off"
    )
    # Who holds no checkpoint cannot know.
    assert verify(log, held=False)["ok"]


def test_tail_cut_off_but_not_its_checkpoints(log):
    log.sql("DELETE FROM audit_log WHERE leaf_index >= 900")
    assert "ends at size 900" in verify(log, held=False)["problem"]


def test_tail_cut_off_after_the_checkpoint_that_is_held(log):
    """What lies after it was said to be unproven, and is not missed."""
    log.sql(
        "DELETE FROM audit_log WHERE leaf_index >= 700; DELETE FROM audit_checkpoint WHERE "
        "tree_size > 700;"
        "DELETE FROM audit_tile WHERE tile_index >= 2"
    )
    result = verify(log)
    assert result["ok"]
    assert result["unproven"] == 100


def test_log_rewritten(log):
    rewrite(log, 300)
    assert verify(log)["problem"].startswith(
        "leaves 300 to 349 are not those that were signed: the log's own checkpoint"
    )
    log.sql("DELETE FROM audit_checkpoint WHERE tree_size BETWEEN 300 AND 999")
    assert verify(log)["problem"].startswith(
        f"leaves 250 to {HELD - 1} are not those that were signed: the checkpoint"
    )


def test_log_rewritten_but_not_its_tiles(log):
    rewrite(log, 300, change_tiles=False)
    assert verify(log)["problem"].startswith("leaf 300: it is not the leaf that was signed")


def test_log_rewritten_with_checkpoints_by_another_key(log, cluster):
    """The whole database is exchanged for a consistent other one: only the key tells."""
    other = create(cluster, "exchanged")
    other.vkey, other.held = log.vkey, log.held
    other.append(ALL)
    other.sql("UPDATE deployment SET id = %s", log.vkey.split("+")[0].split("/")[1])
    assert (
        "not those that were signed" in verify(other)["problem"]
        or "not signed by" in verify(other)["problem"]
    )
    Database(cluster, "postgres").sql("DROP DATABASE exchanged")


def test_checkpoints_removed(log):
    log.sql("DELETE FROM audit_checkpoint")
    result = verify(log)
    assert result["ok"]
    assert result["checkpoint_size"] == HELD
    assert result["unproven"] == ALL - HELD
    log.sql(
        "UPDATE audit_log SET leaf_hash = %s, event = 'x' WHERE leaf_index = 17",
        merkle.leaf_hash(b"x"),
    )
    assert not verify(log)["ok"]


def test_event_removed_as_if_by_retention(log):
    log.sql(
        "UPDATE audit_log SET event = NULL, kind = NULL, workspace = NULL, event_id = NULL, time "
        "= NULL,"
        " recorded_at = NULL, actor = NULL, action = NULL, status = NULL WHERE leaf_index = 17"
    )
    assert (
        verify(log)["problem"]
        == "leaf 17: the event is missing, and no prune leaf covers it: it was removed"
    )


def test_worker_stops_when_the_log_is_not_the_one_it_signed(log):
    """The sequencer itself: no leaf more on a log that was cut, extended, or signed by another."""
    for broken, words in [
        ("DELETE FROM audit_log WHERE leaf_index >= 990", "but 1000 were signed last"),
        ("DELETE FROM audit_checkpoint WHERE tree_size > 950", "but 950 were signed last"),
        (
            "UPDATE audit_checkpoint SET note = replace(note, '950', '951') WHERE tree_size = 950",
            "not signed by",
        ),
    ]:
        log.sql(broken)
        done = log.try_append()
        assert done.returncode == 1, done.stderr
        assert words in done.stderr, done.stderr
        if "leaf_index >= 990" in broken:
            log.sql("DELETE FROM audit_checkpoint WHERE tree_size = 1000")


class Sequencer:
    """audit_append that appends one event at a time, when told to."""

    def __init__(self, database, first):
        self.process = subprocess.Popen(
            [
                build("build/release/bench/audit_append"),
                database.url("gantry_audit"),
                "1000",
                "1",
                SEED,
                str(first),
                "steps",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def append(self, count=1):
        """True: it has appended them."""
        for _ in range(count):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            if not self.process.stdout.readline():
                return False
        return True

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.stderr.read(), self.process.wait(60)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("DELETE FROM audit_log WHERE leaf_index = 1002", "but 1003 were signed last"),
        ("DELETE FROM audit_checkpoint WHERE tree_size = 1003", "but 1002 were signed last"),
        (
            "UPDATE audit_checkpoint SET note = replace(note, '1003', '1004')"
            " WHERE tree_size = 1003",
            "not signed by",
        ),
        (
            "DELETE FROM audit_log WHERE leaf_index = 1002;"
            "DELETE FROM audit_checkpoint WHERE tree_size = 1003",
            "but we have signed 1003",
        ),
    ],
    ids=["leaf gone", "checkpoint gone", "checkpoint changed", "both gone"],
)
def test_worker_in_the_middle_of_its_work_stops_as_well(log, broken, words):
    """It no longer reads the head before each batch; what it sends says what must be there."""
    sequencer = Sequencer(log, 5000)
    assert sequencer.append(3)
    log.sql(broken)
    before = log.sql("SELECT count(*) FROM audit_log")
    assert not sequencer.append()
    said, code = sequencer.end()
    assert words in said
    assert code == 1
    assert log.sql("SELECT count(*) FROM audit_log") == before


def test_sequencers_take_turns(cluster):
    """Each finds the log longer than it left it, and goes on from there."""
    database = create(cluster, "turns")
    first, second = Sequencer(database, 0), Sequencer(database, 1000)
    for count in (3, 1, 2):
        assert first.append(count)
        assert second.append(count)
    (said, _), (_, code) = first.end(), second.end()
    assert code == 0
    assert database.sql("SELECT count(*) FROM audit_log") == [(12,)]
    database.vkey = said.splitlines()[0]
    assert verify(database, held=False)["leaves"] == 12


def test_worker_stops_when_its_tiles_are_not_those_it_signed(log):
    log.sql("UPDATE audit_tile SET root = sha256('x') WHERE tile_index = 1")
    done = log.try_append()
    assert done.returncode == 1
    assert "is not the one that was signed" in done.stderr


def test_events_are_recorded_once(cluster):
    database = create(cluster, "once")
    vkey = database.append(100, batch=10)
    database.append(100, batch=30)  # the same ids again, in other batches
    database.append(50, batch=7, first=80)  # some old, some new
    assert database.sql("SELECT count(*), count(DISTINCT event_id) FROM audit_log") == [(130, 130)]
    database.vkey = vkey
    assert verify(database, held=False)["ok"]


def test_two_sequencers_at_once(cluster):
    """Two processes append together, events in common: one tree, nothing missing, nothing
    double."""
    database = create(cluster, "two")
    program = build("build/release/bench/audit_append")
    running = [
        subprocess.Popen(
            [program, database.url("gantry_audit"), "1500", "20", SEED, str(first)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 1000)
    ]
    vkeys = [process.communicate(timeout=120)[1].splitlines()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert vkeys[0] == vkeys[1]
    assert database.sql("SELECT count(*), count(DISTINCT event_id) FROM audit_log") == [
        (2500, 2500)
    ]
    database.vkey = vkeys[0]
    assert verify(database, held=False)["leaves"] == 2500


@pytest.fixture
def dated(log):
    """Leaf n was recorded n seconds into 2026; prune leaves at 300 and 900, the later covers
    800."""
    log.sql(
        "UPDATE audit_log SET recorded_at = timestamptz '2026-01-01Z' + leaf_index * interval '1 "
        "second'"
    )
    for index, up_to in ((300, 200), (900, 800)):
        event = json.dumps(
            {"up_to": up_to, "before": f"2026-01-01T00:{up_to // 60:02}:{up_to % 60:02}Z"}
        )
        log.sql(
            "UPDATE audit_log SET kind = 'prune', event = %s::bytea WHERE leaf_index = %s",
            event.encode(),
            index,
        )
    log.sql("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_update")
    log.sql("VACUUM ANALYZE audit_log")
    return log


def rows_read(database, text):
    """What a statement answers, and how many rows of the log were read for it."""
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(text)
        answer = cursor.fetchall()
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = "
            "'audit_log'"
        )
        read = cursor.fetchone()[0]
        cursor.execute("COMMIT")
        return answer, read


def test_pruning_looks_at_few_rows(dated):
    at = "timestamptz '2026-01-01Z' + interval '%s seconds'"
    for seconds, want in (
        (0, []),
        (1, [(0,)]),
        (300, [(299,)]),
        (301, [(299,)]),
        (302, [(301,)]),
        (555, [(554,)]),
        (5000, [(ALL - 1,)]),
    ):
        answer, read = rows_read(dated, f"SELECT leaf_index FROM audit_last_before({at % seconds})")
        assert answer == want, seconds
        assert read < 40, (seconds, read)
    gone = "SELECT count(*), max(leaf_index) FROM audit_log WHERE event IS NULL"
    assert rows_read(dated, "SELECT audit_prune(100)")[0] == [(100,)]
    assert dated.sql(gone) == [(100, 99)]
    done = [100]
    while done[-1] == 100:
        answer, read = rows_read(dated, "SELECT audit_prune(100)")
        done.append(answer[0][0])
        assert read < 450, (
            "the slice is selected, updated and looked up: none of it twice over the log"
        )
    # Nothing of the rows below the mark is read again, and the prune leaf among them stays.
    assert done == [100] * 7 + [99]
    assert dated.sql(gone) == [(799, 799)]
    answer, read = rows_read(dated, "SELECT audit_prune(100)")
    assert (answer, read < 60) == ([(0,)], True), read
    # What is pruned has no time any more, and counts as old.
    answer, read = rows_read(dated, f"SELECT leaf_index FROM audit_last_before({at % 850})")
    assert (answer, read < 40) == ([(849,)], True), read
    assert rows_read(dated, f"SELECT leaf_index FROM audit_last_before({at % 700})")[0] == []


def test_a_damaged_tile_is_told(log):
    log.sql(
        "UPDATE audit_tile SET hashes = overlay(hashes PLACING '\\x0102030405' FROM 11) WHERE "
        "level = 0 AND tile_index = 1"
    )
    result = verify(log)
    assert result["problem"].startswith("tile 1 of level 0 (leaves 256 to 511): ")
    assert (result["leaves"], result["wrong_from"], result["wrong_to"]) == (ALL, 256, 512)


@pytest.mark.parametrize(
    "what",
    [
        "DELETE FROM audit_tile WHERE tile_index = 2",
        "UPDATE audit_tile SET root = decode(repeat('00', 32), 'hex') WHERE tile_index = 2",
        "UPDATE audit_tile SET hashes = (SELECT hashes FROM audit_tile WHERE tile_index = 0)"
        " WHERE tile_index = 2",
    ],
)
def test_a_tile_that_is_not_its_leaves_is_told(log, what):
    log.sql(what)
    assert verify(log)["problem"].startswith("tile 2 of level 0 (leaves 512 to 767): ")


@pytest.mark.parametrize(
    "what",
    [
        "note = overlay(note PLACING 'AAAAA' FROM length(note) - 20)",
        "note = replace(note, '350', '351')",
        "note = 'x' || note",
        "note = ''",
        "note = (SELECT note FROM audit_checkpoint WHERE tree_size = 300)",
        "root_hash = sha256('x')",
        "tree_size = 360",
    ],
    ids=["signature", "size", "origin", "empty", "another", "root", "moved"],
)
def test_a_damaged_checkpoint_is_told(log, what):
    """Of a size in the middle: no proof and no leaf depends on it, and the worker goes on."""
    log.sql(f"UPDATE audit_checkpoint SET {what} WHERE tree_size = 350")
    size = 360 if what.startswith("tree_size") else 350
    told = f"the stored checkpoint of size {size}: it was changed, or is not signed by "
    for held in (True, False):
        result = verify(log, held)
        assert result["problem"].startswith(told)
        assert result["leaves"] == ALL
    assert log.try_append().returncode == 0


def test_a_checkpoint_of_another_key_is_told(log, cluster):
    other = create(cluster, "other_key")
    other.sql("UPDATE deployment SET id = %s", log.vkey.split("+")[0].split("/")[1])
    program = build("build/release/bench/audit_append")
    seed = hashlib.sha256(b"another key").hexdigest()
    subprocess.run(
        [program, other.url("gantry_audit"), "350", "350", seed, "0"], check=True, timeout=120
    )
    (note,) = other.sql("SELECT note FROM audit_checkpoint")[0]
    Database(cluster, "postgres").sql("DROP DATABASE other_key")
    log.sql("UPDATE audit_checkpoint SET note = %s WHERE tree_size = 350", note)
    assert verify(log)["problem"].startswith("the stored checkpoint of size 350: ")


@pytest.mark.parametrize(
    ("level", "index"), [(0, ALL // 256), (0, 5000), (1, 0), (7, 0)], ids=str
)
def test_a_tile_beside_the_leaves_is_told(log, level, index):
    """The rest of the log lies in no full tile: whoever puts one there has proofs made of it."""
    log.sql(
        "INSERT INTO audit_tile SELECT %s, %s, hashes, root FROM audit_tile"
        " WHERE level = 0 AND tile_index = 0",
        level,
        index,
    )
    result = verify(log)
    said = f"tile {index} of level {level}: the log has too few leaves"
    assert result["problem"].startswith(said)
    assert (result["leaves"], result["wrong_to"]) == (ALL, ALL)
