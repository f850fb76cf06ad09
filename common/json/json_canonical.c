/* SPDX-License-Identifier: MIT */
/*
 * json_canonical - RFC 8785: members sorted, otherwise as the writer writes.
 */
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

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
