/* SPDX-License-Identifier: MIT */
/*
 * key - the key's text is printed once and never stored; the database has its Argon2id hash.
 */
#include "key.h"

#include <stdio.h>
#include <string.h>

#include "base/blank.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "cli.h"
#include "crypto/crypto.h"
#include "protocol/apikey.h"
#include "protocol/principal.h"
#include "sql_cli.h"
#include "table.h"
#include "validate/secrets.h"

#define NAME_MAX_BYTES  256
#define OVERLAP_DEFAULT "1d"

/* A new key: its text for the person, its hash for the database. */
struct fresh {
    char text[APIKEY_LEN + 1];
    char id[KEY_ID_LEN + 1];
    char hash[CRYPTO_PWHASH_MAX];
};

static enum rc
make_key(struct fresh *out, struct err *err)
{
    struct apikey key;
    apikey_new(&key, out->text);
    memcpy(out->id, key.id, sizeof(out->id));
    enum rc rc = crypto_password_hash(key.secret, APIKEY_SECRET_LEN, out->hash, err);
    apikey_wipe(&key);
    return rc;
}

static void
scopes_json(enum role role, struct buf *out)
{
    struct json_writer w;
    uint32_t scopes = role_scopes(role);
    json_begin(&w, out);
    json_array(&w, NULL);
    for (unsigned i = 0; i < SCOPE_COUNT; i++)
        if (scopes & (1u << i))
            json_put_string(&w, NULL, scope_name((enum scope)i));
    json_close(&w);
    (void)json_end(&w);
}

/* What a person or a script is told about a new key. Times: 0 = none. */
struct told {
    const struct fresh *key;
    const char *workspace, *role, *owner; /* owner: NULL = not told */
    int64_t expires_ms, previous_until_ms;
};

static int
tell(const struct cli *cli, const struct told *told)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    char time[CLOCK_TEXT_MAX];

    if (!cli->json) {
        (void)fprintf(stderr, "key %s for workspace %s, role %s, expires %s; shown only now:\n",
                      told->key->id, told->workspace, told->role,
                      told->expires_ms > 0 ? clock_format(told->expires_ms, time) : "never");
        if (told->previous_until_ms > 0)
            (void)fprintf(stderr, "the previous key is valid until %s\n",
                          clock_format(told->previous_until_ms, time));
        (void)printf("%s\n", told->key->text);
        return EXIT_OK;
    }
    buf_init(&out, 2048);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "key", told->key->text);
    json_put_string(&w, "key_id", told->key->id);
    json_put_string(&w, "workspace", told->workspace);
    json_put_string(&w, "role", told->role);
    if (told->owner)
        json_put_string(&w, "owner", told->owner);
    json_put_time_or_null(&w, "expires_at", told->expires_ms);
    if (told->previous_until_ms > 0)
        json_put_time(&w, "previous_valid_until", told->previous_until_ms);
    json_close(&w);
    (void)json_end(&w);
    int code = cli_print_json(&out);
    buf_wipe(&out);
    return code;
}

/* --- create ----------------------------------------------------------------------------------- */

struct wanted {
    const char *workspace, *name, *owner; /* owner: NULL = nobody says */
    enum role role;
    int64_t expires_ms; /* 0 = never */
};

static bool
has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

/* Names and owners are shown. */
static int
check_text(const char *option, const char *text)
{
    if (strlen(text) > NAME_MAX_BYTES)
        return cli_usage("--%s must have at most %d bytes", option, NAME_MAX_BYTES);
    if (!utf8_valid(text, strlen(text)) || has_control(text))
        return cli_usage("--%s must be UTF-8 without control characters", option);
    if (text[0] && blank_text(text))
        return cli_usage("--%s is blank: something in it must be seen", option);
    if (secrets_find(text, strlen(text)))
        return cli_usage("--%s: it holds a credential, and %ss are shown", option, option);
    return 0;
}

