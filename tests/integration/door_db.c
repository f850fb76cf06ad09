/* SPDX-License-Identifier: MIT */
/*
 * door_db - the PostgreSQL door against a real server; run by test_doors.py with DATABASE_URL.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "db/db_own.h"
#include "tests/unit/test.h"

enum {
    ECHO_ALL,
    ADD_ROW,
    READ_ROWS,
    DIVIDE,
    ADD_PLAIN,
    WHERE_AM_I,
    BIG,
    KILL_ME,
    RAISE_NONE,
    DEFERRED,
    LOCK,
    LENGTH
};
static const struct db_statement STATEMENTS[] = {
    { "echo_all", "SELECT $1::text, $2::bigint, $3::boolean, $4::double precision, $5::bytea" },
    { "add_row", "INSERT INTO item VALUES (current_setting('gantry.workspace'), $1)" },
    { "read_rows",
      "SELECT name FROM item WHERE workspace = current_setting('gantry.workspace') ORDER BY 1" },
    { "divide", "SELECT 1 / $1::int" },
    { "add_plain", "INSERT INTO item VALUES ($1, $2)" },
    { "where_am_i", "SELECT current_setting('gantry.workspace', true)" },
    { "big", "SELECT repeat('x', $1::int)" },
    { "kill_me", "SELECT pg_terminate_backend(pg_backend_pid())" },
    { "raise_none", "SELECT raise_none()" },
    { "deferred", "INSERT INTO late VALUES ($1::int)" },
    { "lock", "SELECT pg_advisory_xact_lock(7)" },
    { "length", "SELECT length($1::text)" },
};

static const char *
url(void)
{
    return getenv("DATABASE_URL");
}

static struct db *
open_db(void)
{
    struct db *db = NULL;
    struct err err = { .rc = RC_OK };
    if (db_open(url(), "door_db", STATEMENTS, TEST_COUNT(STATEMENTS), &db, &err) != RC_OK)
        fail_msg("%s", err.text);
    return db;
}

static int
set_up(void **state)
{
    struct db *db = NULL;
    struct err err;
    if (db_open(url(), "door_db", NULL, 0, &db, &err) != RC_OK)
        return -1;
    enum rc rc =
        db_script(db,
                  "DROP TABLE IF EXISTS item, late, keep;"
                  "CREATE TABLE item (workspace text, name text UNIQUE);"
                  "CREATE TABLE keep (id int PRIMARY KEY);"
                  "CREATE TABLE late (id int REFERENCES keep DEFERRABLE INITIALLY DEFERRED);"
                  "CREATE OR REPLACE FUNCTION raise_none() RETURNS int LANGUAGE plpgsql AS $$"
                  " BEGIN RAISE EXCEPTION 'nothing here' USING ERRCODE = 'P0002'; END $$;",
                  &err);
    db_close(db);
    return rc == RC_OK ? 0 : -1;
}

static void
send_text(struct db *db, unsigned statement, const char *text)
{
    struct err err;
    struct db_params p = { .count = 0 };
    db_param_text(&p, text);
    assert_int_equal(db_send(db, statement, &p, NULL, &err), RC_OK);
}

static void
values_round_trip(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    AUTO(free) uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err;
    struct db_params p = { .count = 0 };
    db_param_text(&p, "quote ' \\ % $1 \360\237\246\212");
    db_param_int(&p, INT64_MIN);
    db_param_bool(&p, true);
    db_param_number(&p, -1.2345678901234567e-300);
    db_param_bytes(&p, "\0\1\377", 3);
    assert_int_equal(db_query(db, NULL, ECHO_ALL, &p, &r, &err), RC_OK);
    assert_string_equal(db_text(r, 0, 0), "quote ' \\ % $1 \360\237\246\212");
    assert_true(db_int(r, 0, 1, 0) == INT64_MIN);
    assert_true(db_bool(r, 0, 2));
    double back = db_number(r, 0, 3, 0), sent = -1.2345678901234567e-300;
    assert_memory_equal(&back, &sent, sizeof(sent));
    assert_int_equal(db_bytes(r, 0, 4, &bytes, &len, &err), RC_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "\0\1\377", 3);
}

static void
nulls_round_trip(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    struct err err;
    struct db_params p = { .count = 0 };
    for (int i = 0; i < 5; i++)
        db_param_null(&p);
    assert_int_equal(db_query(db, NULL, ECHO_ALL, &p, &r, &err), RC_OK);
    assert_null(db_text(r, 0, 0));
    assert_int_equal(db_int(r, 0, 1, 42), 42);
    assert_false(db_bool(r, 0, 2));
}

static void
group_is_one_transaction_in_its_workspace(void **state)
{
    AUTO(db) struct db *db = open_db();
    struct err err;
    size_t at = 0;
    assert_int_equal(db_begin(db, "acme", &err), RC_OK);
    send_text(db, ADD_ROW, "one");
    send_text(db, ADD_ROW, "two");
    assert_int_equal(db_send(db, READ_ROWS, NULL, &at, &err), RC_OK);
    assert_int_equal(at, 2);
    assert_int_equal(db_commit(db, &err), RC_OK);
    assert_int_equal(PQntuples(db_result(db, at)), 2);
    assert_string_equal(db_text(db_result(db, at), 1, 0), "two");
    assert_null(db_result(db, 3));

    AUTO(pgresult) PGresult *other = NULL;
    AUTO(pgresult) PGresult *same = NULL;
    AUTO(pgresult) PGresult *none = NULL;
    assert_int_equal(db_query(db, "other", READ_ROWS, NULL, &other, &err), RC_OK);
    assert_int_equal(PQntuples(other), 0);
    assert_int_equal(db_query(db, "acme", READ_ROWS, NULL, &same, &err), RC_OK);
    assert_int_equal(PQntuples(same), 2);
    /* The setting ends with its transaction. */
    assert_int_equal(db_query(db, NULL, WHERE_AM_I, NULL, &none, &err), RC_OK);
    assert_string_equal(db_text(none, 0, 0), "");
}

