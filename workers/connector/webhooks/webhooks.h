/* SPDX-License-Identifier: MIT */
/*
 * webhooks - events of a workspace, delivered to servers of others: subscriptions, and who sends.
 *
 * Theory of operation. The audit log is the source: each second webhook_collect() makes deliveries of what is
 * behind each subscription's cursor, and webhook_claim() leases those that are due, with the attempt already
 * counted. Each is sent on a thread of its own and settled by its claim's number, which never comes again. After
 * a crash the lease runs out and the delivery is sent again: at least once, with the same webhook-id. All of it
 * is in PostgreSQL (sql/migrations/0120_webhooks.sql); docs/webhooks.md says what a receiver sees.
 *
 * Threads: the loop's, but for the sending
 */
#ifndef GANTRY_CONNECTOR_WEBHOOKS_WEBHOOKS_H
#define GANTRY_CONNECTOR_WEBHOOKS_WEBHOOKS_H

#include "jobs/connector.h"

#define WEBHOOKS_MAX 20 /* of a workspace */
#define WEBHOOK_PENDING_MAX                                                                        \
    1000 /* deliveries of one webhook that wait; what is behind waits in the log */
#define WEBHOOK_ENDED_MAX   1000 /* deliveries of one webhook that ended and are still listed … */
#define WEBHOOK_ENDED_DAYS  7    /* … for so long */
#define WEBHOOK_RETRIES_MAX 32
#define WEBHOOK_ANSWER_MAX  65536 /* bytes; a longer answer is a failure */
#define WEBHOOK_CONNECT_MS  5000
#define WEBHOOK_HEAD_MS     15000
#define WEBHOOK_TOTAL_MS    20000
#define WEBHOOK_LEASE_S     60    /* longer than a delivery takes */
#define WEBHOOK_WAIT_MAX_S  86400 /* of a Retry-After */

struct dispatch;

/* RC_CONFIG: WEBHOOK_RETRIES is no list of seconds. */
enum rc dispatch_new(struct connector *c, struct dispatch **out, struct err *err);
void dispatch_free(struct dispatch *dispatch); /* stops what is being sent; NULL is fine */
void dispatch_tick(struct dispatch *dispatch); /* each second */

/* subscriptions.c */
void webhooks_create_start(struct worker *w, struct call *call);
void webhooks_list_start(struct worker *w, struct call *call);
void webhooks_get_start(struct worker *w, struct call *call);
void webhooks_change_start(struct worker *w, struct call *call);
void webhooks_delete_start(struct worker *w, struct call *call);
void webhooks_rotate_start(struct worker *w, struct call *call);
/* deliveries.c */
void webhooks_test_start(struct worker *w, struct call *call);
void webhooks_deliveries_start(struct worker *w, struct call *call);
void webhooks_replay_start(struct worker *w, struct call *call);

#define WEBHOOK_NOUN "webhook"
extern const struct store_kind WEBHOOKS; /* subscriptions.c */

#endif
