/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json_pointer.h"
#include "policy/policy_own.h"
#include "validate/schema.h"

#define LIST_MAX    64
#define TESTS_MAX   32 /* of parameters in one condition */
#define ADD_MAX     1000
#define BOUND_MAX   100000
#define EXPIRES_MIN 60
#define EXPIRES_MAX 2592000

/* Where in the document we are; each level writes its own end of the text. */
struct place {
    struct field_errors *errors;
    char path[SCHEMA_FIELD_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void
say(struct place *place, const char *format, ...)
{
    char text[SCHEMA_DETAIL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    field_errors_add(place->errors, place->path, "%s", text);
}

/* A value is not what the text says that it must be: ", not …" is added, without a text of the value. */
__attribute__((format(printf, 3, 4))) static void
expect(struct place *place, const cJSON *value, const char *format, ...)
{
    char text[SCHEMA_DETAIL_MAX], number[JSON_NUMBER_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cJSON_IsString(value))
        say(place, "%s, not a text of %zu bytes", text, strlen(value->valuestring));
    else if (cJSON_IsNumber(value))
        say(place, "%s, not the number %s", text, json_format_number(value->valuedouble, number));
    else if (cJSON_IsArray(value))
        say(place, "%s, not a list of %d", text, cJSON_GetArraySize(value));
    else if (cJSON_IsObject(value))
        say(place, "%s, not an object of %d members", text, cJSON_GetArraySize(value));
    else
        say(place, "%s, not %s", text, cJSON_IsBool(value) ? "true or false" : "null");
}

/* Go to a member (RFC 6901); returns what leave() goes back to. */
static size_t
enter(struct place *place, const char *name)
{
    size_t before = place->len;
    char *at = place->path + place->len;
    char *end = place->path + sizeof(place->path) - 3;
    if (at < end)
        *at++ = '/';
    for (; *name && at < end; name++)
        if (*name == '~' || *name == '/') {
            *at++ = '~';
            *at++ = *name == '~' ? '0' : '1';
        } else {
            *at++ = *name;
        }
    *at = '\0';
    place->len = (size_t)(at - place->path);
    return before;
}

static void
leave(struct place *place, size_t before)
{
    place->len = before;
    place->path[before] = '\0';
}

static size_t
enter_item(struct place *place, size_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%zu", number);
    return enter(place, text);
}

typedef void check_fn(struct place *place, const cJSON *value);
struct member {
    const char *name;
    check_fn *check;
    bool required;
};

static void
say_unknown(struct place *place, const struct member *members, size_t n)
{
    char known[SCHEMA_DETAIL_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof(known); i++)
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
                                members[i].name);
    say(place, "is not known here; known are: %s", known);
}

static void
check_object(struct place *place, const cJSON *object, const struct member *members, size_t n)
{
    const cJSON *one;
    if (!cJSON_IsObject(object)) {
        expect(place, object, "must be an object");
        return;
    }
    cJSON_ArrayForEach (one, object) {
        size_t i = 0;
        size_t before = enter(place, one->string);
        while (i < n && strcmp(members[i].name, one->string) != 0)
            i++;
        if (i == n)
            say_unknown(place, members, n);
        else
            members[i].check(place, one);
        leave(place, before);
    }
    for (size_t i = 0; i < n; i++)
        if (members[i].required && !json_member(object, members[i].name)) {
            size_t before = enter(place, members[i].name);
            say(place, "is required");
            leave(place, before);
        }
}

/* --- values ----------------------------------------------------------------------------------------- */

static void
check_whole(struct place *place, const cJSON *value, int64_t min, int64_t max)
{
    if (!cJSON_IsNumber(value) || !json_is_int(value->valuedouble) ||
        value->valuedouble < (double)min || value->valuedouble > (double)max)
        expect(place, value, "must be a whole number from %lld to %lld", (long long)min,
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
check_patterns(struct place *place, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value)) {
        if (!is_pattern(value))
            expect(place, value,
                   "must be a text of 1 to %d bytes in which * stands for anything, or a list "
                   "of such texts",
                   POLICY_PATTERN_MAX);
        return;
    }
    if (cJSON_GetArraySize(value) < 1 || cJSON_GetArraySize(value) > LIST_MAX)
        expect(place, value, "must be a list of 1 to %d", LIST_MAX);
    cJSON_ArrayForEach (one, value) {
        size_t before = enter_item(place, i++);
        if (!is_pattern(one))
            expect(place, one, "must be a text of 1 to %d bytes", POLICY_PATTERN_MAX);
        leave(place, before);
    }
}

static void
check_kind(struct place *place, const cJSON *value)
{
    static const char *const KINDS[] = { "task", "connector", "unknown" };
    const cJSON *list = cJSON_IsArray(value) ? value->child : value;
    for (const cJSON *one = list; one; one = cJSON_IsArray(value) ? one->next : NULL) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
            known = known || (cJSON_IsString(one) && strcmp(one->valuestring, KINDS[i]) == 0);
        if (!known) {
            expect(place, one, "must be task, connector or unknown, or a list of these");
            return;
        }
    }
    if (!list)
        expect(place, value, "must be task, connector or unknown, or a list of these");
}

static void
check_host(struct place *place, const cJSON *value)
{
    char send[POLICY_HOST_MAX];
    const char *refusal = is_pattern(value) ? host_pattern_refusal(value->valuestring, send) : NULL;
    if (refusal)
        say(place, "fits no host: it %s", refusal);
}

static void
check_hosts(struct place *place, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    check_patterns(place, value);
    if (!cJSON_IsArray(value)) {
        check_host(place, value);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = enter_item(place, i++);
        check_host(place, one);
        leave(place, before);
    }
}

static void
check_role(struct place *place, const cJSON *value)
{
    check_patterns(place, value);
}

static void
check_number(struct place *place, const cJSON *value)
{
    if (!cJSON_IsNumber(value))
        expect(place, value, "must be a number");
}

static void
check_bool(struct place *place, const cJSON *value)
{
    if (!cJSON_IsBool(value))
        expect(place, value, "must be true or false");
}

static bool
is_scalar(const cJSON *value)
{
    return cJSON_IsNumber(value) || cJSON_IsBool(value) || cJSON_IsNull(value) ||
           (cJSON_IsString(value) && strlen(value->valuestring) <= 4096);
}

static void
check_scalar(struct place *place, const cJSON *value)
{
    if (!is_scalar(value))
        expect(place, value, "must be a text of at most 4096 bytes, a number, true, false or null");
}

static void
check_scalars(struct place *place, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) < 1 ||
        cJSON_GetArraySize(value) > LIST_MAX) {
        expect(place, value, "must be a list of 1 to %d values", LIST_MAX);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = enter_item(place, i++);
        check_scalar(place, one);
        leave(place, before);
    }
}