static int
read_wanted(const struct cli *cli, struct wanted *out)
{
    struct err err = { 0 };
    const char *role = cli_option(cli, "role");
    const char *expires = cli_option(cli, "expires");
    const char *name = cli_option(cli, "name");
    int64_t life_ms = 0;

    out->workspace = cli_option(cli, "workspace");
    out->owner = cli_option(cli, "owner");
    out->name = name ? name : "";
    if (!out->workspace || !role)
        return cli_usage("key create needs --workspace and --role");
    if (role_parse(role, &out->role) != RC_OK)
        return cli_usage("--role must be viewer, developer or admin");
    int code = check_text("name", out->name);
    if (!code && out->owner)
        code = out->owner[0]
                   ? check_text("owner", out->owner)
                   : cli_usage("--owner: it is empty; without the option nobody is named");
    if (code)
        return code;
    if (expires && cli_duration(expires, &life_ms, &err) != RC_OK)
        return cli_usage("--expires: %s", err.text);
    out->expires_ms = life_ms ? clock_wall_ms() + life_ms : 0;
    return 0;
}

/* The foreign key of the row says whether the workspace exists, but as an error without words. */
static enum rc
check_workspace(struct db *db, const char *name, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    enum rc rc = db_query(db, NULL, SQL_CLI_WORKSPACE_LIST, NULL, &rows, err);
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++)
        if (strcmp(db_text(rows, row, 0), name) == 0)
            return RC_OK;
    return rc != RC_OK ? rc : err_set(err, RC_NOTFOUND, "there is no workspace '%.63s'", name);
}

/* A key without the owner that it should have is never there. */
static enum rc
store(struct db *db, const struct wanted *want, const struct fresh *key, struct err *err)
{
    AUTO(buf) struct buf scopes = { 0 };
    struct db_params params = { .count = 0 };
    struct db_params own = { .count = 0 };

    buf_init(&scopes, 4096);
    scopes_json(want->role, &scopes);
    db_param_text(&params, key->id);
    db_param_text(&params, role_name(want->role));
    db_param_text(&params, buf_text(&scopes));
    db_param_text(&params, want->name);
    db_param_text(&params, key->hash);
    if (want->expires_ms)
        db_param_time(&params, want->expires_ms);
    else
        db_param_null(&params);
    db_param_text(&own, key->id);
    db_param_text(&own, want->owner);
    enum rc rc = db_begin(db, want->workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_CLI_KEY_CREATE, &params, NULL, err);
    if (rc == RC_OK && want->owner)
        rc = db_send(db, SQL_CLI_KEY_OWN, &own, NULL, err);
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

int
cmd_key_create(struct cli *cli)
{
    struct wanted want = { .role = ROLE_COUNT };
    struct err err = { 0 };
    struct fresh key;
    struct db *db = NULL;

    int code = read_wanted(cli, &want);
    if (code)
        return code;
    enum rc rc = cli_db(cli, &db, &err);
    if (rc == RC_OK)
        rc = check_workspace(db, want.workspace, &err);
    if (rc == RC_OK)
        rc = make_key(&key, &err);
    if (rc == RC_OK)
        rc = store(db, &want, &key, &err);
    if (rc != RC_OK)
        return cli_fail(&err);
    const struct told told = { .key = &key,
                               .workspace = want.workspace,
                               .role = role_name(want.role),
                               .owner = want.owner,
                               .expires_ms = want.expires_ms };
    code = tell(cli, &told);
    crypto_wipe(&key, sizeof(key));
    return code;
}

/* --- list ------------------------------------------------------------------------------------- */

/* Calls fn for each workspace that --workspace names, or for all; stops when it returns true. */
typedef bool each_fn(struct cli *cli, struct db *db, const char *workspace, void *arg);

static enum rc
each_workspace(struct cli *cli, each_fn *fn, void *arg, struct err *err)
{
    const char *only = cli_option(cli, "workspace");
    AUTO(pgresult) PGresult *rows = NULL;
    struct db *db = NULL;

    enum rc rc = cli_db(cli, &db, err);
    if (rc == RC_OK && only) {
        rc = check_workspace(db, only, err);
        if (rc == RC_OK)
            (void)fn(cli, db, only, arg);
        return rc;
    }
    if (rc == RC_OK)
        rc = db_query(db, NULL, SQL_CLI_WORKSPACE_LIST, NULL, &rows, err);
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++)
        if (fn(cli, db, db_text(rows, row, 0), arg))
            break;
    return rc;
}

