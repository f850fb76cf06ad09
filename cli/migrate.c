/* SPDX-License-Identifier: MIT */
/*
 * migrate - applies what is new, refuses what was edited.
 */
#include "migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "cli.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "embed_sql.h"
#include "sql_migrate.h"

#define FOLDER "sql/migrations/"

static const char *const ROLES[] = CLI_ROLES;

struct migration {
    const char *name; /* "0001_core.sql" */
    const char *text;
    char sha256[HASH_TEXT_MAX];
    bool done;
    bool later; /* it takes away what the release before needs */
};

struct migrations {
    struct migration items[ARRAY_LEN(EMBED_SQL)];
    size_t count;
    size_t applied;
    size_t later;
};

static int
by_name(const void *a, const void *b)
{
    const struct migration *left = a;
    const struct migration *right = b;
    return strcmp(left->name, right->name);
}

static void
collect(struct migrations *all)
{
    for (size_t i = 0; EMBED_SQL[i].path; i++) {
        const char *path = EMBED_SQL[i].path;
        if (strncmp(path, FOLDER, strlen(FOLDER)) != 0)
            continue;
        struct migration *m = &all->items[all->count++];
        uint8_t digest[HASH_LEN];
        m->name = path + strlen(FOLDER);
        m->text = EMBED_SQL[i].text;
        hash_sha256_bytes(m->text, strlen(m->text), digest);
        hex_encode(digest, sizeof(digest), m->sha256);
    }
    qsort(all->items, all->count, sizeof(all->items[0]), by_name);
}

static const char *
embedded(const char *path)
{
    for (size_t i = 0; EMBED_SQL[i].path; i++)
        if (strcmp(EMBED_SQL[i].path, path) == 0)
            return EMBED_SQL[i].text;
    return NULL;
}

static enum rc
run_file(struct db *db, const char *path, struct err *err)
{
    const char *text = embedded(path);
    if (!text)
        return err_set(err, RC_BUG, "%s is not part of this program", path);
    return db_script(db, text, err) == RC_OK ? RC_OK : err_wrap(err, "%s", path);
}

/* The statements need the table that bootstrap.sql makes, so they are prepared by a second
 * connection; it holds the lock for as long as it lives. */
static enum rc
prepare_database(const char *url, struct db **out, struct err *err)
{
    AUTO(db) struct db *first = NULL;
    AUTO(db) struct db *second = NULL;
    enum rc rc = db_open(url, "gantry migrate", NULL, 0, &first, err);
    if (rc == RC_OK)
        rc = run_file(first, "sql/bootstrap.sql", err);
    if (rc == RC_OK)
        rc = db_open(url, "gantry migrate", SQL_MIGRATE, SQL_MIGRATE_COUNT, &second, err);
    if (rc == RC_OK)
        rc = db_query(second, NULL, SQL_MIGRATE_LOCK, NULL, NULL, err);
    /* Roles are the whole cluster's: changed under the lock. */
    if (rc == RC_OK)
        rc = run_file(first, "sql/roles.sql", err);
    if (rc == RC_OK)
        *out = TAKE(second);
    return rc;
}

static enum rc
compare(struct db *db, struct migrations *all, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    enum rc rc = db_query(db, NULL, SQL_MIGRATE_APPLIED, NULL, &rows, err);
    if (rc != RC_OK)
        return rc;
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *name = db_text(rows, row, 0);
        struct migration key = { .name = name };
        struct migration *m = bsearch(&key, all->items, all->count, sizeof(all->items[0]), by_name);
        if (!m)
            return err_set(err, RC_CONFIG,
                           "the database has migration %.60s, which this program does not know: it "
                           "is older than the database",
                           name);
        if (strcmp(m->sha256, db_text(rows, row, 1)) != 0)
            return err_set(err, RC_CONFIG,
                           "migration %.60s was applied with another content: an applied file must "
                           "not be edited, add a new one",
                           name);
        m->done = true;
    }
    return RC_OK;
}

/* Whether the comments that the file begins with have this line. */
static bool
says(const struct migration *m, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = m->text; strncmp(at, "-- ", 3) == 0; at = strchr(at, '\n') + 1) {
        if (strncmp(at + 3, line, len) == 0 && at[3 + len] == '\n')
            return true;
        if (!strchr(at, '\n'))
            break;
    }
    return false;
}

