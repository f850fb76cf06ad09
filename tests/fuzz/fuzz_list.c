/* SPDX-License-Identifier: MIT */
/*
 * fuzz_list - lists of commands: what is taken off one, put together again, is the same text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "protocol/command_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(free) char *text = malloc(size + 1);
    AUTO(buf) struct buf again = { 0 };
    struct list_item item;
    struct err err;
    size_t count, seen = 0, left = size;
    if (!text)
        return 0;
    memcpy(text, data, size);
    buf_init(&again, 4 * (size_t)COMMAND_LIST_BYTES);
    const char *at = text;
    if (command_list_check(text, size, &count, &err) != RC_OK)
        return 0;
    for (; command_list_next(&at, &left, &item) == RC_OK; seen++)
        command_list_add(&again, &item);
    if (seen != count || left != 0)
        abort();
    /* but for zeros before a length */
    if (!buf_failed(&again) &&
        (again.len > size || (again.len == size && memcmp(again.data, text, size) != 0)))
        abort();
    return 0;
}