/* --- conditions --------------------------------------------------------------------------------------- */

static void
check_size(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "gt", check_number, false },
                                             { "lt", check_number, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (cJSON_IsObject(value) && !value->child)
        say(place, "must have gt, lt or both");
}

static void
check_parameter(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = {
        { "equals", check_scalar, false },    { "in", check_scalars, false },
        { "matches", check_patterns, false }, { "gt", check_number, false },
        { "lt", check_number, false },        { "exists", check_bool, false },
        { "not", check_bool, false },
    };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (!cJSON_IsObject(value))
        return;
    int tests = cJSON_GetArraySize(value) - (json_member(value, "not") != NULL);
    if (tests < 1)
        say(place, "must have one of equals, in, matches, gt, lt and exists");
    else if (tests == 1 && json_member(value, "exists") && json_member(value, "not"))
        say(place,
            "has only exists beside not: leave out not, and write the other value of exists");
    if (cJSON_IsFalse(json_member(value, "exists")) && tests > 1)
        say(place, "has exists false beside another test: leave out one of them");
}

static void
check_parameters(struct place *place, const cJSON *value)
{
    const cJSON *one;
    if (!cJSON_IsObject(value) || !value->child || cJSON_GetArraySize(value) > TESTS_MAX) {
        expect(place, value, "must be an object of 1 to %d tests, each under a JSON Pointer",
               TESTS_MAX);
        return;
    }
    cJSON_ArrayForEach (one, value) {
        size_t before = enter(place, one->string);
        if (!one->string[0] || !json_pointer_valid(one->string, strlen(one->string)))
            say(place, "is not a JSON Pointer to a parameter, such as /to");
        else
            check_parameter(place, one);
        leave(place, before);
    }
}

static void
check_days(struct place *place, const cJSON *value)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(value) || !value->child || cJSON_GetArraySize(value) > 7) {
        expect(place, value, "must be a list of 1 to 7 of mon, tue, wed, thu, fri, sat and sun");
        return;
    }
    cJSON_ArrayForEach (one, value) {
        if (!cJSON_IsString(one) || day_of(one->valuestring) < 0) {
            say(place, "must hold only mon, tue, wed, thu, fri, sat and sun: item %zu is another",
                i);
            return;
        }
        i++;
    }
}

static void
check_clock(struct place *place, const cJSON *value)
{
    if (!cJSON_IsString(value) || minutes_of(value->valuestring) < 0)
        expect(place, value, "must be a time of day from 00:00 to 24:00");
}

