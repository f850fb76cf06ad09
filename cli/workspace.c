/* SPDX-License-Identifier: MIT */
/*
 * workspace - rows of the workspace register, and the consumers that belong to them.
 */
#include "workspace.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "cli.h"
#include "fetch/guard.h"
#include "provision.h"
#include "sql_cli.h"
#include "table.h"

#define ACTION_MAX  64    /* characters of an action's name */
#define ACTIONS_MAX 65536 /* bytes of the list as JSON */

/* The consumers come first: a workspace that is in the register can always be served. */
static enum rc
create(struct cli *cli, const char *name, bool *created, struct err *err)
{
    struct db *db = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };

    enum rc rc = cli_db(cli, &db, err);
    if (rc == RC_OK)
        rc = provision_workspace(cli, name, err);
    if (rc != RC_OK)
        return rc;
    db_param_text(&params, name);
    rc = db_query(db, NULL, SQL_CLI_WORKSPACE_CREATE, &params, &rows, err);
    if (rc == RC_OK)
        *created = PQntuples(rows) == 1;
    return rc;
}

int
cmd_workspace_create(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    struct json_writer w;
    bool created = false;

    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    if (create(cli, cli->argv[0], &created, &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("workspace %s %s\n", cli->argv[0], created ? "created" : "was there already");
        return EXIT_OK;
    }
    buf_init(&out, 1024);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "workspace", cli->argv[0]);
    json_put_bool(&w, "created", created);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

static int
print_workspaces(const PGresult *rows)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "items");
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *actions = db_text(rows, row, 2);
        json_object(&w, NULL);
        json_put_string(&w, "workspace", db_text(rows, row, 0));
        json_put_time(&w, "created_at", db_int(rows, row, 1, 0));
        if (actions)
            json_put_raw(&w, "actions", actions, strlen(actions));
        else
            json_put_null(&w, "actions");
        json_put_raw(&w, "egress", db_text(rows, row, 3), strlen(db_text(rows, row, 3)));
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_workspace_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "WORKSPACE", 10, true, false },
        { "CREATED", 20, true, false },
        { "ACTIONS", 10, true, false },
    };
    AUTO(table) struct table table = { 0 };
    struct db *db = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    struct err err = { 0 };

    enum rc rc = cli_db(cli, &db, &err);
    if (rc == RC_OK)
        rc = db_query(db, NULL, SQL_CLI_WORKSPACE_LIST, NULL, &rows, &err);
    if (rc != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return print_workspaces(rows);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    for (int row = 0; row < PQntuples(rows); row++) {
        char text[CLOCK_TEXT_MAX];
        const char *actions = db_text(rows, row, 2);
        table_put(&table, db_text(rows, row, 0));
        table_put(&table, clock_format(db_int(rows, row, 1, 0), text));
        table_put(&table, actions ? actions : "(default actions)");
    }
    return table_print(&table);
}

/* The same shape as a task folder's name: [a-z][a-z0-9_.-]*. */
static bool
is_action(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-");
    return name[0] >= 'a' && name[0] <= 'z' && name[len] == '\0' && len <= ACTION_MAX;
}

static enum rc
replace_list(struct cli *cli, unsigned statement, const char *workspace, const char *list,
             struct err *err)
{
    struct db *db = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };

    enum rc rc = cli_db(cli, &db, err);
    if (rc != RC_OK)
        return rc;
    db_param_text(&params, workspace);
    db_param_text(&params, list);
    rc = db_query(db, NULL, statement, &params, &rows, err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = err_set(err, RC_NOTFOUND, "there is no workspace '%s'", workspace);
    return rc;
}

/* The words after the first, as a JSON array; an exit code, 0: it is one. */
static int
read_words(const struct cli *cli, bool (*fits)(const char *), const char *what, struct buf *list)
{
    struct json_writer w;
    buf_init(list, ACTIONS_MAX);
    json_begin(&w, list);
    json_array(&w, NULL);
    for (int i = 1; i < cli->argc; i++) {
        if (!fits(cli->argv[i]))
            return cli_usage("'%.80s' is not the %s", cli->argv[i], what);
        json_put_string(&w, NULL, cli->argv[i]);
    }
    json_close(&w);
    return json_end(&w) == RC_OK ? 0 : cli_usage("the list is too long");
}

static int
set_list(struct cli *cli, unsigned statement, const char *member, const char *verb,
         const struct buf *list)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    struct json_writer w;

    if (replace_list(cli, statement, cli->argv[0], buf_text(list), &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("workspace %s may %s %s\n", cli->argv[0], verb,
                     cli->argc > 1 ? buf_text(list) : "nothing");
        return EXIT_OK;
    }
    buf_init(&out, ACTIONS_MAX + 1024);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "workspace", cli->argv[0]);
    json_put_raw(&w, member, buf_text(list), list->len);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_workspace_allow(struct cli *cli)
{
    AUTO(buf) struct buf list = { 0 };
    int code = cli_check_workspace(cli->argv[0]);
    if (!code)
        code = read_words(cli, is_action, "name of an action", &list);
    return code ? code : set_list(cli, SQL_CLI_WORKSPACE_ALLOW, "actions", "run", &list);
}

int
cmd_workspace_egress(struct cli *cli)
{
    AUTO(buf) struct buf list = { 0 };
    int code = cli_check_workspace(cli->argv[0]);
    if (!code)
        code = read_words(cli, guard_host_valid, "name of a host, such as api.example.com", &list);
    return code ? code : set_list(cli, SQL_CLI_WORKSPACE_EGRESS, "egress", "reach", &list);
}
