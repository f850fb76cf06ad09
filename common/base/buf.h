/* SPDX-License-Identifier: MIT */
/*
 * buf - a growing byte string with a named maximum and a sticky overflow.
 *
 * Writers append without checking; whoever finishes asks buf_failed() once. The content is always
 * NUL-terminated. buf_wipe() is for content that was a secret.
 *
 * Units:  bytes
 * Source: curl's dynbuf (no buffer without a maximum)
 */
#ifndef GANTRY_BASE_BUF_H
#define GANTRY_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; never NULL after the first append */
    size_t len;
    size_t cap;
    size_t max; /* the limit for len */
    bool failed;
};

void buf_init(struct buf *buf, size_t max);
void buf_cut(struct buf *buf, size_t len); /* back to a shorter length; also ends a failure */
void buf_reset(struct buf *buf);
void buf_fini(struct buf *buf);
void buf_wipe(struct buf *buf); /* zero the content, then buf_fini() */

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);

/* True if anything did not fit; the content then ends before the piece that did not. */
bool buf_failed(const struct buf *buf);

/* The content, "" when empty; borrowed until the next change. */
const char *buf_text(const struct buf *buf);

#define buf_cleanup buf_fini /* AUTO(buf) struct buf out */

#endif
