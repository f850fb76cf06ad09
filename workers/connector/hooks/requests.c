/* SPDX-License-Identifier: MIT */
/*
 * requests - hooks made, listed, deleted, given another secret.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "db/db.h"
#include "hooks/hooks.h"
#include "sql_connector.h"
#include "webhooks/sign.h"
#include "webhooks/store.h"

#define DEFINITION_MAX (64u << 10)

enum column {
    COL_ID,
    COL_SCHEME,
    COL_COMMAND,
    COL_DEFINITION,
    COL_DESCRIPTION,
    COL_CREATED_BY,
    COL_PREVIOUS,
    COL_CREATED,
    COL_ROTATED_BY
};

static const char *const DEFINITION[] = {
    "template", "only", "delivery_id", "tolerance_seconds", "header", "encoding", "prefix"
};

/* A request that is repeated finds what it made. */
static void
id_of_call(const struct call *call, char id[HOOK_ID_LEN + 1])
{
    static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const struct hash_part parts[] = { { call->actor.workspace, strlen(call->actor.workspace) },
                                       { " ", 1 },
                                       { call->id, strlen(call->id) } };
    uint8_t hash[HASH_LEN];

    hash_sha256(parts, ARRAY_LEN(parts), hash);
    for (unsigned i = 0; i < HOOK_ID_LEN; i++)
        id[i] = DIGITS[(hash[2 * i] << 8 | hash[2 * i + 1]) % 62];
    id[HOOK_ID_LEN] = '\0';
}

/* --- shown ------------------------------------------------------------------------------------------------ */

static void
put_row(struct json_writer *w, const PGresult *rows, int row, const char *secret)
{
    const char *id = db_text(rows, row, COL_ID), *definition = db_text(rows, row, COL_DEFINITION);
    char path[32];

    (void)snprintf(path, sizeof(path), "/hooks/%s", id);
    json_put_string(w, "id", id);
    json_put_string(w, "path", path);
    json_put_string(w, "scheme", db_text(rows, row, COL_SCHEME));
    json_put_string(w, "command", db_text(rows, row, COL_COMMAND));
    json_put_raw(w, "definition", definition, strlen(definition));
    json_put_string(w, "description", db_text(rows, row, COL_DESCRIPTION));
    json_put_string(w, "created_by", db_text(rows, row, COL_CREATED_BY));
    store_put_time(w, "previous_valid_until", rows, row, COL_PREVIOUS);
    store_put_time(w, "created_at", rows, row, COL_CREATED);
    if (secret)
        json_put_string(w, "secret", secret);
}

static const struct store_kind HOOKS = {
    .noun = HOOK_NOUN,
    .list = SQL_CONNECTOR_HOOK_LIST,
    .create = SQL_CONNECTOR_HOOK_CREATE,
    .keyed = SQL_CONNECTOR_HOOK_KEYED,
    .removed = SQL_CONNECTOR_HOOK_DELETE,
    .most = HOOKS_MAX,
    .put_row = put_row,
};

void
hooks_list_start(struct worker *w, struct call *call)
{
    store_list_start(w, call, &HOOKS);
}

void
hooks_delete_start(struct worker *w, struct call *call)
{
    store_delete_start(w, call, &HOOKS);
}

/* --- made ------------------------------------------------------------------------------------------------- */

static void
check_only(const cJSON *only, struct field_errors *errors)
{
    const cJSON *rule, *text;

    cJSON_ArrayForEach (rule, only) {
        bool good = cJSON_IsArray(rule) && rule->child && rule->string[0] == '/';
        cJSON_ArrayForEach (text, rule)
            good = good && cJSON_IsString(text);
        if (!good) {
            field_errors_add(
                errors, "only",
                "must have JSON Pointers as names, such as /headers/x-github-event, and "
                "lists of texts as values");
            return;
        }
    }
}

static void
check_secret(const char *scheme, const char *secret, struct field_errors *errors)
{
    const struct sign_message nothing = { .id = "", .body = "" };
    AUTO(buf) struct buf out = { 0 };
    bool theirs = strcmp(scheme, "stripe") == 0 || strcmp(scheme, "slack") == 0;

    buf_init(&out, 256);
    if (!secret && theirs)
        field_errors_add(errors, "secret", "is required: %s makes the secret; copy it from there",
                         scheme);
    else if (secret && strcmp(scheme, "standard") == 0 &&
             (strncmp(secret, "whsec_", 6) != 0 || sign_add(secret, &nothing, &out) != RC_OK))
        field_errors_add(
            errors, "secret",
            "must be whsec_ and 24 to 64 bytes in base64 for the scheme standard; leave it "
            "out to have one made");
}

static const char *
key_of(const struct call *call)
{
    return call->actor.key_id[0] ? call->actor.key_id : "operator";
}

/* A hook never has more than who makes it. Without a key it is the operator. */
static const struct command_info *
check_command(const struct call *call, struct field_errors *errors)
{
    const char *name = json_string(call->body, "command");
    const struct command_info *info = NULL;

    for (unsigned i = 0; i < CMD_COUNT; i++)
        if (strcmp(command_info((enum command)i)->tail, name) == 0)
            info = command_info((enum command)i);
    if (info && call->actor.key_id[0] && !(role_scopes(call->actor.role) & 1U << info->scope))
        field_errors_add(
            errors, "command",
            "is %s, which needs the scope %s; this key does not have it: send a command "
            "that the key may send, or make the hook with another key",
            name, scope_name(info->scope));
    return info;
}

