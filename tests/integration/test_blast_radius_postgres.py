# SPDX-License-Identifier: MIT
"""What each program's role may do in PostgreSQL: the whole table of rights, and everything else
tried."""

import uuid
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors

ROLES = [
    "gantry_gateway",
    "gantry_ingest",
    "gantry_search",
    "gantry_audit",
    "gantry_pruner",
    "gantry_connector",
]
RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
MEMORY = ["memory", "memory_fact", "memory_history", "memory_forget", "command_done"]

# role -> table -> rights on the whole table. What is not here must be refused.
TABLES = {
    "gantry_gateway": {
        "deployment": "SELECT",
        "workspace": "SELECT",
        "api_key": "SELECT",
        "policy": "SELECT",
        "approval": "SELECT",
    },
    "gantry_ingest": {
        "deployment": "SELECT",
        "memory_model": "SELECT INSERT",
        "memory_version": "SELECT INSERT UPDATE",
        "memory_log": "SELECT INSERT UPDATE",
        **{table: "SELECT INSERT UPDATE DELETE" for table in MEMORY},
    },
    "gantry_search": {
        "deployment": "SELECT",
        "memory_model": "SELECT",
        "memory": "SELECT",
        "memory_fact": "SELECT",
        "memory_history": "SELECT",
        "memory_version": "SELECT",
        "memory_log": "SELECT",
    },
    "gantry_audit": {
        "deployment": "SELECT",
        "audit_log": "SELECT INSERT",
        "audit_tile": "SELECT INSERT",
        "audit_checkpoint": "SELECT INSERT",
    },
    "gantry_pruner": {},
    "gantry_connector": {
        "connector_secret": "SELECT INSERT UPDATE DELETE",
        "webhook": "SELECT INSERT UPDATE DELETE",
        "webhook_delivery": "SELECT INSERT UPDATE DELETE",
        "hook": "SELECT INSERT UPDATE DELETE",
    },
}
# role -> table -> columns that it may read although not the table
COLUMNS = {"gantry_search": {"command_done": {"workspace", "id", "memory_id", "refusal"}}}
# Functions that run with the owner's rights, and who may call them.
DEFINERS = {
    "key_create": {"gantry_gateway"},
    "key_rotate": {"gantry_gateway"},
    "key_revoke": {"gantry_gateway"},
    "key_touch": {"gantry_gateway"},
    "policy_put": {"gantry_gateway"},
    "key_own": {"gantry_gateway"},
    "key_latest": set(),
    "key_same": {"gantry_gateway"},
    "key_same_person": set(),
    **{
        "approval_" + verb: {"gantry_gateway"}
        for verb in ("ask", "decide", "cancel", "take", "settle", "fail", "counts")
    },
    "memory_expired": {"gantry_ingest"},
    "command_sweep": {"gantry_ingest"},
    "memory_log_sweep": {"gantry_ingest"},
    "memory_reindex_next": {"gantry_ingest"},
    "memory_reindex_done": {"gantry_ingest"},
    "audit_head": {"gantry_audit"},
    "audit_continue": {"gantry_audit"},
    "audit_known": {"gantry_audit"},
    "audit_tile_hashes": {"gantry_audit"},
    "audit_last_before": {"gantry_audit"},
    "audit_announce": {"gantry_audit"},
    "audit_ended": {"gantry_audit"},
    "audit_overdue": {"gantry_audit"},
    "audit_unknown": {"gantry_audit"},
    "audit_prune": {"gantry_pruner"},
    "audit_prune_bound": {"gantry_audit"},
    "connector_stale": {"gantry_connector"},
    "connector_seal_version": {"gantry_connector"},
    "connector_secret_sealed": set(),
    "webhook_start": {"gantry_connector"},
    "webhook_hosts": {"gantry_connector"},
    "webhook_collect": {"gantry_connector"},
    "webhook_claim": {"gantry_connector"},
    "webhook_untold": {"gantry_connector"},
    "webhook_sweep": {"gantry_connector"},
    "webhook_counts": {"gantry_connector"},
    "hook_find": {"gantry_connector"},
}
REFUSED = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)