struct listing {
    struct json_writer w;
    struct buf out;
    struct table table;
    struct err err;
};

static const char *
state_of(const PGresult *rows, int row)
{
    int64_t expires_ms = db_int(rows, row, 4, 0);
    if (db_text(rows, row, 5))
        return "revoked";
    if (expires_ms && expires_ms <= clock_wall_ms())
        return "expired";
    return db_text(rows, row, 7) ? "rotated" : "valid";
}

static void
put_key(struct json_writer *w, const char *workspace, const PGresult *rows, int row)
{
    json_object(w, NULL);
    json_put_string(w, "key_id", db_text(rows, row, 0));
    json_put_string(w, "workspace", workspace);
    json_put_string(w, "role", db_text(rows, row, 1));
    json_put_string(w, "name", db_text(rows, row, 2));
    if (db_text(rows, row, 8))
        json_put_string(w, "owner", db_text(rows, row, 8));
    json_put_string(w, "state", state_of(rows, row));
    json_put_time_or_null(w, "created_at", db_int(rows, row, 3, 0));
    json_put_time_or_null(w, "expires_at", db_int(rows, row, 4, 0));
    json_put_time_or_null(w, "revoked_at", db_int(rows, row, 5, 0));
    json_put_time_or_null(w, "last_used_at", db_int(rows, row, 6, 0));
    json_close(w);
}

static const struct table_column COLUMNS[] = {
    { "KEY ID", 12, false, false },   { "ROLE", 9, false, false }, { "STATE", 7, false, false },
    { "WORKSPACE", 10, true, false }, { "NAME", 6, true, false },  { "CREATED", 20, true, false },
    { "LAST USED", 20, true, false }, { "OWNER", 6, true, false },
};

static void
put_row(struct table *table, const char *workspace, const PGresult *rows, int row)
{
    char text[CLOCK_TEXT_MAX];
    int64_t used_ms = db_int(rows, row, 6, 0);

    table_put(table, db_text(rows, row, 0));
    table_put(table, db_text(rows, row, 1));
    table_put(table, state_of(rows, row));
    table_put(table, workspace);
    table_put(table, db_text(rows, row, 2));
    table_put(table, clock_format(db_int(rows, row, 3, 0), text));
    table_put(table, used_ms ? clock_format(used_ms, text) : "never");
    table_put(table, db_text(rows, row, 8) ? db_text(rows, row, 8) : "");
}

static bool
list_one(struct cli *cli, struct db *db, const char *workspace, void *arg)
{
    struct listing *listing = arg;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };

    db_param_text(&params, workspace);
    if (db_query(db, workspace, SQL_CLI_KEY_LIST, &params, &rows, &listing->err) != RC_OK)
        return true;
    for (int row = 0; row < PQntuples(rows); row++) {
        if (cli->json)
            put_key(&listing->w, workspace, rows, row);
        else
            put_row(&listing->table, workspace, rows, row);
    }
    return false;
}

int
cmd_key_list(struct cli *cli)
{
    struct listing listing = { .err = { .rc = RC_OK } };
    int code = EXIT_OK;

    table_init(&listing.table, COLUMNS, ARRAY_LEN(COLUMNS));
    buf_init(&listing.out, CLI_OUTPUT_MAX);
    json_begin(&listing.w, &listing.out);
    json_object(&listing.w, NULL);
    json_array(&listing.w, "items");
    if (each_workspace(cli, list_one, &listing, &listing.err) != RC_OK || listing.err.rc != RC_OK) {
        code = cli_fail(&listing.err);
    } else if (cli->json) {
        json_close(&listing.w);
        json_close(&listing.w);
        (void)json_end(&listing.w);
        code = cli_print_json(&listing.out);
    } else {
        code = table_print(&listing.table);
    }
    table_cleanup(&listing.table);
    buf_fini(&listing.out);
    return code;
}

/* --- revoke and rotate ------------------------------------------------------------------------ */

