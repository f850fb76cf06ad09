/* SPDX-License-Identifier: MIT */
/*
 * audit_tail - the newest events, oldest first, and then each new one, by asking again and again.
 *
 * Looking is an event of its own, so the looks of this key are not shown unless --all is given. What
 * a look fetches is bounded: who falls behind by more is told so.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "audit.h"
#include "base/cleanup.h"
#include "gateway.h"
#include "protocol/apikey.h"
#include "table.h"

#define PAGE      100
#define PAGES_MAX 10 /* of one look */
#define EVERY_S   2
#define LOOK      "audit.list" /* the action of a look */

static const struct table_column COLUMNS[] = {
    { "TIME", 20, true, false },    { "ACTION", 11, true, false }, { "DECISION", 8, true, false },
    { "STATUS", 7, true, false },   { "ACTOR", 12, true, false },  { "TARGET", 10, true, false },
    { "REQUEST", 36, true, false },
};

struct tail {
    struct cli *cli;
    struct table table;
    int64_t last; /* the leaf that was shown last; -1: none */
    char own_key[KEY_ID_LEN + 1];
};

static bool
is_own_look(const struct tail *tail, const cJSON *event)
{
    const char *action = json_string(event, "action");
    const char *key = json_string(event, "key_id");
    return action && key && strcmp(action, LOOK) == 0 && strcmp(key, tail->own_key) == 0;
}

static enum rc
show(struct tail *tail, const cJSON *event, struct err *err)
{
    static const char *const NAMES[] = { "time",     "action", "decision",  "status",
                                         "actor_id", "target", "request_id" };
    AUTO(buf) struct buf line = { 0 };
    struct json_writer w;

    tail->last = json_int(event, "leaf_index", tail->last);
    if (!cli_option(tail->cli, "all") && is_own_look(tail, event))
        return RC_OK;
    if (!tail->cli->json) {
        for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
            table_put(&tail->table, json_string(event, NAMES[i]));
        return RC_OK;
    }
    buf_init(&line, FETCH_ANSWER_MAX);
    json_begin(&w, &line);
    json_put_doc(&w, NULL, event);
    if (json_end(&w) != RC_OK)
        return err_set(err, RC_BUG, "an event cannot be written");
    return cli_print_json(&line) == EXIT_OK ? RC_OK
                                            : err_set(err, RC_BUG, "standard output is closed");
}

/* One page of events, newest first; *cursor is the next page's, "" after the last. */
static enum rc
get_page(struct tail *tail, int64_t limit, struct buf *cursor, cJSON **doc, struct err *err)
{
    static const char *const FILTERS[] = { "action", "actor", "status" };
    AUTO(buf) struct buf path = { 0 };
    AUTO(buf) struct buf answer = { 0 };

    buf_init(&path, GATEWAY_PATH_MAX);
    buf_printf(&path, "/ai/audit?limit=%lld", (long long)limit);
    for (size_t i = 0; i < ARRAY_LEN(FILTERS); i++)
        gateway_query(&path, FILTERS[i], cli_option(tail->cli, FILTERS[i]));
    gateway_query(&path, "cursor", cursor->len ? buf_text(cursor) : NULL);
    if (buf_failed(&path))
        return err_set(err, RC_LIMIT, "the filters are too long");
    enum rc rc = gateway_get(tail->cli, buf_text(&path), &answer, doc, err);
    if (rc != RC_OK)
        return rc;
    const char *next = json_string(*doc, "next_cursor");
    buf_reset(cursor);
    buf_puts(cursor, next ? next : "");
    return RC_OK;
}

/* What is newer than the last, oldest first. The first look shows count events. */
static enum rc
look(struct tail *tail, int64_t count, bool first, struct err *err)
{
    AUTO(buf) struct buf cursor = { 0 };
    cJSON *pages[PAGES_MAX] = { NULL };
    int64_t stop = tail->last;
    bool met = first;
    int n = 0;
    enum rc rc = RC_OK;

    buf_init(&cursor, 256);
    do {
        rc = get_page(tail, first ? count : PAGE, &cursor, &pages[n], err);
        const cJSON *items = rc == RC_OK ? json_member(pages[n], "items") : NULL;
        const cJSON *oldest = cJSON_GetArrayItem(items, cJSON_GetArraySize(items) - 1);
        met = met || !oldest || json_int(oldest, "leaf_index", 0) <= stop + 1;
        n++;
    } while (rc == RC_OK && !met && cursor.len && n < PAGES_MAX);
    if (rc == RC_OK && !met && cursor.len)
        (void)fprintf(stderr,
                      "gantry: more than %d new events at once: older ones are passed over "
                      "(`gantry audit export` has all)\n",
                      PAGES_MAX * PAGE);
    for (int page = n - 1; page >= 0; page--) {
        const cJSON *items = json_member(pages[page], "items");
        for (int i = cJSON_GetArraySize(items) - 1; rc == RC_OK && i >= 0; i--) {
            const cJSON *event = cJSON_GetArrayItem(items, i);
            if (json_int(event, "leaf_index", 0) > stop)
                rc = show(tail, event, err);
        }
        json_cleanup(&pages[page]);
    }
    if (rc == RC_OK && !tail->cli->json && table_print(&tail->table) != EXIT_OK)
        rc = err_set(err, RC_BUG, "cannot write to standard output");
    return rc;
}

static void
tail_cleanup(struct tail *tail)
{
    table_cleanup(&tail->table);
}

int
cmd_audit_tail(struct cli *cli)
{
    AUTO(tail) struct tail tail = { .cli = cli, .last = -1 };
    struct err err = { 0 };
    struct apikey key;
    const char *text = cli->conf.api_key;
    int64_t lines = 0;
    bool down = false;

    if (cli_option_int(cli, "lines", 1, PAGE, 10, &lines, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (text && apikey_parse(text, strlen(text), &key) == RC_OK) {
        memcpy(tail.own_key, key.id, sizeof(tail.own_key));
        apikey_wipe(&key);
    }
    table_init(&tail.table, COLUMNS, ARRAY_LEN(COLUMNS));
    enum rc rc = look(&tail, lines, true, &err);
    while (rc == RC_OK && !cli_option(cli, "once")) {
        (void)nanosleep(&(struct timespec){ .tv_sec = EVERY_S }, NULL);
        rc = look(&tail, lines, false, &err);
        if (rc == RC_TEMP && !down)
            (void)fprintf(stderr, "gantry: %s; trying again\n", err.text);
        down = rc == RC_TEMP;
        rc = down ? RC_OK : rc;
    }
    return rc == RC_OK ? EXIT_OK : cli_fail(&err);
}
