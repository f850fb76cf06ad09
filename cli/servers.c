/* SPDX-License-Identifier: MIT */
/*
 * servers - the connections of a subcommand, opened at first use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli.h"
#include "sql_cli.h"

#define NATS_WAIT_MS   5000
#define HTTP_TRIES     6
#define PATIENCE_S     60 /* of cli_js_patient(), unless --wait says */
#define PATIENCE_MAX_S 3600
#define SAY_EVERY_MS   5000
#define TRY_EVERY                                                                                  \
    (struct timespec)                                                                              \
    {                                                                                              \
        .tv_nsec = 500000000                                                                       \
    }

enum rc
cli_missing(const char *name, struct err *err)
{
    return err_set(err, RC_CONFIG,
                   "%s is not set: source the file that knows it, which is var/env after make up, "
                   "and /etc/gantry/operator.env where deploy/configure was used",
                   name);
}

/* All statements are prepared at once. If the server takes a connection without them, it is the schema. */
static enum rc
explain_schema(struct cli *cli, enum rc rc, struct err *err)
{
    AUTO(db) struct db *plain = NULL;
    struct err why = *err;
    if (rc == RC_TEMP || db_open(cli->conf.database_url, "gantry", NULL, 0, &plain, NULL) != RC_OK)
        return rc;
    cli->schema_differs = true;
    return err_set(err, RC_CONFIG,
                   "the database's schema is not this program's: run gantry migrate (%.300s)",
                   why.text);
}

enum rc
cli_db(struct cli *cli, struct db **out, struct err *err)
{
    if (!cli->db) {
        if (!cli->conf.database_url)
            return cli_missing("DATABASE_URL", err);
        enum rc rc =
            db_open(cli->conf.database_url, "gantry", SQL_CLI, SQL_CLI_COUNT, &cli->db, err);
        if (rc != RC_OK)
            return explain_schema(cli, rc, err);
    }
    *out = cli->db;
    return RC_OK;
}

static enum rc
need_loop(struct cli *cli, struct err *err)
{
    return cli->loop ? RC_OK : loop_new(&cli->loop, err);
}

enum rc
cli_bus(struct cli *cli, struct bus **out, struct err *err)
{
    if (!cli->bus) {
        if (!cli->conf.operator_url)
            return cli_missing("GANTRY_NATS_OPERATOR_URL", err);
        enum rc rc = need_loop(cli, err);
        if (rc != RC_OK)
            return rc;
        const struct bus_options options = {
            .url = cli->conf.operator_url,
            .name = "gantry",
            .inbox_prefix = "_INBOX.operator", /* the one that workers may answer */
            .tls_ca_file = cli->conf.tls_ca,
            .tls_cert_file = cli->conf.tls_cert,
            .tls_key_file = cli->conf.tls_key,
        };
        if (bus_connect(cli->loop, &options, NATS_WAIT_MS, &cli->bus, err) != RC_OK)
            return err_wrap(err, "GANTRY_NATS_OPERATOR_URL");
    }
    *out = cli->bus;
    return RC_OK;
}

enum rc
cli_kv(struct cli *cli, const struct kv_script *scripts, size_t count, struct kv **out,
       struct err *err)
{
    if (!cli->kv) {
        if (!cli->conf.redis_url)
            return cli_missing("REDIS_URL", err);
        enum rc rc = kv_open(NULL, cli->conf.redis_url, scripts, count, &cli->kv, err);
        if (rc != RC_OK)
            return rc;
    }
    *out = cli->kv;
    return RC_OK;
}

enum rc
cli_http(struct cli *cli, unsigned parallel, struct fetch_pool **out, struct err *err)
{
    if (!cli->http) {
        if (!cli->conf.url)
            return cli_missing("GANTRY_URL", err);
        enum rc rc =
            fetch_pool_new(cli->conf.url, cli->conf.api_key, parallel, HTTP_TRIES, &cli->http, err);
        if (rc != RC_OK)
            return rc;
    }
    *out = cli->http;
    return RC_OK;
}

/* A cluster says so of a place that no server has, and of servers that it has not heard of lately: after
 * a start, or when the machine is busy. */
#define JS_NO_SUITABLE_PEERS 10005

static enum rc
rc_from_js(int64_t status, int64_t code)
{
    if (status == 404)
        return RC_NOTFOUND;
    if (code == JS_NO_SUITABLE_PEERS)
        return RC_TEMP;
    return status >= 400 && status < 500 ? RC_INVALID : RC_TEMP;
}

enum rc
cli_js(struct cli *cli, const char *subject, const char *body, cJSON **out, int64_t *code,
       struct err *err)
{
    struct bus *bus = NULL;
    AUTO(free) char *answer = NULL;
    AUTO(json) cJSON *doc = NULL;
    size_t len = 0;

    enum rc rc = cli_bus(cli, &bus, err);
    if (rc != RC_OK)
        return rc;
    const struct bus_out request = { .subject = subject, .data = body, .len = strlen(body) };
    rc = bus_request_sync(bus, &request, NATS_WAIT_MS, &answer, &len, err);
    if (rc != RC_OK)
        return err_wrap(err, "%s", subject);
    if (json_read(answer, len, &doc, err) != RC_OK)
        return err_set(err, RC_BUG, "%s: the answer is not JSON", subject);
    const cJSON *error = json_member(doc, "error");
    if (error) {
        const char *text = json_string(error, "description");
        int64_t number = json_int(error, "err_code", 0);
        if (code)
            *code = number;
        return err_set(err, rc_from_js(json_int(error, "code", 500), number), "%s: %.200s", subject,
                       text ? text : "an error");
    }
    *out = TAKE(doc);
    return RC_OK;
}

/* Servers that elect a leader answer nothing, or that they, or enough of them, are not there now. */
enum rc
cli_js_patient(struct cli *cli, const char *subject, const char *body, cJSON **out, int64_t *code,
               struct err *err)
{
    int64_t seconds = 0, start_ms = clock_mono_ms(), say_ms = start_ms;
    struct bus *bus = NULL;
    enum rc rc = cli_option_int(cli, "wait", 0, PATIENCE_MAX_S, PATIENCE_S, &seconds, err);

    if (rc == RC_OK)
        rc = cli_bus(cli, &bus, err);
    if (rc != RC_OK)
        return rc;
    while ((rc = cli_js(cli, subject, body, out, code, err)) == RC_TEMP) {
        int64_t now_ms = clock_mono_ms();
        if (now_ms - start_ms >= seconds * 1000)
            return err_wrap(err, "given up after %lld s of trying",
                            (long long)((now_ms - start_ms) / 1000));
        if (now_ms >= say_ms) {
            (void)fprintf(stderr, "waiting for JetStream, %lld s of at most %lld s: %s\n",
                          (long long)((now_ms - start_ms) / 1000), (long long)seconds, err->text);
            say_ms = now_ms + SAY_EVERY_MS;
        }
        (void)nanosleep(&TRY_EVERY, NULL);
    }
    return rc;
}
