/* SPDX-License-Identifier: MIT */
#include "array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void
array_begin(struct buf *array, size_t max)
{
    buf_init(array, max);
    buf_putc(array, '{');
}

static void
next(struct buf *array)
{
    if (array->len > 1)
        buf_putc(array, ',');
}

void
array_int(struct buf *array, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRId64, value);

    next(array);
    buf_add(array, text, (size_t)len);
}

void
array_text(struct buf *array, const char *text)
{
    next(array);
    if (!text) {
        buf_puts(array, "NULL");
        return;
    }
    buf_putc(array, '"');
    for (;;) {
        size_t plain = strcspn(text, "\"\\");
        buf_add(array, text, plain);
        text += plain;
        if (*text == '\0')
            break;
        buf_putc(array, '\\');
        buf_putc(array, *text++);
    }
    buf_putc(array, '"');
}

const char *
array_end(struct buf *array)
{
    buf_putc(array, '}');
    return buf_failed(array) ? NULL : buf_text(array);
}
