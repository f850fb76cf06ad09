/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_own.h"

/*
 * One mechanism for everything that is awaited: PubAcks, double acks, replies, pull requests. Each
 * has a slot in a table, and the two functions that end it; the slot and its generation are the last token of the reply subject, so an
 * answer that comes late finds its slot free or taken by another generation, and is dropped.
 */
#define PENDING_CHUNK 1024u
#define PENDING_MAX   (1u << 20)

static struct pending *
grow(struct bus *bus)
{
    if (bus->n_chunks * PENDING_CHUNK >= PENDING_MAX)
        return NULL;
    struct pending **chunks = realloc(bus->chunks, (bus->n_chunks + 1) * sizeof(*chunks));
    if (!chunks)
        return NULL;
    bus->chunks = chunks;
    struct pending *chunk = calloc(PENDING_CHUNK, sizeof(*chunk));
    if (!chunk)
        return NULL;
    for (uint32_t i = 0; i < PENDING_CHUNK; i++) {
        chunk[i].slot = (uint32_t)bus->n_chunks * PENDING_CHUNK + i;
        TAILQ_INSERT_TAIL(&bus->free_slots, &chunk[i], place);
    }
    chunks[bus->n_chunks++] = chunk;
    return TAILQ_FIRST(&bus->free_slots);
}

enum rc
pending_new(struct bus *bus, const struct pending_calls *calls, struct pending_list *list,
            uint32_t timeout_ms, struct pending **out, struct err *err)
{
    struct pending *pending = TAILQ_FIRST(&bus->free_slots);
    if (!pending && !(pending = grow(bus)))
        return err_set(err, RC_TEMP, "too many answers are awaited");
    TAILQ_REMOVE(&bus->free_slots, pending, place);
    pending->calls = calls;
    pending->list = list;
    if (list)
        TAILQ_INSERT_TAIL(list, pending, place);
    const struct heap_node *first = heap_first(&bus->deadlines);
    int64_t at_ms = clock_mono_ms() + timeout_ms;
    if (!first || at_ms < first->at_ms)
        loop_timer_set(bus->expiry, timeout_ms, 0);
    heap_set(&bus->deadlines, &pending->deadline, at_ms);
    *out = pending;
    return RC_OK;
}

void
pending_free(struct bus *bus, struct pending *pending)
{
    heap_remove(&bus->deadlines, &pending->deadline);
    if (pending->list)
        TAILQ_REMOVE(pending->list, pending, place);
    uint32_t slot = pending->slot, generation = pending->generation + 1;
    *pending = (struct pending){ .slot = slot, .generation = generation };
    TAILQ_INSERT_TAIL(&bus->free_slots, pending, place);
}

static char *
put_hex(char *out, uint32_t value)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (int shift = 28; shift >= 0; shift -= 4)
        *out++ = DIGITS[(value >> shift) & 15];
    return out;
}

static bool
get_hex(const char *text, uint32_t *value)
{
    uint32_t sum = 0;
    for (int i = 0; i < 8; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            sum = sum << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            sum = sum << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *value = sum;
    return true;
}

void
pending_reply(const struct bus *bus, const struct pending *pending, const char *where,
              char subject[BUS_SUBJECT_MAX])
{
    size_t len = strlen(bus->inbox);
    memcpy(subject, bus->inbox, len);
    subject[len++] = '.';
    size_t where_len = strlen(where);
    memcpy(subject + len, where, where_len);
    len += where_len;
    subject[len++] = '.';
    char *end = put_hex(put_hex(subject + len, pending->slot), pending->generation);
    *end = '\0';
}

struct pending *
pending_find(struct bus *bus, const char *subject)
{
    const char *token = strrchr(subject, '.');
    uint32_t slot, generation;
    if (!token || strlen(token + 1) != 16 || !get_hex(token + 1, &slot) ||
        !get_hex(token + 9, &generation) || slot >= bus->n_chunks * PENDING_CHUNK)
        return NULL;
    struct pending *pending = &bus->chunks[slot / PENDING_CHUNK][slot % PENDING_CHUNK];
    bool fits = pending->calls && pending->generation == generation;
    return fits ? pending : NULL;
}

void
pending_fail(struct bus *bus, struct pending *pending, enum server server, const char *why)
{
    struct err err = { 0 };
    (void)err_set_of(&err, server, RC_TEMP, "%s", why);
    pending->calls->fail(bus, pending, &err);
}

void
pending_fail_all(struct bus *bus, const char *why)
{
    /* Callbacks may add new ones; those of this moment end, the new ones stay. */
    size_t count = bus->deadlines.count;
    struct pending **all = calloc(count ? count : 1, sizeof(*all));
    if (!all)
        log_no_memory("answers that are awaited");
    uint32_t *generations = calloc(count ? count : 1, sizeof(*generations));
    if (!generations)
        log_no_memory("answers that are awaited");
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct pending *)(void *)bus->deadlines.nodes[i];
        generations[i] = all[i]->generation;
    }
    for (size_t i = 0; i < count; i++)
        if (all[i]->calls && all[i]->generation == generations[i])
            pending_fail(bus, all[i], SERVER_NATS, why);
    free(all);
    free(generations);
}

void
pending_expire(void *arg)
{
    struct bus *bus = arg;
    int64_t now_ms = clock_mono_ms();
    struct heap_node *node;
    while ((node = heap_first(&bus->deadlines)) != NULL && node->at_ms <= now_ms)
        pending_fail(bus, (struct pending *)(void *)node, SERVER_NONE,
                     "no answer from the server in time");
    if (node)
        loop_timer_set(bus->expiry, (uint32_t)(node->at_ms - now_ms), 0);
}

void
pending_fini(struct bus *bus)
{
    for (size_t i = 0; i < bus->n_chunks; i++)
        free(bus->chunks[i]);
    free(bus->chunks);
    heap_fini(&bus->deadlines);
}
