/* SPDX-License-Identifier: MIT */
#include "webhook.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli.h"
#include "secret.h"
#include "table.h"

#define BODY_MAX 65536

/* The members id and delivery_id of the request, and enabled. */
struct naming {
    const char *id, *delivery;
    bool enabled;
};

static void
write_body(const struct naming *naming, struct buf *out)
{
    struct json_writer w;

    buf_init(out, BODY_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    if (naming->id)
        json_put_string(&w, "id", naming->id);
    if (naming->delivery)
        json_put_string(&w, "delivery_id", naming->delivery);
    if (naming->enabled)
        json_put_bool(&w, "enabled", true);
    json_close(&w);
    (void)json_end(&w);
}

/* Asks; on success *doc, else an exit code. */
static int
ask(struct cli *cli, enum command command, const struct naming *naming, cJSON **doc)
{
    AUTO(buf) struct buf body = { 0 };
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);

    if (code)
        return code;
    write_body(naming, &body);
    return secret_ask(cli, command, &body, doc, &err) == RC_OK ? EXIT_OK : cli_fail(&err);
}

/* The secret, which is shown once: it alone, so that a script can take it. */
static int
print_secret(const struct cli *cli, const char *what, const cJSON *doc)
{
    const char *id = json_string(doc, "id"), *secret = json_string(doc, "secret");
    const char *key = json_string(doc, "public_key"), *path = json_string(doc, "path");

    if (cli->json)
        return cli_print_doc(doc);
    (void)printf("%s %s of workspace %s\n", what, id ? id : "?", cli->argv[0]);
    if (path)
        (void)printf("path: %s\n", path);
    if (secret)
        (void)printf("secret (shown once): %s\n", secret);
    if (key)
        (void)printf("public key: %s\n", key);
    return EXIT_OK;
}

/* A command that names one thing and says what became of it. */
static int
do_one(struct cli *cli, enum command command, const struct naming *naming, const char *what,
       const char *said)
{
    AUTO(json) cJSON *doc = NULL;
    int code = ask(cli, command, naming, &doc);

    if (code)
        return code;
    if (cli->json)
        return cli_print_doc(doc);
    (void)printf("%s %s %s\n", what, cli->argv[cli->argc - 1], said);
    return EXIT_OK;
}

struct listing {
    enum command command;
    const struct table_column *columns;
    unsigned n_columns;
    void (*put)(struct table *table, const cJSON *item);
};

/* id: whose items; NULL = the workspace's. */
static int
list(struct cli *cli, const struct listing *listing, const char *id)
{
    AUTO(table) struct table table = { 0 };
    AUTO(json) cJSON *doc = NULL;
    const cJSON *item;
    int code = ask(cli, listing->command, &(struct naming){ .id = id }, &doc);

    if (code)
        return code;
    if (cli->json)
        return cli_print_doc(doc);
    table_init(&table, listing->columns, listing->n_columns);
    cJSON_ArrayForEach (item, json_member(doc, "items"))
        listing->put(&table, item);
    return table_print(&table);
}

/* --- webhooks out ------------------------------------------------------------------------------- */

int
cmd_webhook_create(struct cli *cli)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);

    if (code)
        return code;
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "url", cli->argv[1]);
    json_array(&w, "events");
    for (int i = 2; i < cli->argc; i++)
        json_put_string(&w, NULL, cli->argv[i]);
    json_close(&w);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return cli_usage("the events are too long");
    if (secret_ask(cli, CMD_WEBHOOKS_CREATE, &body, &doc, &err) != RC_OK)
        return cli_fail(&err);
    return print_secret(cli, "webhook", doc);
}

static void
put_webhook(struct table *table, const cJSON *item)
{
    table_put(table, json_string(item, "id"));
    table_put(table, json_string(item, "url"));
    table_put(table,
              json_bool(item, "enabled", false) ? "enabled" : json_string(item, "disabled_reason"));
    table_putf(table, "%lld", (long long)json_int(item, "pending", 0));
    table_put(table, json_string(item, "delivered_at"));
}

int
cmd_webhook_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "ID", 36, false, false },       { "URL", 12, true, false },
        { "STATE", 8, false, false },     { "WAITING", 7, false, true },
        { "DELIVERED", 10, true, false },
    };
    static const struct listing LISTING = { CMD_WEBHOOKS_LIST, COLUMNS, ARRAY_LEN(COLUMNS),
                                            put_webhook };

    return list(cli, &LISTING, NULL);
}