static void
check_zone(struct place *place, const cJSON *value)
{
    if (!cJSON_IsString(value) || strcmp(value->valuestring, "UTC") != 0)
        expect(place, value, "must be UTC or left out (times are always UTC)");
}

static void
check_time(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "days", check_days, false },
                                             { "from", check_clock, false },
                                             { "to", check_clock, false },
                                             { "zone", check_zone, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
    if (!json_member(value, "days") && !json_member(value, "from") && !json_member(value, "to"))
        say(place, "must have days, from or to");
    const char *from = json_string(value, "from");
    const char *to = json_string(value, "to");
    if (from && to && strcmp(from, to) == 0)
        say(place, "has the same time in from and to: they must differ");
}

static void
check_when(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = {
        { "action", check_patterns, false },       { "kind", check_kind, false },
        { "scope", check_patterns, false },        { "role", check_role, false },
        { "payload_bytes", check_size, false },    { "host", check_hosts, false },
        { "parameters", check_parameters, false }, { "time", check_time, false },
    };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

/* --- rules, risk, approval ---------------------------------------------------------------------------- */

static void
check_name(struct place *place, const cJSON *value)
{
    if (!cJSON_IsString(value) || !value->valuestring[0] ||
        strlen(value->valuestring) >= POLICY_NAME_MAX) {
        expect(place, value, "must be a name of 1 to %d bytes", POLICY_NAME_MAX - 1);
        return;
    }
    for (const char *c = value->valuestring; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            say(place, "must hold no control character, but holds U+%04X", (unsigned)*c);
            return;
        }
}

static void
check_then(struct place *place, const cJSON *value)
{
    for (unsigned i = POLICY_ALLOW; cJSON_IsString(value) && i <= POLICY_APPROVAL; i++)
        if (strcmp(value->valuestring, policy_outcome_name((enum policy_outcome)i)) == 0)
            return;
    expect(place, value, "must be allow, deny or requires_approval");
}

static void
check_note(struct place *place, const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) > 1024)
        expect(place, value, "must be a text of at most 1024 bytes");
}

static void
check_rule(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "name", check_name, true },
                                             { "when", check_when, true },
                                             { "then", check_then, true },
                                             { "note", check_note, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

static void
check_add(struct place *place, const cJSON *value)
{
    check_whole(place, value, -ADD_MAX, ADD_MAX);
}

static void
check_bound(struct place *place, const cJSON *value)
{
    check_whole(place, value, 1, BOUND_MAX);
}

static void
check_term(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "name", check_name, true },
                                             { "when", check_when, true },
                                             { "add", check_add, true },
                                             { "note", check_note, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
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
check_list(struct place *place, const cJSON *list, int most, check_fn *check)
{
    const cJSON *one;
    size_t i = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > most) {
        expect(place, list, "must be a list of at most %d", most);
        return;
    }
    cJSON_ArrayForEach (one, list) {
        size_t before = enter_item(place, i++);
        check(place, one);
        if (named_before(one)) {
            size_t inner = enter(place, "name");
            say(place, "is the name of an earlier rule: each rule needs a name of its own");
            leave(place, inner);
        }
        leave(place, before);
    }
}

static void
check_rules(struct place *place, const cJSON *value)
{
    check_list(place, value, POLICY_RULES_MAX, check_rule);
}

static void
check_terms(struct place *place, const cJSON *value)
{
    check_list(place, value, POLICY_TERMS_MAX, check_term);
}

static void
check_risk(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "terms", check_terms, true },
                                             { "approval_from", check_bound, false },
                                             { "deny_from", check_bound, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

static void
check_expires(struct place *place, const cJSON *value)
{
    check_whole(place, value, EXPIRES_MIN, EXPIRES_MAX);
}

static void
check_approval(struct place *place, const cJSON *value)
{
    static const struct member MEMBERS[] = { { "expires_in_seconds", check_expires, false } };
    check_object(place, value, MEMBERS, ARRAY_LEN(MEMBERS));
}

enum rc
policy_check(const cJSON *doc, struct field_errors *errors)
{
    static const struct member MEMBERS[] = { { "rules", check_rules, true },
                                             { "risk", check_risk, false },
                                             { "approval", check_approval, false },
                                             { "note", check_note, false } };
    struct place place = { .errors = errors };
    AUTO(buf) struct buf text = { 0 };
    size_t before = errors->count;
    check_object(&place, doc, MEMBERS, ARRAY_LEN(MEMBERS));
    buf_init(&text, POLICY_BYTES_MAX);
    if (errors->count == before && json_canonical(doc, NULL, &text) != RC_OK)
        say(&place, "must have at most %d bytes as JSON, but has more", POLICY_BYTES_MAX);
    return errors->count == before ? RC_OK : RC_INVALID;
}