static void
failed_group_leaves_nothing(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    struct err err;
    assert_int_equal(db_begin(db, "fails", &err), RC_OK);
    send_text(db, ADD_ROW, "f1");
    send_text(db, DIVIDE, "0");
    send_text(db, ADD_ROW, "f2");
    assert_int_equal(db_commit(db, &err), RC_BUG);
    assert_non_null(strstr(err.text, "divide"));
    assert_non_null(strstr(err.text, "22012"));
    assert_null(db_result(db, 0));
    assert_int_equal(db_query(db, "fails", READ_ROWS, NULL, &r, &err), RC_OK);
    assert_int_equal(PQntuples(r), 0);
}

static void
dependent_statements_and_abort(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    struct err err;
    assert_int_equal(db_begin(db, "ab", &err), RC_OK);
    send_text(db, ADD_ROW, "a1");
    assert_int_equal(db_sync(db, &err), RC_OK);
    assert_int_equal(db_send(db, READ_ROWS, NULL, NULL, &err), RC_OK);
    assert_int_equal(db_sync(db, &err), RC_OK);
    assert_int_equal(PQntuples(db_result(db, 1)), 1);
    send_text(db, ADD_ROW, "a2");
    db_abort(db);
    assert_int_equal(db_query(db, "ab", READ_ROWS, NULL, &r, &err), RC_OK);
    assert_int_equal(PQntuples(r), 0);
    /* After an error that a sync saw, the group can only be given up. */
    assert_int_equal(db_begin(db, "ab", &err), RC_OK);
    send_text(db, DIVIDE, "0");
    assert_int_equal(db_sync(db, &err), RC_BUG);
    assert_int_equal(db_commit(db, &err), RC_BUG);
    assert_int_equal(db_begin(db, "ab", &err), RC_OK);
    send_text(db, DIVIDE, "0");
    assert_int_equal(db_sync(db, &err), RC_BUG);
    db_abort(db);
    assert_int_equal(db_begin(db, "ab", &err), RC_OK);
    assert_int_equal(db_commit(db, &err), RC_OK);
}

/* No memory for BEGIN and ROLLBACK: the connection, which libpq takes for idle, is not used again. */
static void
an_abort_that_cannot_be_sent_commits_nothing(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    struct err err;
    assert_int_equal(db_begin(db, "full", &err), RC_OK);
    send_text(db, ADD_ROW, "full1");
    assert_int_equal(db_sync(db, &err), RC_OK);
    size_t cap = db->cap_pending;
    db->n_pending = db->cap_pending = SIZE_MAX / sizeof(*db->pending);
    db_abort(db);
    db->n_pending = 0;
    db->cap_pending = cap;
    int64_t start_ms = clock_mono_ms();
    while (db_query(db, "full", READ_ROWS, NULL, &r, &err) != RC_OK &&
           clock_mono_ms() - start_ms < 60000)
        (void)usleep(20000);
    assert_non_null(r);
    assert_int_equal(PQntuples(r), 0);
}

