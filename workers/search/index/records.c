/* SPDX-License-Identifier: MIT */
/*
 * records - the records of a segment's rows, one behind the other.
 *
 * An allocation of its own for each would cost a third more than the record of a short text.
 */
#include <string.h>

#include "collection_own.h"

static bool
resize(struct memory *m, struct records *records, size_t cap)
{
    uint8_t *at = cap > UINT32_MAX ? NULL : memory_resize(m, records->at, cap);

    if (!at)
        return false;
    records->at = at;
    records->cap = (uint32_t)cap;
    return true;
}

/* With the segment's last row it is mostly complete, and gets what it needs. */
bool
records_add(struct collection *c, uint32_t row, const struct scratch *record)
{
    struct records *records = &c->records[row / SEGMENT_ROWS];
    size_t len = records->len + record->len;
    bool last = row % SEGMENT_ROWS == SEGMENT_ROWS - 1;

    if ((len > records->cap || last) &&
        !resize(&c->memory, records, last ? len : len + len / 8 + 16))
        return false;
    memcpy(records->at + records->len, record->at, record->len);
    c->record_at[row] = records->len;
    records->len = (uint32_t)len;
    return true;
}

void
records_remove(struct collection *c, uint32_t row, size_t len)
{
    struct records *records = &c->records[row / SEGMENT_ROWS];
    uint32_t from = c->record_at[row], first = row / SEGMENT_ROWS * SEGMENT_ROWS;

    records->len -= (uint32_t)len;
    memmove(records->at + from, records->at + from + len, records->len - from);
    for (uint64_t bits = c->alive[row / SEGMENT_ROWS]; bits; bits &= bits - 1) {
        uint32_t *at = &c->record_at[first + (uint32_t)__builtin_ctzll(bits)];
        if (*at > from)
            *at -= (uint32_t)len;
    }
    if (records->len == 0) {
        memory_free(&c->memory, records->at);
        *records = (struct records){ 0 };
    } else if (records->len < records->cap / 2) {
        (void)resize(&c->memory, records, records->len);
    }
}

void
records_fini(struct collection *c)
{
    for (uint32_t i = 0; i < c->cap / SEGMENT_ROWS; i++)
        memory_free(&c->memory, c->records[i].at);
    memory_free(&c->memory, c->records);
}
