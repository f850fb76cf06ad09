# SPDX-License-Identifier: MIT
"""gantry, the operator's command, against real servers: what it does, prints and exits with."""
import base64
import collections
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
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
    assert (
        cli.run("--version").stdout.split()[1]
        == program_version("gantry-gateway")
        == program_version("gantry-audit")
    )
    assert "no command" in cli.run("nonsense", code=USAGE).stderr
    assert cli.run(code=USAGE).stdout == ""
    assert "key: which" in cli.run("key", code=USAGE).stderr
    assert "create --workspace=W --role=R [--name" in cli.run("key", "--help").stdout
    cli.run("key", "nonsense", code=USAGE)
    cli.run("key", "list", "extra", code=USAGE)
    cli.run("key", "revoke", code=USAGE)
    cli.run("key", "list", "--nonsense", code=USAGE)
    cli.run("key", "list", "--workspace", code=USAGE)
    cli.run("key", "create", "--workspace", "w", "--role", "king", code=USAGE)
    cli.run("key", "create", "--workspace", "w", "--role", "admin", "--expires", "soon", code=USAGE)
    for name in ("a\033[31mb", "a\nb", b"\xff\xfe", A_KEY, "x" * 257):
        done = cli.run(
            "key", "create", "--workspace", "w", "--role", "admin", "--name", name, code=USAGE
        )
        assert "--name" in done.stderr
        assert A_KEY[21:53] not in done.stderr
    for verb in ("revoke", "rotate"):
        done = cli.run("key", verb, A_KEY, code=USAGE)
        assert A_KEY[9:21] in done.stderr
        assert A_KEY[21:53] not in done.stderr
    cli.run("jobs", "list", "--status", "nonsense", code=USAGE)
    cli.run("jobs", "list", "--limit", "0", code=USAGE)
    cli.run("jobs", "show", "nonsense", code=USAGE)


