/* SPDX-License-Identifier: MIT */
/*
 * provision - sends the literal bodies to the JetStream API; running it again changes nothing.
 */
#include "provision.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/log.h"
#include "cli.h"
#include "embed_nats.h"
#include "progress.h"
#include "repair.h"
#include "sql_cli.h"

#define STREAMS     "nats/streams/"
#define CONSUMERS   "nats/consumers/"
#define TEMPLATE    ".template.json"
#define MARK        "@WORKSPACE@"
#define BODY_MAX    65536 /* bytes */
#define SUBJECT_LEN 200   /* bytes with the NUL */

/* Error codes of the JetStream API. */
#define STREAM_NOT_FOUND   10059
#define CONSUMER_NOT_FOUND 10014

struct counts {
    unsigned created, updated, consumers, repaired;
};

static bool
ends_with(const char *text, const char *tail)
{
    size_t len = strlen(text);
    size_t own = strlen(tail);
    return len >= own && strcmp(text + len - own, tail) == 0;
}

/* The text with every mark replaced. */
static void
fill_in(const char *text, const char *workspace, struct buf *out)
{
    const char *at;
    while ((at = strstr(text, MARK)) != NULL) {
        buf_add(out, text, (size_t)(at - text));
        buf_puts(out, workspace);
        text = at + strlen(MARK);
    }
    buf_puts(out, text);
}

/* {"tags": [...]} of a comma-separated list; nothing when it is empty. */
static void
put_placement(struct json_writer *w, const char *tags)
{
    if (!*tags)
        return;
    json_object(w, "placement");
    json_array(w, "tags");
    for (size_t len; *tags; tags += len + (tags[len] == ',')) {
        len = strcspn(tags, ",");
        json_put_bytes(w, NULL, tags, len);
    }
    json_close(w);
    json_close(w);
}

/*
 * The body with what differs between deployments: replicas and placement are those asked for, else
 * those that the stream has, so that whoever provisions again need not know them.
 */
static enum rc
fit_stream(const struct cli *cli, const cJSON *body, const cJSON *config, struct buf *out,
           struct err *err)
{
    static const char *const OWN[] = { "num_replicas", "placement", NULL };
    AUTO(buf) struct buf rest = { 0 };
    struct json_writer w;
    int64_t replicas = json_int(config, "num_replicas", json_int(body, "num_replicas", 1));
    const char *tags = cli_option(cli, "place");
    const cJSON *placement = json_member(config, "placement");

    buf_init(&rest, BODY_MAX);
    enum rc rc = cli_option_int(cli, "replicas", 1, 5, replicas, &replicas, err);
    if (rc == RC_OK)
        rc = json_canonical(body, OWN, &rest);
    if (rc != RC_OK)
        return rc;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_members(&w, rest.data, rest.len);
    json_put_int(&w, "num_replicas", replicas);
    if (tags)
        put_placement(&w, tags);
    else if (placement)
        json_put_doc(&w, "placement", placement);
    json_close(&w);
    return json_end(&w);
}

/* A program that not every deployment has: what it needs is made when asked for, and kept then. */
static bool
is_optional(const char *stream)
{
    return strcmp(stream, "CONNECTOR") == 0;
}

static enum rc
apply_stream(struct cli *cli, const struct embedded_file *file, struct counts *counts,
             struct err *err)
{
    AUTO(json) cJSON *body = NULL;
    AUTO(json) cJSON *found = NULL;
    AUTO(json) cJSON *answer = NULL;
    AUTO(buf) struct buf wanted = { 0 };
    char subject[SUBJECT_LEN];
    int64_t code = 0;

