/* SPDX-License-Identifier: MIT */
/*
 * buf - a growing byte string with a named maximum.
 *
 * Growing copies and wipes instead of calling realloc(), so that no forgotten copy of a secret stays
 * in freed memory.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 256 /* bytes */

void
buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4 };
}

void
buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

void
buf_cut(struct buf *buf, size_t len)
{
    buf->failed = false;
    if (len > buf->len)
        return;
    buf->len = len;
    if (buf->data)
        buf->data[len] = '\0';
}

void
buf_fini(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = 0;
    buf->cap = 0;
    buf->failed = false;
}

void
buf_wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->cap);
    buf_fini(buf);
}

/* Room for more bytes and the NUL. */
static bool
reserve(struct buf *buf, size_t more)
{
    size_t cap;
    char *data;

    if (!buf->failed && more < buf->cap - buf->len)
        return true;
    if (buf->failed || more > buf->max - buf->len) {
        buf->failed = true;
        return false;
    }
    cap = buf->cap < CAP_MIN ? CAP_MIN : buf->cap * 2;
    while (cap <= buf->len + more)
        cap *= 2;
    if (cap > buf->max + 1)
        cap = buf->max + 1;
    data = malloc(cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    if (buf->data) {
        memcpy(data, buf->data, buf->len);
        explicit_bzero(buf->data, buf->len);
        free(buf->data);
    }
    data[buf->len] = '\0';
    buf->data = data;
    buf->cap = cap;
    return true;
}

void
buf_add(struct buf *buf, const void *data, size_t len)
{
    if (!reserve(buf, len))
        return;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void
buf_puts(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void
buf_putc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = buf->cap - buf->len; /* 0 before the first allocation */
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(room ? buf->data + buf->len : NULL, room, format, args);
    va_end(args);
    if (room)
        buf->data[buf->len] = '\0'; /* nothing counts until all of it fits */
    if (len < 0) {
        buf->failed = true;
        return;
    }
    if (!reserve(buf, (size_t)len))
        return;
    va_start(args, format);
    (void)vsnprintf(buf->data + buf->len, buf->cap - buf->len, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

bool
buf_failed(const struct buf *buf)
{
    return buf->failed;
}

const char *
buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}
