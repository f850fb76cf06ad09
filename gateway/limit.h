/* SPDX-License-Identifier: MIT */
/*
 * limit - rate limits per workspace and per key: GCRA, in Redis, or here while Redis is away.
 *
 * A bucket of `limit` requests fills at `limit` a minute. The script takes from all buckets of a
 * request or from none. Without Redis every gateway limits on its own: never open, never shut.
 *
 * Units:   *_us microseconds
 * Source:  GCRA (ITU-T I.371); draft-ietf-httpapi-ratelimit-headers-10
 */
#ifndef GATEWAY_LIMIT_H
#define GATEWAY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"

struct limiter;
struct settings;

struct limit_bucket {
    int64_t interval_us; /* of one request */
    int64_t burst;
};

struct limit_state {
    int64_t left;
    int64_t full_us; /* until the bucket is full again */
};

struct limit_bucket limit_bucket(int64_t per_minute);
/* One step of GCRA: 0 and *tat_us moved, or how long to wait. */
int64_t limit_take(int64_t *tat_us, int64_t now_us, const struct limit_bucket *bucket,
                   struct limit_state *state);

enum rc limiter_new(struct limiter **out, struct err *err);
void limiter_free(struct limiter *limiter);

#endif
