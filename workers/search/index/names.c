/* SPDX-License-Identifier: MIT */
/*
 * names - the texts of scopes, sources and tags, each once, counted by use.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "collection_own.h"

/* Whoever makes texts collide slows his own workspace. */
static uint64_t
hash_text(enum facet kind, const char *text)
{
    return fnv64_fold(fnv64(fnv64_add(FNV64, (uint64_t)kind), text, strlen(text)));
}

static uint64_t
hash_of(const void *context, uint32_t number)
{
    const struct collection *c = context;
    const char *text = c->names[number].text;

    return hash_text((enum facet)text[0], text + 1);
}

uint32_t
name_find(const struct collection *c, enum facet kind, const char *text)
{
    const struct table *t = &c->by_name;

    if (!t->mask)
        return NONE;
    for (uint32_t at = (uint32_t)hash_text(kind, text) & t->mask; t->slots[at];
         at = (at + 1) & t->mask) {
        const char *have = c->names[t->slots[at] - 1].text;
        if (have[0] == (char)kind && strcmp(have + 1, text) == 0)
            return t->slots[at] - 1;
    }
    return NONE;
}

static uint32_t
make(struct collection *c, enum facet kind, const char *text)
{
    size_t len = strlen(text);
    char *copy;
    uint32_t number = c->free_name;

    if (!table_reserve(&c->memory, &c->by_name, hash_of, c))
        return NONE;
    if (number == NONE && c->name_count == c->name_cap &&
        !memory_grow(&c->memory, &c->names, sizeof(*c->names), &c->name_cap))
        return NONE;
    copy = memory_resize(&c->memory, NULL, len + 2);
    if (!copy)
        return NONE;
    copy[0] = (char)kind;
    memcpy(copy + 1, text, len + 1);
    if (number == NONE)
        number = c->name_count++;
    else
        c->free_name = c->names[number].next_free;
    c->names[number] = (struct name){ .text = copy };
    table_add(&c->by_name, hash_text(kind, text), number);
    return number;
}

uint32_t
name_take(struct collection *c, enum facet kind, const char *text)
{
    uint32_t number = name_find(c, kind, text);

    if (number == NONE)
        number = make(c, kind, text);
    if (number != NONE)
        c->names[number].refs++;
    return number;
}

void
name_drop(struct collection *c, uint32_t number)
{
    struct name *name = &c->names[number];

    if (--name->refs > 0)
        return;
    table_remove(&c->by_name, hash_of, c, number);
    memory_free(&c->memory, name->text);
    *name = (struct name){ .next_free = c->free_name };
    c->free_name = number;
}

void
names_fini(struct collection *c)
{
    for (uint32_t i = 0; i < c->name_count; i++)
        memory_free(&c->memory, c->names[i].text);
    memory_free(&c->memory, c->names);
    memory_free(&c->memory, c->by_name.slots);
}