@pytest.fixture(scope="module")
def owner(stack):
    return stack.database()


def query(connection, text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else None


def tables(owner, kinds="rpvm"):
    return [
        name
        for (name,) in query(
            owner,
            "SELECT relname FROM pg_class WHERE position(relkind::text in %s) > 0"
            " AND relnamespace = 'public'::regnamespace ORDER BY 1",
            kinds,
        )
    ]


def refused(connection, text):
    try:
        query(connection, text)
    except REFUSED:
        return True
    except errors.FeatureNotSupported:
        return False
    return False


@pytest.mark.parametrize("role", ROLES)
def test_the_whole_table_of_rights(owner, role):
    found = {}
    for table in tables(owner):
        have = [
            right
            for right in RIGHTS
            if query(owner, "SELECT has_table_privilege(%s, %s, %s)", role, table, right)[0][0]
        ]
        if have:
            found[table] = " ".join(have)
    assert found == TABLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_columns_beyond_the_tables(owner, role):
    found = {}
    for table, column, right in query(
        owner,
        """
            SELECT c.relname, a.attname, r.name
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                 AND NOT a.attisdropped,
                 unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS r (name)
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
              AND has_column_privilege(%s, c.oid, a.attnum, r.name)
              AND NOT has_table_privilege(%s, c.oid, r.name)""",
        role,
        role,
    ):
        assert right == "SELECT", (table, column, right)
        found.setdefault(table, set()).add(column)
    assert found == COLUMNS.get(role, {})


def test_functions_with_the_owners_rights(owner):
    found = {}
    for name, config, granted in query(
        owner,
        """
            SELECT p.proname, p.proconfig, array(
                SELECT r.rolname::text FROM pg_roles r
                WHERE r.rolname = ANY (%s) AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
            FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace""",
        ROLES,
    ):
        assert any("search_path" in setting for setting in config), (
            f"{name}: no search_path of its own"
        )
        found[name] = set(granted)
    assert found == DEFINERS


@pytest.mark.parametrize("role", ROLES)
def test_every_forbidden_statement_is_refused(stack, owner, role):
    with closing(stack.database(role)) as connection:
        query(connection, "SELECT set_config('gantry.workspace', 'default', false)")
        query(connection, "SET default_transaction_read_only = off")  # anyone may; rights must hold
        for table in tables(owner, "r"):
            have = TABLES[role].get(table, "")
            tries = {
                "SELECT": f"SELECT * FROM {table}",
                "DELETE": f"DELETE FROM {table} WHERE false",
                "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
                "UPDATE": f"UPDATE {table} SET {first_column(owner, table)} = NULL WHERE false",
                "TRUNCATE": f"TRUNCATE {table}",
                "LOCK": f"DO $$ BEGIN LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; END $$",
                "DROP": f"DROP TABLE {table}",
                "ALTER": f"ALTER TABLE {table} ADD COLUMN x int",
                "POLICY": f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
                "TRIGGER": f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                "GRANT": f"GRANT ALL ON {table} TO {role}",
            }
            for right, text in tries.items():
                if right in have or (right == "LOCK" and ("UPDATE" in have or "DELETE" in have)):
                    continue
                if right == "GRANT" and have:
                    continue  # only a warning: nothing is granted, as the table of rights shows
                assert refused(connection, text), f"{role}: {text}"


def first_column(owner, table):
    return query(
        owner,
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND attidentity = '' AND attgenerated = '' AND NOT attisdropped",
        table,
    )[0][0]


COMMANDS = [
    "CREATE TABLE mine (x int)",
    "CREATE TEMP TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "CREATE EXTENSION dblink",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT pg_reload_conf()",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SET ROLE gantry_owner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION gantry_owner",
    "SELECT rolpassword FROM pg_authid",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "SET row_security = off; TABLE memory",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE gantry_owner PASSWORD 'x'",
    "SELECT pg_logical_emit_message(true, 'x', 'x') FROM memory",
    "SELECT * FROM gantry_migration",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "SELECT pg_create_physical_replication_slot('mine')",
    "SELECT pg_stat_reset()",
]


@pytest.mark.parametrize("role", ROLES)
def test_every_forbidden_command_is_refused(stack, role):
    with closing(stack.database(role)) as connection:
        for text in COMMANDS:
            if "TABLE memory" in text and "memory" in TABLES[role]:
                continue  # test_without_a_workspace_there_is_nothing
            if "FROM memory" in text and "memory" in TABLES[role]:
                continue
            assert refused(connection, text), f"{role}: {text}"


@pytest.mark.parametrize("role", ["gantry_gateway", "gantry_search", "gantry_pruner"])
def test_no_locks_that_others_rely_on(stack, role):
    with closing(stack.database(role)) as connection:
        for text in (
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "SELECT pg_advisory_xact_lock(hashtextextended('gantry.audit_log', 0))",
        ):
            assert refused(connection, text), f"{role}: {text}"


@pytest.mark.parametrize("role", ["gantry_ingest", "gantry_search"])
def test_without_a_workspace_there_is_nothing(stack, role):
    stack.client().ingest("blast", "a row that is there").ok()
    with closing(stack.database(role)) as connection:
        assert query(connection, "SELECT count(*) FROM memory") == [(0,)]
        query(connection, "SELECT set_config('gantry.workspace', 'nobody', false)")
        assert query(connection, "SELECT count(*) FROM memory") == [(0,)]
        with pytest.raises(psycopg2.Error):
            query(connection, "SET row_security = off")
            query(connection, "SELECT count(*) FROM memory")


HOOK = (
    "INSERT INTO hook (workspace, id, scheme, command, definition, created_by)"
    " VALUES (%s, %s, 'github', 'audit.append', '{}', 'operator')"
)
WEBHOOK = (
    "INSERT INTO webhook (workspace, id, url, events, signature, cursor)"
    " VALUES (%s, %s, 'https://plain.example/', '{audit.*}', 'hmac', 0)"
)
DELIVERY = (
    "INSERT INTO webhook_delivery (workspace, webhook, type, body)"
    " VALUES (%s, %s, 'webhook.test', '{}')"
)
SECRET = (
    "INSERT INTO connector_secret (workspace, name, key, sealed, seal_version)"
    " VALUES (%s, %s, '\\x01', '\\x02', connector_seal_version())"
)
KEPT_BY_CONNECTOR = ["connector_secret", "webhook", "webhook_delivery", "hook"]


@pytest.fixture
def two_workspaces(owner):
    """(workspace, its webhook, its hook) of two; each has a row in each of connector's tables."""
    made = []
    for _ in range(2):
        name, webhook = "rls-" + uuid.uuid4().hex[:8], str(uuid.uuid4())
        hook = uuid.uuid4().hex[:12]
        query(owner, WEBHOOK, name, webhook)
        query(owner, DELIVERY, name, webhook)
        query(owner, HOOK, name, hook)
        query(owner, SECRET, name, "a_secret")
        made.append((name, webhook, hook))
    yield made
    for name, _, _ in made:
        for table in KEPT_BY_CONNECTOR:
            query(owner, f"DELETE FROM {table} WHERE workspace = %s", name)


def test_connector_sees_the_workspace_that_it_has_set(stack, owner, two_workspaces):
    """Webhooks, their deliveries, hooks and secrets of another one are not read, changed, deleted
    or made."""
    (mine, _, _), (other, webhook, _) = two_workspaces
    with closing(stack.database("gantry_connector")) as connection:
        for table in KEPT_BY_CONNECTOR:
            assert query(connection, f"SELECT count(*) FROM {table}") == [(0,)], table
        query(connection, "SELECT set_config('gantry.workspace', %s, false)", mine)
        for table in KEPT_BY_CONNECTOR:
            seen = query(connection, f"SELECT DISTINCT workspace FROM {table}")
            assert seen == [(mine,)], table
            with connection.cursor() as cursor:
                for change in ("DELETE FROM {}", "UPDATE {} SET created_at = now()"):
                    cursor.execute(change.format(table) + " WHERE workspace = %s", (other,))
                    assert cursor.rowcount == 0, (table, change)
            sealed = ", seal_version = connector_seal_version()" if "secret" in table else ""
            with pytest.raises(REFUSED):
                query(connection, f"UPDATE {table} SET workspace = %s{sealed}", other)
        for text, values in (
            (WEBHOOK, (other, str(uuid.uuid4()))),
            (DELIVERY, (other, webhook)),
            (HOOK, (other, "A" * 12)),
            (SECRET, (other, "another")),
        ):
            with pytest.raises(REFUSED):
                query(connection, text, *values)
    for table in KEPT_BY_CONNECTOR:
        found = query(owner, f"SELECT count(*) FROM {table} WHERE workspace = %s", other)
        assert found == [(1,)], table


def test_no_older_box_is_put_back(stack, owner, two_workspaces):
    """Not by a program's role: a box is stored under a number that its session has just taken, and
    numbers do not come twice. (What an owner of the table puts back does not open:
    test_connector.py.)"""
    (name, _, _), _ = two_workspaces
    of_name = "SELECT seal_version FROM connector_secret WHERE workspace = %s"
    old = query(owner, of_name, name)[0][0]
    with closing(stack.database("gantry_connector")) as connection:
        query(connection, "SELECT set_config('gantry.workspace', %s, false)", name)
        change = "UPDATE connector_secret SET sealed = %s, seal_version = %s"
        with pytest.raises(errors.SerializationFailure):  # none was taken yet
            query(connection, change, b"new", 1)
        (number,) = query(connection, "SELECT connector_seal_version()")[0]
        query(connection, change, b"new", number)
        for sealed, version in ((b"old", old), (b"old", number - 1), (b"old", 0), (b"new", old)):
            with pytest.raises(errors.InsufficientPrivilege):
                query(connection, change, sealed, version)
        query(connection, "UPDATE connector_secret SET refreshing_until = now()")  # no box
        query(connection, "DELETE FROM connector_secret")
        with pytest.raises(errors.InsufficientPrivilege):
            query(
                connection,
                "INSERT INTO connector_secret (workspace, name, key, sealed, seal_version)"
                " VALUES (%s, 'a_secret', '\\x01', '\\x02', %s)",
                name,
                old,
            )
        for text in (
            "SELECT setval('connector_seal_number', 1)",
            "SELECT nextval('connector_seal_number')",
            "ALTER SEQUENCE connector_seal_number RESTART",
            "ALTER TABLE connector_secret DISABLE TRIGGER sealed",
        ):
            assert refused(connection, text), text


def test_the_gateway_changes_keys_of_the_workspace_that_it_has_set(stack):
    other = stack.key("viewer", "blast-other")[9:21]
    with closing(stack.database("gantry_gateway")) as connection:
        query(connection, "SELECT set_config('gantry.workspace', 'default', false)")
        assert query(connection, "SELECT key_revoke(%s)", other) == [(False,)]
        assert (
            query(
                connection,
                "SELECT * FROM key_rotate(%s, 'AAAAAAAAAAAA', '$argon2id$x', '1 day')",
                other,
            )
            == []
        )
    assert stack.client("viewer", "blast-other").get("/memory").status == 200


def test_no_program_may_hold_another_ones_password(stack):
    for role in ROLES:
        url = stack.database_url(role)
        for other in ROLES:
            if other != role:
                with pytest.raises(psycopg2.OperationalError):
                    psycopg2.connect(url.replace(f"//{role}:", f"//{other}:")).close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(
            stack.database_url("gantry_ingest").replace(stack.secret("postgres_gantry_ingest"), "")
        ).close()
