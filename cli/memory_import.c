/* SPDX-License-Identifier: MIT */
/*
 * memory_import - many lines in flight at once; the gateway's workers make batches of them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "cli.h"
#include "gateway.h"
#include "memory.h"
#include "progress.h"

#define PARALLEL     64
#define LINE_MAX_LEN (1024 * 1024) /* bytes */
#define SHOWN_MAX    20            /* failures that are told one by one */

struct import {
    struct fetch_pool *pool;
    struct progress progress;
    uint64_t sent, stored, deduplicated, accepted, expired, failed;
    char run[ID_TEXT_MAX];
    struct err stop; /* a failure that every line would have */
};

struct line {
    struct import *import;
    uint64_t number;
};

__attribute__((format(printf, 3, 4))) static void
fail_line(struct import *import, uint64_t number, const char *format, ...)
{
    va_list args;
    if (import->failed++ >= SHOWN_MAX)
        return;
    progress_end(&import->progress);
    import->progress.on = import->failed < SHOWN_MAX && isatty(STDERR_FILENO) == 1;
    (void)fprintf(stderr, "line %llu: ", (unsigned long long)number);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputs(import->failed == SHOWN_MAX ? "\n(further failures are only counted)\n" : "\n",
                stderr);
}

static void
on_answer(void *arg, const struct fetch_answer *answer)
{
    AUTO(free) struct line *line = arg;
    AUTO(json) cJSON *doc = NULL;
    struct import *import = line->import;

    if (answer->status && json_read(answer->body, answer->len, &doc, NULL) != RC_OK)
        doc = NULL;
    if (answer->rc == RC_OK && answer->status == 200) {
        import->stored++;
        import->deduplicated += json_bool(doc, "deduplicated", false);
    } else if (answer->rc == RC_OK && answer->status == 202) {
        import->accepted++;
    } else {
        char text[FETCH_PROBLEM_MAX];
        fetch_problem(answer, text);
        fail_line(import, line->number, "%s", text);
        if (answer->status == 401 || answer->status == 403)
            (void)err_set(&import->stop, RC_DENIED, "the API key may not store memories");
    }
    progress_show(&import->progress, import->stored + import->accepted + import->failed);
}

static void
put_member(struct json_writer *w, const cJSON *item, const char *name)
{
    const cJSON *value = json_member(item, name);
    if (value && !cJSON_IsNull(value))
        json_put_doc(w, name, value);
}

/* An exported item as the body that would store it. False: it has expired. */
static bool
from_export(const cJSON *item, struct buf *body)
{
    struct json_writer w;
    int64_t expires_ms = 0;
    const cJSON *fact = NULL;
    const char *expires = json_string(item, "expires_at");

    if (expires && clock_parse(expires, &expires_ms) == RC_OK && expires_ms <= clock_wall_ms())
        return false;
    json_begin(&w, body);
    json_object(&w, NULL);
    put_member(&w, item, "scope");
    json_put_string(&w, "text", json_string(item, "content"));
    put_member(&w, item, "tags");
    put_member(&w, item, "source");
    put_member(&w, item, "metadata");
    if (expires_ms)
        json_put_int(&w, "ttl_seconds", (expires_ms - clock_wall_ms()) / 1000 + 1);
    if (cJSON_IsArray(json_member(item, "facts"))) {
        json_array(&w, "facts");
        cJSON_ArrayForEach (fact, json_member(item, "facts")) {
            json_object(&w, NULL);
            put_member(&w, fact, "subject");
            put_member(&w, fact, "predicate");
            put_member(&w, fact, "object");
            put_member(&w, fact, "confidence");
            json_close(&w);
        }
        json_close(&w);
    }
    json_close(&w);
    return json_end(&w) == RC_OK;
}

