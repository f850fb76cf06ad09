/* SPDX-License-Identifier: MIT */
/*
 * memory_export - page after page, newest first, as lines.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli.h"
#include "gateway.h"
#include "memory.h"
#include "progress.h"

#define PAGE 100

struct export
{
    struct cli *cli;
    FILE *out; /* borrowed */
    struct progress progress;
    uint64_t count;
};

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

    buf_init(&path, GATEWAY_PATH_MAX);
    buf_printf(&path, "/memory?limit=%d", PAGE);
    gateway_query(&path, "scope", scope);
    gateway_query(&path, "cursor", cursor->len ? buf_text(cursor) : NULL);
    if (buf_failed(&path))
        return err_set(err, RC_LIMIT, "the scope is too long");
    const struct fetch_request request = { .method = "GET", .path = buf_text(&path) };
    enum rc rc = gateway_call(export->cli, &request, &answer, NULL, err);
    if (rc != RC_OK)
        return rc;
    if (json_read(buf_text(&answer), answer.len, &doc, err) != RC_OK ||
        !cJSON_IsArray(json_member(doc, "items")))
        return err_set(err, RC_BUG, "the answer is not a page of memories");
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
    struct export export = { .cli = cli, .out = stdout };
    struct err err = { 0 };
    struct fetch_pool *pool = NULL;
    const char *path = cli_option(cli, "output");

    if (gateway_open(cli, 1, &pool, &err) != RC_OK) /* before a file is emptied */
        return cli_fail(&err);
    if (path) {
        file = fopen(path, "we");
        if (!file) {
            (void)err_set(&err, RC_DENIED, "%.200s cannot be written", path);
            return cli_fail(&err);
        }
        export.out = file;
    }
    buf_init(&cursor, GATEWAY_PATH_MAX / 4);
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
