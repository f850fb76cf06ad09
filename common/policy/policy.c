/* SPDX-License-Identifier: MIT */
#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "embed_policy.h"
#include "policy/policy_own.h"

#define BOUND_NONE INT64_MAX

static const char *const OUTCOMES[] = { "allow", "deny", "requires_approval" };

const char *
policy_outcome_name(enum policy_outcome outcome)
{
    return OUTCOMES[outcome];
}

__attribute__((format(printf, 2, 3))) static void
add_reason(struct policy_decision *decision, const char *format, ...)
{
    va_list args;
    if (decision->n_reasons == POLICY_REASONS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(decision->reasons[decision->n_reasons++], POLICY_REASON_MAX, format, args);
    va_end(args);
}

/* --- the score ------------------------------------------------------------------------------------ */

static bool
is_named(const cJSON *terms, const char *name)
{
    const cJSON *term;
    cJSON_ArrayForEach (term, terms) {
        const char *own = json_string(term, "name");
        if (own && strcmp(own, name) == 0)
            return true;
    }
    return false;
}

static void
add_up(const cJSON *risk, const struct policy_facts *facts, struct policy_decision *out)
{
    const cJSON *terms = json_member(risk, "terms");
    const cJSON *term;
    cJSON_ArrayForEach (term, terms) {
        int64_t add = json_int(term, "add", 0);
        if (!when_holds(json_member(term, "when"), facts, add < 0))
            continue;
        out->score += add;
        add_reason(out, "%s %+lld", json_string(term, "name"), (long long)add);
    }
    cJSON_ArrayForEach (term, facts->ask->risk) {
        if (is_named(terms, term->string) || !cJSON_IsNumber(term))
            continue;
        out->score += (int64_t)term->valuedouble;
        add_reason(out, "%.64s %+lld (of the action)", term->string, (long long)term->valuedouble);
    }
    if (out->score < 0)
        out->score = 0;
}

static void
decide_by_score(const cJSON *risk, struct policy_decision *out)
{
    int64_t deny = json_int(risk, "deny_from", BOUND_NONE);
    int64_t approval = json_int(risk, "approval_from", BOUND_NONE);
    if (out->score >= deny) {
        out->outcome = POLICY_DENY;
        add_reason(out, "the score %lld reaches deny_from %lld", (long long)out->score,
                   (long long)deny);
    } else if (out->score >= approval) {
        out->outcome = POLICY_APPROVAL;
        add_reason(out, "the score %lld reaches approval_from %lld", (long long)out->score,
                   (long long)approval);
    }
}

/* --- the rules ------------------------------------------------------------------------------------ */

/* false: no such word. */
static bool
read_outcome(const char *text, enum policy_outcome *out)
{
    for (unsigned i = 0; text && i < sizeof(OUTCOMES) / sizeof(OUTCOMES[0]); i++)
        if (strcmp(text, OUTCOMES[i]) == 0) {
            *out = (enum policy_outcome)i;
            return true;
        }
    return false;
}

static const cJSON *
first_rule(const cJSON *rules, const struct policy_facts *facts)
{
    const cJSON *rule;
    cJSON_ArrayForEach (rule, rules) {
        const char *then = json_string(rule, "then");
        if (when_holds(json_member(rule, "when"), facts, then && strcmp(then, "allow") == 0))
            return rule;
    }
    return NULL;
}

void
policy_evaluate(const cJSON *doc, int64_t version, const struct policy_ask *ask,
                struct policy_decision *out)
{
    struct policy_facts facts;
    *out = (struct policy_decision){ .outcome = POLICY_ALLOW, .version = version };
    if (!doc)
        return;
    out->applies = true;
    facts_init(ask, &facts);
    const cJSON *rule = first_rule(json_member(doc, "rules"), &facts);
    const char *name = json_string(rule, "name");
    if (rule) {
        (void)snprintf(out->rule, sizeof(out->rule), "%s", name ? name : "");
        if (!read_outcome(json_string(rule, "then"), &out->outcome))
            out->outcome = POLICY_DENY;
        add_reason(out, "rule '%s'", out->rule);
    }
    add_up(json_member(doc, "risk"), &facts, out);
    if (!rule)
        decide_by_score(json_member(doc, "risk"), out);
    facts_fini(&facts);
}

void
policy_put(struct json_writer *w, const char *name, const struct policy_decision *decision)
{
    json_object(w, name);
    if (decision->approved_by[0])
        json_put_string(w, "approved_by", decision->approved_by);
    json_put_string(w, "decision", policy_outcome_name(decision->outcome));
    json_array(w, "reasons");
    for (unsigned i = 0; i < decision->n_reasons; i++)
        json_put_string(w, NULL, decision->reasons[i]);
    json_close(w);
    json_put_string_or_null(w, "rule", decision->rule);
    json_put_int(w, "score", decision->score);
    json_put_int(w, "version", decision->version);
    json_close(w);
}

int64_t
policy_expires_s(const cJSON *doc)
{
    return json_int(json_member(doc, "approval"), "expires_in_seconds", POLICY_EXPIRES_S);
}

/* --- the one that comes along --------------------------------------------------------------------- */

const char *
policy_default_text(void)
{
    return EMBED_POLICY[0].text;
}

enum rc
policy_default(cJSON **out, struct err *err)
{
    return json_read(policy_default_text(), strlen(policy_default_text()), out, err);
}
