/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/blank.h"
#include "base/cleanup.h"
#include "json/json_pointer.h"
#include "policy/policy_own.h"
#include "policy/policy_spot.h"
#include "validate/schema.h"

#define LIST_MAX    64
#define TESTS_MAX   32 /* of parameters in one condition */
#define ADD_MAX     1000
#define BOUND_MAX   100000
#define EXPIRES_MIN 60
#define EXPIRES_MAX 2592000

/* --- values ----------------------------------------------------------------------------------------- */

static void
check_whole(struct spot *spot, const cJSON *value, int64_t min, int64_t max)
{
    if (!cJSON_IsNumber(value) || !json_is_int(value->valuedouble) ||
        value->valuedouble < (double)min || value->valuedouble > (double)max)
        spot_expect(spot, value, "must be a whole number from %lld to %lld", (long long)min,
                    (long long)max);
}

static bool
is_pattern(const cJSON *value)
{
    return cJSON_IsString(value) && value->valuestring[0] &&
           strlen(value->valuestring) <= POLICY_PATTERN_MAX;
}

/* A pattern or a list of them. */
static void
check_patterns(struct spot *spot, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value)) {
        if (!is_pattern(value))
            spot_expect(spot, value,
                        "must be a text of 1 to %d bytes in which * stands for anything, or a list "
                        "of such texts",
                        POLICY_PATTERN_MAX);
        return;
    }
    if (cJSON_GetArraySize(value) < 1 || cJSON_GetArraySize(value) > LIST_MAX)
        spot_expect(spot, value, "must be a list of 1 to %d", LIST_MAX);
    cJSON_ArrayForEach (one, value) {
        size_t before = spot_enter_item(spot, i++);
        if (!is_pattern(one))
            spot_expect(spot, one, "must be a text of 1 to %d bytes", POLICY_PATTERN_MAX);
        spot_leave(spot, before);
    }
}

static void
check_kind(struct spot *spot, const cJSON *value)
{
    static const char *const KINDS[] = { "task", "connector", "unknown" };
    const cJSON *list = cJSON_IsArray(value) ? value->child : value;
    for (const cJSON *one = list; one; one = cJSON_IsArray(value) ? one->next : NULL) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
            known = known || (cJSON_IsString(one) && strcmp(one->valuestring, KINDS[i]) == 0);
        if (!known) {
            spot_expect(spot, one, "must be task, connector or unknown, or a list of these");
            return;
        }
    }
    if (!list)
        spot_expect(spot, value, "must be task, connector or unknown, or a list of these");
}

static void
check_host(struct spot *spot, const cJSON *value)
{
    char send[POLICY_HOST_MAX];
    const char *refusal = is_pattern(value) ? host_pattern_refusal(value->valuestring, send) : NULL;
    if (refusal)
        spot_say(spot, "fits no host: it %s", refusal);
}

static void
check_hosts(struct spot *spot, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    check_patterns(spot, value);
    if (!cJSON_IsArray(value)) {
        check_host(spot, value);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = spot_enter_item(spot, i++);
        check_host(spot, one);
        spot_leave(spot, before);
    }
}

static void
check_role(struct spot *spot, const cJSON *value)
{
    check_patterns(spot, value);
}

static void
check_number(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsNumber(value))
        spot_expect(spot, value, "must be a number");
}

static void
check_bool(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsBool(value))
        spot_expect(spot, value, "must be true or false");
}

static bool
is_scalar(const cJSON *value)
{
    return cJSON_IsNumber(value) || cJSON_IsBool(value) || cJSON_IsNull(value) ||
           (cJSON_IsString(value) && strlen(value->valuestring) <= 4096);
}

static void
check_scalar(struct spot *spot, const cJSON *value)
{
    if (!is_scalar(value))
        spot_expect(spot, value,
                    "must be a text of at most 4096 bytes, a number, true, false or null");
}

