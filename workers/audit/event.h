/* SPDX-License-Identifier: MIT */
/*
 * event - from a job to a leaf: the canonical bytes of an audit event and what is searched by.
 *
 * Shape:   RFC 8785 JSON, written with its members in order. Each event has a nonce of 16 random
 *          bytes, so that no leaf hash can be guessed, and the time of recording, which never goes
 *          backwards along the log.
 * Errors:  RC_LIMIT  the arena is used up
 * Source:  issue of the audit log, point 1; docs/audit.md
 */
#ifndef GANTRY_AUDIT_EVENT_BUILD_H
#define GANTRY_AUDIT_EVENT_BUILD_H

#include <stdint.h>

#include "audit.h"

enum leaf_kind { LEAF_REQUEST, LEAF_EVENT, LEAF_PRUNE };

/* Strings are borrowed from the job or its arena. */
struct leaf {
    enum leaf_kind kind;
    struct job *job;   /* NULL for LEAF_PRUNE */
    const cJSON *body; /* of LEAF_REQUEST: the event as reported; NULL = an append's own */
    const char *workspace, *event_id;
    const char *actor, *action, *status; /* NULL = unknown */
    enum problem_code problem;           /* the refusal of an append; PROBLEM_COUNT = none */
    int64_t time_ms;
    /* Filled in by event_build(). */
    const char *event;
    size_t len;
    uint8_t hash[HASH_LEN];
    /* Filled in by append. */
    bool known; /* was in the log before; index and hash are those */
    uint64_t index;
};

/* What a prune leaf states: events of leaves below up_to, recorded before before_ms, may go. */
struct prune {
    uint64_t up_to;
    int64_t before_ms, retention_ms;
};

const char *leaf_kind_name(enum leaf_kind kind);

/* The leaf of an event in an audit.request job, and the two of an audit.append job. */
void leaf_of_request(struct job *job, const cJSON *body, struct leaf *out);
void leaf_of_event(struct job *job, struct leaf *out);
void leaf_of_append(struct job *job, enum problem_code problem, struct leaf *out);

/* Write the leaf's event and hash it. prune only for LEAF_PRUNE. */
enum rc event_build(const struct audit *audit, struct leaf *leaf, const struct prune *prune,
                    int64_t recorded_ms, struct arena *mem);

#endif
