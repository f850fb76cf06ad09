/* SPDX-License-Identifier: MIT */
#include "http/chunks.h"

#include <stdbool.h>

#include "base/hex.h"
#include "http/head.h"

#define SIZE_DIGITS 15 /* the size stays below 2^63 */

enum state {
    SIZE,          /* its digits */
    BEFORE_SEMI,   /* blanks between the size and ";" */
    EXTENSION,     /* up to the line's end */
    SIZE_LF,       /* of a chunk's first line */
    DATA,          /* left bytes */
    DATA_CR,       /* behind them */
    DATA_LF,       /* … */
    LAST_LF,       /* of the first line of the last chunk */
    TRAILER,       /* the first byte of a line */
    TRAILER_NAME,  /* up to the colon */
    TRAILER_VALUE, /* up to the line's end */
    TRAILER_LF,    /* … */
    END_LF         /* of the empty line */
};

static bool
end_of_size(struct http_chunks *c)
{
    c->state = c->left ? SIZE_LF : LAST_LF;
    return c->digits > 0;
}

static bool
take_size(struct http_chunks *c, char byte)
{
    int value = hex_value(byte);
    if (value >= 0) {
        c->left = c->left * 16 + (unsigned)value;
        return ++c->digits <= SIZE_DIGITS;
    }
    if (byte == '\r')
        return end_of_size(c);
    c->state = byte == ';' ? EXTENSION : BEFORE_SEMI;
    return c->digits > 0 && (byte == ';' || byte == ' ' || byte == '\t');
}

static bool
take_blank(struct http_chunks *c, char byte)
{
    if (byte == ';')
        c->state = EXTENSION;
    return byte == ';' || byte == ' ' || byte == '\t';
}

static bool
expect(struct http_chunks *c, char byte, char wanted, enum state next)
{
    c->state = next;
    return byte == wanted;
}

static bool
take_trailer(struct http_chunks *c, char byte)
{
    if (c->state == TRAILER && byte == '\r') {
        c->state = END_LF;
        return true;
    }
    if (c->state == TRAILER_NAME && byte == ':') {
        c->state = TRAILER_VALUE;
        return true;
    }
    c->state = TRAILER_NAME;
    return http_is_token(byte);
}

static bool
take_until_cr(struct http_chunks *c, char byte, enum state next)
{
    if (byte == '\r') {
        c->state = next;
        return true;
    }
    return http_is_text(byte);
}

/* One byte that is not of the body; false: malformed. END_LF is the caller's. */
static bool
take(struct http_chunks *c, char byte)
{
    switch ((enum state)c->state) {
    case SIZE:
        return take_size(c, byte);
    case BEFORE_SEMI:
        c->extra++;
        return take_blank(c, byte);
    case EXTENSION:
        c->extra++;
        return take_until_cr(c, byte, c->left ? SIZE_LF : LAST_LF);
    case SIZE_LF:
        return expect(c, byte, '\n', DATA);
    case DATA_CR:
        return expect(c, byte, '\r', DATA_LF);
    case DATA_LF:
        c->digits = 0;
        return expect(c, byte, '\n', SIZE);
    case LAST_LF:
        return expect(c, byte, '\n', TRAILER);
    case TRAILER:
    case TRAILER_NAME:
        c->extra++;
        return take_trailer(c, byte);
    case TRAILER_VALUE:
        c->extra++;
        return take_until_cr(c, byte, TRAILER_LF);
    case TRAILER_LF:
        return expect(c, byte, '\n', TRAILER);
    case DATA:
    case END_LF:
        break;
    }
    return false;
}

enum chunks_step
http_chunks_next(struct http_chunks *c, const char *data, size_t len, size_t *used,
                 const char **piece, size_t *piece_len)
{
    for (size_t at = 0; at < len; at++) {
        *used = at + 1;
        if (c->state == DATA) {
            size_t n = len - at < c->left ? len - at : (size_t)c->left;
            *piece = data + at;
            *piece_len = n;
            *used = at + n;
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            return CHUNKS_PIECE;
        }
        if (c->state == END_LF)
            return data[at] == '\n' ? CHUNKS_END : CHUNKS_MALFORMED;
        if (!take(c, data[at]) || c->extra > CHUNKS_EXTRA_MAX)
            return CHUNKS_MALFORMED;
    }
    *used = len;
    return CHUNKS_MORE;
}