static void
failures_have_their_reactions(void **state)
{
    AUTO(db) struct db *db = open_db();
    struct err err;
    struct db_params p = { .count = 0 }, q = { .count = 0 }, n = { .count = 0 };
    db_param_text(&p, "w");
    db_param_text(&p, "my secret value");
    assert_int_equal(db_query(db, NULL, ADD_PLAIN, &p, NULL, &err), RC_OK);
    assert_int_equal(db_query(db, NULL, ADD_PLAIN, &p, NULL, &err), RC_CONFLICT);
    assert_null(strstr(err.text, "secret"));
    assert_non_null(strstr(err.text, "item_name_key"));
    assert_true(db_broke(db, "item_name_key"));
    assert_false(db_broke(db, "item_name"));
    db_param_text(&q, "my secret value");
    assert_int_equal(db_query(db, NULL, DIVIDE, &q, NULL, &err), RC_BUG);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    assert_null(strstr(err.text, "secret"));
    assert_false(db_broke(db, "item_name_key")); /* not the last failure */
    assert_int_equal(db_query(db, NULL, RAISE_NONE, NULL, NULL, &err), RC_NOTFOUND);
    db_param_int(&n, 1);
    assert_int_equal(db_query(db, NULL, DEFERRED, &n, NULL, &err), RC_BUG); /* fails at the Sync */
    assert_int_equal(db_query(db, NULL, WHERE_AM_I, NULL, NULL, &err), RC_OK);
    assert_int_equal(db_begin(db, NULL, &err), RC_OK);
    assert_int_equal(db_send(db, DEFERRED, &n, NULL, &err), RC_OK);
    assert_int_equal(db_commit(db, &err), RC_BUG);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    assert_int_equal(db_query(db, NULL, 99, NULL, NULL, &err), RC_BUG);
    assert_int_equal(err.server, SERVER_NONE);
}

static void
long_pipelines_do_not_block(void **state)
{
    AUTO(db) struct db *db = open_db();
    struct err err;
    struct db_params p = { .count = 0 };
    db_param_text(&p, "20000");
    assert_int_equal(db_begin(db, "w", &err), RC_OK);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(db_send(db, BIG, &p, NULL, &err), RC_OK);
    assert_int_equal(db_commit(db, &err), RC_OK);
    assert_int_equal(strlen(db_text(db_result(db, 1999), 0, 0)), 20000);
}

struct holder {
    struct db *db; /* has the lock */
    bool let_go;
};

/* Lets go when there is more to send than the socket takes: the sender came to wait with the rest. */
static void
wait_and_let_go(void *arg, int fd, bool or_writable)
{
    struct holder *holder = arg;
    struct pollfd ready = { .fd = fd, .events = (short)(POLLIN | (or_writable ? POLLOUT : 0)) };
    struct err err;
    if (or_writable && !holder->let_go) {
        holder->let_go = true;
        assert_int_equal(db_commit(holder->db, &err), RC_OK);
    }
    (void)poll(&ready, 1, 1000);
}

static void
more_than_a_socket_takes_waits_behind_a_lock(void **state)
{
    enum { LENGTH_BYTES = 1 << 20, STATEMENTS_SENT = 8 };
    AUTO(db) struct db *locker = open_db();
    AUTO(db) struct db *db = open_db();
    struct holder holder = { .db = locker };
    struct db_params p = { .count = 0 };
    struct err err;
    char *text = test_calloc(1, LENGTH_BYTES + 1);
    assert_non_null(text);
    memset(text, 'x', LENGTH_BYTES);
    db_param_text(&p, text);
    assert_int_equal(db_begin(locker, "w", &err), RC_OK);
    assert_int_equal(db_send(locker, LOCK, NULL, NULL, &err), RC_OK);
    assert_int_equal(db_sync(locker, &err), RC_OK);
    db_on_wait(db, wait_and_let_go, &holder);
    assert_int_equal(db_begin(db, "w", &err), RC_OK);
    assert_int_equal(db_send(db, LOCK, NULL, NULL, &err), RC_OK);
    for (int i = 0; i < STATEMENTS_SENT; i++)
        assert_int_equal(db_send(db, LENGTH, &p, NULL, &err), RC_OK);
    assert_int_equal(db_commit(db, &err), RC_OK);
    assert_true(holder.let_go);
    assert_int_equal(db_int(db_result(db, STATEMENTS_SENT), 0, 0, 0), LENGTH_BYTES);
    test_free(text);
}

