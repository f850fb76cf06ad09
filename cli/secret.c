/* SPDX-License-Identifier: MIT */
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "cli.h"
#include "crypto/crypto.h"
#include "protocol/command.h"
#include "table.h"

#define ANSWER_MS  10000
#define VALUE_MAX  16384
#define BODY_MAX   (VALUE_MAX * 6 + 1024)
#define ANSWER_MAX (1u << 20)

struct asking {
    bool done;
    enum rc rc;
    int status; /* of an error */
    struct buf answer;
    struct err err;
};

static void
on_answer(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct asking *asking = arg;
    const char *status = rc == RC_OK ? bus_msg_header(msg, ERROR_STATUS_HEADER) : NULL;
    asking->done = true;
    asking->rc = rc;
    asking->status = status ? (int)strtol(status, NULL, 10) : 0;
    if (rc == RC_OK)
        buf_add(&asking->answer, msg->data, msg->len);
    else if (err)
        asking->err = *err;
}

static enum rc
rc_of(const struct asking *asking, const cJSON *doc, struct err *err)
{
    const cJSON *first = cJSON_GetArrayItem(json_member(doc, "errors"), 0);
    const char *detail = json_string(first ? first : doc, "detail");
    const char *field = json_string(first, "field");
    if (asking->status == 0)
        return RC_OK;
    return err_set(err,
                   asking->status == 404   ? RC_NOTFOUND
                   : asking->status >= 500 ? RC_TEMP
                                           : RC_INVALID,
                   "%.60s%s%.300s", field ? field : "", field ? " " : "",
                   detail ? detail : "gantry-connector refused the request without a reason");
}

enum rc
secret_ask(struct cli *cli, enum command command, const struct buf *body, cJSON **doc,
           struct err *err)
{
    struct bus *bus = NULL;
    struct asking asking = { 0 };
    char subject[SUBJECT_MAX];
    struct bus_out out = { .subject = subject, .data = body->data, .len = body->len };

    enum rc rc = cli_bus(cli, &bus, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&asking.answer, ANSWER_MAX);
    command_subject(subject, cli->argv[0], command);
    rc = bus_request(bus, &out, ANSWER_MS, on_answer, &asking, err);
    for (int64_t end_ms = clock_mono_ms() + ANSWER_MS + 1000;
         rc == RC_OK && !asking.done && clock_mono_ms() < end_ms;)
        loop_turn(cli->loop, 20);
    if (rc == RC_OK && asking.rc != RC_OK)
        rc = err_set(err, RC_TEMP, "gantry-connector is unavailable: %.200s", asking.err.text);
    if (rc == RC_OK && asking.answer.len > 0 &&
        json_read_foreign(buf_text(&asking.answer), asking.answer.len, doc, err) != RC_OK)
        rc = RC_TEMP;
    if (rc == RC_OK)
        rc = rc_of(&asking, *doc, err);
    buf_fini(&asking.answer);
    return rc;
}

static void
write_body(const char *name, const struct buf *value, struct buf *out)
{
    struct json_writer w;
    buf_init(out, BODY_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    if (name)
        json_put_string(&w, "name", name);
    if (value)
        json_put_bytes(&w, "value", buf_text(value), value->len);
    json_close(&w);
    (void)json_end(&w);
}

int
cmd_secret_set(struct cli *cli)
{
    struct buf value = { 0 };
    struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    buf_init(&value, VALUE_MAX);
    enum rc rc = cli_read_file("-", &value, &err);
    if (rc == RC_OK && value.len > 0 && value.data[value.len - 1] == '\n') /* as of NAME_FILE */
        buf_cut(&value, value.len - 1);
    if (rc == RC_OK && value.len == 0)
        rc = err_set(
            &err, RC_INVALID,
            "standard input is empty: send the secret to it, as in gantry secret set WORKSPACE "
            "NAME <FILE");
    if (rc == RC_OK) {
        write_body(cli->argv[1], &value, &body);
        rc = secret_ask(cli, CMD_SECRETS_PUT, &body, &doc, &err);
    }
    buf_wipe(&value);
    buf_wipe(&body);
    if (rc != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_doc(doc);
    (void)printf("secret %s of workspace %s is set (version %lld)\n", cli->argv[1], cli->argv[0],
                 (long long)json_int(doc, "version", 0));
    return EXIT_OK;
}

int
cmd_secret_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", 10, true, false },
        { "VERSION", 7, false, true },
        { "CREATED", 20, true, false },
        { "UPDATED", 20, true, false },
    };
    AUTO(table) struct table table = { 0 };
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    const cJSON *item;
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    write_body(NULL, NULL, &body);
    if (secret_ask(cli, CMD_SECRETS_LIST, &body, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_doc(doc);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach (item, json_member(doc, "items")) {
        table_put(&table, json_string(item, "name"));
        table_putf(&table, "%lld", (long long)json_int(item, "version", 0));
        table_put(&table, json_string(item, "created_at"));
        table_put(&table, json_string(item, "updated_at"));
    }
    return table_print(&table);
}

int
cmd_secret_delete(struct cli *cli)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    int code = cli_check_workspace(cli->argv[0]);
    if (code)
        return code;
    write_body(cli->argv[1], NULL, &body);
    if (secret_ask(cli, CMD_SECRETS_DELETE, &body, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("secret %s of workspace %s is deleted\n", cli->argv[1], cli->argv[0]);
        return EXIT_OK;
    }
    return cli_print_doc(doc);
}