static void
check_scalars(struct spot *spot, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) < 1 ||
        cJSON_GetArraySize(value) > LIST_MAX) {
        spot_expect(spot, value, "must be a list of 1 to %d values", LIST_MAX);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = spot_enter_item(spot, i++);
        check_scalar(spot, one);
        spot_leave(spot, before);
    }
}

/* --- conditions --------------------------------------------------------------------------------------- */

static void
check_size(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "gt", check_number, false },
                                             { "lt", check_number, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (cJSON_IsObject(value) && !value->child)
        spot_say(spot, "must have gt, lt or both");
}

static void
check_parameter(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = {
        { "equals", check_scalar, false },    { "in", check_scalars, false },
        { "matches", check_patterns, false }, { "gt", check_number, false },
        { "lt", check_number, false },        { "exists", check_bool, false },
        { "not", check_bool, false },
    };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (!cJSON_IsObject(value))
        return;
    int tests = cJSON_GetArraySize(value) - (json_member(value, "not") != NULL);
    if (tests < 1)
        spot_say(spot, "must have one of equals, in, matches, gt, lt and exists");
    else if (tests == 1 && json_member(value, "exists") && json_member(value, "not"))
        spot_say(spot,
                 "has only exists beside not: leave out not, and write the other value of exists");
    if (cJSON_IsFalse(json_member(value, "exists")) && tests > 1)
        spot_say(spot, "has exists false beside another test: leave out one of them");
}

static void
check_parameters(struct spot *spot, const cJSON *value)
{
    const cJSON *one;
    if (!cJSON_IsObject(value) || !value->child || cJSON_GetArraySize(value) > TESTS_MAX) {
        spot_expect(spot, value, "must be an object of 1 to %d tests, each under a JSON Pointer",
                    TESTS_MAX);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = spot_enter(spot, one->string);
        if (!one->string[0] || !json_pointer_valid(one->string, strlen(one->string)))
            spot_say(spot, "is not a JSON Pointer to a parameter, such as /to");
        else
            check_parameter(spot, one);
        spot_leave(spot, before);
    }
}

static void
check_days(struct spot *spot, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value) || !value->child || cJSON_GetArraySize(value) > 7) {
        spot_expect(spot, value,
                    "must be a list of 1 to 7 of mon, tue, wed, thu, fri, sat and sun");
        return;
    }
    cJSON_ArrayForEach (one, value) {
        if (!cJSON_IsString(one) || day_of(one->valuestring) < 0) {
            spot_say(spot,
                     "must hold only mon, tue, wed, thu, fri, sat and sun: item %zu is another", i);
            return;
        }
        i++;
    }
}

static void
check_clock(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsString(value) || minutes_of(value->valuestring) < 0)
        spot_expect(spot, value, "must be a time of day from 00:00 to 24:00");
}

static void
check_zone(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsString(value) || strcmp(value->valuestring, "UTC") != 0)
        spot_expect(spot, value, "must be UTC or left out (times are always UTC)");
}

static void
check_time(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "days", check_days, false },
                                             { "from", check_clock, false },
                                             { "to", check_clock, false },
                                             { "zone", check_zone, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (!json_member(value, "days") && !json_member(value, "from") && !json_member(value, "to"))
        spot_say(spot, "must have days, from or to");
    const char *from = json_string(value, "from");
    const char *to = json_string(value, "to");
    if (from && to && strcmp(from, to) == 0)
        spot_say(spot, "has the same time in from and to: they must differ");
}

static void
check_when(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = {
        { "action", check_patterns, false },       { "kind", check_kind, false },
        { "scope", check_patterns, false },        { "role", check_role, false },
        { "payload_bytes", check_size, false },    { "host", check_hosts, false },
        { "parameters", check_parameters, false }, { "time", check_time, false },
    };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

/* --- rules, risk, approval ---------------------------------------------------------------------------- */

static void
check_name(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsString(value) || !value->valuestring[0] ||
        strlen(value->valuestring) >= POLICY_NAME_MAX) {
        spot_expect(spot, value, "must be a name of 1 to %d bytes", POLICY_NAME_MAX - 1);
        return;
    }
    for (const char *c = value->valuestring; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            spot_say(spot, "must hold no control character, but holds U+%04X", (unsigned)*c);
            return;
        }
    if (blank_text(value->valuestring))
        spot_say(spot, "must not be blank: something in it must be seen");
}

