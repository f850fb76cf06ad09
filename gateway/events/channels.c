/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "events/events_own.h"
#include "gateway.h"
#include "json/json.h"
#include "keys/keys.h"

#define LAST_ID_MAX 40

/* --- channels ------------------------------------------------------------------------------------- */

static struct channel_list *
bucket_of(struct events *events, const char *workspace)
{
    uint32_t h = fnv32_text(workspace);
    return &events->channels[(h ^ h >> 16) % CHANNEL_BUCKETS];
}

struct channel *
channel_find(struct events *events, const char *workspace)
{
    struct channel *channel;
    LIST_FOREACH (channel, bucket_of(events, workspace), link)
        if (strcmp(channel->workspace, workspace) == 0)
            return channel;
    return NULL;
}

static void
new_epoch(struct channel *channel)
{
    uint8_t bytes[8];
    crypto_random(bytes, sizeof(bytes));
    hex_encode(bytes, sizeof(bytes), channel->epoch);
    channel->last = 0;
    for (size_t i = 0; i < EVENTS_WINDOW; i++) {
        free(channel->window[i].text);
        channel->window[i] = (struct told){ 0 };
    }
}

struct channel *
channel_get(struct events *events, const char *workspace)
{
    struct channel *channel = channel_find(events, workspace);
    if (channel || !(channel = calloc(1, sizeof(*channel))))
        return channel;
    (void)strlcpy(channel->workspace, workspace, sizeof(channel->workspace));
    TAILQ_INIT(&channel->listeners);
    new_epoch(channel);
    LIST_INSERT_HEAD(bucket_of(events, workspace), channel, link);
    return channel;
}

void
channel_free(struct channel *channel)
{
    for (size_t i = 0; i < EVENTS_WINDOW; i++)
        free(channel->window[i].text);
    LIST_REMOVE(channel, link);
    free(channel);
}

/* --- one listener --------------------------------------------------------------------------------- */

static void
beat(struct listener *one)
{
    struct events *events = one->r->gw->events;
    one->beat_ms = clock_mono_ms();
    TAILQ_REMOVE(&events->beats, one, beat_link);
    TAILQ_INSERT_TAIL(&events->beats, one, beat_link);
}

static void
write_out(struct listener *one, const char *text, size_t len)
{
    http_stream_write(one->r->exchange, text, len);
    beat(one);
}

/* Borrowed from the window: an event with its id in front. */
static void
hear(struct listener *one, const struct told *told)
{
    char text[EVENTS_TEXT_MAX];
    if (told->scope && !(one->r->actor.scopes & told->scope))
        return;
    int len = snprintf(text, sizeof(text), "id: %s.%llu\n%s", one->channel->epoch,
                       (unsigned long long)told->number, told->text);
    if (len > 0 && (size_t)len < sizeof(text))
        write_out(one, text, (size_t)len);
}

void
listener_leave(struct listener *one)
{
    struct channel *channel = one->channel;
    if (!channel)
        return;
    struct events *events = one->r->gw->events;
    one->channel = NULL;
    TAILQ_REMOVE(&channel->listeners, one, channel_link);
    TAILQ_REMOVE(&events->beats, one, beat_link);
    events->n_listeners--;
    if (--one->share->count == 0)
        tally_drop(events->shares, one->share);
    if (TAILQ_EMPTY(&channel->listeners))
        channel->quiet_ms = clock_mono_ms();
}

void
listener_end(struct listener *one)
{
    static const char BYE[] = "event: end\ndata: {\"detail\":\"connect again\"}\n\n";
    struct request *r = one->r;
    bool open = one->open;
    if (open)
        http_stream_write(r->exchange, BYE, sizeof(BYE) - 1);
    listener_leave(one);
    if (open)
        http_stream_end(r->exchange);
}

/* --- what is told --------------------------------------------------------------------------------- */

static bool
has_ended(const char *status)
{
    return strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
}

/* A job's states come on several ways: an end twice, "pending" behind "running". */
static bool
is_stale(const struct channel *channel, const struct telling *telling)
{
    for (uint64_t n = channel->last; n > 0 && n + EVENTS_WINDOW > channel->last; n--) {
        const struct told *told = &channel->window[n % EVENTS_WINDOW];
        if (told->number != n || strcmp(told->id, telling->job) != 0)
            continue;
        return has_ended(told->status) || strcmp(telling->status, told->status) == 0 ||
               strcmp(telling->status, "pending") == 0;
    }
    return false;
}

