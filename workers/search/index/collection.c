/* SPDX-License-Identifier: MIT */
/*
 * collection - rows come and go.
 *
 * A put makes the new row whole in a free slot before it takes the old one away, so that a failure
 * leaves what was. Taking away needs no memory.
 */
#include "collection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "collection_own.h"

static uint64_t
hash_id(const uint8_t *id)
{
    uint64_t half[2];

    memcpy(half, id, sizeof(half));
    half[0] = (half[0] ^ (half[1] << 32 | half[1] >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
    return half[0] ^ half[0] >> 32;
}

static uint64_t
hash_of(const void *context, uint32_t number)
{
    const struct collection *c = context;
    return hash_id(c->ids[number]);
}

static uint32_t
find_row(const struct collection *c, const uint8_t *id)
{
    const struct table *t = &c->by_id;

    if (!t->mask)
        return NONE;
    for (uint32_t at = (uint32_t)hash_id(id) & t->mask; t->slots[at]; at = (at + 1) & t->mask)
        if (memcmp(c->ids[t->slots[at] - 1], id, COLLECTION_ID_LEN) == 0)
            return t->slots[at] - 1;
    return NONE;
}

static void
prefetch_row(const struct collection *c, const uint8_t *id)
{
    if (c->by_id.mask)
        __builtin_prefetch(&c->by_id.slots[(uint32_t)hash_id(id) & c->by_id.mask]);
}

enum rc
collection_new(size_t dims, struct collection **out, struct err *err)
{
    struct memory memory = { 0 };
    struct collection *c;

    if (dims < 1 || dims > COLLECTION_DIMS_MAX)
        return err_set(err, RC_BUG, "a collection of vectors of %zu dimensions", dims);
    c = memory_resize(&memory, NULL, sizeof(*c));
    if (!c)
        return err_set(err, RC_TEMP, "no memory for a collection");
    *c = (struct collection){
        .memory = memory,
        .dims = dims,
        .half = (dims + 127) / 128 * 64,
        .dot = dot_best(),
        .free_row = NONE,
        .free_list = NONE,
        .free_name = NONE,
    };
    c->turned = memory_resize(&c->memory, NULL, 2 * c->half * sizeof(*c->turned));
    if (!c->turned) {
        collection_free(c);
        return err_set(err, RC_TEMP, "no memory for a collection");
    }
    *out = c;
    return RC_OK;
}

void
collection_free(struct collection *c)
{
    if (!c)
        return;
    records_fini(c);
    vectors_fini(c);
    lists_fini(c);
    names_fini(c);
    memory_free(&c->memory, c->ids);
    memory_free(&c->memory, c->places);
    memory_free(&c->memory, c->created_ns);
    memory_free(&c->memory, c->expires_ms);
    memory_free(&c->memory, c->row_words);
    memory_free(&c->memory, c->scale);
    memory_free(&c->memory, c->slack);
    memory_free(&c->memory, c->turned);
    memory_free(&c->memory, c->record_at);
    memory_free(&c->memory, c->alive);
    memory_free(&c->memory, c->segments);
    memory_free(&c->memory, c->lows);
    memory_free(&c->memory, c->by_id.slots);
    memory_free(&c->memory, c->scratch.at);
    free(c);
}

void
collection_cleanup(struct collection **c)
{
    collection_free(*c);
}

size_t
collection_rows(const struct collection *c)
{
    return c->rows;
}

size_t
collection_bytes(const struct collection *c)
{
    return c->memory.bytes;
}

size_t
collection_dims(const struct collection *c)
{
    return c->dims;
}

static bool
resize(struct collection *c, void *array, size_t size)
{
    void *old, *grown;

    memcpy(&old, array, sizeof(old));
    grown = memory_resize(&c->memory, old, size);
    if (grown)
        memcpy(array, &grown, sizeof(grown));
    return grown != NULL;
}

/* The arrays grow together, by whole segments; one that failed to leaves the others larger. */
static bool
grow_rows(struct collection *c)
{
    uint32_t segments = c->cap / SEGMENT_ROWS, cap;

    cap = (segments + segments / 8 + 1) * SEGMENT_ROWS;
    if (!resize(c, &c->ids, cap * sizeof(*c->ids)) ||
        !resize(c, &c->places, cap * sizeof(*c->places)) ||
        !resize(c, &c->created_ns, cap * sizeof(*c->created_ns)) ||
        (c->expires_ms && !resize(c, &c->expires_ms, cap * sizeof(*c->expires_ms))) ||
        !resize(c, &c->row_words, cap * sizeof(*c->row_words)) ||
        !resize(c, &c->scale, cap * sizeof(*c->scale)) ||
        !resize(c, &c->slack, cap * sizeof(*c->slack)) ||
        !resize(c, &c->record_at, cap * sizeof(*c->record_at)) ||
        !resize(c, &c->alive, cap / SEGMENT_ROWS * sizeof(*c->alive)) ||
        !resize(c, &c->records, cap / SEGMENT_ROWS * sizeof(*c->records)) ||
        !resize(c, &c->segments, cap / SEGMENT_ROWS * sizeof(*c->segments)) ||
        !resize(c, &c->lows, cap / SEGMENT_ROWS * sizeof(*c->lows)))
        return false;
    for (uint32_t i = segments; i < cap / SEGMENT_ROWS; i++) {
        c->alive[i] = 0;
        c->segments[i] = NULL;
        c->records[i] = (struct records){ 0 };
    }
    memset(c->scale + c->cap, 0, (cap - c->cap) * sizeof(*c->scale));
    memset(c->slack + c->cap, 0, (cap - c->cap) * sizeof(*c->slack));
    c->cap = cap;
    return true;
}

/* Made with the first row that expires: in many workspaces none does. */
static bool
reserve_expiry(struct collection *c)
{
    if (c->expires_ms)
        return true;
    c->expires_ms = memory_resize(&c->memory, NULL, c->cap * sizeof(*c->expires_ms));
    if (c->expires_ms)
        memset(c->expires_ms, 0, c->cap * sizeof(*c->expires_ms));
    return c->expires_ms != NULL;
}

static bool
reserve(struct collection *c, bool vector, bool expires, uint32_t *slot)
{
    if (!table_reserve(&c->memory, &c->by_id, hash_of, c))
        return false;
    if (c->free_row == NONE && c->used == c->cap && !grow_rows(c))
        return false;
    if (expires && !reserve_expiry(c))
        return false;
    *slot = c->free_row != NONE ? c->free_row : c->used;
    return !vector || vectors_reserve(c, *slot / SEGMENT_ROWS);
}

/* The row's postings and names go, by its record; where the record ends. */
static const uint8_t *
drop_keys(struct collection *c, const uint8_t *record, uint32_t row)
{
    uint32_t number;

    while ((number = record_varint(&record)) != 0) {
        uint32_t name = (uint32_t)(c->lists[number - 1].key - FACET_KEY);
        list_remove(c, number - 1, row);
        name_drop(c, name);
    }
    while ((number = record_varint(&record)) != 0) {
        list_remove(c, (number >> 1) - 1, row);
        for (uint32_t left = record_count(&record, number); left > 0; left--)
            (void)record_varint(&record);
    }
    return record;
}

static bool
add_facet(struct collection *c, enum facet kind, const char *text, uint32_t row)
{
    uint32_t name = name_take(c, kind, text), number;

    if (name == NONE)
        return false;
    number = list_find(c, FACET_KEY + name);
    if (number != NONE && list_has(&c->lists[number], row)) { /* a tag given twice */
        name_drop(c, name);
        return true;
    }
    number = list_add(c, FACET_KEY + name, row, 1);
    if (number == NONE) {
        name_drop(c, name);
        return false;
    }
    scratch_put(&c->scratch, number + 1);
    return true;
}

static bool
add_facets(struct collection *c, const struct collection_row *row, uint32_t slot)
{
    if (!add_facet(c, FACET_SCOPE, row->scope, slot) ||
        !add_facet(c, FACET_SOURCE, row->source, slot))
        return false;
    for (size_t i = 0; i < row->tag_count; i++)
        if (!add_facet(c, FACET_TAG, row->tags[i], slot))
            return false;
    return true;
}

static bool
add_term(struct collection *c, struct analysis_posting *posting, uint32_t slot)
{
    uint32_t count = posting->count, number, position, last;

    if (count > COLLECTION_COUNT_MAX)
        count = COLLECTION_COUNT_MAX;
    number = list_add(c, posting->term, slot, count);
    if (number == NONE)
        return false;
    scratch_put(&c->scratch, (number + 1) << 1 | (posting->count > 1));
    if (posting->count > 1)
        scratch_put(&c->scratch, posting->count);
    for (last = 0; analysis_position(posting, &position); last = position)
        scratch_put(&c->scratch, position - last);
    return true;
}

/* Some at a time, so that the memory of one is fetched during the others'. */
static bool
add_terms(struct collection *c, struct analysis_reader *reader, uint32_t slot)
{
    struct analysis_posting ahead[16];
    size_t n = ARRAY_LEN(ahead);

    while (n == ARRAY_LEN(ahead)) {
        for (n = 0; n < ARRAY_LEN(ahead) && analysis_next(reader, &ahead[n]); n++)
            list_prefetch(c, ahead[n].term);
        for (size_t i = 0; i < n; i++)
            list_prefetch_rows(c, ahead[i].term);
        for (size_t i = 0; i < n; i++)
            list_prefetch_block(c, ahead[i].term);
        for (size_t i = 0; i < n; i++)
            list_prefetch_last(c, ahead[i].term);
        for (size_t i = 0; i < n; i++)
            if (!add_term(c, &ahead[i], slot))
                return false;
    }
    return true;
}

/* The row's record, postings and names; false without memory, and then none of them. */
static bool
add_keys(struct collection *c, const struct collection_row *row, struct analysis_reader *reader,
         uint32_t slot)
{
    bool done;

    /* A term takes no more bytes than in the row: five at most for its number, six there. */
    if (!scratch_reserve(&c->memory, &c->scratch, row->terms_len + 5 * row->tag_count + 16))
        return false;
    done = add_facets(c, row, slot);
    scratch_put(&c->scratch, 0);
    done = done && add_terms(c, reader, slot);
    scratch_put(&c->scratch, 0);
    done = done && records_add(c, slot, &c->scratch);
    if (!done)
        (void)drop_keys(c, c->scratch.at, slot);
    return done;
}

/* What is left of a row that nothing finds any more. */
static void
release(struct collection *c, uint32_t slot)
{
    const uint8_t *record = record_of(c, slot);

    c->alive[slot / SEGMENT_ROWS] &= ~(UINT64_C(1) << slot % SEGMENT_ROWS);
    records_remove(c, slot, (size_t)(drop_keys(c, record, slot) - record));
    c->scale[slot] = 0;
    c->words -= c->row_words[slot];
    c->rows--;
    c->created_ns[slot] = c->free_row;
    c->free_row = slot;
}

static void
take_slot(struct collection *c, uint32_t slot)
{
    if (slot == c->free_row)
        c->free_row = (uint32_t)c->created_ns[slot];
    else
        c->used++;
    c->alive[slot / SEGMENT_ROWS] |= UINT64_C(1) << slot % SEGMENT_ROWS;
    c->words += c->row_words[slot];
    c->rows++;
}

static bool
has_direction(const struct collection *c, const float *vector)
{
    for (size_t i = 0; vector && i < c->dims; i++)
        if (vector[i] < 0 || vector[i] > 0)
            return true;
    return false;
}

/* The low nibbles of a row are like noise: what they add is normally distributed about their mean, and
 * five deviations are exceeded by one row in three million. Cauchy and Schwarz bound it by as many
 * deviations as the root of the stride, for which nearly half of the rows have to be looked at. */
#define DEVIATIONS 5

static void
put_vector(struct collection *c, uint32_t slot, const float *vector)
{
    int8_t packed[VECTOR_STRIDE_MAX];
    uint8_t high[VECTOR_STRIDE_MAX / 2];
    size_t segment = slot / SEGMENT_ROWS, row = slot % SEGMENT_ROWS;
    float off;

    c->scale[slot] = vector_pack(vector, c->dims, 2 * c->half, c->turned, packed);
    off = vector_split(packed, c->half, high, c->lows[segment] + row * c->half);
    vector_place(high, c->half, c->segments[segment], row);
    c->slack[slot] = c->scale[slot] * off * DEVIATIONS / sqrtf((float)(2 * c->half));
}

enum rc
collection_put(struct collection *c, const struct collection_row *row, struct err *err)
{
    struct analysis_reader reader = { 0 };
    bool vector = has_direction(c, row->vector);
    uint32_t old, slot;

    prefetch_row(c, row->id);
    if (row->terms && !analysis_open(&reader, row->terms, row->terms_len))
        return err_set(err, RC_CORRUPT, "the terms of a row have an unknown form");
    if (row->tag_count > COLLECTION_TAGS_MAX || c->rows == COLLECTION_ROWS_MAX)
        return err_set(err, RC_LIMIT, "%s",
                       row->tag_count > COLLECTION_TAGS_MAX ? "a row has too many tags"
                                                            : "a collection has too many rows");
    if (!reserve(c, vector, row->expires_ms != 0, &slot))
        return err_set(err, RC_TEMP, "no memory for a row of the index");
    c->row_words[slot] = (uint16_t)(reader.words > UINT16_MAX ? UINT16_MAX : reader.words);
    if (!add_keys(c, row, &reader, slot))
        return err_set(err, RC_TEMP, "no memory for a row of the index");
    old = find_row(c, row->id);
    if (old != NONE)
        table_remove(&c->by_id, hash_of, c, old);
    take_slot(c, slot);
    memcpy(c->ids[slot], row->id, COLLECTION_ID_LEN);
    c->places[slot] = row->place;
    c->created_ns[slot] = row->created_ns;
    if (c->expires_ms)
        c->expires_ms[slot] = row->expires_ms;
    if (row->expires_ms && (!c->first_expiry_ms || row->expires_ms < c->first_expiry_ms))
        c->first_expiry_ms = row->expires_ms;
    c->scale[slot] = 0;
    if (vector)
        put_vector(c, slot, row->vector);
    table_add(&c->by_id, hash_id(row->id), slot);
    if (old != NONE)
        release(c, old);
    return RC_OK;
}

bool
collection_remove(struct collection *c, const uint8_t *id)
{
    uint32_t row = find_row(c, id);

    if (row == NONE)
        return false;
    table_remove(&c->by_id, hash_of, c, row);
    release(c, row);
    return true;
}
