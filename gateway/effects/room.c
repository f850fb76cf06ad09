/* SPDX-License-Identifier: MIT */
#include "effects/room.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fnv.h"
#include "full.h"
#include "gateway.h"
#include "requests/request.h"
#include "tally.h"

#define GUESSES 1024u /* places; two in one place only guess badly */
#define LOOK_MS 100   /* how often is looked for those whose time is over */

TAILQ_HEAD(room_ring, tally_row);

struct room {
    size_t used;
    struct room_ring ring; /* workspaces whose requests wait; the first one's turn is next */
    bool granting;
    struct loop_timer *timer; /* owned; set while any waits */
    uint32_t guesses[GUESSES];
};

/* --- sizes ------------------------------------------------------------------------------------- */

static size_t
place_of(const char *workspace, enum command command)
{
    return (fnv32_text(workspace) + 0x9e3779b9u * (uint32_t)command) % GUESSES;
}

size_t
room_expected(const struct room *room, const char *workspace, enum command command)
{
    size_t guess = room->guesses[place_of(workspace, command)];
    return guess > ROOM_LEAST ? guess : ROOM_LEAST;
}

/* Slowly down, at once up: to ask twice costs the worker its work twice. */
void
room_learn(struct room *room, const char *workspace, enum command command, size_t len)
{
    uint32_t *guess = &room->guesses[place_of(workspace, command)];
    size_t wanted = len + len / 8;
    size_t lower = *guess - *guess / 8;
    size_t next = wanted > lower ? wanted : lower;
    *guess = (uint32_t)(next < ROOM_ONE ? next : ROOM_ONE);
}

/* --- turns ------------------------------------------------------------------------------------- */

static bool
fits_share(const struct tally_row *row, size_t bytes)
{
    return row->answer_bytes + bytes <= ROOM_SHARE;
}

static bool
fits(const struct room *room, const struct tally_row *row, size_t bytes)
{
    return fits_share(row, bytes) && room->used + bytes <= ROOM_ALL;
}

/* The workspace whose turn it is: the first that does not wait for its own share. What becomes free is
 * kept for it, however much it wants; else smaller ones would take it again and again. */
static struct tally_row *
next_one(const struct room *room)
{
    struct tally_row *row;
    TAILQ_FOREACH (row, &room->ring, ring)
        if (fits_share(row, TAILQ_FIRST(&row->answers)->room.bytes))
            return row;
    return NULL;
}

static void
hold(struct room *room, struct tally_row *row, struct request *r)
{
    r->room.held = true;
    row->answer_bytes += r->room.bytes;
    room->used += r->room.bytes;
}

/* The row is kept while it counts anything. */
static void
let_go(struct request *r)
{
    struct tally_row *row = r->room.row;
    r->room.row = NULL;
    row->asking--;
    tally_drop_unused(r->gw->tally, row);
}

/* Its workspace goes behind all others. */
static void
take_out(struct room *room, struct tally_row *row, struct request *r)
{
    TAILQ_REMOVE(&row->answers, r, room.link);
    TAILQ_REMOVE(&room->ring, row, ring);
    if (!TAILQ_EMPTY(&row->answers))
        TAILQ_INSERT_TAIL(&room->ring, row, ring);
    else if (TAILQ_EMPTY(&room->ring))
        loop_timer_stop(room->timer);
}

/* Each function may end requests, and with them workspaces' rows: so it begins anew after each. */
static bool
grant_one(struct room *room)
{
    struct tally_row *row = next_one(room);
    struct request *r = row ? TAILQ_FIRST(&row->answers) : NULL;
    if (!r || !fits(room, row, r->room.bytes))
        return false;
    take_out(room, row, r);
    hold(room, row, r);
    r->room.fn(r->room.arg, true);
    return true;
}

static void
grant(struct room *room)
{
    if (room->granting)
        return;
    room->granting = true;
    while (grant_one(room))
        ;
    room->granting = false;
}

static struct request *
late_one(const struct room *room, int64_t now_ms)
{
    struct tally_row *row;
    struct request *r;
    TAILQ_FOREACH (row, &room->ring, ring)
        TAILQ_FOREACH (r, &row->answers, room.link)
            if (r->room.until_ms <= now_ms)
                return r;
    return NULL;
}

static void
look(void *arg)
{
    struct room *room = arg;
    struct request *r;
    int64_t now_ms = clock_mono_ms();
    while ((r = late_one(room, now_ms)) != NULL) {
        struct tally_row *row = r->room.row;
        r->room.share_full = !fits_share(row, TAILQ_FIRST(&row->answers)->room.bytes);
        take_out(room, row, r);
        let_go(r);
        r->room.fn(r->room.arg, false);
    }
    grant(room); /* the first of a workspace may have waited for more than the next one wants */
}

bool
room_enter(struct request *r, size_t bytes, uint32_t wait_ms, room_fn *fn, void *arg)
{
    struct room *room = r->gw->room;
    struct tally_row *row = (r->outer ? r->outer : r)->load;
    r->room.bytes = bytes < ROOM_ONE ? bytes : ROOM_ONE;
    if (!row) /* of no workspace, or its connection has ended */
        return true;
    if (!row->answers.tqh_last)
        TAILQ_INIT(&row->answers);
    row->asking++;
    r->room.row = row;
    if (TAILQ_EMPTY(&row->answers) && fits(room, row, r->room.bytes) && !next_one(room)) {
        hold(room, row, r);
        return true;
    }
    full_note(r->gw, FULL_ANSWER_BYTES, r->actor.workspace);
    if (TAILQ_EMPTY(&room->ring))
        loop_timer_set(room->timer, LOOK_MS, LOOK_MS);
    if (TAILQ_EMPTY(&row->answers))
        TAILQ_INSERT_TAIL(&room->ring, row, ring);
    r->room.fn = fn;
    r->room.arg = arg;
    r->room.until_ms = clock_mono_ms() + wait_ms;
    TAILQ_INSERT_TAIL(&row->answers, r, room.link);
    return false;
}

const char *
room_full(const struct request *r)
{
    return r->room.share_full
               ? "the workspace's answers under way have 16 MiB, its share: wait for answers "
                 "before asking more"
               : "the answers under way to all workspaces have 48 MiB, what this gateway takes at "
                 "once: ask again later";
}

void
room_leave(struct request *r)
{
    struct room *room = r->gw->room;
    if (!r->room.held)
        return;
    r->room.held = false;
    r->room.row->answer_bytes -= r->room.bytes;
    room->used -= r->room.bytes;
    let_go(r);
    if (!TAILQ_EMPTY(&room->ring))
        grant(room);
}

enum rc
room_new(struct loop *loop, struct room **out, struct err *err)
{
    struct room *room = calloc(1, sizeof(*room));
    if (!room)
        return err_set(err, RC_TEMP, "no memory for the room of answers");
    TAILQ_INIT(&room->ring);
    room->timer = loop_timer_new(loop, look, room);
    *out = room;
    return RC_OK;
}

void
room_free(struct room *room)
{
    if (!room)
        return;
    loop_timer_free(room->timer);
    free(room);
}
