/* SPDX-License-Identifier: MIT */
#include "db/column.h"

#include <endian.h>
#include <string.h>

#include "base/id.h"
#include "crypto/crypto_encode.h"

#define EMPTY_BYTES       12
#define TYPE_AT           8
#define COUNT_AT          12
#define UUID_BYTES        16
#define POSTGRES_EPOCH_MS 946684800000 /* 2000-01-01 */

static void
put32(struct buf *out, uint32_t value)
{
    value = htobe32(value);
    buf_add(out, &value, sizeof(value));
}

static uint32_t
get32(const struct buf *out, size_t at)
{
    uint32_t value = 0;

    if (!buf_failed(out))
        memcpy(&value, out->data + at, sizeof(value));
    return be32toh(value);
}

void
column_begin(struct buf *column, uint32_t type, size_t max)
{
    buf_init(column, max);
    put32(column, 1);
    put32(column, 1); /* there may be NULLs */
    put32(column, type);
    put32(column, 0);
    put32(column, 1);
}

static void
add(struct buf *column, const void *bytes, size_t len)
{
    uint32_t count = htobe32(get32(column, COUNT_AT) + 1);

    put32(column, bytes ? (uint32_t)len : UINT32_MAX);
    buf_add(column, bytes, bytes ? len : 0);
    if (!buf_failed(column))
        memcpy(column->data + COUNT_AT, &count, sizeof(count));
}

void
column_int(struct buf *column, int64_t value)
{
    uint64_t wide = htobe64((uint64_t)value);
    uint32_t type = get32(column, TYPE_AT);
    size_t len = type == COLUMN_INT8 ? 8 : type == COLUMN_INT4 ? 4 : 2;

    add(column, (const char *)&wide + 8 - len, len);
}

void
column_text(struct buf *column, const char *text)
{
    add(column, text, text ? strlen(text) : 0);
}

void
column_bytes(struct buf *column, const void *bytes, size_t len)
{
    add(column, bytes, len);
}

void
column_uuid(struct buf *column, const char *text)
{
    uint8_t bytes[UUID_BYTES];
    char digits[2 * UUID_BYTES + 1];
    size_t n = 0;

    for (; *text && n < 2 * UUID_BYTES; text++)
        if (*text != '-')
            digits[n++] = *text;
    bool good = n == 2 * UUID_BYTES && !*text && hex_decode(digits, n, bytes) == RC_OK;
    add(column, good ? bytes : NULL, UUID_BYTES);
}

void
column_put_time(uint8_t out[8], int64_t wall_ms)
{
    uint64_t microseconds = htobe64((uint64_t)((wall_ms - POSTGRES_EPOCH_MS) * 1000));

    memcpy(out, &microseconds, sizeof(microseconds));
}

void
column_time(struct buf *column, int64_t wall_ms)
{
    uint8_t bytes[8];

    column_put_time(bytes, wall_ms);
    add(column, bytes, sizeof(bytes));
}

void
column_param(struct db_params *params, struct buf *column)
{
    if (buf_failed(column)) {
        db_param_null(params);
        return;
    }
    if (get32(column, COUNT_AT) == 0) {
        memset(column->data, 0, sizeof(uint32_t)); /* no dimension */
        column->len = EMPTY_BYTES;
    }
    db_param_bytes(params, column->data, column->len);
}

void
literal_begin(struct buf *out)
{
    buf_putc(out, '{');
}

void
literal_text(struct buf *out, const char *text)
{
    if (out->len > 1)
        buf_putc(out, ',');
    if (!text) {
        buf_puts(out, "NULL");
        return;
    }
    buf_putc(out, '"');
    while (*text) {
        size_t plain = strcspn(text, "\"\\");
        buf_add(out, text, plain);
        text += plain;
        if (*text) {
            buf_putc(out, '\\');
            buf_putc(out, *text++);
        }
    }
    buf_putc(out, '"');
}

void
literal_end(struct buf *out)
{
    buf_putc(out, '}');
}
