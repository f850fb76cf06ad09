/* SPDX-License-Identifier: MIT */
/*
 * telling - the audit log hears that a webhook was disabled, and then those who listen to GET /ai/events.
 *
 * The id of the event is in the webhook's row until AUDIT has taken it, so whatever dies, it is told: the log
 * once, since the id is the same, listeners perhaps twice.
 *
 * Threads: the loop's
 */
#ifndef GANTRY_CONNECTOR_WEBHOOKS_TELLING_H
#define GANTRY_CONNECTOR_WEBHOOKS_TELLING_H

#include "jobs/connector.h"

struct tellings {
    struct connector *c; /* borrowed */
    unsigned under_way;  /* audit events */
};
void tellings_tick(struct tellings *all); /* each second */

#endif
