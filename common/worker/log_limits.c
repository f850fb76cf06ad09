/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * What a workspace can make us say as often as it likes: the first lines of an interval in full, of
 * the rest the number. A table of bounded size; what finds no room is counted together.
 */
#define ROWS     64u
#define IN_FULL  5u /* lines of one kind and workspace in an interval */
#define EVERY_MS 10000

struct log_row {
    const char *what; /* static: the message; NULL = free */
    char workspace[WORKSPACE_TEXT_MAX];
    unsigned said;
    uint64_t more;
};

struct log_limits {
    int64_t flush_ms;
    struct log_row rows[ROWS];
};

static struct log_row *
find(struct log_limits *limits, const char *what, const char *workspace)
{
    struct log_row *free_row = NULL;

    for (unsigned i = 0; i < ROWS - 1; i++) {
        struct log_row *row = &limits->rows[i];
        if (!row->what)
            free_row = free_row ? free_row : row;
        else if (row->what == what && strcmp(row->workspace, workspace) == 0)
            return row;
    }
    bool shared = !free_row;
    if (shared)
        free_row = &limits->rows[ROWS - 1];
    if (!free_row->what) {
        *free_row = (struct log_row){ .what = what };
        (void)strlcpy(free_row->workspace, shared ? "many" : workspace,
                      sizeof(free_row->workspace));
    }
    return free_row;
}

bool
worker_may_say(struct worker *w, const char *what, const char *workspace)
{
    if (!w->log_limits && !(w->log_limits = calloc(1, sizeof(*w->log_limits))))
        log_no_memory("what was logged");
    struct log_row *row = find(w->log_limits, what, workspace);
    if (row->said < IN_FULL) {
        row->said++;
        return true;
    }
    row->more++;
    worker_full_still(w, BOUND_LOG, workspace);
    return false;
}

void
worker_say_rest(struct worker *w, bool now)
{
    struct log_limits *limits = w->log_limits;
    int64_t now_ms = clock_mono_ms();
    char more[24];

    if (!limits || (!now && now_ms < limits->flush_ms))
        return;
    limits->flush_ms = now_ms + EVERY_MS;
    for (unsigned i = 0; i < ROWS; i++) {
        struct log_row *row = &limits->rows[i];
        if (row->what && row->more > 0) {
            (void)snprintf(more, sizeof(more), "%" PRIu64, row->more);
            log_fields(LOG_ERROR, row->what, "workspace", row->workspace, "more_like_it", more,
                       NULL);
        }
        *row = (struct log_row){ .what = NULL };
    }
}
