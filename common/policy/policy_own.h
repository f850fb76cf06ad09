/* SPDX-License-Identifier: MIT */
/*
 * policy_own - conditions, between the files of the evaluator.
 */
#ifndef GANTRY_POLICY_POLICY_OWN_H
#define GANTRY_POLICY_POLICY_OWN_H

#include "policy/policy.h"

/* What the conditions of one decision are tried on. */
struct policy_facts {
    const struct policy_ask *ask;
    int64_t payload_bytes;
    cJSON *hosts; /* owned; lower case */
};

void facts_init(const struct policy_ask *ask, struct policy_facts *out);
void facts_fini(struct policy_facts *facts);
/* every: of several values (hosts, the elements of a parameter) all must fit, not one. */
bool when_holds(const cJSON *when, const struct policy_facts *facts, bool every);

/* "*" stands for any run of characters; the rest is literal. Linear in the text. */
bool glob_matches(const char *pattern, const char *text);
/* The minutes of "HH:MM"; -1 if it is none. 24:00 is one. */
int minutes_of(const char *text);
/* 0 = Monday; -1 = no day's name. */
int day_of(const char *name);

#endif
