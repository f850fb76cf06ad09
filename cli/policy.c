/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "cli.h"
#include "gateway.h"
#include "policy/policy.h"
#include "sql_cli.h"
#include "table.h"

#define ANSWER_MAX  (2u << 20)
#define BODY_MAX    (1u << 20)
#define COMMENT_MAX 2048

/* --- policies: the operator's ----------------------------------------------------------------------- */

static enum rc
ask(struct cli *cli, unsigned statement, const struct db_params *params, PGresult **rows,
    struct err *err)
{
    struct db *db = NULL;
    enum rc rc = cli_db(cli, &db, err);
    return rc == RC_OK ? db_query(db, cli->argv[0], statement, params, rows, err) : rc;
}

int
cmd_policy_get(struct cli *cli)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct db_params params = { 0 };
    struct err err = { 0 };
    int64_t version = 0;
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    if (cli_option_int(cli, "version", 1, INT64_MAX / 2, 0, &version, &err) != RC_OK)
        return cli_fail(&err);
    if (version)
        db_param_int(&params, version);
    else
        db_param_null(&params);
    if (ask(cli, SQL_CLI_POLICY_GET, &params, &rows, &err) != RC_OK)
        return cli_fail(&err);
    if (PQntuples(rows) == 0) {
        (void)err_set(&err, RC_NOTFOUND,
                      "workspace '%s' has no policy, or none of that version: without one, every "
                      "allowed action runs "
                      "(unless the gateway has POLICY_DEFAULT=default)",
                      cli->argv[0]);
        return cli_fail(&err);
    }
    buf_init(&out, ANSWER_MAX);
    buf_puts(&out, db_text(rows, 0, 1));
    return cli_print_json(&out);
}

/* The text of a file, or of the policy that comes with the program. */
static enum rc
read_policy(struct cli *cli, struct buf *text, cJSON **doc, struct err *err)
{
    AUTO(buf) struct buf raw = { 0 };
    struct field_errors errors = { 0 };
    enum rc rc = RC_OK;
    buf_init(&raw, BODY_MAX);
    if (strcmp(cli->argv[1], "default") == 0)
        buf_puts(&raw, policy_default_text());
    else
        rc = cli_read_file(cli->argv[1], &raw, err);
    if (rc == RC_OK)
        rc = json_read(buf_text(&raw), raw.len, doc, err);
    if (rc != RC_OK)
        return rc == RC_CORRUPT ? RC_INVALID : rc;
    if (policy_check(*doc, &errors) != RC_OK)
        return err_set(err, RC_INVALID, "%.200s %.180s", errors.items[0].field,
                       errors.items[0].detail);
    return json_canonical(*doc, NULL, text);
}

int
cmd_policy_set(struct cli *cli)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf text = { 0 };
    AUTO(buf) struct buf out = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct db_params params = { 0 };
    struct err err = { 0 };
    struct json_writer w;
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    buf_init(&text, POLICY_BYTES_MAX);
    if (read_policy(cli, &text, &doc, &err) != RC_OK)
        return cli_fail(&err);
    db_param_text(&params, cli->argv[0]);
    db_param_text(&params, buf_text(&text));
    enum rc rc = ask(cli, SQL_CLI_POLICY_PUT, &params, &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = err_set(&err, RC_NOTFOUND, "there is no workspace '%s'", cli->argv[0]);
    if (rc != RC_OK)
        return cli_fail(&err);
    long long version = (long long)db_int(rows, 0, 0, 0);
    if (!cli->json) {
        (void)printf("the policy of workspace %s is set (version %lld)\n", cli->argv[0], version);
        return EXIT_OK;
    }
    buf_init(&out, 1024);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "workspace", cli->argv[0]);
    json_put_int(&w, "version", version);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

