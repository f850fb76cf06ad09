/* SPDX-License-Identifier: MIT */
/*
 * status - asks each part what it can say of itself: the gateway's /readyz, the workers' ADR-32
 * answers, the streams' counts, PostgreSQL and Redis. What has no address in the environment is not
 * asked.
 */
#include "status.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "cli.h"
#include "protocol/bounds.h"
#include "sql_cli.h"
#include "streams.h"

#define PING_MS     400  /* since the last answer, when all have answered that there must be */
#define GATEWAY_MS  5000 /* a gateway that takes longer is down */
#define WORKERS_MAX 16
#define NAME_ROOM   64
#define FULL_MAX    34 /* all of the gateway's and the workers' */
#define WHOSE_MAX   4  /* workspaces that are named for a bound */

struct worker_count {
    char name[NAME_ROOM];
    unsigned instances;
};

struct full_bound {
    char name[NAME_ROOM];
    char whose[WHOSE_MAX][WORKSPACE_TEXT_MAX]; /* as its workers say */
    size_t n_whose;
};

struct status {
    struct cli *cli;
    bool good, asked_gateway, asked_nats, asked_database, asked_redis;
    char gateway[32];
    char dependencies[256];
    struct full_bound full[FULL_MAX]; /* those that refused something lately */
    size_t n_full;
    struct err nats, database, redis;
    struct worker_count workers[WORKERS_MAX];
    size_t n_workers;
    struct stream_count streams[STREAMS_COUNT];
    size_t n_streams;
    int workspaces;
    int64_t listed_memory,
        listed_audit; /* commands in lists, without one for each; -1 = not known */
    int64_t webhooks, webhooks_disabled, deliveries; /* of all workspaces */
    int64_t approvals;                               /* that wait */
};

/* --- gateway ---------------------------------------------------------------------------------- */

/* NULL: no room, or no name. */
static struct full_bound *
full_of(struct status *status, const char *name)
{
    if (!name || strlen(name) >= NAME_ROOM)
        return NULL;
    for (size_t i = 0; i < status->n_full; i++)
        if (strcmp(status->full[i].name, name) == 0)
            return &status->full[i];
    if (status->n_full == FULL_MAX)
        return NULL;
    struct full_bound *bound = &status->full[status->n_full++];
    *bound = (struct full_bound){ 0 };
    (void)strlcpy(bound->name, name, NAME_ROOM);
    return bound;
}

static void
read_full(struct status *status, const cJSON *list)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach (item, list)
        (void)full_of(status, cJSON_GetStringValue(item));
}

/* What a worker says of its bounds: whose they are, which /readyz does not tell. */
static void
read_whose(struct status *status, const cJSON *metadata)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach (item, metadata) {
        const char *whose = cJSON_GetStringValue(item);
        if (!whose || strncmp(item->string, SERVICE_FULL, sizeof(SERVICE_FULL) - 1) != 0)
            continue;
        struct full_bound *bound = full_of(status, item->string + sizeof(SERVICE_FULL) - 1);
        if (!bound || bound->n_whose == WHOSE_MAX)
            continue;
        size_t i = 0;
        while (i < bound->n_whose && strcmp(bound->whose[i], whose) != 0)
            i++;
        if (i == bound->n_whose)
            (void)strlcpy(bound->whose[bound->n_whose++], whose, WORKSPACE_TEXT_MAX);
    }
}

static void
on_ready(void *arg, const struct fetch_answer *answer)
{
    struct status *status = arg;
    AUTO(json) cJSON *doc = NULL;
    const cJSON *item = NULL;
    size_t used = 0;

    (void)snprintf(status->gateway, sizeof(status->gateway), "down");
    if (!answer->status || json_read(answer->body, answer->len, &doc, NULL) != RC_OK)
        return;
    const char *text = json_string(doc, "status");
    (void)snprintf(status->gateway, sizeof(status->gateway), "%.31s", text ? text : "unknown");
    cJSON_ArrayForEach (item, json_member(doc, "dependencies")) {
        const char *value = cJSON_GetStringValue(item);
        int n = snprintf(status->dependencies + used, sizeof(status->dependencies) - used,
                         "%s%.40s %.40s", used ? ", " : "", item->string, value ? value : "?");
        used += n > 0 ? (size_t)n : 0;
        if (used >= sizeof(status->dependencies))
            break;
    }
    read_full(status, json_member(doc, "full"));
    status->good = status->good && answer->status == 200;
}

