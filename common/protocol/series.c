/* SPDX-License-Identifier: MIT */
#include "series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
stage_name(enum stage stage)
{
    static const char *const NAMES[] = {
#define STAGE_TEXT(stage, name) [stage] = (name),
        STAGE_TABLE(STAGE_TEXT)
#undef STAGE_TEXT
    };
    return NAMES[stage];
}

struct histogram *
series_find(struct series_set *set, enum family family, const char *first, const char *second)
{
    for (size_t i = 0; i < set->count; i++) {
        struct series *row = set->rows[i];
        if (row->family == family && strcmp(row->labels[0], first) == 0 &&
            strcmp(row->labels[1], second) == 0)
            return &row->histogram;
    }
    struct series *row = set->count < SERIES_MAX ? calloc(1, sizeof(*row)) : NULL;
    if (!row)
        return NULL;
    row->family = family;
    (void)snprintf(row->labels[0], SERIES_LABEL_MAX, "%s", first);
    (void)snprintf(row->labels[1], SERIES_LABEL_MAX, "%s", second);
    set->rows[set->count++] = row;
    return &row->histogram;
}

void
series_free(struct series_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        histogram_fini(&set->rows[i]->histogram);
        free(set->rows[i]);
    }
    set->count = 0;
}