static int
print_versions(const PGresult *rows)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_array(&w, NULL);
    for (int i = 0; i < PQntuples(rows); i++) {
        json_object(&w, NULL);
        json_put_int(&w, "version", db_int(rows, i, 0, 0));
        json_put_int(&w, "bytes", db_int(rows, i, 1, 0));
        json_put_string_or_null(&w, "set_by", db_text(rows, i, 2));
        json_put_time(&w, "set_at", db_int(rows, i, 3, 0));
        json_close(&w);
    }
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_policy_versions(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "VERSION", 7, false, true },
        { "SET", 20, true, false },
        { "BY", 12, true, false },
        { "BYTES", 6, false, true },
    };
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(table) struct table table = { 0 };
    const struct db_params params = { 0 };
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    if (ask(cli, SQL_CLI_POLICY_VERSIONS, &params, &rows, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return print_versions(rows);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    for (int i = 0; i < PQntuples(rows); i++) {
        char text[CLOCK_TEXT_MAX];
        table_putf(&table, "%lld", (long long)db_int(rows, i, 0, 0));
        table_put(&table, clock_format(db_int(rows, i, 3, 0), text));
        table_put(&table, db_text(rows, i, 2) ? db_text(rows, i, 2) : "(operator)");
        table_putf(&table, "%lld", (long long)db_int(rows, i, 1, 0));
    }
    return table_print(&table);
}

/* --- requests ------------------------------------------------------------------------------------------ */

int
cmd_policy_test(struct cli *cli)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *params = NULL;
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;
    struct err err = { 0 };
    const char *given = cli->argc > 1 ? cli->argv[1] : "{}";
    if (json_read(given, strlen(given), &params, &err) != RC_OK)
        return cli_usage(
            "PARAMS must be a JSON object, such as {\"url\":\"https://example.com/\"}: %s",
            err.text);
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "action", cli->argv[0]);
    json_put_doc(&w, "params", params);
    if (cli_option(cli, "scope"))
        json_put_string(&w, "scope", cli_option(cli, "scope"));
    if (cli_option(cli, "role"))
        json_put_string(&w, "role", cli_option(cli, "role"));
    json_close(&w);
    (void)json_end(&w);
    const struct fetch_request request = {
        .method = "POST", .path = "/policy/test", .body = buf_text(&body), .len = body.len
    };
    if (gateway_call(cli, &request, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_doc(doc);
    const cJSON *policy = json_member(doc, "policy");
    const cJSON *reason;
    (void)printf("%s: %s (policy version %lld, score %lld)%s\n", cli->argv[0],
                 json_string(policy, "decision"), (long long)json_int(policy, "version", 0),
                 (long long)json_int(policy, "score", 0),
                 json_bool(doc, "allowlisted", false) ? "" : ", but it is not on the allowlist");
    cJSON_ArrayForEach (reason, json_member(policy, "reasons"))
        (void)printf("  %s\n", cJSON_GetStringValue(reason));
    return EXIT_OK;
}

int
cmd_approval_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "ID", 36, false, false },       { "STATE", 9, true, false },
        { "ACTION", 16, true, false },    { "BY", 12, true, false },
        { "REQUESTED", 24, true, false }, { "EXPIRES", 24, true, false },
    };
    AUTO(table) struct table table = { 0 };
    AUTO(buf) struct buf path = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    const cJSON *item;
    buf_init(&path, GATEWAY_PATH_MAX);
    buf_puts(&path, "/ai/approvals?limit=100");
    if (cli_option(cli, "state"))
        gateway_query(&path, "state", cli_option(cli, "state"));
    if (gateway_get(cli, buf_text(&path), &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_doc(doc);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach (item, json_member(doc, "items")) {
        table_put(&table, json_string(item, "id"));
        table_put(&table, json_string(item, "state"));
        table_put(&table, json_string(item, "action"));
        table_put(&table, json_string(item, "requested_by"));
        table_put(&table, json_string(item, "requested_at"));
        table_put(&table, json_string(item, "expires_at"));
    }
    return table_print(&table);
}

static enum rc
show(struct cli *cli, struct buf *answer, cJSON **doc, struct err *err)
{
    char path[128], id[ID_TEXT_MAX];
    if (id_parse(cli->argv[0], strlen(cli->argv[0]), id) != RC_OK)
        return err_set(err, RC_INVALID,
                       "'%.80s' is not the id of an approval: gantry approval list shows them",
                       cli->argv[0]);
    (void)snprintf(path, sizeof(path), "/ai/approvals/%s", id);
    return gateway_get(cli, path, answer, doc, err);
}

int
cmd_approval_show(struct cli *cli)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    return show(cli, &answer, &doc, &err) == RC_OK ? cli_print_doc(doc) : cli_fail(&err);
}

/* It is read first: what is approved is what is there now, by its hash. */
static int
decide(struct cli *cli, const char *decision)
{
    AUTO(buf) struct buf shown = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *before = NULL;
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;
    struct err err = { 0 };
    char path[128];
    const char *hash = cli_option(cli, "hash");
    if (show(cli, &shown, &before, &err) != RC_OK)
        return cli_fail(&err);
    buf_init(&body, COMMENT_MAX * 8);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "decision", decision);
    json_put_string(&w, "hash", hash ? hash : json_string(before, "hash"));
    if (cli_option(cli, "comment"))
        json_put_string(&w, "comment", cli_option(cli, "comment"));
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return cli_usage("the comment has more than %d bytes", COMMENT_MAX);
    (void)snprintf(path, sizeof(path), "/ai/approvals/%s", json_string(before, "id"));
    const struct fetch_request request = {
        .method = "POST", .path = path, .body = buf_text(&body), .len = body.len
    };
    if (gateway_call(cli, &request, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_doc(doc);
    (void)printf("%s %s is %s\n", json_string(doc, "action"), json_string(doc, "id"),
                 json_string(doc, "state"));
    return EXIT_OK;
}

int
cmd_approval_approve(struct cli *cli)
{
    return decide(cli, "approve");
}

int
cmd_approval_deny(struct cli *cli)
{
    return decide(cli, "deny");
}
