/* SPDX-License-Identifier: MIT */
/*
 * refusals - requests that are counted in the audit log instead of each having an event.
 *
 * One event per reason, route and client address for each 10 s, with the count: those without a
 * valid key, and those refused because the audit log itself could not be reached. The table is
 * bounded; what finds no room is counted by reason and route, then by reason, for no address.
 *
 * Source: contract 7.3
 */
#ifndef GANTRY_GATEWAY_AUDIT_REFUSALS_H
#define GANTRY_GATEWAY_AUDIT_REFUSALS_H

#include <stdint.h>

#include "requests/request.h"

#define REFUSALS_MAX      128 /* rows */
#define REFUSALS_EVERY_MS 10000

struct refusal {
    uint64_t count; /* 0 = the row is free */
    int64_t first_ms;
    int status;
    const char *code; /* static */
    char action[96];
    char client[HTTP_CLIENT_MAX];
    char workspace[WORKSPACE_TEXT_MAX]; /* "" = no valid key */
    char key_id[KEY_ID_LEN + 1];
};

struct refusals {
    struct refusal rows[REFUSALS_MAX];
};

void refusals_count(struct refusals *refusals, const struct request *r);
/* A NATS login without a valid key. */
void refusals_count_login(struct refusals *refusals, const char *client);

#endif
