/* SPDX-License-Identifier: MIT */
/*
 * audit_own - what audit.c and audit_send.c share.
 */
#ifndef GANTRY_GATEWAY_AUDIT_AUDIT_OWN_H
#define GANTRY_GATEWAY_AUDIT_AUDIT_OWN_H

#include <sys/queue.h>

#include "audit/audit.h"
#include "audit/refusals.h"
#include "base/loop.h"
#include "kv/kv.h"

#define AUDIT_LATE_MAX 4096 /* events that wait to be sent again */

STAILQ_HEAD(audit_out_list, audit_out);
STAILQ_HEAD(sending_list, sending);

struct audit {
    struct gateway *gw; /* borrowed */
    struct refusals refusals;
    struct loop_timer *flush_timer; /* owned */
    struct loop_timer *again_timer; /* owned */
    struct audit_out_list again;    /* owned: not taken yet, waiting for the timer */
    size_t n_kept;                  /* not taken yet, waiting or under way */
    size_t n_late;                  /* of these, for any reason but a full share */
    size_t n_out;                   /* events and counts that wait for an answer */
    size_t n_stored;                /* counts in Redis since AUDIT took one */
    struct sending_list unsure;     /* owned: counts that Redis may have, but did not acknowledge */
    size_t n_unsure;                /* these, waiting or under way */
};

void audit_send_again(void *audit);
void audit_drop_kept(struct audit *audit);
/* refusals_send.c. Put a count where it outlives us, as this event, and free its row; false when
 * Redis takes none: the row is left alone. Publish what is there. */
bool refusals_store(struct audit *audit, const char *workspace,
                    const struct audit_request_event *event, struct refusal *row);
void refusals_send(struct audit *audit);
/* Send what Redis did not acknowledge under the same ids: to AUDIT if it takes events, else to Redis. */
void refusals_again(struct audit *audit, bool taken);
void refusals_drop(struct audit *audit);
void refusals_ignore(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);

#endif
