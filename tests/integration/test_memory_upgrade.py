# SPDX-License-Identifier: MIT
"""A database of the release before the index in memory: its memories are found at once after the
migration, and brought up to date in the background."""
import glob
import hashlib
import os
import subprocess
import uuid

from gantry_testing import servers
from gantry_testing.memory import ROOT, memory_system, program

OLD = "builtin-hash-256-v1"
IDS = [str(uuid.UUID(int=i + 1)) for i in range(3)]
TEXTS = ["the harbour is deployed at dawn", "getUserById is called twice", "今天玩成语接龙游戏"]


def earlier_release(s):
    """Its migrations, and its rows: with a cell, words of PostgreSQL's, and another model."""
    def read(*path):
        with open(os.path.join(ROOT, "sql", *path), encoding="utf-8") as f:
            return f.read()

    with s.connect_to(s.superuser) as connection:
        cursor = connection.cursor()
        cursor.execute(read("bootstrap.sql"))
        cursor.execute(read("roles.sql"))
        for path in sorted(glob.glob(os.path.join(ROOT, "sql/migrations/*.sql"))):
            name, text = os.path.basename(path), read("migrations", os.path.basename(path))
            if "0020" <= name < "0100":
                continue
            cursor.execute("BEGIN")
            if not text.startswith("-- role: superuser\n"):
                cursor.execute(read("as_owner.sql"))
            cursor.execute(text)
            cursor.execute(read("as_superuser.sql"))
            cursor.execute(
                "INSERT INTO gantry_migration VALUES (%s, %s)",
                (name, hashlib.sha256(text.encode()).hexdigest()),
            )
            cursor.execute("COMMIT")
        cursor.execute("INSERT INTO memory_model (name) VALUES (%s) RETURNING model", (OLD,))
        model = cursor.fetchone()[0]
        for id, text in zip(IDS, TEXTS, strict=False):
            cursor.execute(
                "INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, cell, model, "
                "content_hash, source,"
                " text, embedding) VALUES ('old', %s, 's', 1, 1, 7, %s, sha256(convert_to(%s, "
                "'UTF8')), 'x', %s,"
                " ('[1' || repeat(',0', 255) || ']')::halfvec)",
                (id, model, text, text),
            )
        cursor.execute(
            "INSERT INTO command_done (workspace, id, command, memory_id, answer) VALUES ('old', "
            "%s,"
            " 'memory.ingest', %s, %s)",
            (
                IDS[0],
                IDS[0],
                '{"id": "%s", "deduplicated": false, "facts_stored": 2, "facts_skipped": 1}'
                % IDS[0],
            ),
        )
        cursor.execute(
            "INSERT INTO memory_forget VALUES ('old', sha256('gone'), 9000000000000000000)"
        )


def test_an_earlier_database():
    with memory_system(before=earlier_release) as s:
        s.worker("search")
        for query, id in (
            ("deploying harbours", IDS[0]),
            ("user by id", IDS[1]),
            ("成语接龙", IDS[2]),
        ):
            assert [r["id"] for r in s.search("old", query, mode="text")["results"]] == [id], query
        found = s.search("old", "harbour", mode="vector")["results"]
        assert len(found) == 3
        assert all(r["cosine_distance"] is None for r in found)
        s.worker("ingest")
        # What came before the upgrade is not carried out again, and what was forgotten stays so.
        answer = s.command("old", "ingest", {"scope": "s", "text": TEXTS[0]}, command_id=IDS[0])[1]
        assert (answer["id"], answer["facts_stored"], answer["facts_skipped"]) == (IDS[0], 2, 1)
        s.ingest("old", "gone", "too late")
        assert s.sql("SELECT count(*) FROM memory WHERE scope = 'gone'") == [(0,)]
        servers.wait_until(
            lambda: (
                s.sql(
                    "SELECT count(*) FROM memory JOIN memory_model USING (model)"
                    " WHERE terms IS NOT NULL AND name <> %s",
                    OLD,
                )
                == [(3,)]
            ),
            60,
            "brought up to date",
        )
        found = s.search("old", "the harbour at dawn", mode="vector")["results"]
        assert found[0]["id"] == IDS[0]
        assert found[0]["cosine_distance"] < 0.5


LOCK = "pg_advisory_xact_lock_shared(bigint)"
LATE = str(uuid.UUID(int=9))


def half_upgraded(s):
    """The release before goes on between the two halves of the migration: it locks, stores, forgets
    and sweeps."""
    earlier_release(s)
    with s.connect_to(s.superuser) as connection:
        connection.cursor().execute(f"GRANT EXECUTE ON FUNCTION {LOCK} TO gantry_ingest")
    subprocess.run(
        [program("gantry"), "migrate", "--additions"],
        env={"DATABASE_SUPERUSER_URL": s.superuser},
        check=True,
    )
    with s.connect_to(s.superuser) as connection:
        cursor = connection.cursor()
        # A pass of the new release that is over already.
        cursor.execute(
            "INSERT INTO memory_reindex SELECT get_byte(decode('02', 'hex'), 0), model, '', id, 3,"
            " 3, 3, now(), now()"
            " FROM memory LIMIT 1"
        )
        cursor.execute(
            "SET ROLE gantry_ingest; SET gantry.workspace = 'old'; SELECT "
            "pg_advisory_xact_lock_shared(1)"
        )
        cursor.execute(
            "INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, cell, model, "
            "content_hash, source, text)"
            " SELECT 'old', %s, 's', 2, 2, 0, model, sha256('late'), 'x', 'the lighthouse came "
            "late'"
            " FROM memory LIMIT 1",
            (LATE,),
        )
        cursor.execute(
            "INSERT INTO memory_forget VALUES ('old', sha256('forgotten late'), "
            "9100000000000000000)"
        )
        cursor.execute("SELECT memory_sweep(10)")
        cursor.execute("RESET ROLE")





def test_the_release_before_goes_on_during_an_upgrade():
    with memory_system(before=half_upgraded) as s:
        assert s.sql("SELECT count(*) FROM memory_reindex") == [(0,)]
        assert s.sql("SELECT forgotten_ns FROM memory_version WHERE workspace = 'old'") == [
            (9100000000000000000,)
        ]
        assert s.sql(f"SELECT has_function_privilege('gantry_ingest', '{LOCK}', 'EXECUTE')") == [
            (False,)
        ]
        s.worker("search")
        s.worker("ingest")
        s.ingest("old", "forgotten late", "too late")
        assert s.sql("SELECT count(*) FROM memory WHERE scope = 'forgotten late'") == [(0,)]
        servers.wait_until(
            lambda: s.sql("SELECT count(*) FROM memory WHERE terms IS NULL") == [(0,)],
            60,
            "brought up to date",
        )
        assert [r["id"] for r in s.search("old", "lighthouse", mode="text")["results"]] == [LATE]
