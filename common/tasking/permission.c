/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "tasking/tasking_own.h"

#define DECISION_BYTES 8192

/* Without a copy of its policy a job would run as if there were none. */
static void
keep_lists(struct tasking *t, const cJSON *lists)
{
    const cJSON *policy = t->all->kind->keeps_policy ? json_member(lists, "policy") : NULL;

    json_cleanup(&t->egress);
    json_cleanup(&t->policy);
    t->egress = cJSON_Duplicate(json_member(lists, "egress"), true);
    if (policy && !(t->policy = cJSON_Duplicate(policy, true)))
        log_no_memory("a policy");
}

/* The gateway has decided the same, unless the policy has changed since, or this command did not come
 * through it. The stricter of the two counts. */
enum permission
permission_judge(struct tasking *t, const cJSON *lists)
{
    const struct call *call = t->call;
    const cJSON *policy = json_member(lists, "policy");
    struct policy_decision *decision = &t->steps->decision;
    struct policy_ask ask = {
        .action = t->ref.action,
        .scope = json_string(call->body, "scope"),
        .role = role_name(call->actor.role),
        .params = json_member(call->body, "task"),
        .time_ms = call->accepted_ms,
    };

    keep_lists(t, lists);
    if (!allow_has(lists, t->ref.action))
        return PERMISSION_DENIED;
    t->all->kind->facts(t, &ask);
    policy_evaluate(json_member(policy, "document"), json_int(policy, "version", 0), &ask,
                    decision);
    if (decision->outcome == POLICY_DENY)
        return PERMISSION_REFUSED;
    if (decision->outcome == POLICY_APPROVAL && call->approval[0]) {
        /* The claim's MAC binds the key to the rest of the command. */
        const char *key = strchr(call->approval, '.');
        (void)snprintf(decision->approved_by, sizeof(decision->approved_by), "%s",
                       key ? key + 1 : "");
        return key ? PERMISSION_ALLOWED : PERMISSION_HELD;
    }
    return decision->outcome == POLICY_ALLOW ? PERMISSION_ALLOWED : PERMISSION_HELD;
}

void
permission_explain(const struct tasking *t, char detail[JOBS_ERROR_MAX])
{
    const struct policy_decision *decision = &t->steps->decision;
    bool held = t->steps->permission == PERMISSION_HELD;
    char by[POLICY_REASON_MAX];

    if (decision->rule[0])
        (void)snprintf(by, sizeof(by), "rule '%s'", decision->rule);
    else
        (void)snprintf(by, sizeof(by), "risk score %lld", (long long)decision->score);
    (void)snprintf(detail, JOBS_ERROR_MAX,
                   "Action '%.128s' %s by the workspace's policy (version %lld, %s)%s%s",
                   t->ref.action, held ? "must be approved" : "denied",
                   (long long)decision->version, by,
                   held ? ": send it over HTTP, where it waits for that" : "",
                   t->sent ? "; an earlier attempt may have done it" : "");
}

void
permission_record(struct tasking *t)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;

    if (!t->steps->decision.applies)
        return;
    buf_init(&text, DECISION_BYTES);
    json_begin(&w, &text);
    policy_put(&w, NULL, &t->steps->decision);
    if (json_end(&w) == RC_OK)
        t->call->audit_policy = arena_strdup(t->call->mem, buf_text(&text));
}
