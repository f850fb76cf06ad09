/* SPDX-License-Identifier: MIT */
/*
 * schema_nulls - what many clients write for "not given".
 */
#include <string.h>

#include "validate/schema_own.h"

static const struct schema_property *
find_property(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_properties; i++)
        if (strcmp(s->properties[i].name, name) == 0)
            return &s->properties[i];
    return NULL;
}

static bool
means_absent(const struct schema_property *property, const cJSON *value)
{
    const cJSON *one;

    if (!cJSON_IsNull(value) || property->required || !property->node)
        return false;
    cJSON_ArrayForEach (one, property->node->values)
        if (cJSON_IsNull(one))
            return false;
    return property->node->types ? !(property->node->types & SCHEMA_NULL)
                                 : property->node->values != NULL;
}

static void
drop_members(const struct schema *s, cJSON *object)
{
    cJSON *next;

    for (cJSON *one = object->child; one; one = next) {
        next = one->next;
        if (!one->child && !cJSON_IsNull(one))
            continue;
        const struct schema_property *property = find_property(s, one->string);
        if (property && means_absent(property, one))
            cJSON_Delete(cJSON_DetachItemViaPointer(object, one));
        else
            schema_drop_nulls(property ? property->node : s->additional_node, one);
    }
}

/* Recursion: no deeper than the schema and the document, which json_read() bounds. */
void
schema_drop_nulls(const struct schema *s, cJSON *doc)
{
    if (s && cJSON_IsObject(doc))
        drop_members(s, doc);
    for (cJSON *one = s && cJSON_IsArray(doc) ? doc->child : NULL; one; one = one->next)
        schema_drop_nulls(s->items, one);
}