def complete(tmp_path, *words):
    """What bash offers for the last of these words."""
    (tmp_path / "gantry.bash").write_text(Cli().run("--completion", "bash").stdout)
    script = (
        '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gantry; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-euc", script, tmp_path / "gantry.bash", "gantry", *words],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split()


def test_bash_completes(tmp_path):
    groups = complete(tmp_path, "")
    assert {"key", "memory", "run", "status"} <= set(groups)
    assert len(groups) == len(set(groups))
    assert complete(tmp_path, "mig") == ["migrate"]
    assert complete(tmp_path, "key", "") == ["--help", "create", "list", "revoke", "rotate"]
    assert complete(tmp_path, "memory", "search", "tea", "--mo") == ["--mode"]
    assert complete(tmp_path, "memory", "search", "tea", "--mode", "") == [
        "hybrid",
        "vector",
        "text",
    ]
    assert complete(tmp_path, "memory", "search", "tea", "--mode", "=", "v") == ["vector"]
    assert complete(tmp_path, "run", "ping", "--a") == ["--async"]
    assert complete(tmp_path, "memory", "import", "file") == []
    for row in re.findall(r"^  gantry (\S+)(?: ([a-z]+)\b)?", Cli().run("--help").stdout, re.M):
        assert row[0] in groups, row
        assert not row[1] or row[1] in complete(tmp_path, row[0], ""), row
    Cli().run("--completion", "tcsh", code=USAGE)


def test_manual_and_completions_are_installed(tmp_path):
    """By make install; the page is read by man where there is one, the scripts by their shells."""
    subprocess.run(
        ["make", "-s", "-o", "all", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"],
        cwd=ROOT,
        check=True,
        timeout=600,
        stdout=subprocess.DEVNULL,
    )
    share = tmp_path / "usr/share"
    page = share / "man/man1/gantry.1"
    names = re.findall(r"^  (gantry .*)$", Cli().run("--help").stdout, re.M)
    assert len(names) > 20
    assert page.read_text().replace("\\-", "-").count(".B gantry ") == len(names)
    for words in (
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8"],
        ["groff", "-man", "-Tutf8", "-ww"],
    ):
        if shutil.which(words[0]):
            done = subprocess.run(
                [*words, page],
                capture_output=True,
                text=True,
                env={**os.environ, "MANWIDTH": "150"},
            )
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            assert "configuration" in done.stdout
    for shell, words, file in (
        ("bash", ["-n"], "bash-completion/completions/gantry"),
        ("zsh", ["-n"], "zsh/site-functions/_gantry"),
        ("fish", ["--no-execute"], "fish/vendor_completions.d/gantry.fish"),
    ):
        assert (share / file).read_text() == Cli().run("--completion", shell).stdout
        if shutil.which(shell):
            subprocess.run([shell, *words, share / file], check=True)


def test_one_request_is_followed_through_the_logs(tmp_path):
    (tmp_path / "log").mkdir()
    told = [("gateway", 1, "a-1"), ("executor", 3, "a-1"), ("ingest", 2, "a-1"), ("ingest", 4, "b")]
    for name, second, request in told:
        with open(tmp_path / "log" / f"{name}.log", "a") as log:
            log.write(
                json.dumps(
                    {"ts": f"2026-01-01T00:00:0{second}.000Z", "prog": name, "request_id": request}
                )
                + "\n"
            )

    def logs(**env):
        return subprocess.run(["make", "-s", "logs"], cwd=ROOT, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "STACK_DIR": str(tmp_path), **env})

    assert [json.loads(line)["prog"] for line in logs(REQUEST="a-1").stdout.splitlines()] == [
        "gateway",
        "ingest",
        "executor",
    ]
    assert logs(REQUEST="a-1", NAME="ingest").stdout.count("\n") == 1
    assert logs(REQUEST="none").returncode != 0
    assert "LOG_LEVEL=debug" in logs(REQUEST="none").stderr
    assert "X-Request-ID" in logs(REQUEST="a b").stderr


def program_version(name):
    binary = os.path.join(os.path.dirname(GANTRY), name)
    return subprocess.run(
        [binary, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]


def test_configuration_errors_name_the_variable():
    cli = Cli()
    assert "none of GANTRY_URL" in cli.run("status", code=CONFIG).stderr
    assert "--key: " in cli.run("audit", "verify", "--key", "nonsense", code=CONFIG).stderr
    assert (
        "GANTRY_AUDIT_VKEY: "
        in cli.run("audit", "verify", code=CONFIG, GANTRY_AUDIT_VKEY="nonsense").stderr
    )
    assert "DATABASE_SUPERUSER_URL" in cli.run("migrate", code=CONFIG).stderr
    assert "DATABASE_URL" in cli.run("workspace", "list", code=CONFIG).stderr
    assert "GANTRY_NATS_OPERATOR_URL" in cli.run("provision", code=CONFIG).stderr
    assert "GANTRY_NONSENSE" in cli.run("provision", code=CONFIG, GANTRY_NONSENSE="1").stderr


def test_what_is_down_is_temporary():
    down = "postgresql://u:s3cret@127.0.0.1:1/d"
    done = Cli(DATABASE_URL=down).run("workspace", "list", code=TEMP)
    assert "s3cret" not in done.stderr
    done = Cli(GANTRY_NATS_OPERATOR_URL="nats://u:s3cret@127.0.0.1:1").run("provision", code=TEMP)
    assert "s3cret" not in done.stderr
    assert "127.0.0.1:1 " in done.stderr
    assert "GANTRY_NATS_OPERATOR_URL" in done.stderr
    done = Cli(REDIS_URL="redis://u:s3cret@127.0.0.1:1/0").run("status", code=NO)
    assert "s3cret" not in done.stdout
    assert "127.0.0.1:1" in done.stdout


# --- migrate ----------------------------------------------------------------------------------


def test_migrate_again_changes_nothing(cli):
    before = rows(cli.superuser, "SELECT name, sha256, applied_at FROM gantry_migration ORDER BY 1")
    again = cli.json("migrate")
    assert again["applied"] == 0
    assert again["total"] == len(before) >= 3
    assert before == rows(
        cli.superuser, "SELECT name, sha256, applied_at FROM gantry_migration ORDER BY 1"
    )
    import hashlib
    import pathlib

    for name, sha256, _ in before:
        text = pathlib.Path(ROOT, "sql/migrations", name).read_bytes()
        assert hashlib.sha256(text).hexdigest() == sha256


def test_tables_belong_to_the_owner(cli):
    owners = rows(
        cli.superuser,
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename <> 'gantry_migration'",
    )
    assert owners == [("gantry_owner",)]


def test_passwords_of_roles_are_set_from_the_environment(cli):
    assert rows(
        cli.superuser.replace("postgres:super", "gantry_gateway:gateway-secret"), "SELECT 1"
    )
    stored = rows(
        cli.superuser, "SELECT rolpassword FROM pg_authid WHERE rolname = 'gantry_gateway'"
    )
    assert stored[0][0].startswith("SCRAM-SHA-256$")


def test_an_edited_migration_is_an_error(postgres, cli):
    url = database(postgres, "edited")
    edited = Cli(DATABASE_SUPERUSER_URL=url)
    edited.run("migrate")
    with psycopg2.connect(url) as connection:
        connection.cursor().execute(
            "UPDATE gantry_migration SET sha256 = 'x' WHERE name = '0001_core.sql'"
        )
    assert "0001_core.sql" in edited.run("migrate", code=CONFIG).stderr
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("DELETE FROM gantry_migration WHERE name = '0001_core.sql'")
        connection.cursor().execute("INSERT INTO gantry_migration VALUES ('9999_newer.sql', 'x')")
    assert "9999_newer.sql" in edited.run("migrate", code=CONFIG).stderr


def test_additions_alone(postgres):
    """What an upgrade applies while the release before runs, and then the rest."""
    url = database(postgres, "additions")
    upgrade = Cli(DATABASE_SUPERUSER_URL=url)
    first = upgrade.json("migrate", "--additions")
    left = {
        "0021_memory_index.sql",
        "0022_memory_index_superuser.sql",
        "0162_secret_version_only.sql",
    }
    assert {one["name"] for one in first["migrations"] if not one["new"]} == left
    assert (first["later"], first["applied"]) == (len(left), first["total"] - len(left))
    assert upgrade.json("migrate", "--additions")["applied"] == 0
    rest = upgrade.json("migrate")
    assert (rest["later"], rest["applied"]) == (0, len(left))
    assert {one["name"] for one in rest["migrations"] if one["new"]} == left


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
    assert applied[:3] == [0, 0, 0]
    assert applied[3] > 0


# --- provision and workspaces -----------------------------------------------------------------


def test_provision_is_idempotent_and_repairs(cli, nats):
    again = cli.json("provision")
    assert again["streams_created"] == 0
    assert again["streams_updated"] == 4
    assert again["consumers_repaired"] == 0
    with nats.connect() as client:
        client.api("STREAM.DELETE.TASKS", "")
    assert cli.json("provision")["streams_created"] == 1


@pytest.mark.parametrize("made", ["by this version", "by an earlier one"])
def test_the_first_message_of_a_stream_is_kept(made):
    """nats-server 2.10 does not encrypt what it first writes to a stream that was empty when it
    stopped, and cannot read that when it has forgotten it."""
    secret = b"a text that nobody reads on the disk"
    with nats_files.server() as server:
        cli = Cli(GANTRY_NATS_OPERATOR_URL=server.url("operator"))
        if made == "by this version":
            cli.run("provision", "--no-workspaces", "--connector")
        else:
            nats_files.provision(server)
        server.restart()
        cli.run("provision", "--no-workspaces")
        kept = {}
        with server.connect() as client:
            for _, text in nats_files.bodies("streams"):
                name, subject = json.loads(text)["name"], json.loads(text)["subjects"][0]
                assert client.api(f"STREAM.INFO.{name}")["state"]["messages"] == 0
                kept[name] = client.js_publish(subject.replace("*", "first"), secret)["seq"]
        assert len(kept) == 5
        for path in pathlib.Path(server.directory).rglob("*.blk"):
            assert secret not in path.read_bytes(), path
        server.restart(signal.SIGKILL)
        with server.connect() as client:
            for name, seq in kept.items():
                found = client.api(f"STREAM.MSG.GET.{name}", {"seq": seq})
                assert base64.b64decode(found["message"]["data"]) == secret, name


def test_provision_takes_over_from_shared_consumers(cli, nats):
    """Up to now all workspaces shared one; messages in the stream stay, whoever had them in
    hand."""
    cli.run("workspace", "create", "before")
    with nats.connect() as client:
        for stream, program in (("MEMORY", "ingest"), ("AUDIT", "audit")):
            for name in client.api(f"CONSUMER.NAMES.{stream}", "")["consumers"]:
                client.api(f"CONSUMER.DELETE.{stream}.{name}", "")
            made = client.api(
                f"CONSUMER.DURABLE.CREATE.{stream}.{program}",
                {
                    "stream_name": stream,
                    "config": {"durable_name": program, "ack_policy": "explicit"},
                },
            )
            assert "error" not in made
        client.js_publish("gantry.v1.before.memory.ingest", b"{}", "waits")
        client.publish(
            "$JS.API.CONSUMER.MSG.NEXT.MEMORY.ingest", b'{"batch":1}', reply=f"{client.inbox}.pull"
        )
        cli.run("provision", "--no-workspaces")  # as during an upgrade: they stay, alone
        for stream, program in (("MEMORY", "ingest"), ("AUDIT", "audit")):
            assert client.api(f"CONSUMER.NAMES.{stream}", "")["consumers"] == [program]
        cli.run("provision")
        for stream, program in (("MEMORY", "ingest"), ("AUDIT", "audit")):
            names = client.api(f"CONSUMER.NAMES.{stream}", "")["consumers"]
            assert program not in names
            assert f"{program}_before" in names
        assert client.api("CONSUMER.INFO.MEMORY.ingest_before", "")["num_pending"] == 1
        assert "audit__none" in client.api("CONSUMER.NAMES.AUDIT", "")["consumers"]
        client.api("STREAM.PURGE.MEMORY", "")


def test_workspace_create_makes_its_consumers(cli, nats):
    assert cli.json("workspace", "create", "acme") == {"workspace": "acme", "created": True}
    assert cli.json("workspace", "create", "acme") == {"workspace": "acme", "created": False}
    with nats.connect() as client:
        for stream, program in (("TASKS", "executor"), ("MEMORY", "ingest"), ("AUDIT", "audit")):
            assert f"{program}_acme" in client.api(f"CONSUMER.NAMES.{stream}", "")["consumers"]
    cli.run("provision")
    listed = cli.json("workspace", "list")["items"]
    assert [w["actions"] for w in listed if w["workspace"] == "acme"] == [None]
    for name in ["", "Acme", "-a", "a" * 64, "a.b", "a*"]:
        cli.run("workspace", "create", "--", name, code=USAGE)
        cli.run("workspace", "allow", "--", name, "ping", code=USAGE)


def test_workspace_allow(cli):
    cli.run("workspace", "create", "allowing")

    def actions():
        return [
            w["actions"]
            for w in cli.json("workspace", "list")["items"]
            if w["workspace"] == "allowing"
        ]

    assert cli.json("workspace", "allow", "allowing", "ping", "code.python")["actions"] == [
        "ping",
        "code.python",
    ]
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


A_KEY = "relay_sk_" + "k" * 12 + "S" * 32
A_KEY += checksum(A_KEY)


def test_key_life(cli):
    cli.run("workspace", "create", "keys")
    made = cli.json(
        "key",
        "create",
        "--workspace",
        "keys",
        "--role",
        "developer",
        "--name",
        "n'1",
        "--expires",
        "90d",
    )
    assert set(made) == {"key", "key_id", "workspace", "role", "expires_at"}
    assert re.fullmatch(r"relay_sk_[0-9A-Za-z]{50}", made["key"])
    assert made["key"][9:21] == made["key_id"]
    assert made["key"][-6:] == checksum(made["key"][:-6])
    stored = rows(
        cli.superuser,
        "SELECT workspace, role, scopes, name, hash FROM api_key WHERE key_id = %s",
        made["key_id"],
    )[0]
    assert stored[:2] == ("keys", "developer")
    assert stored[3] == "n'1"
    assert sorted(stored[2]) == [
        "actions:execute",
        "actions:preview",
        "audit:write",
        "memory:read",
        "memory:write",
    ]
    assert stored[4].startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    owned = cli.json("key", "create", "--workspace", "keys", "--role", "viewer", "--owner", "ada")
    assert owned["owner"] == "ada"
    listed = cli.json("key", "list", "--workspace", "keys")["items"]
    assert {k["key_id"]: k.get("owner") for k in listed} == {
        made["key_id"]: None,
        owned["key_id"]: "ada",
    }
    for owner in ("", "a" * 257, "a\tb", A_KEY):
        words = ["key", "create", "--workspace", "keys", "--role", "viewer", "--owner", owner]
        assert "--owner" in cli.run(*words, code=USAGE).stderr
    assert len(cli.json("key", "list", "--workspace", "keys")["items"]) == 2

    plain = cli.run("key", "create", "--workspace", "keys", "--role", "viewer")
    assert re.fullmatch(r"relay_sk_[0-9A-Za-z]{50}\n", plain.stdout)

    listed = cli.run("key", "list", "--workspace", "keys", "--json").stdout
    assert made["key"][21:53] not in listed
    assert "argon2" not in listed
    item = [k for k in json.loads(listed)["items"] if k["key_id"] == made["key_id"]][0]
    assert item["state"] == "valid"
    assert item["expires_at"] == made["expires_at"]
    assert item["revoked_at"] is None

    turned = cli.json("key", "rotate", made["key_id"], "--overlap", "1h")
    assert turned["role"] == "developer"
    assert turned["workspace"] == "keys"
    assert turned["key_id"] != made["key_id"]
    assert turned["previous_valid_until"]
    cli.run("key", "rotate", made["key_id"], code=NO)

    assert cli.json("key", "revoke", turned["key_id"])["revoked"] is True
    states = {k["key_id"]: k["state"] for k in cli.json("key", "list")["items"]}
    assert states[turned["key_id"]] == "revoked"
    assert states[made["key_id"]] == "rotated"
    cli.run("key", "revoke", "000000000000", code=NO)
    cli.run("key", "revoke", made["key_id"], "--workspace", "nowhere", code=NO)
    cli.run("key", "create", "--workspace", "nowhere", "--role", "admin", code=NO)


# --- dead letters -----------------------------------------------------------------------------


def put_letter(nats, workspace, program, subject, payload, **headers):
    headers = {"Gantry-Reason": "a reason", "Gantry-Deliveries": "7", "Gantry-Subject": subject,
               **{k.replace("_", "-"): v for k, v in headers.items()}}
    with nats.connect() as client:
        return client.js_publish(f"gantry.v1.{workspace}.dead.{program}", payload, headers=headers)[
            "seq"
        ]


def test_dead_letters(cli, nats):
    subject = "gantry.v1.dl.memory.ingest"
    first = put_letter(nats, "dl", "ingest", subject, b'{"scope":"s","text":"t"}',
                       Gantry_Msg_Id="0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071.1",
                       Gantry_Actor="claim.sig")
    second = put_letter(nats, "dl", "ingest", subject, b"\xff\x00no json",
                        Gantry_Msg_Id="0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6072")
    third = put_letter(nats, "other", "audit", "$JS.API.STREAM.PURGE.AUDIT", b"{}")

    listed = cli.json("dlq", "list", "--workspace", "dl")
    assert [i["seq"] for i in listed["items"]] == [first, second]
    assert listed["count"] == 2
    assert listed["items"][0]["reason"] == "a reason"
    assert listed["items"][0]["deliveries"] == 7
    assert listed["items"][0]["program"] == "ingest"
    assert listed["items"][0]["subject"] == subject
    assert cli.json("dlq", "list", "--program", "audit")["count"] == 1
    assert cli.json("dlq", "list", "--limit", "1")["count"] == 1
    assert "a reason" in cli.run("dlq", "list").stdout
    refused = cli.run("dlq", "list", "--workspace", "a.*", code=USAGE).stderr
    assert "--workspace 'a.*' is not a workspace name: 1 to 63 of a-z" in refused
    for name in ("In.gest", ""):
        refused = cli.run("dlq", "list", "--program", name, code=USAGE).stderr
        assert f"--program '{name}' is not a program's name: 1 to 63 of a-z" in refused

    cut = put_letter(nats, "cut", "ingest", subject, b'{"scope":"s"', Gantry_Cut="1048500")
    assert "of its 1048500 bytes only 12" in cli.run("dlq", "replay", str(cut), code=NO).stderr
    cli.run("dlq", "discard", str(cut))

    assert cli.json("dlq", "show", str(first))["payload"] == {"scope": "s", "text": "t"}
    assert (
        base64.b64decode(cli.json("dlq", "show", str(second))["payload_base64"])
        == b"\xff\x00no json"
    )
    cli.run("dlq", "show", "999999", code=NO)
    cli.run("dlq", "show", "x", code=USAGE)

    # A letter cannot be made into a command that is none of ours, with the operator's rights.
    assert "no command" in cli.run("dlq", "replay", str(third), code=NO).stderr
    cli.run("dlq", "replay", code=USAGE)
    cli.run("dlq", "replay", "1", "--all", code=USAGE)

    assert cli.json("dlq", "replay", "--all", "--workspace", "dl") == {"replayed": 2}
    with nats.connect() as client:
        start = client.api("STREAM.INFO.MEMORY", "")["state"]["first_seq"]
        stored = [
            client.api("STREAM.MSG.GET.MEMORY", json.dumps({"seq": seq, "next_by_subj": subject}))[
                "message"
            ]
            for seq in (start, start + 1)
        ]
    assert [base64.b64decode(m["data"]) for m in stored] == [
        b'{"scope":"s","text":"t"}',
        b"\xff\x00no json",
    ]
    head = base64.b64decode(stored[0]["hdrs"]).decode()
    assert "Gantry-Actor: claim.sig" in head
    assert f"Nats-Msg-Id: 0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071.1.replay.{first}" in head
    head = base64.b64decode(stored[1]["hdrs"]).decode()
    assert "Nats-Msg-Id: 0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6072\r" in head

    # The same message again within JetStream's duplicate window is not lost: it stays a letter.
    again = put_letter(
        nats, "dl", "ingest", subject, b"x", Gantry_Msg_Id="0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6072"
    )
    cli.run("dlq", "replay", str(again), code=TEMP)
    assert cli.json("dlq", "list", "--workspace", "dl")["count"] == 1
    assert cli.json("dlq", "discard", str(again), str(third)) == {"discarded": 2}
    assert cli.json("dlq", "list")["count"] == 0
    cli.run("dlq", "discard", str(again), code=NO)


# --- memories over HTTP -----------------------------------------------------------------------


class Gateway(http.server.BaseHTTPRequestHandler):
    """As much of the gateway as import and export see; it stumbles now and then."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    stored, answers, seen = {}, {}, collections.Counter()

    def log_message(self, *args):
        pass

    def answer(self, status, doc, **headers):
        body = json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        with self.lock:
            if self.headers["X-API-Key"] != "good":
                return self.answer(403, {"detail": "missing scope"})
            self.seen[key] += 1
            number = len(self.seen)
            if self.seen[key] == 1 and number % 5 == 0:
                return self.answer(
                    [503, 429, 409][number // 5 % 3], {"detail": "later"}, Retry_After="0"
                )
            if body["text"] == "bad":
                return self.answer(
                    422, {"detail": "see errors", "errors": [{"field": "text", "detail": "a rule"}]}
                )
            if key not in self.answers:
                same = [
                    i
                    for i, b in self.stored.items()
                    if (b["scope"], b["text"]) == (body["scope"], body["text"])
                ]
                if not same:
                    self.stored[len(self.stored)] = body
                self.answers[key] = {"status": "success", "deduplicated": bool(same)}
            return self.answer(200, self.answers[key])

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/readyz":
            return self.answer(503, {"status": "not_ready", "dependencies": {"nats": "down"}})
        start = int(query.get("cursor", "0 &").split()[0])
        items = [
            {
                "id": str(i),
                "content": b["text"],
                "scope": b["scope"],
                "tags": b.get("tags", []),
                "facts": b.get("facts", []),
                "metadata": b.get("metadata", {}),
                "source": "x",
                "expires_at": None,
            }
            for i, b in self.stored.items()
            if query.get("scope") in (None, b["scope"])
        ]
        page = items[start:start + 100]
        more = f"{start + 100} &" if start + 100 < len(items) else None
        return self.answer(200, {"items": page, "next_cursor": more})


class Many(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


@pytest.fixture
def gateway():
    Gateway.stored.clear(), Gateway.answers.clear(), Gateway.seen.clear()
    server = Many(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_memory_import_and_export(gateway, tmp_path):
    cli = Cli(GANTRY_URL=gateway, GANTRY_API_KEY="good")
    lines = [
        {
            "scope": "a&b ü" if i % 2 else "s",
            "text": f"text {i} \"'\\ 🦊",
            "metadata": {"n": i},
            "tags": ["t"],
            "facts": [{"subject": "a", "predicate": "b", "object": "c", "confidence": 0.9}],
        }
        for i in range(250)
    ]
    file = tmp_path / "in.jsonl"
    file.write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines + [lines[0]]) + "\n"
    )
    done = cli.json("memory", "import", str(file))
    assert done == {"stored": 251, "deduplicated": 1, "accepted": 0, "expired": 0, "failed": 0}
    assert sorted(b["metadata"]["n"] for b in Gateway.stored.values()) == list(range(250))
    assert cli.json("memory", "import", "-", stdin=file.read_text())["deduplicated"] == 251
    assert len(Gateway.stored) == 250
    assert len(Gateway.answers) == 2 * 251

    exported = cli.run("memory", "export").stdout
    assert len(exported.splitlines()) == 250
    before = {b["text"]: b for b in Gateway.stored.values()}
    cli.run("memory", "export", "--scope", "a&b ü", "--output", str(tmp_path / "out.jsonl"))
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 125
    # Deleted meanwhile: an earlier run's idempotency keys must not answer for this one.
    Gateway.stored.clear()
    assert cli.json("memory", "import", "-", stdin=exported)["deduplicated"] == 0
    after = {b["text"]: b for b in Gateway.stored.values()}
    assert all(after[text]["facts"] == b["facts"] and after[text]["metadata"] == b["metadata"]
               and after[text]["scope"] == b["scope"] for text, b in before.items())


def test_memory_import_tells_what_failed(gateway, tmp_path):
    cli = Cli(GANTRY_URL=gateway, GANTRY_API_KEY="good")
    old = json.dumps({"scope": "s", "content": "gone", "expires_at": "2020-01-01T00:00:00.000Z"})
    text = '{"scope":"s","text":"ok"}\n{"scope":"s","text":"bad"}\nnonsense\n[]\n' + old + "\n"
    done = cli.run("memory", "import", "-", "--json", stdin=text, code=NO)
    assert json.loads(done.stdout) == {
        "stored": 1,
        "deduplicated": 0,
        "accepted": 0,
        "expired": 1,
        "failed": 3,
    }
    assert "line 2: text: a rule (HTTP 422)" in done.stderr
    assert "line 3: " in done.stderr
    assert "line 4: " in done.stderr
    cli.run("memory", "import", str(tmp_path / "none"), code=NO)
    assert "directory" in cli.run("memory", "import", str(tmp_path), code=NO).stderr
    assert (
        "may not"
        in Cli(GANTRY_URL=gateway, GANTRY_API_KEY="bad")
        .run("memory", "import", "-", stdin=text, code=NO)
        .stderr
    )
    Cli(GANTRY_URL=gateway).run("memory", "import", "-", stdin=text, code=CONFIG)
    none = Cli(GANTRY_URL="http://127.0.0.1:1", GANTRY_API_KEY="good")
    assert "http://127.0.0.1:1: " in none.run("memory", "export", code=TEMP).stderr


# --- status -----------------------------------------------------------------------------------


FULL = {
    b"ingest": b'"metadata":{"region":"here","full.held":"hog"}}',
    b"search": b'"metadata":{"region":"","full.index_memory":"hog","full.searches":"other"}}',
    b"audit": b'"metadata":[]}',
    b"executor": b'"metadata":{"full.held":"third"}}',
}


def test_status(cli, nats, gateway):
    def answer():
        with nats.connect("ingest") as client:
            client.subscribe("$SRV.PING")
            client.flush()
            ready.set()
            message = client.next()
            for name in (b"ingest", b"search", b"audit", b"ingest", b"executor"):
                if name == b"executor":
                    time.sleep(0.6)  # a busy machine: who runs is waited for
                said = b'{"name":"gantry-' + name + b'","id":"x",' + FULL[name]
                client.publish(message.reply, said)
            client.flush()

    ready = threading.Event()
    with servers.redis() as redis:
        threading.Thread(target=answer, daemon=True).start()
        assert ready.wait(60)
        whole = cli.json("status", REDIS_URL=redis.url)
        assert whole["ok"] is True
        assert whole["redis"] == whole["nats"] == whole["postgresql"] == "up"
        assert whole["gateway"] == "not asked"
        assert whole["workers"] == {
            "gantry-ingest": 2, "gantry-search": 1, "gantry-audit": 1, "gantry-executor": 1}
        assert whole["full"] == "held, index_memory, searches"
        assert whole["full_workspaces"] == {
            "held": ["hog", "third"], "index_memory": ["hog"], "searches": ["other"]}
        assert set(whole["streams"]) == {"MEMORY", "TASKS", "AUDIT", "DEAD"}
        missing = cli.run("status", code=NO, REDIS_URL=redis.url)
        assert missing.stderr == ""
        assert "gantry-audit    0 running: none answers" in missing.stdout
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        hanging = Cli().run("status", "--json", code=NO, GANTRY_URL=f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert json.loads(hanging.stdout)["gateway"] == "down"
    broken = Cli().run("status", "--json", code=NO, GANTRY_URL=gateway, REDIS_URL=redis.url)
    assert json.loads(broken.stdout)["gateway"] == "not_ready"
    assert json.loads(broken.stdout)["redis"] == "down"


def test_a_schema_of_another_release_is_not_a_server_that_is_down(postgres):
    url = database(postgres, "earlier")
    made = Cli(DATABASE_SUPERUSER_URL=url, DATABASE_URL=url)
    made.run("migrate")
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("DROP FUNCTION webhook_counts")
    told = json.loads(made.run("status", "--json", code=NO).stdout)
    assert (told["postgresql"], told["ok"]) == ("other schema", False)
    shown = made.run("status", code=NO).stdout
    assert "postgresql   other schema: " in shown
    for text in (shown, made.run("workspace", "list", code=CONFIG).stderr):
        assert "run gantry migrate" in text
        assert "webhook_counts() does not exist" in text
    wrong = Cli(DATABASE_URL=url.replace("super", "wrong")).run("status", "--json", code=NO)
    assert json.loads(wrong.stdout)["postgresql"] == "down"