static void
ask_gateway(struct status *status)
{
    struct fetch_pool *pool = NULL;
    struct err err = { 0 };
    const struct fetch_request request = {
        .method = "GET", .path = "/readyz", .once = true, .timeout_ms = GATEWAY_MS
    };

    if (!status->cli->conf.url)
        return;
    status->asked_gateway = true;
    if (cli_http(status->cli, 1, &pool, &err) != RC_OK ||
        fetch_pool_send(pool, &request, on_ready, status, &err) != RC_OK)
        (void)snprintf(status->gateway, sizeof(status->gateway), "down");
    else
        fetch_pool_wait(pool);
    if (strcmp(status->gateway, "down") == 0)
        status->good = false;
}

static void
on_numbers(void *arg, const struct fetch_answer *answer)
{
    struct status *status = arg;
    AUTO(json) cJSON *doc = NULL;
    if (answer->status != 200 || json_read(answer->body, answer->len, &doc, NULL) != RC_OK)
        return;
    status->listed_memory = json_int(doc, "listed_memory", -1);
    status->listed_audit = json_int(doc, "listed_audit", -1);
}

/* A message may be a list of commands: only the gateway that sent it knows how many it holds. */
static void
ask_lists(struct status *status)
{
    struct fetch_pool *pool = NULL;
    struct err err = { 0 };
    const struct fetch_request request = {
        .method = "GET", .path = "/debug/status", .once = true, .timeout_ms = GATEWAY_MS
    };
    status->listed_memory = status->listed_audit = -1;
    if (!status->cli->conf.admin_url ||
        fetch_pool_new(status->cli->conf.admin_url, NULL, 1, 1, &pool, &err) != RC_OK)
        return;
    if (fetch_pool_send(pool, &request, on_numbers, status, &err) == RC_OK)
        fetch_pool_wait(pool);
    fetch_pool_free(pool);
}

/* How many commands a stream holds; -1 = not known. */
static int64_t
commands_of(const struct status *status, const struct stream_count *stream)
{
    int64_t listed = strcmp(stream->name, "MEMORY") == 0  ? status->listed_memory
                     : strcmp(stream->name, "AUDIT") == 0 ? status->listed_audit
                                                          : 0;
    if (listed < 0)
        return -1;
    return stream->messages > 0 ? stream->messages + listed : 0;
}

/* --- NATS ------------------------------------------------------------------------------------- */

static void
on_pong(void *arg, const struct bus_msg *msg)
{
    struct status *status = arg;
    AUTO(json) cJSON *doc = NULL;
    if (json_read(msg->data, msg->len, &doc, NULL) != RC_OK || !json_string(doc, "name"))
        return;
    const char *name = json_string(doc, "name");
    read_whose(status, json_member(doc, "metadata"));
    for (size_t i = 0; i < status->n_workers; i++)
        if (strcmp(status->workers[i].name, name) == 0) {
            status->workers[i].instances++;
            return;
        }
    if (status->n_workers == WORKERS_MAX || strlen(name) >= NAME_ROOM)
        return;
    struct worker_count *count = &status->workers[status->n_workers++];
    memcpy(count->name, name, strlen(name) + 1);
    count->instances = 1;
}