static void
send_line(struct import *import, const char *text, size_t len, uint64_t number)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct err err = { 0 };
    char key[ID_TEXT_MAX + 32];

    if (len > LINE_MAX_LEN) {
        fail_line(import, number, "longer than %d bytes", LINE_MAX_LEN);
        return;
    }
    if (json_read(text, len, &doc, &err) != RC_OK || !cJSON_IsObject(doc)) {
        fail_line(import, number, "%s", err.rc == RC_OK ? "no JSON object" : err.text);
        return;
    }
    buf_init(&body, 2 * LINE_MAX_LEN);
    if (json_string(doc, "content") && !json_member(doc, "text")) {
        if (!from_export(doc, &body)) {
            import->expired++;
            return;
        }
    } else {
        buf_add(&body, text, len);
    }
    struct line *line = calloc(1, sizeof(*line));
    if (!line)
        log_no_memory("an imported memory");
    *line = (struct line){ import, number };
    /* For the tries of this run. A later run must not be told the first one's answers: what it stored
     * may have been deleted since; what is still there is found by scope and text. */
    (void)snprintf(key, sizeof(key), "import-%s-%llu", import->run, (unsigned long long)number);
    const struct fetch_request request = { .method = "POST",
                                           .path = "/webhook/memory/ingest",
                                           .idempotency_key = key,
                                           .body = buf_text(&body),
                                           .len = body.len,
                                           .retry_conflict = true };
    if (fetch_pool_send(import->pool, &request, on_answer, line, &err) != RC_OK) {
        free(line);
        fail_line(import, number, "%s", err.text);
    }
    import->sent++;
}

/* How many lines a file has, for the bar; 0 for a pipe. */
static uint64_t
count_lines(FILE *file)
{
    struct stat info;
    char block[8192];
    uint64_t lines = 0;
    size_t len = 0;

    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        return 0;
    while ((len = fread(block, 1, sizeof(block), file)) > 0)
        for (const char *at = block; (at = memchr(at, '\n', (size_t)(block + len - at))) != NULL;
             at++)
            lines++;
    rewind(file);
    return lines;
}

static void
read_lines(struct import *import, FILE *file)
{
    AUTO(free) char *text = NULL;
    size_t cap = 0;
    uint64_t number = 0;
    ssize_t len = 0;

    while (import->stop.rc == RC_OK && (len = getline(&text, &cap, file)) >= 0) {
        number++;
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            len--;
        if (len > 0)
            send_line(import, text, (size_t)len, number);
    }
    if (import->stop.rc == RC_OK && ferror(file))
        (void)err_set(&import->stop, RC_NOTFOUND, "the file cannot be read: %s",
                      strerrordesc_np(errno));
    fetch_pool_wait(import->pool);
    progress_end(&import->progress);
}

static int
report(const struct cli *cli, const struct import *import)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    int code = import->failed ? EXIT_NO : EXIT_OK;

    if (!cli->json) {
        (void)printf("%llu stored (%llu of them were there already), %llu accepted for later, "
                     "%llu had expired, %llu failed\n",
                     (unsigned long long)import->stored, (unsigned long long)import->deduplicated,
                     (unsigned long long)import->accepted, (unsigned long long)import->expired,
                     (unsigned long long)import->failed);
        return code;
    }
    buf_init(&out, 1024);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_int(&w, "stored", (int64_t)import->stored);
    json_put_int(&w, "deduplicated", (int64_t)import->deduplicated);
    json_put_int(&w, "accepted", (int64_t)import->accepted);
    json_put_int(&w, "expired", (int64_t)import->expired);
    json_put_int(&w, "failed", (int64_t)import->failed);
    json_close(&w);
    (void)json_end(&w);
    int printed = cli_print_json(&out);
    return printed ? printed : code;
}

int
cmd_memory_import(struct cli *cli)
{
    struct import import = { .stop = { .rc = RC_OK } };
    struct err err = { 0 };
    bool from_stdin = strcmp(cli->argv[0], "-") == 0;
    AUTO(file) FILE *file = from_stdin ? NULL : fopen(cli->argv[0], "re");

    if (!from_stdin && !file) {
        (void)err_set(&err, RC_NOTFOUND, "%.200s cannot be read", cli->argv[0]);
        return cli_fail(&err);
    }
    if (gateway_open(cli, PARALLEL, &import.pool, &err) != RC_OK)
        return cli_fail(&err);
    id_new(import.run);
    progress_begin(&import.progress, "importing", file ? count_lines(file) : 0);
    read_lines(&import, file ? file : stdin);
    if (import.stop.rc != RC_OK)
        return cli_fail(&import.stop);
    return report(cli, &import);
}
