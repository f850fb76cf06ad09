/* SPDX-License-Identifier: MIT */
/*
 * gcra - rate limits: the generic cell rate algorithm, and a bounded table of buckets by name.
 *
 * A bucket of `limit` requests fills at `limit` a minute; its state is one time (when it will be
 * full again).
 *
 * Units:   *_us microseconds, on any clock that does not go back
 * Source:  GCRA (ITU-T I.371)
 */
#ifndef GANTRY_BASE_GCRA_H
#define GANTRY_BASE_GCRA_H

#include <stdint.h>

#include "base/rc.h"

#define GCRA_NAME_MAX 80 /* bytes with the NUL */

struct gcra_bucket {
    int64_t interval_us; /* of one request */
    int64_t burst;
};

struct gcra_state {
    int64_t left;
    int64_t full_us; /* until the bucket is full again */
};

struct gcra_bucket gcra_bucket(int64_t per_minute);
/* One step: 0 and *tat_us moved, or how long to wait. */
int64_t gcra_take(int64_t *tat_us, int64_t now_us, const struct gcra_bucket *bucket,
                  struct gcra_state *state);

/* A table for limiting within one process: a fixed number of names, the one that has been full the
 * longest makes room. */
struct gcra_table;
enum rc gcra_table_new(struct gcra_table **out, struct err *err);
void gcra_table_free(struct gcra_table *table);
/* The time of a name, to be given to gcra_take(); valid until the next call. */
int64_t *gcra_table_find(struct gcra_table *table, const char *name);

#endif
