/* SPDX-License-Identifier: MIT */
/*
 * audit_own - what audit.c and audit_send.c share.
 */
#ifndef GATEWAY_AUDIT_OWN_H
#define GATEWAY_AUDIT_OWN_H

#include "audit/audit.h"
#include "audit/refusals.h"
#include "base/loop.h"

#define AUDIT_LATE_MAX 4096 /* events that wait to be sent again */

struct audit_out;

struct audit {
    struct gateway *gw; /* borrowed */
    struct refusals refusals;
    struct loop_timer *flush_timer; /* owned */
    struct loop_timer *again_timer; /* owned */
    struct audit_out *again;        /* owned: not taken yet, waiting for the timer */
    size_t n_kept;                  /* not taken yet, waiting or under way */
    size_t n_late;                  /* of these, for any reason but a full share */
};

void audit_send_again(void *audit);
void audit_drop_late(struct audit *audit);

#endif
