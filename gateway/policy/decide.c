/* SPDX-License-Identifier: MIT */
#include "policy/decide.h"

#include <stdio.h>

#include "effects/connectors.h"
#include "gateway.h"
#include "requests/answer.h"

void
decide(const struct request *r, const struct allow_view *view, struct asked *asked)
{
    const cJSON *facts = connectors_facts(r->gw->connectors, asked->action);
    const struct policy_ask ask = {
        .action = asked->action,
        .kind = facts ? "connector" : "task",
        .scope = json_string(r->doc, "scope"),
        .role = role_name(r->actor.role),
        .params = asked->params,
        .hosts = json_member(facts, "hosts"),
        .risk = json_member(facts, "risk"),
        .time_ms = r->accepted_ms,
    };
    policy_evaluate(view ? view->policy : NULL, view ? view->policy_version : 0, &ask,
                    &asked->decision);
    asked->expires_s = policy_expires_s(view ? view->policy : NULL);
}

const struct policy_decision *
decide_gravest(const struct asked *asked, size_t n)
{
    const struct policy_decision *gravest = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct policy_decision *one = &asked[i].decision;
        if (!one->applies || (gravest && gravest->outcome == POLICY_DENY))
            continue;
        if (!gravest || one->outcome == POLICY_DENY ||
            (one->outcome == POLICY_APPROVAL && gravest->outcome == POLICY_ALLOW))
            gravest = one;
    }
    return gravest;
}

enum step
answer_denied(struct request *r, const struct asked *asked)
{
    const struct policy_decision *decision = &asked->decision;
    char by[POLICY_REASON_MAX];
    if (decision->rule[0])
        (void)snprintf(by, sizeof(by), "rule '%s'", decision->rule);
    else
        (void)snprintf(by, sizeof(by), "risk score %lld", (long long)decision->score);
    return answer_decision(r, decision,
                           "Action '%.120s' denied by the workspace's policy (version "
                           "%lld, %s): POST /policy/test explains it",
                           asked->action, (long long)decision->version, by);
}
