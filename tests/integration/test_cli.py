# SPDX-License-Identifier: MIT
"""gantry, the operator's command, against real servers: what it does, prints and exits with."""
import json
import os
import re
import subprocess
import zlib

import psycopg2
import pytest

from gantry_testing import nats_files, servers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GANTRY = os.path.join(ROOT, "build/release/gantry")
OK, NO, USAGE, CONFIG, TEMP = 0, 1, 2, 100, 111
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Cli:
    """Runs gantry with exactly these variables."""

    def __init__(self, **env):
        self.env = env

    def run(self, *words, code=OK, stdin=None, **env):
        done = subprocess.run(
            [GANTRY, *words], env={**self.env, **env}, input=stdin, capture_output=True, text=True,
            timeout=60,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more).stdout)


@pytest.fixture(scope="module")
def postgres():
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="module")
def nats():
    with nats_files.server() as server:
        yield server


def database(postgres, name):
    connection = psycopg2.connect(postgres.url)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    return f"postgresql://postgres:super@127.0.0.1:{postgres.port}/{name}"


@pytest.fixture(scope="module")
def cli(postgres, nats):
    """A migrated and provisioned system."""
    superuser = database(postgres, "gantry")
    cli = Cli(
        DATABASE_SUPERUSER_URL=superuser,
        DATABASE_URL=superuser.replace("postgres:super", "gantry_owner:owner"),
        GANTRY_NATS_OPERATOR_URL=nats.url("operator"),
        DB_PASSWORD_GATEWAY="gateway-secret",
    )
    cli.superuser = superuser
    cli.run("migrate")
    with psycopg2.connect(superuser) as connection:
        connection.cursor().execute("ALTER ROLE gantry_owner PASSWORD 'owner'")
    cli.run("provision")
    return cli


def rows(url, query, *values):
    with psycopg2.connect(url) as connection:
        cursor = connection.cursor()
        cursor.execute(query, values)
        return cursor.fetchall()


# --- the command line itself ------------------------------------------------------------------


def test_usage():
    cli = Cli()
    assert "gantry key create" in cli.run("--help").stdout
    assert "gantry workspace" not in cli.run("key", "--help").stdout
    assert cli.run("--version").stdout.startswith("gantry ")
    assert "no command" in cli.run("nonsense", code=USAGE).stderr
    assert cli.run(code=USAGE).stdout == ""
    cli.run("key", code=USAGE)
    cli.run("key", "nonsense", code=USAGE)
    cli.run("key", "list", "extra", code=USAGE)
    cli.run("key", "revoke", code=USAGE)
    cli.run("key", "list", "--nonsense", code=USAGE)
    cli.run("key", "list", "--workspace", code=USAGE)
    cli.run("key", "create", "--workspace", "w", "--role", "king", code=USAGE)
    cli.run("key", "create", "--workspace", "w", "--role", "admin", "--expires", "soon", code=USAGE)


def test_configuration_errors_name_the_variable():
    cli = Cli()
    assert "DATABASE_SUPERUSER_URL" in cli.run("migrate", code=CONFIG).stderr
    assert "DATABASE_URL" in cli.run("workspace", "list", code=CONFIG).stderr
    assert "GANTRY_NATS_OPERATOR_URL" in cli.run("provision", code=CONFIG).stderr
    assert "GANTRY_NONSENSE" in cli.run("provision", code=CONFIG, GANTRY_NONSENSE="1").stderr


def test_what_is_down_is_temporary():
    down = "postgresql://u:s3cret@127.0.0.1:1/d"
    done = Cli(DATABASE_URL=down).run("workspace", "list", code=TEMP)
    assert "s3cret" not in done.stderr
    Cli(GANTRY_NATS_OPERATOR_URL="nats://u:s3cret@127.0.0.1:1").run("provision", code=TEMP)


# --- migrate ----------------------------------------------------------------------------------


def test_migrate_again_changes_nothing(cli):
    before = rows(cli.superuser, "SELECT name, sha256, applied_at FROM gantry_migration ORDER BY 1")
    again = cli.json("migrate")
    assert again["applied"] == 0 and again["total"] == len(before) >= 3
    assert before == rows(cli.superuser, "SELECT name, sha256, applied_at FROM gantry_migration ORDER BY 1")
    import hashlib
    import pathlib

    for name, sha256, _ in before:
        text = pathlib.Path(ROOT, "sql/migrations", name).read_bytes()
        assert hashlib.sha256(text).hexdigest() == sha256


def test_tables_belong_to_the_owner(cli):
    owners = rows(cli.superuser, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
                  " AND tablename <> 'gantry_migration'")
    assert owners == [("gantry_owner",)]


def test_passwords_of_roles_are_set_from_the_environment(cli):
    assert rows(cli.superuser.replace("postgres:super", "gantry_gateway:gateway-secret"), "SELECT 1")
    stored = rows(cli.superuser, "SELECT rolpassword FROM pg_authid WHERE rolname = 'gantry_gateway'")
    assert stored[0][0].startswith("SCRAM-SHA-256$")


def test_an_edited_migration_is_an_error(postgres, cli):
    url = database(postgres, "edited")
    edited = Cli(DATABASE_SUPERUSER_URL=url)
    edited.run("migrate")
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("UPDATE gantry_migration SET sha256 = 'x' WHERE name = '0001_core.sql'")
    assert "0001_core.sql" in edited.run("migrate", code=CONFIG).stderr
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("DELETE FROM gantry_migration WHERE name = '0001_core.sql'")
        connection.cursor().execute("INSERT INTO gantry_migration VALUES ('9999_newer.sql', 'x')")
    assert "9999_newer.sql" in edited.run("migrate", code=CONFIG).stderr


