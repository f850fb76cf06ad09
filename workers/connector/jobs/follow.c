/* SPDX-License-Identifier: MIT */
/*
 * follow - the workspace's policy and redirects: the target of one is judged as if it had been asked for.
 *
 * A job was judged by the URL that it names. A server there could send it on to a host that the policy denies,
 * or for which it wants an approval. An approval is of what the approver was shown, so it covers the host of
 * the job's own URL and no other.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "jobs/connector.h"

static bool
same_place(const char *a, const char *b)
{
    struct guard_url one, other;

    return guard_url_read(a, &one, NULL) == RC_OK && guard_url_read(b, &other, NULL) == RC_OK &&
           strcmp(one.host, other.host) == 0 && one.port == other.port;
}

/* The job's parameters with another URL; where an action has none, they are as they were. */
static cJSON *
params_with(const cJSON *params, const char *url)
{
    cJSON *with = cJSON_Duplicate(params, true);
    cJSON *text = json_string(with, "url") ? cJSON_CreateString(url) : NULL;

    if (!with || (json_string(with, "url") && !text))
        log_no_memory("parameters");
    if (text && !cJSON_ReplaceItemInObjectCaseSensitive(with, "url", text))
        log_no_memory("parameters");
    return with;
}

/* What any action may reach is that of its parameter url; an action with a list of its own goes to this one. */
static cJSON *
hosts_with(const struct recipe *recipe, const char *host)
{
    const cJSON *own = json_member(recipe->doc, "hosts");
    const char *first = cJSON_GetStringValue(cJSON_GetArrayItem(own, 0));
    const char *only = first && strcmp(first, "*") == 0 ? first : host;
    cJSON *hosts = cJSON_CreateStringArray(&only, 1);

    if (!hosts)
        log_no_memory("the hosts of an action");
    return hosts;
}

static void
explain(const struct policy_decision *decision, const char *host, char why[OUTBOUND_WHY_MAX])
{
    char by[POLICY_REASON_MAX];

    if (decision->rule[0])
        (void)snprintf(by, sizeof(by), "rule '%s'", decision->rule);
    else
        (void)snprintf(by, sizeof(by), "risk score %lld", (long long)decision->score);
    (void)snprintf(why, OUTBOUND_WHY_MAX,
                   "a redirect to %.40s, which the policy %s (version %lld, %.70s)%s", host,
                   decision->outcome == POLICY_DENY ? "denies" : "wants approved",
                   (long long)decision->version, by,
                   decision->outcome == POLICY_DENY ? "" : ": ask for that URL itself");
}

bool
errand_follow(const struct errand *e, const char *first, const char *url,
              char why[OUTBOUND_WHY_MAX])
{
    struct policy_decision decision;
    struct guard_url place = { 0 };

    if (!e->policy.doc)
        return true;
    if (guard_url_read(url, &place, NULL) != RC_OK)
        return false;
    AUTO(json) cJSON *params = params_with(json_member(e->values, "params"), url);
    AUTO(json) cJSON *hosts = hosts_with(e->recipe, place.host);
    const struct policy_ask ask = {
        .action = e->ref.action,
        .kind = "connector",
        .scope = e->policy.scope,
        .role = role_name(e->policy.role),
        .params = params,
        .hosts = hosts,
        .risk = e->recipe->risk,
        .time_ms = e->policy.accepted_ms,
    };
    policy_evaluate(json_member(e->policy.doc, "document"), json_int(e->policy.doc, "version", 0),
                    &ask, &decision);
    if (decision.outcome == POLICY_ALLOW ||
        (decision.outcome == POLICY_APPROVAL && e->policy.approved && same_place(first, url)))
        return true;
    explain(&decision, place.host, why);
    return false;
}
