/* SPDX-License-Identifier: MIT */
/*
 * room - which connection ends so that another one can live: the longest idle one, of its own address
 * first; of those whose answers nobody reads, the oldest of the owner that has most bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/http_own.h"

#define YOUNG_MS      100  /* a connection may be idle for so long before it makes room */
#define YOUNG_BODY_MS 1000 /* … and may wait for its body */
#define CANDIDATES    16   /* idle connections that are looked at to find one that may end */

/* --- addresses -------------------------------------------------------------------------------- */

static struct place_list *
bucket_of(struct http_server *server, const uint8_t address[16])
{
    uint64_t halves[2];
    memcpy(halves, address, sizeof(halves));
    uint64_t h = (halves[0] ^ server->seed) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32 ^ halves[1]) * 0xd6e8feb86659fd93u;
    return &server->places[(h >> 40) % PLACES];
}

/* One customer of a provider has a whole /64. */
static void
place_address(const uint8_t address[16], uint8_t out[16])
{
    static const uint8_t V4[12] = { [10] = 0xff, [11] = 0xff };
    memcpy(out, address, 16);
    if (memcmp(address, V4, sizeof(V4)) != 0)
        memset(out + 8, 0, 8);
}

/* NULL: out of memory. */
static struct place *
find_place(struct http_server *server, const uint8_t client[16])
{
    uint8_t address[16];
    struct place *place;
    place_address(client, address);
    struct place_list *bucket = bucket_of(server, address);
    LIST_FOREACH (place, bucket, link)
        if (memcmp(place->address, address, sizeof(address)) == 0)
            return place;
    place = calloc(1, sizeof(*place));
    if (!place)
        return NULL;
    memcpy(place->address, address, sizeof(address));
    TAILQ_INIT(&place->conns);
    LIST_INSERT_HEAD(bucket, place, link);
    return place;
}

void
place_leave(struct conn *conn)
{
    struct place *place = TAKE(conn->place);
    if (!place)
        return;
    TAILQ_REMOVE(&place->conns, conn, neighbour);
    if (--place->count == 0) {
        LIST_REMOVE(place, link);
        free(place);
    }
}

/* --- making room ------------------------------------------------------------------------------ */

void
conn_set_idle(struct conn *conn, bool idle)
{
    if (conn->in_idle == idle)
        return;
    conn->in_idle = idle;
    if (idle)
        TAILQ_INSERT_TAIL(&conn->server->idle, conn, idle);
    else
        TAILQ_REMOVE(&conn->server->idle, conn, idle);
}

/* The oldest of the owner that has most bytes of them. */
static struct conn *
most_unread(struct http_server *server)
{
    unsigned most = 0;
    struct conn *conn;
    for (unsigned owner = 1; owner < sizeof(server->unsent_of) / sizeof(*server->unsent_of);
         owner++)
        if (server->unsent_of[owner] > server->unsent_of[most])
            most = owner;
    TAILQ_FOREACH (conn, &server->unsent, unsent)
        if (conn->unsent_owner == most)
            return conn;
    return TAILQ_FIRST(&server->unsent);
}

void
conn_set_unsent(struct conn *conn, bool unsent)
{
    struct http_server *server = conn->server;
    if (!conn->in_unsent && !unsent)
        return;
    server->unsent_bytes -= conn->unsent_size;
    server->unsent_of[conn->unsent_owner] -= conn->unsent_size;
    conn->unsent_size = unsent ? conn->body.len : 0;
    conn->unsent_owner = conn->owner;
    server->unsent_bytes += conn->unsent_size;
    server->unsent_of[conn->unsent_owner] += conn->unsent_size;
    if (conn->in_unsent && !unsent)
        TAILQ_REMOVE(&server->unsent, conn, unsent);
    else if (!conn->in_unsent)
        TAILQ_INSERT_TAIL(&server->unsent, conn, unsent);
    conn->in_unsent = unsent;
    while (server->unsent_bytes > server->options.max_unsent) {
        server->counts.slow++;
        server->counts.unread++;
        conn_end(most_unread(server));
    }
}

/* Not one whose request is there and was not read yet, or is just about to come. */
static bool
evict(struct conn *conn)
{
    int64_t young_ms = conn->state == CONN_BODY ? YOUNG_BODY_MS : YOUNG_MS;
    if (conn->queued || clock_mono_ms() - conn->since_ms < young_ms || conn_has_unread(conn))
        return false;
    conn->server->counts.evicted++;
    conn_end(conn);
    return true;
}

bool
room_make(struct http_server *server)
{
    unsigned looked = 0;
    struct conn *conn;
    TAILQ_FOREACH (conn, &server->idle, idle) {
        if (evict(conn))
            return true;
        if (++looked == CANDIDATES)
            break;
    }
    return false;
}

/* The address' own longest idle connection, if it has one. */
static bool
make_room_at(struct place *place)
{
    unsigned looked = 0;
    struct conn *conn;
    TAILQ_FOREACH (conn, &place->conns, neighbour) {
        if (!conn->in_idle)
            continue;
        if (evict(conn))
            return true;
        if (++looked == CANDIDATES)
            break;
    }
    return false;
}

bool
place_enter(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (netaddr_trusted(&server->proxies, conn->address))
        return true;
    struct place *place = find_place(server, conn->address);
    if (!place)
        return false;
    bool fits = place->count < server->options.max_per_address;
    place->count++; /* it does not go with the connection that makes room */
    fits = fits || make_room_at(place);
    conn->place = place;
    TAILQ_INSERT_TAIL(&place->conns, conn, neighbour);
    if (fits)
        return true;
    server->counts.crowded++;
    place_leave(conn);
    return false;
}