static void
put_delivery(struct table *table, const cJSON *item)
{
    table_put(table, json_string(item, "id"));
    table_put(table, json_string(item, "type"));
    table_put(table, json_string(item, "state"));
    table_putf(table, "%lld", (long long)json_int(item, "attempts", 0));
    table_put(table, json_string(item, "created_at"));
    table_put(table, json_string(item, "error"));
}

int
cmd_webhook_deliveries(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "ID", 36, false, false },     { "TYPE", 12, true, false },
        { "STATE", 9, false, false },   { "ATTEMPTS", 8, false, true },
        { "CREATED", 10, true, false }, { "ERROR", 10, true, false },
    };
    static const struct listing LISTING = { CMD_WEBHOOKS_DELIVERIES, COLUMNS, ARRAY_LEN(COLUMNS),
                                            put_delivery };

    return list(cli, &LISTING, cli->argv[1]);
}

int
cmd_webhook_replay(struct cli *cli)
{
    const struct naming naming = { .id = cli->argv[1], .delivery = cli->argv[2] };

    return do_one(cli, CMD_WEBHOOKS_REPLAY, &naming, "delivery", "will be sent again");
}

int
cmd_webhook_test(struct cli *cli)
{
    return do_one(cli, CMD_WEBHOOKS_TEST, &(struct naming){ .id = cli->argv[1] }, "webhook",
                  "will be sent a test delivery");
}

int
cmd_webhook_enable(struct cli *cli)
{
    return do_one(cli, CMD_WEBHOOKS_CHANGE, &(struct naming){ .id = cli->argv[1], .enabled = true },
                  "webhook", "is enabled");
}

int
cmd_webhook_rotate(struct cli *cli)
{
    AUTO(json) cJSON *doc = NULL;
    int code = ask(cli, CMD_WEBHOOKS_ROTATE, &(struct naming){ .id = cli->argv[1] }, &doc);

    return code ? code : print_secret(cli, "webhook", doc);
}

int
cmd_webhook_delete(struct cli *cli)
{
    return do_one(cli, CMD_WEBHOOKS_DELETE, &(struct naming){ .id = cli->argv[1] }, "webhook",
                  "is deleted");
}

/* --- hooks in ------------------------------------------------------------------------------------ */

int
cmd_hook_create(struct cli *cli)
{
    AUTO(json) cJSON *doc = NULL;
    struct buf body = { 0 };
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);

    if (code)
        return code;
    buf_init(&body, BODY_MAX);
    enum rc rc = cli_read_file(cli->argv[1], &body, &err);
    if (rc == RC_OK)
        rc = secret_ask(cli, CMD_HOOKS_CREATE, &body, &doc, &err);
    buf_wipe(&body);
    return rc == RC_OK ? print_secret(cli, "hook", doc) : cli_fail(&err);
}

static void
put_hook(struct table *table, const cJSON *item)
{
    table_put(table, json_string(item, "id"));
    table_put(table, json_string(item, "scheme"));
    table_put(table, json_string(item, "command"));
    table_put(table, json_string(item, "created_by"));
    table_put(table, json_string(item, "description"));
}

int
cmd_hook_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "ID", 12, false, false },         { "SCHEME", 8, false, false },
        { "COMMAND", 13, false, false },    { "CREATED BY", 12, false, false },
        { "DESCRIPTION", 12, true, false },
    };
    static const struct listing LISTING = { CMD_HOOKS_LIST, COLUMNS, ARRAY_LEN(COLUMNS), put_hook };

    return list(cli, &LISTING, NULL);
}

int
cmd_hook_rotate(struct cli *cli)
{
    AUTO(json) cJSON *doc = NULL;
    int code = ask(cli, CMD_HOOKS_ROTATE, &(struct naming){ .id = cli->argv[1] }, &doc);

    return code ? code : print_secret(cli, "hook", doc);
}

int
cmd_hook_delete(struct cli *cli)
{
    return do_one(cli, CMD_HOOKS_DELETE, &(struct naming){ .id = cli->argv[1] }, "hook",
                  "is deleted");
}
