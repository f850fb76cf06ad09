/* SPDX-License-Identifier: MIT */
/*
 * array - every element is quoted, so that none can be taken for NULL or for the array's syntax.
 */
#include "array.h"

#include <string.h>

void
array_begin(struct buf *out)
{
    buf_putc(out, '{');
}

static void
separate(struct buf *out)
{
    if (out->len > 1)
        buf_putc(out, ',');
}

void
array_text(struct buf *out, const char *text)
{
    separate(out);
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
array_int(struct buf *out, int64_t value)
{
    separate(out);
    buf_printf(out, "%lld", (long long)value);
}

void
array_end(struct buf *out)
{
    buf_putc(out, '}');
}

static void
put_u32(struct buf *out, uint32_t value)
{
    const char bytes[4] = { (char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                            (char)value };
    buf_add(out, bytes, sizeof(bytes));
}

void
array_binary_begin(struct buf *out, uint32_t type, size_t n)
{
    put_u32(out, 1); /* dimensions */
    put_u32(out, 1); /* may hold NULL */
    put_u32(out, type);
    put_u32(out, (uint32_t)n);
    put_u32(out, 1); /* lower bound */
}

void
array_binary_add(struct buf *out, const uint8_t *bytes, size_t len)
{
    if (!bytes) {
        put_u32(out, UINT32_MAX);
        return;
    }
    put_u32(out, (uint32_t)len);
    buf_add(out, bytes, len);
}
