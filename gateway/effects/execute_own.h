/* SPDX-License-Identifier: MIT */
/*
 * execute_own - a request for POST /ai/execute while it is under way; execute.c and execute_keys.c only.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_EFFECTS_EXECUTE_OWN_H
#define GANTRY_GATEWAY_EFFECTS_EXECUTE_OWN_H

#include "effects/idem.h"
#include "effects/tasks.h"
#include "requests/request.h"

#define EXECUTE_ACTION_MAX 257

struct item {
    struct execution *x;
    const char *action;  /* borrowed: the request's, or the preview's copy */
    const cJSON *params; /* borrowed; may be NULL */
    const char *key;     /* borrowed: the action's client_request_id, or NULL */
    char id[ID_TEXT_MAX];
    char hash[2 * CRYPTO_HASH_LEN + 1];
    char place[IDEM_PLACE_MAX];
    int64_t attempt;
    const struct item *same; /* an earlier item with the same key */
    bool reserved;           /* we hold its lease */
    bool known;              /* queued before: only its id is wanted */
    bool held;               /* it waits for an approval and is not published */
    struct request_hop hop;
};

struct execution {
    struct request *r;
    size_t step;             /* the next of STEPS */
    unsigned waiting;        /* answers of the step at hand that are still to come */
    enum problem_code wrong; /* what a step came to; PROBLEM_COUNT: all well */
    const char *why;
    int64_t depth;
    const char *preview_id; /* borrowed; NULL = a list of actions */
    char preview_action[EXECUTE_ACTION_MAX];
    struct asked *asked; /* one for each of items, behind them */
    size_t n;
    struct item items[];
};

/* execute.c: the first thing that is wrong is what is answered; one answer less to wait for. */
void execution_wrong(struct execution *x, enum problem_code code, const char *why);
void execution_came(struct execution *x);

/* execute_keys.c: two steps, and what undoes the first. */
void execution_reserve(struct execution *x);
void execution_record(struct execution *x);
void execution_release(const struct execution *x);

#endif
