/* SPDX-License-Identifier: MIT */
/* analysis - the stored form: occurrences as (term, position) in one number, sorted, written. */
#include "analysis/analysis.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/scan.h"
#include "base/cleanup.h"

#define POSITION_BITS 16
#define FEW           64 /* up to here insertion is faster */
#define CHUNK         256
#define VARINT_MAX    5

static void
sort_few(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* By bytes from the lowest on; as many passes as a key has bytes, so that they end in keys. */
static void
sort_many(uint64_t *keys, uint64_t *other, size_t n)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t place[256] = { 0 };
        for (size_t i = 0; i < n; i++)
            place[keys[i] >> shift & 0xFF]++;
        size_t sum = 0;
        for (size_t i = 0; i < 256; i++) {
            size_t here = place[i];
            place[i] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            other[place[keys[i] >> shift & 0xFF]++] = keys[i];
        uint64_t *swap = keys;
        keys = other;
        other = swap;
    }
}

/* A small output of our own: buf_add() for each number would cost more than the numbers. */
struct sink {
    struct buf *out;
    size_t len;
    uint8_t bytes[CHUNK];
};

static void
flush(struct sink *sink)
{
    buf_add(sink->out, sink->bytes, sink->len);
    sink->len = 0;
}

static void
put_varint(struct sink *sink, uint32_t value)
{
    if (sink->len + VARINT_MAX > CHUNK)
        flush(sink);
    for (; value >= 0x80; value >>= 7)
        sink->bytes[sink->len++] = (uint8_t)(value | 0x80);
    sink->bytes[sink->len++] = (uint8_t)value;
}

static void
put_term(struct sink *sink, uint64_t term)
{
    if (sink->len + ANALYSIS_TERM_BYTES > CHUNK)
        flush(sink);
    for (int shift = 40; shift >= 0; shift -= 8)
        sink->bytes[sink->len++] = (uint8_t)(term >> shift);
}

/* Sorts the occurrences and drops those that are there twice. Returns how many are left. */
static size_t
collect(const struct scan *scan, uint64_t *keys)
{
    size_t n = scan->count;
    for (size_t i = 0; i < n; i++)
        keys[i] = scan->forms[i].term << POSITION_BITS | scan->forms[i].position;
    if (n <= FEW)
        sort_few(keys, n);
    else
        sort_many(keys, keys + n, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || keys[i] != keys[kept - 1])
            keys[kept++] = keys[i];
    return kept;
}

static void
write_terms(struct sink *sink, const uint64_t *keys, size_t n)
{
    for (size_t i = 0, end; i < n; i = end) {
        uint64_t term = keys[i] >> POSITION_BITS;
        for (end = i + 1; end < n && keys[end] >> POSITION_BITS == term; end++)
            ;
        put_term(sink, term);
        put_varint(sink, (uint32_t)(end - i));
        put_varint(sink, (uint16_t)keys[i]);
        for (size_t j = i + 1; j < end; j++)
            put_varint(sink, (uint32_t)(keys[j] - keys[j - 1]));
    }
}

enum rc
analysis_encode(const char *text, size_t len, struct buf *out)
{
    AUTO(scan) struct scan scan = { 0 };
    enum rc rc = scan_text(&scan, SCAN_DOCUMENT, text, len);
    if (rc != RC_OK)
        return rc;
    AUTO(free) uint64_t *keys = malloc((2 * scan.count + 1) * sizeof(*keys));
    if (!keys)
        return RC_TEMP;
    size_t n = collect(&scan, keys);
    uint32_t distinct = n > 0;
    for (size_t i = 1; i < n; i++)
        distinct += keys[i] >> POSITION_BITS != keys[i - 1] >> POSITION_BITS;
    struct sink sink = { .out = out, .len = 0 };
    size_t before = out->len;
    sink.bytes[sink.len++] = ANALYSIS_VERSION;
    put_varint(&sink, scan.words);
    put_varint(&sink, distinct);
    write_terms(&sink, keys, n);
    flush(&sink);
    if (!buf_failed(out))
        return RC_OK;
    buf_cut(out, before);
    return RC_LIMIT;
}
