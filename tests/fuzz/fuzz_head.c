/* SPDX-License-Identifier: MIT */
/*
 * fuzz_head - the head of a request and the chunks of a body, in whatever pieces they come. Input: a
 * byte that chooses, then bytes of a connection. Pieces make no difference, and what passes is strict.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http/chunks.h"
#include "gateway/http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(const struct http_head *head, size_t len)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (head->fields[i].name >= len || head->fields[i].value > len)
            abort();
        const char *name = head->text + head->fields[i].name;
        const char *value = head->text + head->fields[i].value;
        if (!*name || *value == ' ' || *value == '\t')
            abort();
        for (; *name; name++)
            if (!http_is_token(*name))
                abort();
        for (; *value; value++)
            if (!http_is_text(*value))
                abort();
    }
}

static void
check_head(const char *data, size_t size)
{
    size_t end = 0, line = 0, end_in_pieces = 0, line_in_pieces = 0;
    enum head_found found = http_head_find(data, size, &line, &end);
    enum head_found in_pieces = HEAD_MORE;
    for (size_t len = 0; len <= size && in_pieces == HEAD_MORE; len++)
        in_pieces = http_head_find(data, len, &line_in_pieces, &end_in_pieces);
    if (found != in_pieces || end != end_in_pieces)
        abort();
    size_t len = found == HEAD_COMPLETE ? end : size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
    char *text = malloc(len + 1);
    struct http_head *head = malloc(sizeof(*head));
    if (!text || !head)
        abort();
    memcpy(text, data, len);
    http_head_parse(head, text, len);
    check_fields(head, len);
    if (!head->why != (head->fault == HTTP_FAULT_NONE))
        abort();
    if (found == HEAD_COMPLETE && head->fault == HTTP_FAULT_NONE &&
        (!head->method[0] || !head->target[0] || (head->chunked && head->has_length) ||
         memchr(data, '\0', len)))
        abort();
    free(head);
    free(text);
}

/* How a body ended, and a sum over its bytes. */
static enum chunks_step
decode(const char *data, size_t size, size_t step, uint64_t *sum, size_t *end)
{
    struct http_chunks chunks = { 0 };
    enum chunks_step got = CHUNKS_MORE;
    *sum = 0;
    for (*end = 0; *end < size;) {
        size_t most = size - *end < step ? size - *end : step;
        size_t used = 0, len = 0;
        const char *piece = NULL;
        got = http_chunks_next(&chunks, data + *end, most, &used, &piece, &len);
        if (used == 0 || used > most || (got == CHUNKS_PIECE && len > used))
            abort();
        for (size_t i = 0; got == CHUNKS_PIECE && i < len; i++)
            *sum = *sum * 31 + (unsigned char)piece[i] + 1;
        *end += used;
        if (got == CHUNKS_END || got == CHUNKS_MALFORMED)
            return got;
    }
    return CHUNKS_MORE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1;
    if (data[0] % 2 == 0) {
        check_head(text, size - 1);
        return 0;
    }
    uint64_t sum, sum_in_pieces;
    size_t end, end_in_pieces;
    enum chunks_step whole = decode(text, size - 1, size, &sum, &end);
    enum chunks_step pieces = decode(text, size - 1, 1, &sum_in_pieces, &end_in_pieces);
    if (whole != pieces || sum != sum_in_pieces || end != end_in_pieces)
        abort();
    return 0;
}
