/* SPDX-License-Identifier: MIT */
#include "base/gcra.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

#define MINUTE_US 60000000
#define SLOTS     8192
#define PROBES    8

struct slot {
    char name[GCRA_NAME_MAX];
    int64_t tat_us;
};

struct gcra_table {
    struct slot slots[SLOTS];
};

struct gcra_bucket
gcra_bucket(int64_t per_minute)
{
    int64_t interval_us = per_minute ? MINUTE_US / per_minute : 0;
    return (struct gcra_bucket){ .interval_us = interval_us ? interval_us : 1,
                                 .burst = per_minute };
}

int64_t
gcra_take(int64_t *tat_us, int64_t now_us, const struct gcra_bucket *bucket,
          struct gcra_state *state)
{
    int64_t tat_new = *tat_us > now_us ? *tat_us : now_us;
    int64_t wait_us = tat_new + bucket->interval_us - bucket->interval_us * bucket->burst - now_us;
    if (wait_us <= 0) {
        wait_us = 0;
        tat_new += bucket->interval_us;
        *tat_us = tat_new;
    }
    state->full_us = tat_new - now_us;
    state->left = (bucket->interval_us * bucket->burst - state->full_us) / bucket->interval_us;
    return wait_us;
}

enum rc
gcra_table_new(struct gcra_table **out, struct err *err)
{
    struct gcra_table *table = calloc(1, sizeof(*table));
    if (!table)
        return err_set(err, RC_TEMP, "no memory for rate limits");
    *out = table;
    return RC_OK;
}

void
gcra_table_free(struct gcra_table *table)
{
    free(table);
}

int64_t *
gcra_table_find(struct gcra_table *table, const char *name)
{
    uint32_t h = fnv32_text(name);
    struct slot *oldest = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        struct slot *slot = &table->slots[(h + i) % SLOTS];
        if (strcmp(slot->name, name) == 0)
            return &slot->tat_us;
        if (!oldest || slot->tat_us < oldest->tat_us)
            oldest = slot;
    }
    (void)strlcpy(oldest->name, name, sizeof(oldest->name));
    oldest->tat_us = 0;
    return &oldest->tat_us;
}