static enum rc
write_definition(const cJSON *body, struct buf *out)
{
    struct json_writer w;

    buf_init(out, DEFINITION_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    for (size_t i = 0; i < ARRAY_LEN(DEFINITION); i++)
        if (json_member(body, DEFINITION[i]))
            json_put_doc(&w, DEFINITION[i], json_member(body, DEFINITION[i]));
    json_close(&w);
    return json_end(&w);
}

/* As the scheme wants it; text of SIGN_TEXT_MAX. */
static const char *
make_secret(const char *scheme, const char *given, char text[SIGN_TEXT_MAX])
{
    char none_of_it[SIGN_TEXT_MAX];

    if (given)
        return given;
    sign_new(false, text, none_of_it);
    return strcmp(scheme, "standard") == 0 ? text : text + strlen("whsec_");
}

static enum rc
create(struct connector *c, const struct call *call, const char *id, struct err *err)
{
    const char *scheme = json_string(call->body, "scheme");
    const char *description = json_string(call->body, "description");
    char text[SIGN_TEXT_MAX] = "";
    AUTO(buf) struct buf definition = { 0 };
    struct db_params row = { 0 };
    const struct store_change change = {
        .workspace = call->actor.workspace,
        .id = id,
        .row = &row,
        .secret = make_secret(scheme, json_string(call->body, "secret"), text),
    };
    enum rc rc = write_definition(call->body, &definition);

    db_param_text(&row, change.workspace);
    db_param_text(&row, id);
    db_param_text(&row, scheme);
    db_param_text(&row, json_string(call->body, "command"));
    db_param_text(&row, buf_text(&definition));
    db_param_text(&row, description ? description : "");
    db_param_text(&row, key_of(call));
    db_param_int(&row, HOOKS_MAX);
    if (rc == RC_OK)
        rc = store_create(c, &HOOKS, &change, err);
    crypto_wipe(text, sizeof(text));
    return rc;
}

void
hooks_create_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct field_errors errors = { 0 };
    struct err err = { 0 };
    const char *scheme = json_string(call->body, "scheme");
    const char *secret = json_string(call->body, "secret");
    char id[HOOK_ID_LEN + 1];

    id_of_call(call, id);
    call->audit_target = arena_strdup(call->mem, id);
    (void)check_command(call, &errors);
    check_secret(scheme, secret, &errors);
    check_only(json_member(call->body, "only"), &errors);
    if (strcmp(scheme, "hmac") == 0 && !json_string(call->body, "header"))
        field_errors_add(
            &errors, "header",
            "is required for the scheme hmac: the name of the header with the signature");
    if (errors.count) {
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors, NULL);
        worker_finish(w, call);
        return;
    }
    enum rc rc = store_read(worker_state(w), &HOOKS, call->actor.workspace, id, &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = create(worker_state(w), call, id, &err);
    if (rc == RC_OK)
        rc = store_write(worker_state(w), &HOOKS, call->actor.workspace, id, !secret, &out, &err);
    store_settle(w, call, HOOK_NOUN, rc, &err, 201, &out);
    buf_wipe(&out);
}

/* --- another secret ----------------------------------------------------------------------------------------- */

static enum rc
rotate(struct connector *c, const struct call *call, const char *scheme, struct err *err)
{
    const char *id = json_string(call->body, "id");
    char name[SECRET_NAME_MAX], text[SIGN_TEXT_MAX] = "";
    struct vault_secret now = { 0 };
    struct db_params row = { 0 };
    struct store_change change = { .workspace = call->actor.workspace, .id = id, .row = &row };

    store_secret_name(HOOK_NOUN, id, false, name);
    enum rc rc = vault_use(&c->vault, change.workspace, name, &now, err);
    if (rc != RC_OK)
        return rc;
    change.before = buf_text(&now.value);
    change.secret = make_secret(scheme, json_string(call->body, "secret"), text);
    db_param_text(&row, change.workspace);
    db_param_text(&row, id);
    db_param_int(&row, json_int(call->body, "overlap_seconds", STORE_OVERLAP_S));
    db_param_text(&row, call->id);
    db_param_text(&row, key_of(call));
    rc = store_rotate(c, &HOOKS, &change, err);
    vault_secret_fini(&now);
    crypto_wipe(text, sizeof(text));
    return rc;
}

void
hooks_rotate_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct field_errors errors = { 0 };
    struct err err = { 0 };
    struct connector *c = worker_state(w);
    const char *workspace = call->actor.workspace, *id = store_id(call);
    const char *secret = json_string(call->body, "secret"), *scheme = NULL, *by = NULL;
    enum rc rc = store_find(c, &HOOKS, workspace, id, &rows, &err);

    if (rc == RC_OK) {
        scheme = db_text(rows, 0, COL_SCHEME);
        by = db_text(rows, 0, COL_ROTATED_BY);
        check_secret(scheme, secret, &errors);
    }
    if (errors.count) {
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors, NULL);
        worker_finish(w, call);
        return;
    }
    if (rc == RC_OK && (!by || strcmp(by, call->id) != 0))
        rc = rotate(c, call, scheme, &err);
    if (rc == RC_OK)
        rc = store_write(c, &HOOKS, workspace, id, !secret, &out, &err);
    store_settle(w, call, HOOK_NOUN, rc, &err, 200, &out);
    buf_wipe(&out);
}