struct change {
    const char *key_id;
    const struct fresh *fresh; /* of a rotation */
    int64_t overlap_s;
    bool found;
    char workspace[WORKSPACE_TEXT_MAX];
    enum role role;
    int64_t expires_ms, previous_until_ms;
    struct err err;
};

static bool
revoke_one(struct cli *cli, struct db *db, const char *workspace, void *arg)
{
    struct change *change = arg;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };
    (void)cli;

    db_param_text(&params, change->key_id);
    if (db_query(db, workspace, SQL_CLI_KEY_REVOKE, &params, &rows, &change->err) != RC_OK)
        return true;
    change->found = db_bool(rows, 0, 0);
    (void)snprintf(change->workspace, sizeof(change->workspace), "%.63s", workspace);
    return change->found;
}

static bool
rotate_one(struct cli *cli, struct db *db, const char *workspace, void *arg)
{
    struct change *change = arg;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };
    (void)cli;

    db_param_text(&params, change->key_id);
    db_param_text(&params, change->fresh->id);
    db_param_text(&params, change->fresh->hash);
    db_param_int(&params, change->overlap_s);
    if (db_query(db, workspace, SQL_CLI_KEY_ROTATE, &params, &rows, &change->err) != RC_OK)
        return true;
    if (PQntuples(rows) == 0)
        return false;
    change->found = true;
    (void)snprintf(change->workspace, sizeof(change->workspace), "%.63s", workspace);
    if (role_parse(db_text(rows, 0, 0), &change->role) != RC_OK)
        change->role = ROLE_VIEWER;
    change->expires_ms = db_int(rows, 0, 2, 0);
    change->previous_until_ms = db_int(rows, 0, 3, 0);
    return true;
}

/* Who pastes a whole key where its id belongs must not read it again on the screen or in a log. */
static int
check_key_id(const char *text)
{
    struct apikey key;
    if (apikey_parse(text, strlen(text), &key) != RC_OK)
        return 0;
    int code = cli_usage("that is a whole key; its KEY_ID is %s", key.id);
    apikey_wipe(&key);
    return code;
}

static enum rc
change_key(struct cli *cli, each_fn *fn, const char *what, struct change *change)
{
    enum rc rc = each_workspace(cli, fn, change, &change->err);
    if (rc == RC_OK)
        rc = change->err.rc;
    if (rc == RC_OK && !change->found)
        rc = err_set(&change->err, RC_NOTFOUND, "there is no %s '%.12s'", what, change->key_id);
    return rc;
}

int
cmd_key_revoke(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    struct change change = { .key_id = cli->argv[0] };
    struct json_writer w;

    int code = check_key_id(change.key_id);
    if (code)
        return code;
    if (change_key(cli, revoke_one, "key", &change) != RC_OK)
        return cli_fail(&change.err);
    if (!cli->json) {
        (void)printf("key %s of workspace %s is revoked\n", change.key_id, change.workspace);
        return EXIT_OK;
    }
    buf_init(&out, 1024);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "key_id", change.key_id);
    json_put_string(&w, "workspace", change.workspace);
    json_put_bool(&w, "revoked", true);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_key_rotate(struct cli *cli)
{
    struct change change = { .key_id = cli->argv[0], .role = ROLE_COUNT };
    struct fresh key;
    int64_t overlap_ms = 0;
    const char *overlap = cli_option(cli, "overlap");

    int code = check_key_id(change.key_id);
    if (code)
        return code;
    if (cli_duration(overlap ? overlap : OVERLAP_DEFAULT, &overlap_ms, &change.err) != RC_OK)
        return cli_usage("--overlap: %s", change.err.text);
    if (make_key(&key, &change.err) != RC_OK)
        return cli_fail(&change.err);
    change.fresh = &key;
    change.overlap_s = overlap_ms / 1000;
    if (change_key(cli, rotate_one,
                   "key that is neither revoked, expired nor rotated before:", &change) != RC_OK)
        return cli_fail(&change.err);
    const struct told told = { .key = &key,
                               .workspace = change.workspace,
                               .role = role_name(change.role),
                               .expires_ms = change.expires_ms,
                               .previous_until_ms = change.previous_until_ms };
    code = tell(cli, &told);
    crypto_wipe(&key, sizeof(key));
    return code;
}
