/* SPDX-License-Identifier: MIT */
/*
 * json_canonical - RFC 8785: members sorted, otherwise as the writer writes.
 */
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "json/json_pool.h"

/* UTF-16 order is the order of the bytes of UTF-8, but for one thing: what lies beyond U+FFFF (leading
 * byte F0 and up) is written with surrogates and so comes before U+E000 to U+FFFF (EE, EF). */
static int
rank(unsigned char byte)
{
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
}

static int
compare_names(const void *left, const void *right)
{
    const unsigned char *a = (const unsigned char *)(*(const cJSON *const *)left)->string;
    const unsigned char *b = (const unsigned char *)(*(const cJSON *const *)right)->string;

    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

size_t
json_sorted(const cJSON *object, const cJSON ***out)
{
    size_t count = 0;
    size_t at = 0;

    for (const cJSON *child = object->child; child; child = child->next)
        count++;
    *out = NULL;
    if (count == 0)
        return 0;
    /* cJSON's allocator, because it never returns NULL. */
    *out = json_alloc(count * sizeof(**out));
    for (const cJSON *child = object->child; child; child = child->next)
        (*out)[at++] = child;
    qsort(*out, count, sizeof(**out), compare_names);
    return count;
}

static bool
is_skipped(const char *const *skip, const char *name)
{
    for (; skip && *skip; skip++)
        if (strcmp(*skip, name) == 0)
            return true;
    return false;
}

/* The recursion ends at the writer's depth. */
static void
put_sorted(struct json_writer *w, const char *name, const cJSON *doc, const char *const *skip)
{
    if (cJSON_IsArray(doc)) {
        json_array(w, name);
        for (const cJSON *child = doc->child; child && !w->broken; child = child->next)
            put_sorted(w, NULL, child, NULL);
        json_close(w);
        return;
    }
    if (!cJSON_IsObject(doc)) {
        json_put_doc(w, name, doc);
        return;
    }

    const cJSON **members;
    size_t count = json_sorted(doc, &members);

    json_object(w, name);
    for (size_t i = 0; i < count && !w->broken; i++)
        if (!is_skipped(skip, members[i]->string))
            put_sorted(w, members[i]->string, members[i], NULL);
    json_close(w);
    free(members);
}

enum rc
json_canonical(const cJSON *doc, const char *const *skip, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    w.canonical = true;
    put_sorted(&w, NULL, doc, skip);
    return json_end(&w);
}
