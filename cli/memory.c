/* SPDX-License-Identifier: MIT */
/*
 * memory - one memory by hand, and a look for some.
 */
#include "memory.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "gateway.h"
#include "table.h"

#define TEXT_MAX (64u * 1024)  /* bytes, as in the schema */
#define BODY_MAX (512u * 1024) /* bytes */

static const struct table_column COLUMNS[] = {
    { "SCORE", 5, false, true }, { "CONTENT", 24, true, false }, { "SCOPE", 6, true, false },
    { "ID", 36, false, false },  { "CREATED", 20, true, false },
};

static void
put_option(const struct cli *cli, struct json_writer *w, const char *name)
{
    if (cli_option(cli, name))
        json_put_string(w, name, cli_option(cli, name));
}

/* --tags=a,b as a list. */
static void
put_tags(const struct cli *cli, struct json_writer *w)
{
    const char *at = cli_option(cli, "tags");

    if (!at)
        return;
    json_array(w, "tags");
    for (size_t len = 0; *at; at += len + (at[len] == ',')) {
        len = strcspn(at, ",");
        if (len)
            json_put_bytes(w, NULL, at, len);
    }
    json_close(w);
}

static enum rc
post(struct cli *cli, const char *path, const struct buf *body, struct buf *answer, cJSON **doc,
     struct err *err)
{
    char key[ID_TEXT_MAX];

    id_new(key);
    if (buf_failed(body))
        return err_set(err, RC_LIMIT, "the options are longer than %u bytes", BODY_MAX);
    const struct fetch_request request = { .method = "POST",
                                           .path = path,
                                           .idempotency_key = key,
                                           .body = buf_text(body),
                                           .len = body->len,
                                           .retry_conflict = true };
    return gateway_call(cli, &request, answer, doc, err);
}

/* --- add -------------------------------------------------------------------------------------- */

static enum rc
memory_body(const struct cli *cli, struct buf *body, struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    AUTO(json) cJSON *metadata = NULL;
    struct json_writer w;
    int64_t ttl_ms = 0;
    const char *ttl = cli_option(cli, "ttl");
    const char *given = cli_option(cli, "metadata");
    enum rc rc = RC_OK;

    buf_init(&text, TEXT_MAX);
    bool from_stdin = strcmp(cli->argv[0], "-") == 0;
    if (from_stdin)
        rc = cli_read_file("-", &text, err);
    if (rc == RC_OK && ttl && (rc = cli_duration(ttl, &ttl_ms, err)) != RC_OK)
        return err_wrap(err, "--ttl");
    if (rc == RC_OK && given && (rc = json_read(given, strlen(given), &metadata, err)) != RC_OK)
        return err_wrap(err, "--metadata");
    if (rc != RC_OK)
        return rc;
    json_begin(&w, body);
    json_object(&w, NULL);
    put_option(cli, &w, "scope");
    json_put_string(&w, "text", from_stdin ? buf_text(&text) : cli->argv[0]);
    put_tags(cli, &w);
    put_option(cli, &w, "source");
    if (metadata)
        json_put_doc(&w, "metadata", metadata);
    if (ttl)
        json_put_int(&w, "ttl_seconds", ttl_ms / 1000);
    json_close(&w);
    return json_end(&w) == RC_OK ? RC_OK : err_set(err, RC_LIMIT, "the memory is too long");
}

int
cmd_memory_add(struct cli *cli)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };

    if (!cli_option(cli, "scope"))
        return cli_usage("memory add needs --scope: whose or what's memory it is, such as user:1");
    buf_init(&body, BODY_MAX);
    if (memory_body(cli, &body, &err) != RC_OK ||
        post(cli, "/webhook/memory/ingest", &body, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    const char *id = json_string(doc, "id");
    const char *status = json_string(doc, "status");
    const char *what = json_bool(doc, "deduplicated", false) ? "was there already" : "stored";
    if (status && strcmp(status, "accepted") == 0)
        what = "accepted, and stored as soon as the ingest worker gets to it";
    (void)printf("%s  %s\n", id ? id : "-", what);
    return EXIT_OK;
}

/* --- search ----------------------------------------------------------------------------------- */

int
cmd_memory_search(struct cli *cli)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    AUTO(table) struct table table = { 0 };
    struct err err = { 0 };
    struct json_writer w;
    const cJSON *item = NULL;
    int64_t k = 0;

    if (cli_option_int(cli, "k", 1, 50, 5, &k, &err) != RC_OK)
        return cli_usage("%s", err.text);
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "query", cli->argv[0]);
    json_put_int(&w, "k", k);
    put_option(cli, &w, "scope");
    put_option(cli, &w, "mode");
    put_tags(cli, &w);
    put_option(cli, &w, "source");
    put_option(cli, &w, "since");
    put_option(cli, &w, "until");
    json_close(&w);
    (void)json_end(&w);
    if (post(cli, "/webhook/memory/search", &body, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach (item, json_member(doc, "results")) {
        table_putf(&table, "%.3f", json_number(item, "score", 0));
        table_put(&table, json_string(item, "content"));
        table_put(&table, json_string(item, "scope"));
        table_put(&table, json_string(item, "id"));
        table_put(&table, json_string(item, "created_at"));
    }
    int code = table_print(&table);
    if (json_int(doc, "results_count", 0) == 0)
        (void)fprintf(stderr, "nothing is found%s\n",
                      cli_option(cli, "scope") ? "; without --scope the whole workspace is searched"
                                               : "");
    return code;
}