static void
lost_connections_come_back(void **state)
{
    AUTO(db) struct db *db = open_db();
    struct err err;
    assert_int_equal(db_query(db, NULL, KILL_ME, NULL, NULL, &err), RC_TEMP);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    int64_t start_ms = clock_mono_ms();
    while (db_query(db, NULL, WHERE_AM_I, NULL, NULL, &err) != RC_OK &&
           clock_mono_ms() - start_ms < 60000)
        (void)usleep(20000);
    assert_int_equal(db_query(db, NULL, WHERE_AM_I, NULL, NULL, &err), RC_OK);
    assert_int_equal(db_begin(db, "w", &err), RC_OK);
    assert_int_equal(db_send(db, KILL_ME, NULL, NULL, &err), RC_OK);
    assert_int_equal(db_commit(db, &err), RC_TEMP);
    start_ms = clock_mono_ms();
    while (db_begin(db, "w", &err) != RC_OK && clock_mono_ms() - start_ms < 60000)
        (void)usleep(20000);
    assert_int_equal(db_commit(db, &err), RC_OK);
}

static void
script_inside_a_group(void **state)
{
    AUTO(db) struct db *db = open_db();
    AUTO(pgresult) PGresult *r = NULL;
    struct err err;
    assert_int_equal(db_begin(db, "script", &err), RC_OK);
    assert_int_equal(db_script(db, "CREATE TABLE half (a int); SELECT 1;", &err), RC_OK);
    send_text(db, ADD_ROW, "s1");
    assert_int_equal(db_commit(db, &err), RC_OK);
    assert_int_equal(db_query(db, "script", READ_ROWS, NULL, &r, &err), RC_OK);
    assert_int_equal(PQntuples(r), 1);
    assert_int_equal(db_begin(db, "script", &err), RC_OK);
    send_text(db, ADD_ROW, "s2");
    assert_int_equal(db_script(db, "DROP TABLE half; DROP TABLE no_such;", &err), RC_CONFIG);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    assert_non_null(strstr(err.text, "no_such"));
    db_abort(db);
    assert_int_equal(db_script(db, "DROP TABLE half; SELECT nonsense(", &err), RC_BUG);
    assert_int_equal(db_script(db, "DROP TABLE half", &err), RC_OK);
}

static void
unusable_urls(void **state)
{
    struct db *db = NULL;
    struct err err;
    char text[300];
    const char *bad[] = { "postgresql://u:s3cret%zz@h/d", "postgresql://u:s3cret@h/d?nonsense=1",
                          "nonsense s3cret" };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        assert_int_equal(db_open(bad[i], "t", NULL, 0, &db, &err), RC_CONFIG);
        assert_null(strstr(err.text, "s3cret"));
    }
    const char *at = strchr(url(), '@');
    (void)snprintf(text, sizeof(text), "postgresql://postgres:s3cret%s", at);
    assert_int_equal(db_open(text, "t", NULL, 0, &db, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "28P01"));
    assert_null(strstr(err.text, "s3cret"));
    (void)snprintf(text, sizeof(text), "%s_none", url());
    assert_int_equal(db_open(text, "t", NULL, 0, &db, &err), RC_CONFIG);
    assert_int_equal(db_open("postgresql://u:s3cret@127.0.0.1:1/d", "t", NULL, 0, &db, &err),
                     RC_TEMP);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    assert_null(strstr(err.text, "s3cret"));
    const struct db_statement wrong = { "wrong", "SELECT * FROM no_such" };
    assert_int_equal(db_open(url(), "t", &wrong, 1, &db, &err), RC_CONFIG);
    assert_int_equal(err.server, SERVER_POSTGRESQL);
    assert_non_null(strstr(err.text, "wrong"));
    assert_null(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_round_trip),
        cmocka_unit_test(nulls_round_trip),
        cmocka_unit_test(group_is_one_transaction_in_its_workspace),
        cmocka_unit_test(failed_group_leaves_nothing),
        cmocka_unit_test(dependent_statements_and_abort),
        cmocka_unit_test(an_abort_that_cannot_be_sent_commits_nothing),
        cmocka_unit_test(failures_have_their_reactions),
        cmocka_unit_test(long_pipelines_do_not_block),
        cmocka_unit_test(more_than_a_socket_takes_waits_behind_a_lock),
        cmocka_unit_test(lost_connections_come_back),
        cmocka_unit_test(script_inside_a_group),
        cmocka_unit_test(unusable_urls),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
