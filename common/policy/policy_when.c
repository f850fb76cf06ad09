/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "json/json_pointer.h"
#include "policy/policy_own.h"

#define MINUTES_MS    60000
#define DAY_MINUTES   1440
#define PAYLOAD_MAX   (16u << 20)
#define EPOCH_WEEKDAY 3 /* 1970-01-01 was a Thursday */

/* --- texts ------------------------------------------------------------------------------------- */

bool
glob_matches(const char *pattern, const char *text)
{
    size_t left = strlen(text);
    size_t piece = strcspn(pattern, "*");
    if (piece > left || memcmp(pattern, text, piece) != 0)
        return false;
    if (pattern[piece] == '\0')
        return piece == left;
    for (;;) { /* text begins where the last piece ended; pattern at a star */
        pattern += piece;
        text += piece;
        left -= piece;
        pattern += strspn(pattern, "*");
        piece = strcspn(pattern, "*");
        if (pattern[piece] == '\0') /* the last one stands at the end */
            return piece <= left && memcmp(pattern, text + left - piece, piece) == 0;
        const char *at = memmem(text, left, pattern, piece);
        if (!at)
            return false;
        left -= (size_t)(at - text);
        text = at;
    }
}

/* One pattern, or one of several. */
static bool
fits(const cJSON *patterns, const char *text)
{
    const cJSON *one;
    if (cJSON_IsString(patterns))
        return glob_matches(patterns->valuestring, text);
    cJSON_ArrayForEach (one, patterns)
        if (cJSON_IsString(one) && glob_matches(one->valuestring, text))
            return true;
    return false;
}

static bool
text_holds(const cJSON *when, const char *name, const char *text)
{
    const cJSON *patterns = json_member(when, name);
    return !patterns || (text && fits(patterns, text));
}

/* --- numbers ----------------------------------------------------------------------------------- */

static bool
above(double value, const cJSON *bound)
{
    return !bound || (cJSON_IsNumber(bound) && value > bound->valuedouble);
}

static bool
below(double value, const cJSON *bound)
{
    return !bound || (cJSON_IsNumber(bound) && value < bound->valuedouble);
}

static bool
payload_holds(const cJSON *test, int64_t bytes)
{
    return !test || (above((double)bytes, json_member(test, "gt")) &&
                     below((double)bytes, json_member(test, "lt")));
}

/* --- hosts --------------------------------------------------------------------------------------- */

static void
add_host(cJSON *hosts, const char *host)
{
    if (!cJSON_AddItemToArray(hosts, cJSON_CreateString(host)))
        log_no_memory("the hosts of an action");
}

/* Names of hosts have no upper and lower case: those of the action are in lower case, and so are patterns here. */
static bool
host_fits(const cJSON *patterns, const char *host)
{
    const cJSON *list = cJSON_IsArray(patterns) ? patterns->child : patterns;
    for (const cJSON *one = list; one; one = cJSON_IsArray(patterns) ? one->next : NULL) {
        char lower[POLICY_PATTERN_MAX + 1];
        size_t n = 0;
        if (!cJSON_IsString(one) || strlen(one->valuestring) > POLICY_PATTERN_MAX)
            continue;
        for (; one->valuestring[n]; n++)
            lower[n] = (char)tolower((unsigned char)one->valuestring[n]);
        lower[n] = '\0';
        if (glob_matches(lower, host))
            return true;
    }
    return false;
}

/* A host that nobody knows for sure is on no list that allows, and on each that does not. */
static bool
hosts_hold(const cJSON *patterns, const cJSON *hosts, bool every)
{
    const cJSON *host;
    unsigned fitting = 0, all = 0;
    if (!patterns)
        return true;
    cJSON_ArrayForEach (host, hosts) {
        fitting += host->valuestring[0] ? host_fits(patterns, host->valuestring) : !every;
        all++;
    }
    return every ? all > 0 && fitting == all : fitting > 0;
}

/* --- parameters ------------------------------------------------------------------------------------ */

static bool
equal_scalars(const cJSON *a, const cJSON *b)
{
    if (cJSON_IsNumber(a) && cJSON_IsNumber(b)) {
        double difference = a->valuedouble - b->valuedouble;
        return !(difference < 0) && !(difference > 0);
    }
    return cJSON_Compare(a, b, true);
}

static bool
is_in(const cJSON *value, const cJSON *list)
{
    const cJSON *one;
    cJSON_ArrayForEach (one, list)
        if (equal_scalars(value, one))
            return true;
    return false;
}

static bool
value_fits(const cJSON *value, const cJSON *test)
{
    const cJSON *equals = json_member(test, "equals");
    const cJSON *in = json_member(test, "in");
    const cJSON *matches = json_member(test, "matches");
    const cJSON *gt = json_member(test, "gt");
    const cJSON *lt = json_member(test, "lt");
    bool good = (!equals || equal_scalars(value, equals)) && (!in || is_in(value, in)) &&
                (!matches || (cJSON_IsString(value) && fits(matches, value->valuestring))) &&
                ((!gt && !lt) || (cJSON_IsNumber(value) && above(value->valuedouble, gt) &&
                                  below(value->valuedouble, lt)));
    return good != json_bool(test, "not", false);
}