static void
check_then(struct spot *spot, const cJSON *value)
{
    for (unsigned i = POLICY_ALLOW; cJSON_IsString(value) && i <= POLICY_APPROVAL; i++)
        if (strcmp(value->valuestring, policy_outcome_name((enum policy_outcome)i)) == 0)
            return;
    spot_expect(spot, value, "must be allow, deny or requires_approval");
}

static void
check_note(struct spot *spot, const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) > 1024)
        spot_expect(spot, value, "must be a text of at most 1024 bytes");
}

static void
check_rule(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "name", check_name, true },
                                             { "when", check_when, true },
                                             { "then", check_then, true },
                                             { "note", check_note, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

static void
check_add(struct spot *spot, const cJSON *value)
{
    check_whole(spot, value, -ADD_MAX, ADD_MAX);
}

static void
check_bound(struct spot *spot, const cJSON *value)
{
    check_whole(spot, value, 1, BOUND_MAX);
}

static void
check_term(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "name", check_name, true },
                                             { "when", check_when, true },
                                             { "add", check_add, true },
                                             { "note", check_note, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

/* Names are what answers and the audit log call them. */
static bool
named_before(const cJSON *item)
{
    const char *name = json_string(item, "name");
    for (const cJSON *one = item->prev; name && one && one->next; one = one->prev) {
        const char *other = json_string(one, "name");
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

static void
check_list(struct spot *spot, const cJSON *list, int most, check_fn *check)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > most) {
        spot_expect(spot, list, "must be a list of at most %d", most);
        return;
    }
    cJSON_ArrayForEach (one, list) {
        size_t before = spot_enter_item(spot, i++);
        check(spot, one);
        if (named_before(one)) {
            size_t inner = spot_enter(spot, "name");
            spot_say(spot, "is the name of an earlier rule: each rule needs a name of its own");
            spot_leave(spot, inner);
        }
        spot_leave(spot, before);
    }
}

static void
check_rules(struct spot *spot, const cJSON *value)
{
    check_list(spot, value, POLICY_RULES_MAX, check_rule);
}

static void
check_terms(struct spot *spot, const cJSON *value)
{
    check_list(spot, value, POLICY_TERMS_MAX, check_term);
}

static void
check_risk(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "terms", check_terms, true },
                                             { "approval_from", check_bound, false },
                                             { "deny_from", check_bound, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

static void
check_expires(struct spot *spot, const cJSON *value)
{
    check_whole(spot, value, EXPIRES_MIN, EXPIRES_MAX);
}

static void
check_approval(struct spot *spot, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "expires_in_seconds", check_expires, false } };
    spot_check_object(spot, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

enum rc
policy_check(const cJSON *doc, struct field_errors *errors)
{
    static const struct member MEMBERS[] = { { "rules", check_rules, true },
                                             { "risk", check_risk, false },
                                             { "approval", check_approval, false },
                                             { "note", check_note, false } };
    struct spot spot = { .errors = errors };
    AUTO(buf) struct buf text = { 0 };
    size_t before = errors->count;
    spot_check_object(&spot, doc, MEMBERS, ARRAY_LEN(MEMBERS));
    buf_init(&text, POLICY_BYTES_MAX);
    if (errors->count == before && json_canonical(doc, NULL, &text) != RC_OK)
        spot_say(&spot, "must have at most %d bytes as JSON, but has more", POLICY_BYTES_MAX);
    return errors->count == before ? RC_OK : RC_INVALID;
}
