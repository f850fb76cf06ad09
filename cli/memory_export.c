/* SPDX-License-Identifier: MIT */
/*
 * memory_export - page after page, newest first, as lines.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli.h"
#include "memory.h"
#include "progress.h"

#define PAGE      100
#define PATH_ROOM 2048 /* bytes */

struct export
{
    struct fetch_pool *pool;
    FILE *out; /* borrowed */
    struct progress progress;
    uint64_t count;
};

static void
put_encoded(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c))
            buf_putc(out, *c);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

static enum rc
write_items(struct export *export, const cJSON *items, struct err *err)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach (item, items) {
        AUTO(buf) struct buf line = { 0 };
        struct json_writer w;
        buf_init(&line, FETCH_ANSWER_MAX);
        json_begin(&w, &line);
        json_put_doc(&w, NULL, item);
        if (json_end(&w) != RC_OK)
            return err_set(err, RC_BUG, "an item cannot be written");
        buf_putc(&line, '\n');
        if (fwrite(line.data, 1, line.len, export->out) != line.len)
            return err_set(err, RC_TEMP, "cannot write: %s", strerror(errno));
        export->count++;
    }
    progress_show(&export->progress, export->count);
    return RC_OK;
}

/* One page; the cursor of the next one, "" after the last. */
static enum rc
export_page(struct export *export, const char *scope, struct buf *cursor, struct err *err)
{
    AUTO(buf) struct buf path = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;

    buf_init(&path, PATH_ROOM);
    buf_init(&answer, FETCH_ANSWER_MAX);
    buf_printf(&path, "/memory?limit=%d", PAGE);
    if (scope) {
        buf_puts(&path, "&scope=");
        put_encoded(&path, scope);
    }
    if (cursor->len) {
        buf_puts(&path, "&cursor=");
        put_encoded(&path, buf_text(cursor));
    }
    if (buf_failed(&path))
        return err_set(err, RC_LIMIT, "the scope is too long");
    const struct fetch_request request = { .method = "GET", .path = buf_text(&path) };
    enum rc rc = fetch_pool_call(export->pool, &request, &answer, err);
    if (rc != RC_OK)
        return rc;
    if (json_read(buf_text(&answer), answer.len, &doc, err) != RC_OK ||
        !cJSON_IsArray(json_member(doc, "items")))
        return err_set(err, RC_BUG, "the answer is no page of memories");
    rc = write_items(export, json_member(doc, "items"), err);
    buf_reset(cursor);
    const char *next = json_string(doc, "next_cursor");
    if (next)
        buf_puts(cursor, next);
    return rc;
}

int
cmd_memory_export(struct cli *cli)
{
    AUTO(buf) struct buf cursor = { 0 };
    AUTO(file) FILE *file = NULL;
    struct export export = { .out = stdout };
    struct err err = { .rc = RC_OK };
    const char *path = cli_option(cli, "output");

    if (!cli->conf.api_key) {
        (void)err_set(&err, RC_CONFIG, "GANTRY_API_KEY is not set");
        return cli_fail(&err);
    }
    if (cli_http(cli, 1, &export.pool, &err) != RC_OK)
        return cli_fail(&err);
    if (path) {
        file = fopen(path, "we");
        if (!file) {
            (void)err_set(&err, RC_DENIED, "%.200s cannot be written", path);
            return cli_fail(&err);
        }
        export.out = file;
    }
    buf_init(&cursor, PATH_ROOM / 4);
    progress_begin(&export.progress, "exporting", 0);
    enum rc rc = RC_OK;
    do
        rc = export_page(&export, cli_option(cli, "scope"), &cursor, &err);
    while (rc == RC_OK && cursor.len);
    progress_end(&export.progress);
    if (rc == RC_OK && fflush(export.out) != 0)
        rc = err_set(&err, RC_TEMP, "cannot write: %s", strerror(errno));
    if (rc != RC_OK)
        return cli_fail(&err);
    (void)fprintf(stderr, "%llu memories exported\n", (unsigned long long)export.count);
    return EXIT_OK;
}