static const cJSON *
param_at(const cJSON *params, const char *pointer)
{
    static const char TYPE[] = "/type";
    size_t type = sizeof(TYPE) - 1;
    if (strncmp(pointer, TYPE, type) == 0 && (pointer[type] == '\0' || pointer[type] == '/'))
        return NULL; /* the action's name, where the two stand together */
    return json_pointer(params, pointer, strlen(pointer));
}

static bool
has_value_test(const cJSON *test)
{
    return json_member(test, "equals") || json_member(test, "in") || json_member(test, "matches") ||
           json_member(test, "gt") || json_member(test, "lt");
}

static bool
param_holds(const cJSON *params, const cJSON *test, bool every)
{
    const cJSON *value = param_at(params, test->string);
    const cJSON *exists = json_member(test, "exists");
    const cJSON *one;
    unsigned fitting = 0, all = 0;
    if (exists && cJSON_IsTrue(exists) != (value != NULL))
        return false;
    if (!has_value_test(test))
        return exists != NULL;
    if (!value)
        return false;
    if (!cJSON_IsArray(value))
        return value_fits(value, test);
    cJSON_ArrayForEach (one, value) {
        fitting += value_fits(one, test);
        all++;
    }
    return every ? all > 0 && fitting == all : fitting > 0;
}

static bool
params_hold(const cJSON *tests, const cJSON *params, bool every)
{
    const cJSON *test;
    cJSON_ArrayForEach (test, tests)
        if (!param_holds(params, test, every))
            return false;
    return true;
}

/* --- times ----------------------------------------------------------------------------------------- */

int
minutes_of(const char *text)
{
    if (strlen(text) != 5 || text[2] != ':' || strspn(text, "0123456789:") != 5)
        return -1;
    int hours = (text[0] - '0') * 10 + (text[1] - '0');
    int minutes = (text[3] - '0') * 10 + (text[4] - '0');
    bool good = (hours < 24 && minutes < 60) || (hours == 24 && minutes == 0);
    return good && text[0] != ':' && text[1] != ':' && text[3] != ':' && text[4] != ':'
               ? hours * 60 + minutes
               : -1;
}

int
day_of(const char *name)
{
    static const char DAYS[] = "mon tue wed thu fri sat sun ";
    const char *at = strlen(name) == 3 ? strstr(DAYS, name) : NULL;
    return at && (at - DAYS) % 4 == 0 ? (int)(at - DAYS) / 4 : -1;
}

static bool
day_holds(const cJSON *days, int day)
{
    const cJSON *one;
    if (!days)
        return true;
    cJSON_ArrayForEach (one, days)
        if (cJSON_IsString(one) && day_of(one->valuestring) == day)
            return true;
    return false;
}

/* From 22:00 to 06:00 goes over midnight; the hours after it are of the day on which it began. */
static bool
time_holds(const cJSON *test, int64_t time_ms)
{
    if (!test)
        return true;
    const char *from_text = json_string(test, "from");
    const char *to_text = json_string(test, "to");
    int from = from_text ? minutes_of(from_text) : 0;
    int to = to_text ? minutes_of(to_text) : DAY_MINUTES;
    int64_t minute = time_ms / MINUTES_MS;
    int now = (int)(minute % DAY_MINUTES);
    int day = (int)((minute / DAY_MINUTES + EPOCH_WEEKDAY) % 7);
    if (from > to && now < to) {
        day = (day + 6) % 7;
        now += DAY_MINUTES;
    }
    if (from > to)
        to += DAY_MINUTES;
    return now >= from && now < to && day_holds(json_member(test, "days"), day);
}

/* --- all of them -------------------------------------------------------------------------------------- */

bool
when_holds(const cJSON *when, const struct policy_facts *facts, bool every)
{
    const struct policy_ask *ask = facts->ask;
    return text_holds(when, "action", ask->action) && text_holds(when, "kind", ask->kind) &&
           text_holds(when, "scope", ask->scope) && text_holds(when, "role", ask->role) &&
           payload_holds(json_member(when, "payload_bytes"), facts->payload_bytes) &&
           hosts_hold(json_member(when, "host"), facts->hosts, every) &&
           params_hold(json_member(when, "parameters"), ask->params, every) &&
           time_holds(json_member(when, "time"), ask->time_ms);
}

/* Their RFC 8785 bytes. What has none counts as larger than anything. */
static int64_t
size_of(const cJSON *params)
{
    static const char *const SKIP[] = { "type", NULL };
    AUTO(buf) struct buf text = { 0 };
    if (!params)
        return 2;
    buf_init(&text, PAYLOAD_MAX);
    return json_canonical(params, SKIP, &text) == RC_OK ? (int64_t)text.len : INT64_MAX;
}

void
facts_init(const struct policy_ask *ask, struct policy_facts *out)
{
    const cJSON *one;
    *out = (struct policy_facts){ .ask = ask,
                                  .payload_bytes = size_of(ask->params),
                                  .hosts = cJSON_CreateArray() };
    if (!out->hosts)
        log_no_memory("the hosts of an action");
    cJSON_ArrayForEach (one, ask->hosts) {
        const char *url = json_string(ask->params, "url");
        char host[POLICY_HOST_MAX];
        if (!cJSON_IsString(one))
            continue;
        if (strcmp(one->valuestring, "*") != 0)
            host_of_list(one->valuestring, host);
        else if (url)
            host_of_url(url, host);
        else
            continue;
        add_host(out->hosts, host);
    }
}

void
facts_fini(struct policy_facts *facts)
{
    json_cleanup(&facts->hosts);
}
