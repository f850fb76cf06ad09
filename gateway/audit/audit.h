/* SPDX-License-Identifier: MIT */
/*
 * audit - the audit events of requests that never became a command.
 *
 * close_audit() is the last stage of every request, with its answer complete and held back until
 * AUDIT has acknowledged the event. Who settles a command or a query audits it; the gateway writes
 * an event of its own when nobody else has, and, where it cannot know (a query that ran out of
 * time), under the same event id, so that the log keeps one. Without a valid key a request is only
 * counted (refusals.h).
 *
 * Fail closed: an event that AUDIT did not take makes the answer a 503, is kept and sent again
 * until it is taken, and as long as any waits, every route with a key answers 503 and the gateway
 * is not ready.
 *
 * Source: architecture, decision 9; contract 4.1 and 7.3
 */
#ifndef GANTRY_GATEWAY_AUDIT_AUDIT_H
#define GANTRY_GATEWAY_AUDIT_AUDIT_H

#include "protocol/audit_event.h"
#include "requests/request.h"

struct audit;

enum rc audit_open(struct gateway *gw, struct audit **out, struct err *err);
/* Before the connections are closed: send what is counted and wait, for a bounded time, until nothing
 * is under way. What AUDIT does not take then is lost with the process, and logged. */
void audit_settle(struct audit *audit);
/* After the connections are closed: their callbacks use it. */
void audit_close(struct audit *audit);
/* A NATS login without a valid key is counted like a request without one. */
void audit_count_login(struct audit *audit, const char *client);
/* A request that was refused without a valid key, or a valid signature, of a route that needs no key. */
void audit_count_refusal(const struct request *r);
/* False while events wait that AUDIT has not taken. */
bool audit_healthy(const struct audit *audit);

typedef void audit_taken_fn(void *arg, enum rc rc);

/* Publish an event. RC_OK: taken (NULL = nobody waits) is called once, later: with RC_OK; with
 * RC_TEMP when it was not acknowledged in time, it is then kept and sent again; with RC_LIMIT when
 * the workspace's share of the stream is full, it is then kept only if it tells of a success.
 * RC_TEMP: it could not even be sent and is kept. RC_LIMIT: too many wait already, it was not kept. */
enum rc audit_send(struct audit *audit, const char *workspace,
                   const struct audit_request_event *event, audit_taken_fn *taken, void *arg);

#endif
