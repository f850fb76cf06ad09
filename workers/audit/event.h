/* SPDX-License-Identifier: MIT */
/*
 * event - from a call to a leaf: the canonical bytes of an audit event and what is searched by.
 *
 * Shape:   RFC 8785 JSON, written with its members in order. Each event has a nonce of 16 random
 *          bytes, so that no leaf hash can be guessed, and the time of recording, which never goes
 *          backwards along the log.
 * Errors:  RC_LIMIT  the arena is used up
 * Source:  issue of the audit log, point 1; docs/audit.md
 */
#ifndef GANTRY_AUDIT_EVENT_H
#define GANTRY_AUDIT_EVENT_H

#include <stdint.h>

#include "audit.h"

enum leaf_kind { LEAF_REQUEST, LEAF_EVENT, LEAF_PRUNE, LEAF_CORRECTION };

#define EVENT_MAX (256u << 10) /* bytes of one event; a payload may be 64 KiB, escaped */
#define NONCE_LEN 16

/* The members of an event as it is reported, in the order in which audit_event.c writes them. */
enum request_field {
    FIELD_EVENT_ID,
    FIELD_ACTOR_TYPE,
    FIELD_KEY_ID,
    FIELD_REQUEST_ID,
    FIELD_ACTION,
    FIELD_TARGET,
    FIELD_DECISION,
    FIELD_STATUS,
    FIELD_HTTP_STATUS,
    FIELD_ERROR_REASON,
    FIELD_DURATION,
    FIELD_IDEMPOTENCY,
    FIELD_PARAMS,
    FIELD_PREFIX,
    FIELD_REGION,
    FIELD_CLIENT,
    FIELD_TIME,
    FIELD_ITEMS,
    FIELD_POLICY,
    FIELD_TRACE, /* "count" */
    FIELD_COUNT
};

/* Strings are borrowed from the call or its arena. */
struct leaf {
    enum leaf_kind kind;
    struct call *call;     /* NULL for LEAF_PRUNE */
    bool reported;         /* a LEAF_REQUEST from its settler; else it is an append's own */
    bool announced;        /* no leaf yet: kept until its end comes (announced.h) */
    const cJSON *body;     /* of a reported one: borrowed from the call */
    bool verdict;          /* its end did not come */
    const uint8_t *sealed; /* of an announced one, once built */
    size_t sealed_len;
    const cJSON *fields[FIELD_COUNT]; /* of a reported one; NULL = absent */
    const char *workspace, *event_id;
    const char *actor, *action, *status; /* NULL = unknown */
    enum problem_code problem;           /* the refusal of an append; PROBLEM_COUNT = none */
    int64_t time_ms;
    uint8_t nonce[NONCE_LEN]; /* the caller's: random */
    /* Filled in by event_build(). */
    const char *event;
    size_t len;
    uint8_t hash[HASH_LEN];
    /* Filled in by append. */
    bool known; /* was in the log before; index and hash are those */
    uint64_t index;
    uint64_t corrects; /* LEAF_CORRECTION: the index of the leaf that said unknown */
};

/* What a prune leaf states: events of leaves below up_to, recorded before before_ms, may go. */
struct prune {
    uint64_t up_to;
    int64_t before_ms, retention_ms;
};

const char *leaf_kind_name(enum leaf_kind kind);

/* The leaf of an event in an audit.request call, and the two of an audit.append call. */
void leaf_of_request(struct call *call, const cJSON *body, struct leaf *out);
void leaf_of_event(struct call *call, struct leaf *out);
void leaf_of_append(struct call *call, enum problem_code problem, struct leaf *out);

/* Write the leaf's event into scratch (of EVENT_MAX), hash it, keep a copy in mem. prune only for
 * LEAF_PRUNE. */
enum rc event_build(const struct audit *audit, struct leaf *leaf, const struct prune *prune,
                    int64_t recorded_ms, struct buf *scratch, struct arena *mem);

#endif
