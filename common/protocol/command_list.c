/* SPDX-License-Identifier: MIT */
#include "protocol/command_list.h"

#include <string.h>

#define LENGTH_MAX 8 /* digits */

size_t
command_list_size(const struct list_item *item)
{
    return strlen(item->msg_id) + strlen(item->claim) + strlen(item->parent) + strlen(item->state) +
           LENGTH_MAX + item->len + sizeof("    \n\n");
}

void
command_list_add(struct buf *out, const struct list_item *item)
{
    buf_printf(out, "%s %s %s %zu %s\n", item->msg_id, item->claim, item->parent, item->len,
               item->state);
    buf_add(out, item->payload, item->len);
    buf_putc(out, '\n');
}

/* Printable ASCII up to the mark, which is taken too; with spaces only before a line feed. */
static enum rc
take(const char **text, size_t *left, char mark, char *out, size_t size)
{
    const char *end = memchr(*text, mark, *left < size ? *left : size);
    if (!end)
        return RC_CORRUPT;
    size_t len = (size_t)(end - *text);
    for (size_t i = 0; i < len; i++)
        if ((*text)[i] < ' ' || (*text)[i] > '~')
            return RC_CORRUPT;
    memcpy(out, *text, len);
    out[len] = '\0';
    *text += len + 1;
    *left -= len + 1;
    return len || mark == '\n' ? RC_OK : RC_CORRUPT;
}

static enum rc
take_length(const char **text, size_t *left, size_t *len)
{
    size_t digits = 0, value = 0;
    for (; digits < *left && (*text)[digits] >= '0' && (*text)[digits] <= '9'; digits++) {
        if (digits == LENGTH_MAX)
            return RC_CORRUPT;
        value = value * 10 + (size_t)((*text)[digits] - '0');
    }
    if (digits == 0 || digits == *left || (*text)[digits] != ' ')
        return RC_CORRUPT;
    *text += digits + 1;
    *left -= digits + 1;
    *len = value;
    return RC_OK;
}

enum rc
command_list_next(const char **text, size_t *left, struct list_item *out)
{
    enum rc rc = take(text, left, ' ', out->msg_id, sizeof(out->msg_id));
    if (rc == RC_OK)
        rc = take(text, left, ' ', out->claim, sizeof(out->claim));
    if (rc == RC_OK)
        rc = take(text, left, ' ', out->parent, sizeof(out->parent));
    if (rc == RC_OK)
        rc = take_length(text, left, &out->len);
    if (rc == RC_OK)
        rc = take(text, left, '\n', out->state, sizeof(out->state));
    if (rc != RC_OK || out->len >= *left || (*text)[out->len] != '\n')
        return RC_CORRUPT;
    out->payload = *text;
    *text += out->len + 1;
    *left -= out->len + 1;
    return RC_OK;
}

enum rc
command_list_check(const char *text, size_t len, size_t *count, struct err *err)
{
    struct list_item item;
    size_t left = len;
    *count = 0;
    if (len > COMMAND_LIST_BYTES)
        return err_set(err, RC_CORRUPT, "a list of commands of %zu bytes: at most %u", len,
                       COMMAND_LIST_BYTES);
    while (left > 0) {
        if (++*count > COMMAND_LIST_MAX)
            return err_set(err, RC_CORRUPT, "a list of more than %d commands", COMMAND_LIST_MAX);
        if (command_list_next(&text, &left, &item) != RC_OK)
            return err_set(err, RC_CORRUPT, "command %zu of a list is malformed", *count);
    }
    return *count ? RC_OK : err_set(err, RC_CORRUPT, "a list without commands");
}
