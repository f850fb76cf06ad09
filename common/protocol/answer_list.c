/* SPDX-License-Identifier: MIT */
#include "protocol/answer_list.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 12 /* bytes with the NUL */

void
answer_list_add(struct buf *out, const struct listed_answer *answer)
{
    buf_printf(out, "%s %d %s %zu\n", answer->id, answer->status,
               answer->code[0] ? answer->code : "-", answer->len);
    buf_add(out, answer->body, answer->len);
    buf_putc(out, '\n');
}

/* Up to the mark, which is taken too. */
static enum rc
take(const char **text, size_t *left, char mark, char *out, size_t size)
{
    const char *end = memchr(*text, mark, *left < size ? *left : size);
    if (!end || end == *text)
        return RC_CORRUPT;
    size_t len = (size_t)(end - *text);
    memcpy(out, *text, len);
    out[len] = '\0';
    *text += len + 1;
    *left -= len + 1;
    return RC_OK;
}

static enum rc
take_number(const char **text, size_t *left, char mark, size_t *out)
{
    char digits[NUMBER_MAX];
    enum rc rc = take(text, left, mark, digits, sizeof(digits));
    if (rc != RC_OK || strspn(digits, "0123456789") != strlen(digits))
        return RC_CORRUPT;
    *out = (size_t)strtoull(digits, NULL, 10);
    return RC_OK;
}

enum rc
answer_list_next(const char **text, size_t *left, struct listed_answer *out)
{
    char id[ID_TEXT_MAX];
    size_t status = 0;
    enum rc rc = take(text, left, ' ', id, sizeof(id));
    if (rc == RC_OK)
        rc = id_parse(id, strlen(id), out->id);
    if (rc == RC_OK)
        rc = take_number(text, left, ' ', &status);
    if (rc == RC_OK)
        rc = take(text, left, ' ', out->code, sizeof(out->code));
    if (rc == RC_OK)
        rc = take_number(text, left, '\n', &out->len);
    if (rc != RC_OK || status < 100 || status > 599 || out->len >= *left ||
        (*text)[out->len] != '\n')
        return RC_CORRUPT;
    if (strcmp(out->code, "-") == 0)
        out->code[0] = '\0';
    out->status = (int)status;
    out->body = *text;
    *text += out->len + 1;
    *left -= out->len + 1;
    return RC_OK;
}
