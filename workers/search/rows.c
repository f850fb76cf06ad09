/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <endian.h>
#include <string.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "embed/embed.h"

#define TAGS_BYTES_MAX    (1u << 20)
#define POSTGRES_EPOCH_MS 946684800000 /* 2000-01-01 */

enum { SCOPE, CREATED, EXPIRES, SOURCE, TAGS, EMBEDDING, TERMS, TEXT, PLACE };

enum rc
rows_init(struct row_space *space, size_t dims, struct err *err)
{
    *space = (struct row_space){ .dims = dims };
    space->vector = calloc(dims, sizeof(*space->vector));
    space->tags = calloc(COLLECTION_TAGS_MAX, sizeof(*space->tags));
    buf_init(&space->text, TAGS_BYTES_MAX);
    buf_init(&space->terms, ANALYSIS_ENCODED_MAX);
    return space->vector && space->tags ? RC_OK : err_set(err, RC_TEMP, "no memory for a row");
}

void
rows_fini(struct row_space *space)
{
    free(space->vector);
    free(space->tags);
    buf_fini(&space->text);
    buf_fini(&space->terms);
}

static uint32_t
get32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

/* A tid in binary form (tidsend) is a block of 32 bits and a line of 16, from 1; a page has at most 291. */
#define LINE_BITS 9

uint32_t
place_read(const uint8_t bytes[PLACE_BYTES])
{
    uint32_t block = get32(bytes), line = (uint32_t)bytes[4] << 8 | bytes[5];
    if (block >> (32 - LINE_BITS) || line >> LINE_BITS)
        return 0;
    return block << LINE_BITS | line;
}

void
place_write(uint32_t place, uint8_t out[PLACE_BYTES])
{
    uint32_t block = htobe32(place >> LINE_BITS), line = place & ((1u << LINE_BITS) - 1);
    memcpy(out, &block, sizeof(block));
    out[4] = (uint8_t)(line >> 8);
    out[5] = (uint8_t)line;
}

/* A one-dimensional text[] in binary form (array_send). What does not fit is left out. */
static size_t
read_tags(struct row_space *space, const uint8_t *bytes, size_t len)
{
    size_t offsets[COLLECTION_TAGS_MAX], count = 0, at = 20;
    if (!bytes || len < at || get32(bytes) != 1)
        return 0;
    uint32_t left = get32(bytes + 12);
    buf_cut(&space->text, 0);
    for (; left > 0 && count < COLLECTION_TAGS_MAX && len - at >= 4; left--) {
        uint32_t size = get32(bytes + at);
        at += 4;
        if (size == UINT32_MAX) /* NULL */
            continue;
        if (size > len - at)
            break;
        offsets[count++] = space->text.len;
        buf_add(&space->text, bytes + at, size);
        buf_putc(&space->text, '\0');
        at += size;
    }
    if (buf_failed(&space->text))
        return 0;
    for (size_t i = 0; i < count; i++)
        space->tags[i] = space->text.data + offsets[i];
    return count;
}

static enum rc
read_terms(struct row_space *space, const PGresult *rows, int row, int first,
           struct collection_row *out, struct err *err)
{
    size_t len = 0;
    const uint8_t *text = db_binary(rows, row, first + TEXT, &len);
    if (!text) {
        out->terms = db_binary(rows, row, first + TERMS, &out->terms_len);
        return RC_OK;
    }
    buf_cut(&space->terms, 0);
    if (analysis_encode((const char *)text, len, &space->terms) != RC_OK)
        return err_set(err, RC_TEMP, "no memory for the terms of a text");
    out->terms = (const uint8_t *)space->terms.data;
    out->terms_len = space->terms.len;
    return RC_OK;
}

enum rc
rows_put(struct row_space *space, struct collection *c, const PGresult *rows, int row, int id,
         int first, struct err *err)
{
    struct collection_row out = { .tags = space->tags };
    size_t len = 0;
    out.id = db_binary(rows, row, id, &len);
    out.scope = (const char *)db_binary(rows, row, first + SCOPE, &len);
    out.source = (const char *)db_binary(rows, row, first + SOURCE, &len);
    out.created_ns = db_binary_int(rows, row, first + CREATED, 0);
    int64_t expires_us = db_binary_int(rows, row, first + EXPIRES, INT64_MAX);
    if (expires_us != INT64_MAX)
        out.expires_ms = expires_us / 1000 + POSTGRES_EPOCH_MS;
    if (!out.id || !out.scope || !out.source)
        return err_set(err, RC_BUG, "a row without an id, a scope or a source");
    const uint8_t *place = db_binary(rows, row, first + PLACE, &len);
    out.place = place && len == PLACE_BYTES ? place_read(place) : 0;
    const uint8_t *tags = db_binary(rows, row, first + TAGS, &len);
    out.tag_count = read_tags(space, tags, len);
    const uint8_t *half = db_binary(rows, row, first + EMBEDDING, &len);
    if (half && embed_from_half(half, len, space->vector, space->dims) == space->dims)
        out.vector = space->vector;
    enum rc rc = read_terms(space, rows, row, first, &out, err);
    if (rc != RC_OK)
        return rc;
    rc = collection_put(c, &out, err);
    if (rc != RC_CORRUPT)
        return rc;
    log_warn("the terms of a memory cannot be read: it is found by its vector only until "
             "\"gantry memory reindex\" has been there");
    out.terms = NULL;
    out.terms_len = 0;
    return collection_put(c, &out, err);
}