    buf_init(&wanted, BODY_MAX);
    enum rc rc = json_read(file->text, strlen(file->text), &body, err);
    const char *name = rc == RC_OK ? json_string(body, "name") : NULL;
    if (!name)
        return err_set(err, RC_BUG, "%s names no stream", file->path);
    (void)snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", name);
    rc = cli_js_patient(cli, subject, "", &found, &code, err);
    if (rc != RC_OK && code != STREAM_NOT_FOUND)
        return rc;
    bool exists = rc == RC_OK;
    if (!exists && is_optional(name) && !cli_option(cli, "connector"))
        return RC_OK;
    rc = fit_stream(cli, body, exists ? json_member(found, "config") : NULL, &wanted, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(subject, sizeof(subject), "$JS.API.STREAM.%s.%s", exists ? "UPDATE" : "CREATE",
                   name);
    rc = cli_js_patient(cli, subject, buf_text(&wanted), &answer, &code, err);
    if (rc != RC_OK)
        return rc;
    if (exists)
        counts->updated++;
    else
        counts->created++;
    const cJSON *state = json_member(answer, "state");
    bool begun = json_int(state, "last_seq", 0) > 0;
    bool has_first = json_int(state, "messages", 0) > 0 && json_int(state, "first_seq", 0) == 1;
    return begun && !has_first ? RC_OK : repair_new_stream(cli, name, body, err);
}

static enum rc
apply_consumer(struct cli *cli, const char *path, const char *text, struct err *err)
{
    AUTO(json) cJSON *body = NULL;
    AUTO(json) cJSON *answer = NULL;
    char subject[SUBJECT_LEN];
    int64_t code = 0;

    enum rc rc = json_read(text, strlen(text), &body, err);
    const cJSON *config = rc == RC_OK ? json_member(body, "config") : NULL;
    const char *stream = rc == RC_OK ? json_string(body, "stream_name") : NULL;
    const char *name = config ? json_string(config, "durable_name") : NULL;
    if (!stream || !name)
        return err_set(err, RC_BUG, "%s names no stream or no durable consumer", path);
    (void)snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", stream, name);
    rc = cli_js_patient(cli, subject, text, &answer, &code, err);
    if (rc != RC_OK && code == STREAM_NOT_FOUND && is_optional(stream))
        return RC_OK;
    return rc == RC_OK ? RC_OK : err_wrap(err, "%s", path);
}

enum rc
provision_workspace(struct cli *cli, const char *workspace, struct err *err)
{
    for (size_t i = 0; EMBED_NATS[i].path; i++) {
        AUTO(buf) struct buf body = { 0 };
        if (!ends_with(EMBED_NATS[i].path, TEMPLATE))
            continue;
        buf_init(&body, BODY_MAX);
        fill_in(EMBED_NATS[i].text, workspace, &body);
        if (buf_failed(&body))
            return err_set(err, RC_BUG, "%s is too long", EMBED_NATS[i].path);
        enum rc rc = apply_consumer(cli, EMBED_NATS[i].path, buf_text(&body), err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc
apply_workspaces(struct cli *cli, struct counts *counts, struct err *err)
{
    struct db *db = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    struct progress progress;

    enum rc rc = cli_db(cli, &db, err);
    if (rc == RC_OK)
        rc = db_query(db, NULL, SQL_CLI_WORKSPACE_LIST, NULL, &rows, err);
    if (rc != RC_OK)
        return rc;
    progress_begin(&progress, "consumers", (uint64_t)PQntuples(rows));
    for (int row = 0; row < PQntuples(rows) && rc == RC_OK; row++) {
        rc = provision_workspace(cli, db_text(rows, row, 0), err);
        progress_show(&progress, (uint64_t)row + 1);
        counts->consumers++;
    }
    progress_end(&progress);
    return rc;
}

/* Up to version 1 all workspaces shared these. They take every message of their stream, and a work
 * queue gives each message to one consumer: they go before those of the workspaces come. Messages
 * that were delivered by them and not settled are delivered again. Whoever makes none for workspaces
 * leaves them: until an upgrade is over, old programs and new ones take from them. */
static const char *const SHARED[] = { "MEMORY.ingest", "AUDIT.audit" };

static enum rc
drop_shared(struct cli *cli, struct err *err)
{
    char subject[SUBJECT_LEN];
    for (size_t i = 0; i < ARRAY_LEN(SHARED); i++) {
        AUTO(json) cJSON *answer = NULL;
        int64_t code = 0;
        (void)snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DELETE.%s", SHARED[i]);
        enum rc rc = cli_js(cli, subject, "", &answer, &code, err);
        if (rc != RC_OK && code != CONSUMER_NOT_FOUND)
            return rc;
    }
    return RC_OK;
}

/* Whether the consumer of this file would take what a shared one takes, which is there still. */
static enum rc
is_shared(struct cli *cli, const struct embedded_file *file, bool *shared, struct err *err)
{
    AUTO(json) cJSON *body = NULL;
    char subject[SUBJECT_LEN];
    *shared = false;
    enum rc rc = json_read(file->text, strlen(file->text), &body, err);
    const char *stream = rc == RC_OK ? json_string(body, "stream_name") : NULL;
    for (size_t i = 0; stream && i < ARRAY_LEN(SHARED); i++) {
        AUTO(json) cJSON *answer = NULL;
        size_t len = strlen(stream);
        int64_t code = 0;
        if (strncmp(SHARED[i], stream, len) != 0 || SHARED[i][len] != '.')
            continue;
        (void)snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.INFO.%s", SHARED[i]);
        rc = cli_js_patient(cli, subject, "", &answer, &code, err);
        *shared = rc == RC_OK;
        if (rc != RC_OK && code == CONSUMER_NOT_FOUND)
            rc = RC_OK;
    }
    return rc;
}

static enum rc
apply_files(struct cli *cli, struct counts *counts, struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; EMBED_NATS[i].path && rc == RC_OK; i++)
        if (strncmp(EMBED_NATS[i].path, STREAMS, strlen(STREAMS)) == 0)
            rc = apply_stream(cli, &EMBED_NATS[i], counts, err);
    if (rc == RC_OK && !cli_option(cli, "no-workspaces"))
        rc = drop_shared(cli, err);
    for (size_t i = 0; EMBED_NATS[i].path && rc == RC_OK; i++) {
        const struct embedded_file *file = &EMBED_NATS[i];
        if (strncmp(file->path, CONSUMERS, strlen(CONSUMERS)) != 0 ||
            ends_with(file->path, TEMPLATE))
            continue;
        bool shared = false;
        rc = is_shared(cli, file, &shared, err);
        if (rc != RC_OK || shared)
            continue;
        rc = apply_consumer(cli, file->path, file->text, err);
        counts->consumers++;
    }
    return rc;
}

/* The consumer of this file, if its stream is there and it is not. */
static enum rc
make_missing(struct cli *cli, const struct embedded_file *file, const char *workspace,
             struct places *places, struct counts *counts, struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    AUTO(json) cJSON *body = NULL;
    char place[SUBJECT_LEN];

    buf_init(&text, BODY_MAX);
    fill_in(file->text, workspace, &text);
    enum rc rc = json_read(buf_text(&text), text.len, &body, err);
    const char *stream = rc == RC_OK ? json_string(body, "stream_name") : NULL;
    const char *name = stream ? json_string(json_member(body, "config"), "name") : NULL;
    if (!name)
        return err_set(err, RC_BUG, "%s names no stream or no consumer", file->path);
    (void)snprintf(place, sizeof(place), "%s.%s", stream, name);
    for (size_t i = 0; i < ARRAY_LEN(SHARED); i++)
        if (strncmp(SHARED[i], place, strlen(stream) + 1) == 0 && places_have(places, SHARED[i]))
            return RC_OK; /* it takes this one's messages */
    if (!places_have(places, stream) || places_have(places, place))
        return RC_OK;
    rc = apply_consumer(cli, file->path, buf_text(&text), err);
    if (rc != RC_OK)
        return rc;
    places_add(places, place);
    log_fields(LOG_WARN, "a consumer was missing and was created", "consumer", place, NULL);
    counts->repaired++;
    return RC_OK;
}

/* The workspace whose consumer it is, made from a template; NULL: no workspace's. */
static const char *
workspace_of(const struct place *place)
{
    const char *name = strchr(place->name, '.');
    for (size_t i = 0; name && EMBED_NATS[i].path; i++) {
        if (!ends_with(EMBED_NATS[i].path, TEMPLATE))
            continue;
        const char *program = EMBED_NATS[i].path + strlen(CONSUMERS);
        size_t len = strlen(program) - strlen(TEMPLATE);
        if (strncmp(name + 1, program, len) != 0 || name[1 + len] != '_')
            continue;
        const char *workspace = name + 1 + len + 1;
        return workspace_valid(workspace, strlen(workspace)) ? workspace : NULL;
    }
    return NULL;
}

/* Whoever was killed between deleting a consumer and making it anew has left its workspace the others.
 * (No workspace is ever deleted.) */
static enum rc
make_all_missing(struct cli *cli, struct places *places, struct counts *counts, struct err *err)
{
    enum rc rc = RC_OK;
    size_t known = places->count; /* what is made meanwhile is of the same workspaces */
    if (known == 0)
        return RC_OK;
    AUTO(free) struct place *all = calloc(known, sizeof(*all));
    if (!all)
        return err_set(err, RC_TEMP, "no memory for the names of consumers");
    memcpy(all, places->all, known * sizeof(*all));
    for (size_t i = 0; EMBED_NATS[i].path && rc == RC_OK; i++) {
        const struct embedded_file *file = &EMBED_NATS[i];
        if (strncmp(file->path, CONSUMERS, strlen(CONSUMERS)) != 0)
            continue;
        if (!ends_with(file->path, TEMPLATE))
            rc = make_missing(cli, file, "", places, counts, err);
        else
            for (size_t n = 0; n < known && rc == RC_OK; n++)
                if (workspace_of(&all[n]))
                    rc = make_missing(cli, file, workspace_of(&all[n]), places, counts, err);
    }
    return rc;
}

static enum rc
repair(struct cli *cli, struct counts *counts, struct err *err)
{
    AUTO(places) struct places places = { 0 };
    enum rc rc = RC_OK;
    for (size_t i = 0; EMBED_NATS[i].path && rc == RC_OK; i++) {
        AUTO(json) cJSON *body = NULL;
        if (strncmp(EMBED_NATS[i].path, STREAMS, strlen(STREAMS)) != 0)
            continue;
        rc = json_read(EMBED_NATS[i].text, strlen(EMBED_NATS[i].text), &body, err);
        const char *retention = json_string(body, "retention");
        if (rc == RC_OK && retention && strcmp(retention, "workqueue") == 0)
            rc = repair_stream(cli, json_string(body, "name"), &places, &counts->repaired, err);
    }
    return rc == RC_OK ? make_all_missing(cli, &places, counts, err) : rc;
}

int
cmd_provision(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    struct counts counts = { 0 };
    struct err err = { 0 };
    struct json_writer w;

    bool only = cli_option(cli, "repair-only") != NULL;
    enum rc rc = only ? RC_OK : apply_files(cli, &counts, &err);
    if (rc == RC_OK)
        rc = repair(cli, &counts, &err);
    if (rc == RC_OK && !only && !cli_option(cli, "no-workspaces"))
        rc = apply_workspaces(cli, &counts, &err);
    if (rc != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("streams: %u created, %u brought up to date; consumers: %u in place, %u made "
                     "anew\n",
                     counts.created, counts.updated, counts.consumers, counts.repaired);
        return EXIT_OK;
    }
    buf_init(&out, BODY_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_int(&w, "streams_created", counts.created);
    json_put_int(&w, "streams_updated", counts.updated);
    json_put_int(&w, "consumers", counts.consumers);
    json_put_int(&w, "consumers_repaired", counts.repaired);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}
