/* SPDX-License-Identifier: MIT */
#include "audit/refusals.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static bool
same(const struct refusal *a, const struct refusal *b)
{
    return a->status == b->status && strcmp(a->code, b->code) == 0 &&
           strcmp(a->client, b->client) == 0 && strcmp(a->action, b->action) == 0 &&
           strcmp(a->workspace, b->workspace) == 0 && strcmp(a->key_id, b->key_id) == 0;
}

/* The row with the same key as `like`; otherwise a free row among the first `limit`; otherwise NULL. */
static struct refusal *
find_row(struct refusals *refusals, const struct refusal *like, size_t limit)
{
    struct refusal *free_row = NULL;

    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        struct refusal *row = &refusals->rows[i];
        if (row->count == 0)
            free_row = free_row || i >= limit ? free_row : row;
        else if (same(row, like))
            return row;
    }
    return free_row;
}

static void
add(struct refusals *refusals, struct refusal *like)
{
    struct refusal *row;

    /* The last quarter of the table is for what has no address any more, the last eighth for what
     * has no route either: reasons are few, so there is always room. */
    row = find_row(refusals, like, REFUSALS_MAX * 3 / 4);
    if (!row) {
        (void)snprintf(like->client, sizeof(like->client), "many");
        like->workspace[0] = like->key_id[0] = '\0';
        row = find_row(refusals, like, REFUSALS_MAX * 7 / 8);
    }
    if (!row) {
        (void)snprintf(like->action, sizeof(like->action), "many");
        row = find_row(refusals, like, REFUSALS_MAX);
    }
    if (!row)
        row = &refusals->rows[REFUSALS_MAX - 1];
    if (row->count == 0)
        *row = *like;
    row->count++;
}

void
refusals_count(struct refusals *refusals, const struct request *r)
{
    struct refusal like = { .first_ms = r->accepted_ms, .status = r->answer.status };

    like.code = r->code ? r->code : "none";
    request_action(r, like.action);
    (void)snprintf(like.client, sizeof(like.client), "%s", r->client);
    if (r->authenticated) {
        memcpy(like.workspace, r->actor.workspace, sizeof(like.workspace));
        memcpy(like.key_id, r->actor.key_id, sizeof(like.key_id));
    }
    add(refusals, &like);
}

void
refusals_count_login(struct refusals *refusals, const char *client)
{
    struct refusal like = { .first_ms = clock_wall_ms(), .status = 401, .code = "unauthorized" };

    (void)snprintf(like.action, sizeof(like.action), "NATS login");
    (void)snprintf(like.client, sizeof(like.client), "%s", client);
    add(refusals, &like);
}
