/* SPDX-License-Identifier: MIT */
/*
 * policy - may this action run now: yes, no, or when somebody has approved it? The gateway and the program
 * that executes the action call the same function.
 *
 * A policy is a JSON document of a workspace. Its rules are tried in their order and the first one whose
 * conditions all hold decides; if none does, the terms of risk that hold are added up, and the sum decides.
 * It only narrows what the allowlist allows.
 *
 * Shape:   docs/policy.md; policy_check() is the definition
 * Units:   times are milliseconds since the epoch, UTC
 * Errors:  field_errors: the field is a JSON Pointer into the document
 * Threads: any
 */
#ifndef GANTRY_POLICY_POLICY_H
#define GANTRY_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"
#include "validate/schema.h"

#define POLICY_BYTES_MAX   65536
#define POLICY_RULES_MAX   200
#define POLICY_TERMS_MAX   50
#define POLICY_NAME_MAX    65 /* bytes with the NUL */
#define POLICY_REASONS_MAX 8  /* what is beyond is left out */
#define POLICY_REASON_MAX  96
#define POLICY_EXPIRES_S   86400 /* an approval that the policy does not limit */

enum policy_outcome { POLICY_ALLOW, POLICY_DENY, POLICY_APPROVAL };
const char *policy_outcome_name(enum policy_outcome outcome);

/* The action that is asked for. All borrowed; NULL = not known, and no condition about it holds. */
struct policy_ask {
    const char *action;
    const char *kind; /* "task", "connector", "unknown" */
    const char *scope;
    const char *role;
    const cJSON *params; /* an object; a member "type" is the action's name and no parameter */
    const cJSON
        *hosts; /* array: those that the action may reach; ["*"] = that of its parameter url */
    const cJSON
        *risk; /* object: the action's own terms; those that the policy names are the policy's */
    int64_t time_ms; /* when the request was accepted */
};

struct policy_decision {
    enum policy_outcome outcome;
    int64_t version; /* of the policy; 0 = the one that applies where none was set */
    int64_t score;
    bool applies;               /* false: there is no policy, and the members above say "allow" */
    char rule[POLICY_NAME_MAX]; /* the one that decided; "" = the score did */
    char approved_by[16];       /* key id; "" = it was not approved */
    unsigned n_reasons;
    char reasons[POLICY_REASONS_MAX][POLICY_REASON_MAX];
};

/* doc NULL: there is no policy. A malformed document (it was checked when it was set) denies. */
void policy_evaluate(const cJSON *doc, int64_t version, const struct policy_ask *ask,
                     struct policy_decision *out);

/* {["approved_by",]"decision","reasons":[…],"rule","score","version"}: sorted, as the audit log wants its members */
void policy_put(struct json_writer *w, const char *name, const struct policy_decision *decision);

/* All that is wrong with a document; RC_INVALID if anything is. */
enum rc policy_check(const cJSON *doc, struct field_errors *errors);

/* How long an approval is waited for, in seconds. */
int64_t policy_expires_s(const cJSON *doc);

/* policy_default.c: the document that comes with the program. *out is owned by the caller. */
const char *policy_default_text(void);
enum rc policy_default(cJSON **out, struct err *err);

#endif