def test_a_failing_migration_leaves_nothing_half_done(postgres, cli):
    url = database(postgres, "half")
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("CREATE TABLE api_key (in_the_way int)")
    half = Cli(DATABASE_SUPERUSER_URL=url)
    assert "0001_core.sql" in half.run("migrate", code=111).stderr
    assert rows(url, "SELECT name FROM gantry_migration") == [("0000_extensions.sql",)]
    assert rows(url, "SELECT to_regclass('workspace')") == [(None,)]
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("DROP TABLE api_key")
    half.run("migrate")


def test_many_migrations_at_once(postgres, cli):
    url = database(postgres, "together")
    running = [
        subprocess.Popen([GANTRY, "migrate", "--json"], env={"DATABASE_SUPERUSER_URL": url},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=60) for process in running]
    assert [p.returncode for p in running] == [0] * 4, answers
    applied = sorted(json.loads(out)["applied"] for out, _ in answers)
    assert applied[:3] == [0, 0, 0] and applied[3] > 0


# --- provision and workspaces -----------------------------------------------------------------


def test_provision_is_idempotent_and_repairs(cli, nats):
    again = cli.json("provision")
    assert again["streams_created"] == 0 and again["streams_updated"] == 4
    with nats.connect() as client:
        client.api("STREAM.DELETE.TASKS", "")
    assert cli.json("provision")["streams_created"] == 1


def test_workspace_create_makes_its_consumer(cli, nats):
    assert cli.json("workspace", "create", "acme") == {"workspace": "acme", "created": True}
    assert cli.json("workspace", "create", "acme") == {"workspace": "acme", "created": False}
    with nats.connect() as client:
        names = client.api("CONSUMER.NAMES.TASKS", "")["consumers"]
    assert "executor_acme" in names
    cli.run("provision")
    listed = cli.json("workspace", "list")["items"]
    assert [w["actions"] for w in listed if w["workspace"] == "acme"] == [None]
    for name in ["", "Acme", "-a", "a" * 64, "a.b", "a*"]:
        cli.run("workspace", "create", "--", name, code=NO)


def test_workspace_allow(cli):
    cli.run("workspace", "create", "allowing")

    def actions():
        return [w["actions"] for w in cli.json("workspace", "list")["items"] if w["workspace"] == "allowing"]

    assert cli.json("workspace", "allow", "allowing", "ping", "code.python")["actions"] == ["ping", "code.python"]
    assert actions() == [["code.python", "ping"]]
    cli.run("workspace", "allow", "allowing")
    assert actions() == [[]]
    cli.run("workspace", "allow", "nowhere", "ping", code=NO)
    cli.run("workspace", "allow", "allowing", "Bad Name", code=USAGE)


# --- keys -------------------------------------------------------------------------------------


def checksum(body):
    value, text = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        text = DIGITS[digit] + text
    return text


def test_key_life(cli):
    cli.run("workspace", "create", "keys")
    made = cli.json("key", "create", "--workspace", "keys", "--role", "developer", "--name", "n'1", "--expires", "90d")
    assert set(made) == {"key", "key_id", "workspace", "role", "expires_at"}
    assert re.fullmatch(r"relay_sk_[0-9A-Za-z]{50}", made["key"])
    assert made["key"][9:21] == made["key_id"]
    assert made["key"][-6:] == checksum(made["key"][:-6])
    stored = rows(cli.superuser, "SELECT workspace, role, scopes, name, hash FROM api_key WHERE key_id = %s", made["key_id"])[0]
    assert stored[:2] == ("keys", "developer") and stored[3] == "n'1"
    assert sorted(stored[2]) == ["actions:execute", "actions:preview", "audit:write", "memory:read", "memory:write"]
    assert stored[4].startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    plain = cli.run("key", "create", "--workspace", "keys", "--role", "viewer")
    assert re.fullmatch(r"relay_sk_[0-9A-Za-z]{50}\n", plain.stdout)

    listed = cli.run("key", "list", "--workspace", "keys", "--json").stdout
    assert made["key"][21:53] not in listed and "argon2" not in listed
    item = [k for k in json.loads(listed)["items"] if k["key_id"] == made["key_id"]][0]
    assert item["state"] == "valid" and item["expires_at"] == made["expires_at"] and item["revoked_at"] is None

    turned = cli.json("key", "rotate", made["key_id"], "--overlap", "1h")
    assert turned["role"] == "developer" and turned["workspace"] == "keys" and turned["key_id"] != made["key_id"]
    assert turned["previous_valid_until"]
    cli.run("key", "rotate", made["key_id"], code=NO)

    assert cli.json("key", "revoke", turned["key_id"])["revoked"] is True
    states = {k["key_id"]: k["state"] for k in cli.json("key", "list")["items"]}
    assert states[turned["key_id"]] == "revoked" and states[made["key_id"]] == "rotated"
    cli.run("key", "revoke", "000000000000", code=NO)
    cli.run("key", "revoke", made["key_id"], "--workspace", "nowhere", code=NO)
    cli.run("key", "create", "--workspace", "nowhere", "--role", "admin", code=NO)