/* Those of which there must be one, so that one which does not answer is seen to be missing. */
static void
expect_workers(struct status *status)
{
    static const char *const NAMES[] = { "gantry-ingest", "gantry-search", "gantry-audit",
                                         "gantry-executor" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        (void)strlcpy(status->workers[i].name, NAMES[i], NAME_ROOM);
    status->n_workers = ARRAY_LEN(NAMES);
}

static bool
one_is_missing(const void *arg)
{
    const struct status *status = arg;
    for (size_t i = 0; i < status->n_workers; i++)
        if (status->workers[i].instances == 0)
            return true;
    return false;
}

static enum rc
ask_workers(struct status *status, struct err *err)
{
    expect_workers(status);
    enum rc rc = workers_ask(status->cli, "PING", PING_MS, one_is_missing, on_pong, status, err);
    status->good = status->good && !one_is_missing(status);
    return rc;
}

static void
ask_nats(struct status *status)
{
    if (!status->cli->conf.operator_url)
        return;
    status->asked_nats = true;
    enum rc rc = streams_read(status->cli, status->streams, &status->n_streams, &status->nats);
    if (rc == RC_OK)
        rc = ask_workers(status, &status->nats);
    status->good = status->good && rc == RC_OK;
}

/* --- PostgreSQL and Redis ---------------------------------------------------------------------- */

static enum rc
read_webhooks(struct status *status, struct db *db)
{
    AUTO(pgresult) PGresult *rows = NULL;
    enum rc rc = db_query(db, NULL, SQL_CLI_WEBHOOK_COUNTS, NULL, &rows, &status->database);

    if (rc == RC_OK && PQntuples(rows) == 1) {
        status->webhooks = db_int(rows, 0, 0, 0);
        status->webhooks_disabled = db_int(rows, 0, 1, 0);
        status->deliveries = db_int(rows, 0, 2, 0);
    }
    return rc;
}

static enum rc
read_approvals(struct status *status, struct db *db)
{
    AUTO(pgresult) PGresult *rows = NULL;
    enum rc rc = db_query(db, NULL, SQL_CLI_APPROVALS_WAITING, NULL, &rows, &status->database);

    if (rc == RC_OK && PQntuples(rows) == 1)
        status->approvals = db_int(rows, 0, 0, 0);
    return rc;
}

static void
ask_database(struct status *status)
{
    struct db *db = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    if (!status->cli->conf.database_url)
        return;
    status->asked_database = true;
    enum rc rc = cli_db(status->cli, &db, &status->database);
    if (rc == RC_OK)
        rc = db_query(db, NULL, SQL_CLI_WORKSPACE_LIST, NULL, &rows, &status->database);
    if (rc == RC_OK)
        status->workspaces = PQntuples(rows);
    if (rc == RC_OK)
        rc = read_webhooks(status, db);
    if (rc == RC_OK)
        rc = read_approvals(status, db);
    status->good = status->good && rc == RC_OK;
}

static void
ask_redis(struct status *status)
{
    struct kv *kv = NULL;
    struct kv_reply *reply = NULL;
    struct kv_command ping = { .count = 0 };
    if (!status->cli->conf.redis_url)
        return;
    status->asked_redis = true;
    kv_add(&ping, "PING");
    enum rc rc = cli_kv(status->cli, NULL, 0, &kv, &status->redis);
    if (rc == RC_OK)
        rc = kv_call_sync(kv, &ping, &reply, &status->redis);
    kv_reply_free(reply);
    status->good = status->good && rc == RC_OK;
}

/* --- telling ---------------------------------------------------------------------------------- */

static const char *
word(bool asked, const struct err *err)
{
    if (!asked)
        return "not asked";
    return err->rc == RC_OK ? "up" : "down";
}

static const char *
database_word(const struct status *status)
{
    return status->cli->schema_differs ? "other schema"
                                       : word(status->asked_database, &status->database);
}

static void
print_part(const char *name, const char *state, const struct err *err)
{
    (void)printf("%-12s %s%s%s\n", name, state, err->rc == RC_OK ? "" : ": ",
                 err->rc == RC_OK ? "" : err->text);
}

static void
print_full(const struct status *status)
{
    if (status->n_full == 0)
        return;
    (void)printf("%-12s ", "full");
    for (size_t i = 0; i < status->n_full; i++) {
        const struct full_bound *bound = &status->full[i];
        (void)printf("%s%s", i ? ", " : "", bound->name);
        for (size_t j = 0; j < bound->n_whose; j++)
            (void)printf("%s%s%s", j ? ", " : " (", bound->whose[j],
                         j + 1 == bound->n_whose ? ")" : "");
    }
    (void)printf("\n");
}

/* The names as one text, and whose they are. */
static void
put_full(struct json_writer *w, const struct status *status)
{
    AUTO(buf) struct buf names = { 0 };
    buf_init(&names, FULL_MAX * (NAME_ROOM + 2));
    for (size_t i = 0; i < status->n_full; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", status->full[i].name);
    json_put_string(w, "full", buf_text(&names));
    json_object(w, "full_workspaces");
    for (size_t i = 0; i < status->n_full; i++) {
        if (status->full[i].n_whose == 0)
            continue;
        json_array(w, status->full[i].name);
        for (size_t j = 0; j < status->full[i].n_whose; j++)
            json_put_string(w, NULL, status->full[i].whose[j]);
        json_close(w);
    }
    json_close(w);
}

static void
print_stream(const struct status *status, const struct stream_count *stream)
{
    int64_t commands = commands_of(status, stream);
    (void)printf("%-12s %lld messages, %lld waiting, %lld under way", stream->name,
                 (long long)stream->messages, (long long)stream->pending,
                 (long long)stream->unsettled);
    if (commands > stream->messages)
        (void)printf("; %lld commands", (long long)commands);
    (void)putchar('\n');
}

static int
print_text(const struct status *status)
{
    (void)printf("%-12s %s%s%s\n", "gateway", status->asked_gateway ? status->gateway : "not asked",
                 status->dependencies[0] ? ": " : "", status->dependencies);
    print_full(status);
    print_part("postgresql", database_word(status), &status->database);
    print_part("redis", word(status->asked_redis, &status->redis), &status->redis);
    print_part("nats", word(status->asked_nats, &status->nats), &status->nats);
    for (size_t i = 0; i < status->n_workers; i++)
        (void)printf("%-15s %u running%s\n", status->workers[i].name, status->workers[i].instances,
                     status->workers[i].instances ? "" : ": none answers");
    for (size_t i = 0; i < status->n_streams; i++)
        print_stream(status, &status->streams[i]);
    if (status->webhooks)
        (void)printf("%-12s %lld, %lld disabled, %lld deliveries waiting\n", "webhooks",
                     (long long)status->webhooks, (long long)status->webhooks_disabled,
                     (long long)status->deliveries);
    if (status->approvals)
        (void)printf("%-12s %lld waiting\n", "approvals", (long long)status->approvals);
    return status->good ? EXIT_OK : EXIT_NO;
}

static void
put_webhooks(struct json_writer *w, const struct status *status)
{
    json_object(w, "webhooks");
    json_put_int(w, "count", status->webhooks);
    json_put_int(w, "disabled", status->webhooks_disabled);
    json_put_int(w, "pending", status->deliveries);
    json_close(w);
}

static int
print_document(const struct status *status)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_bool(&w, "ok", status->good);
    json_put_string(&w, "gateway", status->asked_gateway ? status->gateway : "not asked");
    put_full(&w, status);
    json_put_string(&w, "postgresql", database_word(status));
    json_put_string(&w, "redis", word(status->asked_redis, &status->redis));
    json_put_string(&w, "nats", word(status->asked_nats, &status->nats));
    if (status->asked_database && status->database.rc == RC_OK) {
        json_put_int(&w, "workspaces", status->workspaces);
        put_webhooks(&w, status);
        json_put_int(&w, "approvals_waiting", status->approvals);
    }
    json_object(&w, "workers");
    for (size_t i = 0; i < status->n_workers; i++)
        json_put_int(&w, status->workers[i].name, status->workers[i].instances);
    json_close(&w);
    json_object(&w, "streams");
    for (size_t i = 0; i < status->n_streams; i++) {
        const struct stream_count *stream = &status->streams[i];
        json_object(&w, stream->name);
        json_put_int(&w, "messages", stream->messages);
        if (commands_of(status, stream) >= 0)
            json_put_int(&w, "commands", commands_of(status, stream));
        json_put_int(&w, "consumers", stream->consumers);
        json_put_int(&w, "pending", stream->pending);
        json_put_int(&w, "unsettled", stream->unsettled);
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    (void)json_end(&w);
    int code = cli_print_json(&out);
    return code ? code : status->good ? EXIT_OK : EXIT_NO;
}

int
cmd_status(struct cli *cli)
{
    struct status status = { .cli = cli, .good = true };
    const struct cli_conf *conf = &cli->conf;
    if (!conf->url && !conf->database_url && !conf->redis_url && !conf->operator_url)
        return cli_fail(
            &(struct err){ .rc = RC_CONFIG,
                           .text = "none of GANTRY_URL, GANTRY_NATS_OPERATOR_URL, DATABASE_URL "
                                   "and REDIS_URL is set, so there is nothing to ask: source "
                                   "var/env after make up, or /etc/gantry/operator.env" });
    ask_gateway(&status);
    ask_lists(&status);
    ask_database(&status);
    ask_redis(&status);
    ask_nats(&status);
    return cli->json ? print_document(&status) : print_text(&status);
}
