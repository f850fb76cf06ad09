# SPDX-License-Identifier: MIT
"""What each program's user may do in Redis: its own keys with its own commands, and nothing
else."""

import pytest
import redis

USERS = ["gateway", "search", "executor", "connector"]
OWN = {
    "gateway": ["idem:", "rate:", "job:", "jobs:", "pending:", "preview:"],
    "search": ["gantry:embed:"],
    "executor": ["job:", "jobs:", "pending:"],
    "connector": ["job:", "jobs:", "pending:"],
}
ALL = ["idem:", "rate:", "job:", "jobs:", "pending:", "preview:", "gantry:embed:", "other:", ""]
# Commands that no program has: administration, other connections' data, whole databases.
FORBIDDEN = [
    ["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "*"], ["CONFIG", "SET", "maxmemory", "1"],
    ["SHUTDOWN", "NOSAVE"], ["KEYS", "*"], ["SCAN", "0"], ["RANDOMKEY"], ["DBSIZE"], ["MONITOR"],
    ["DEBUG", "SLEEP", "0"], ["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "normal"],
    ["ACL", "LIST"], ["ACL", "SETUSER", "gateway", "+@all"], ["ACL", "WHOAMI"],
    ["REPLICAOF", "127.0.0.1", "1"], ["SLAVEOF", "NO", "ONE"], ["MIGRATE", "h", "1", "k", "0", "1"],
    ["MODULE", "LIST"], ["SAVE"], ["BGSAVE"], ["BGREWRITEAOF"], ["SCRIPT", "FLUSH"],
    ["SCRIPT", "KILL"], ["EVAL", "return 1", "0"], ["FUNCTION", "LIST"], ["SUBSCRIBE", "x"],
    ["PUBLISH", "x", "y"], ["PSUBSCRIBE", "*"], ["SWAPDB", "0", "1"], ["RENAME", "a", "b"],
    ["COPY", "a", "b"], ["DUMP", "job:x"], ["RESTORE", "job:x", "0", "x"], ["SORT", "job:x"],
    ["OBJECT", "HELP"], ["LATENCY", "RESET"], ["SLOWLOG", "GET"], ["MEMORY", "DOCTOR"],
    ["CLUSTER", "INFO"], ["PSYNC", "?", "-1"], ["WAIT", "0", "1"], ["FAILOVER"],
]


@pytest.fixture(scope="module")
def admin(stack):
    return redis.Redis.from_url(stack.redis_url("admin"))


@pytest.fixture(scope="module")
def users(stack):
    return {user: redis.Redis.from_url(stack.redis_url(user)) for user in USERS}


def refused(connection, *words):
    try:
        connection.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.exceptions.ResponseError as error:
        words = ("NOPERM", "permissions", "can't", "not allowed", "ACL failure")
        return any(word in str(error) for word in words)
    return False


def test_nobody_else_exists(stack, admin):
    assert set(admin.acl_users()) == {"default", "admin", *USERS}
    anonymous = redis.Redis(port=int(stack.ports["REDIS_PORT"]))
    for words in (["PING"], ["GET", "job:x"]):
        with pytest.raises(redis.exceptions.AuthenticationError):
            anonymous.execute_command(*words)


@pytest.mark.parametrize("user", USERS)
def test_forbidden_commands(users, user):
    for words in FORBIDDEN:
        assert refused(users[user], *words), f"{user}: {words}"


@pytest.mark.parametrize("user", USERS)
def test_only_its_own_keys(admin, users, user):
    for prefix in ALL:
        name = f"{prefix}blast-radius"
        admin.set(name, "v", ex=60)
        mine = prefix in OWN[user]
        assert refused(users[user], "GET", name) != mine, f"{user}: GET {name}"
        assert refused(users[user], "SET", name, "v", "EX", "60") != mine, f"{user}: SET {name}"
        if not mine and user != "search":
            assert refused(users[user], "DEL", name), name
            assert refused(
                users[user], "EXPIRE", name, "1"
            ), name


@pytest.mark.parametrize("user", ["gateway", "executor", "connector"])
def test_scripts_have_no_more_rights(admin, users, user):
    admin.set("other:blast-radius", "untouched")
    for body, keys in (("return redis.call('GET', KEYS[1])", ["other:blast-radius"]),
                       ("return redis.call('SET', 'other:blast-radius', 'changed')", []),
                       ("return redis.call('FLUSHALL')", []),
                       ("return redis.call('CONFIG', 'GET', '*')", [])):
        digest = users[user].execute_command("SCRIPT", "LOAD", body)
        assert refused(users[user], "EVALSHA", digest, len(keys), *keys), f"{user}: {body}"
    assert admin.get("other:blast-radius") == b"untouched"
    admin.delete("other:blast-radius")


def test_programs_without_redis_have_no_way_in(stack):
    for program in ("ingest", "audit"):
        script = (stack.directory / "services" / program).read_text()
        assert "REDIS" not in script
    executor = stack.directory / "services" / "executor"
    assert "DATABASE" not in executor.read_text()
    assert "postgres" not in executor.read_text()
