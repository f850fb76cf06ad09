/* SPDX-License-Identifier: MIT */
/*
 * rest - when what searches left in malloc's hands is given back to the system.
 *
 * Asked once a second. Due in the first second without a search after REST_SEARCHES of them: what one
 * search leaves is little, and the next ones need it again.
 */
#ifndef GANTRY_SEARCH_REST_H
#define GANTRY_SEARCH_REST_H

#include <stdbool.h>
#include <stdint.h>

#define REST_SEARCHES 1000

struct rest {
    uint64_t seen, given_back; /* searches until the last second; when it was due last */
};

static inline bool
rest_is_due(struct rest *rest, uint64_t searches)
{
    bool quiet = searches == rest->seen;
    rest->seen = searches;
    if (!quiet || searches - rest->given_back < REST_SEARCHES)
        return false;
    rest->given_back = searches;
    return true;
}

#endif