void
channel_tell(struct channel *channel, const struct telling *telling)
{
    char text[EVENTS_TEXT_MAX];
    struct listener *next;
    if (telling->job && is_stale(channel, telling))
        return;
    /* room for the id, which is the listener's view of it */
    int len = snprintf(text, sizeof(text) - LAST_ID_MAX, "event: %s\ndata: %s\n\n", telling->name,
                       telling->data);
    if (len < 0 || (size_t)len >= sizeof(text) - LAST_ID_MAX) {
        log_warn("an event is too long to be sent to listeners");
        return;
    }
    struct told *told = &channel->window[(channel->last + 1) % EVENTS_WINDOW];
    char *copy = strdup(text);
    if (!copy)
        log_no_memory("an event");
    free(told->text);
    *told = (struct told){
        .number = ++channel->last, .scope = telling->scope, .text = copy, .len = (size_t)len
    };
    if (telling->job) {
        (void)strlcpy(told->id, telling->job, sizeof(told->id));
        (void)strlcpy(told->status, telling->status, sizeof(told->status));
    }
    for (struct listener *one = TAILQ_FIRST(&channel->listeners); one; one = next) {
        next = TAILQ_NEXT(one, channel_link);
        if (one->open)
            hear(one, told);
    }
}

static const char MISSED[] = "event: missed\ndata: {\"detail\":\"events may have been missed: list "
                             "again (GET /ai/jobs)\"}\n\n";

static void
put_missed(struct listener *one)
{
    char text[EVENTS_TEXT_MAX];
    int len = snprintf(text, sizeof(text), "id: %s.%llu\n%s", one->channel->epoch,
                       (unsigned long long)one->channel->last, MISSED);
    write_out(one, text, (size_t)len);
}

void
channel_missed(struct channel *channel)
{
    struct listener *one, *next;
    new_epoch(channel);
    for (one = TAILQ_FIRST(&channel->listeners); one; one = next) {
        next = TAILQ_NEXT(one, channel_link);
        if (one->open)
            put_missed(one);
    }
}

/* The number behind which to go on; false: what followed it is not known here. */
static bool
resume_point(const struct channel *channel, const char *last_id, uint64_t *number)
{
    size_t epoch = strlen(channel->epoch);
    if (strncmp(last_id, channel->epoch, epoch) != 0 || last_id[epoch] != '.')
        return false;
    const char *digits = last_id + epoch + 1;
    size_t len = strlen(digits);
    if (len == 0 || len > 15 || strspn(digits, "0123456789") != len)
        return false;
    *number = strtoull(digits, NULL, 10);
    return *number <= channel->last && *number + EVENTS_WINDOW >= channel->last;
}

void
channel_greet(struct channel *channel, struct listener *one, const char *last_id)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;
    uint64_t from = channel->last;
    bool resumed = last_id && resume_point(channel, last_id, &from);
    buf_init(&text, EVENTS_TEXT_MAX);
    buf_printf(&text, "retry: 2000\nid: %s.%llu\nevent: ready\ndata: ", channel->epoch,
               (unsigned long long)from);
    json_begin(&w, &text);
    json_object(&w, NULL);
    json_put_bool(&w, "resumed", resumed);
    json_put_int(&w, "window", EVENTS_WINDOW);
    json_put_int(&w, "heartbeat_seconds", EVENTS_HEARTBEAT_MS / 1000);
    json_close(&w);
    (void)json_end(&w);
    buf_puts(&text, "\n\n");
    write_out(one, buf_text(&text), text.len);
    if (last_id && !resumed)
        put_missed(one);
    for (uint64_t n = from + 1; resumed && n <= channel->last; n++)
        hear(one, &channel->window[n % EVENTS_WINDOW]);
}

/* --- time ----------------------------------------------------------------------------------------- */

static void
drop_quiet(struct events *events, int64_t now_ms)
{
    for (size_t i = 0; i < CHANNEL_BUCKETS; i++) {
        struct channel *next;
        for (struct channel *channel = LIST_FIRST(&events->channels[i]); channel; channel = next) {
            next = LIST_NEXT(channel, link);
            if (TAILQ_EMPTY(&channel->listeners) && now_ms - channel->quiet_ms > EVENTS_LINGER_MS)
                channel_free(channel);
        }
    }
}

/* Nobody tells that a key has expired; a listener who always has something to hear gets no heartbeat. */
static void
end_expired(struct events *events)
{
    struct listener *next;
    for (struct listener *one = TAILQ_FIRST(&events->beats); one; one = next) {
        next = TAILQ_NEXT(one, beat_link);
        if (!keys_known(events->gw->keys, one->r->actor.key_id))
            listener_end(one);
    }
}

void
channels_tick(void *arg)
{
    struct events *events = arg;
    int64_t now_ms = clock_mono_ms();
    struct listener *one;
    end_expired(events);
    while ((one = TAILQ_FIRST(&events->beats)) != NULL &&
           now_ms - one->beat_ms >= EVENTS_HEARTBEAT_MS) {
        if (one->open)
            write_out(one, ":\n\n", 3);
        else
            beat(one);
    }
    drop_quiet(events, now_ms);
}