static bool
is_superusers(const struct migration *m)
{
    return says(m, "role: superuser");
}

static enum rc
apply(struct db *db, const struct migration *m, struct err *err)
{
    struct db_params record = { .count = 0 };
    db_param_text(&record, m->name);
    db_param_text(&record, m->sha256);
    enum rc rc = db_begin(db, NULL, err);
    if (rc == RC_OK && !is_superusers(m))
        rc = run_file(db, "sql/as_owner.sql", err);
    if (rc == RC_OK)
        rc = db_script(db, m->text, err);
    if (rc == RC_OK && !is_superusers(m))
        rc = run_file(db, "sql/as_superuser.sql", err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_MIGRATE_RECORD, &record, NULL, err);
    if (rc == RC_OK)
        rc = db_commit(db, err);
    if (rc == RC_OK)
        return RC_OK;
    db_abort(db);
    return err_wrap(err, "%s", m->name);
}

/* A role's password, where one is given: sent hashed, so that no log of the server can hold it. */
static enum rc
set_passwords(struct db *db, const struct cli *cli, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++) {
        char role[32];
        AUTO(free) char *verifier = NULL;
        struct db_params params = { .count = 0 };
        if (!cli->conf.role_passwords[i])
            continue;
        (void)snprintf(role, sizeof(role), "gantry_%s", ROLES[i]);
        enum rc rc = db_password_verifier(db, role, cli->conf.role_passwords[i], &verifier, err);
        if (rc != RC_OK)
            return rc;
        db_param_text(&params, role);
        db_param_text(&params, verifier);
        rc = db_begin(db, NULL, err);
        if (rc == RC_OK)
            rc = db_send(db, SQL_MIGRATE_NAME_ROLE, &params, NULL, err);
        if (rc == RC_OK)
            rc = run_file(db, "sql/password.sql", err);
        if (rc == RC_OK)
            rc = db_commit(db, err);
        db_abort(db);
        if (rc != RC_OK)
            return err_wrap(err, "password of %s", role);
    }
    return RC_OK;
}

static int
report(const struct cli *cli, const struct migrations *all)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    if (!cli->json) {
        (void)printf("%zu of %zu migrations applied now, %zu before", all->applied, all->count,
                     all->count - all->applied - all->later);
        if (all->later)
            (void)printf(", %zu left for gantry migrate without --additions", all->later);
        (void)putchar('\n');
        return EXIT_OK;
    }
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_int(&w, "applied", (int64_t)all->applied);
    json_put_int(&w, "total", (int64_t)all->count);
    json_put_int(&w, "later", (int64_t)all->later);
    json_array(&w, "migrations");
    for (size_t i = 0; i < all->count; i++) {
        json_object(&w, NULL);
        json_put_string(&w, "name", all->items[i].name);
        json_put_string(&w, "sha256", all->items[i].sha256);
        json_put_bool(&w, "new", !all->items[i].done && !all->items[i].later);
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_migrate(struct cli *cli)
{
    AUTO(db) struct db *db = NULL;
    struct migrations all = { .count = 0 };
    struct err err = { 0 };

    if (!cli->conf.superuser_url) {
        (void)cli_missing("DATABASE_SUPERUSER_URL", &err);
        return cli_fail(&err);
    }
    collect(&all);
    enum rc rc = prepare_database(cli->conf.superuser_url, &db, &err);
    if (rc == RC_OK)
        rc = compare(db, &all, &err);
    for (size_t i = 0; i < all.count && rc == RC_OK; i++) {
        struct migration *m = &all.items[i];
        m->later = !m->done && cli_option(cli, "additions") && says(m, "takes away");
        all.later += m->later;
        if (m->done || m->later)
            continue;
        rc = apply(db, m, &err);
        if (rc == RC_OK) {
            all.applied++;
            (void)fprintf(stderr, "applied %s\n", m->name);
        }
    }
    if (rc == RC_OK)
        rc = set_passwords(db, cli, &err);
    return rc == RC_OK ? report(cli, &all) : cli_fail(&err);
}
