/* SPDX-License-Identifier: MIT */
/*
 * policy_own - conditions, between the files of the evaluator.
 */
#ifndef GANTRY_POLICY_POLICY_OWN_H
#define GANTRY_POLICY_POLICY_OWN_H

#include "policy/policy.h"

#define POLICY_PATTERN_MAX 256 /* bytes */
#define POLICY_HOST_MAX    256

/* The values that the conditions of one decision test. */
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
/* policy_host.c. Of a URL: in lower case and without a port; "" = nobody can say for sure which one it is. */
void host_of_url(const char *url, char host[POLICY_HOST_MAX]);
/* Of a manifest: "api.example.com" or "*.example.com:8443". */
void host_of_list(const char *text, char host[POLICY_HOST_MAX]);
/* NULL: the pattern can fit a host. Else what it is and what to send instead; the text may be in send. */
const char *host_pattern_refusal(const char *pattern, char send[POLICY_HOST_MAX]);

/* The minutes of "HH:MM"; -1 if it is not a time. 24:00 is one. */
int minutes_of(const char *text);
/* 0 = Monday; -1 = no day's name. */
int day_of(const char *name);

#endif
