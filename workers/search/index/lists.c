/* SPDX-License-Identifier: MIT */
/*
 * lists - the lists by key; a list that has no row is freed, and its number used again.
 */
#include "collection_own.h"

static uint64_t
hash_key(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 32;
}

static uint64_t
hash_of(const void *context, uint32_t number)
{
    const struct collection *c = context;
    return hash_key(c->lists[number].key);
}

uint32_t
list_find(const struct collection *c, uint64_t key)
{
    const struct table *t = &c->by_key;

    if (!t->mask)
        return NONE;
    for (uint32_t at = (uint32_t)hash_key(key) & t->mask; t->slots[at]; at = (at + 1) & t->mask)
        if (c->lists[t->slots[at] - 1].key == key)
            return t->slots[at] - 1;
    return NONE;
}

void
list_prefetch(const struct collection *c, uint64_t key)
{
    if (c->by_key.mask)
        __builtin_prefetch(&c->by_key.slots[(uint32_t)hash_key(key) & c->by_key.mask]);
}

/* What the key's slot names, which is mostly the key's list. */
static const struct list *
guess_list(const struct collection *c, uint64_t key)
{
    uint32_t slot = c->by_key.mask ? c->by_key.slots[(uint32_t)hash_key(key) & c->by_key.mask] : 0;

    return slot ? &c->lists[slot - 1] : NULL;
}

void
list_prefetch_rows(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);

    if (list)
        __builtin_prefetch(list);
}

void
list_prefetch_block(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);

    if (list && list->blocks > 0)
        __builtin_prefetch(&list->at[list->blocks - 1]);
}

void
list_prefetch_last(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);
    const struct block *last = list && list->blocks > 0 ? &list->at[list->blocks - 1] : NULL;

    if (last && last->form == BLOCK_NARROW)
        __builtin_prefetch(&last->narrow[last->n - 1], 1);
    else if (last && last->form == BLOCK_WIDE)
        __builtin_prefetch(&last->wide[last->n - 1], 1);
}

static uint32_t
make_list(struct collection *c, uint64_t key)
{
    uint32_t number = c->free_list;

    if (!table_reserve(&c->memory, &c->by_key, hash_of, c))
        return NONE;
    if (number != NONE) {
        c->free_list = c->lists[number].next_free;
    } else {
        if (c->list_count == c->list_cap &&
            !memory_grow(&c->memory, &c->lists, sizeof(*c->lists), &c->list_cap))
            return NONE;
        number = c->list_count++;
    }
    c->lists[number] = (struct list){ .key = key };
    table_add(&c->by_key, hash_key(key), number);
    return number;
}

uint32_t
list_add(struct collection *c, uint64_t key, uint32_t row, uint32_t occurrences)
{
    uint32_t number = list_find(c, key);

    if (number == NONE && (number = make_list(c, key)) == NONE)
        return NONE;
    if (!postings_put(c, &c->lists[number], row, occurrences))
        return NONE; /* a list that exists has rows: one that is new has room */
    return number;
}

static void
free_list(struct collection *c, uint32_t number)
{
    struct list *list = &c->lists[number];

    table_remove(&c->by_key, hash_of, c, number);
    postings_free(&c->memory, list);
    *list = (struct list){ .next_free = c->free_list };
    c->free_list = number;
}

void
list_remove(struct collection *c, uint32_t number, uint32_t row)
{
    struct list *list = &c->lists[number];

    if (list->rows > 1)
        postings_remove(c, list, row);
    else
        free_list(c, number);
}

void
lists_fini(struct collection *c)
{
    for (uint32_t i = 0; i < c->list_count; i++)
        if (c->lists[i].rows > 0)
            postings_free(&c->memory, &c->lists[i]);
    memory_free(&c->memory, c->lists);
    memory_free(&c->memory, c->by_key.slots);
}
