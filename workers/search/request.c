/* SPDX-License-Identifier: MIT */
/*
 * request - what a search asks for.
 */
#include <string.h>

#include "base/clock.h"
#include "search.h"

#define K_DEFAULT 5

/* The mode's name is checked by the schema. */
static enum collection_mode
read_mode(const cJSON *body)
{
    const char *name = json_string(body, "mode");
    if (name && strcmp(name, "vector") == 0)
        return COLLECTION_VECTOR;
    return name && strcmp(name, "text") == 0 ? COLLECTION_TEXT : COLLECTION_HYBRID;
}

/* Memories are dated in nanoseconds since 1970, which end in 2262: a bound outside is the border. */
static enum rc
read_time(const cJSON *body, const char *name, int64_t *ms)
{
    const char *text = json_string(body, name);
    *ms = -1;
    if (!text)
        return RC_OK;
    enum rc rc = clock_parse_loose(text, ms);
    if (*ms < 0)
        *ms = 0;
    if (*ms > INT64_MAX / 1000000)
        *ms = INT64_MAX / 1000000;
    return rc;
}

static bool
seen_before(const struct request *r, const char *tag)
{
    for (size_t i = 0; i < r->tag_count; i++)
        if (strcmp(r->tags[i], tag) == 0)
            return true;
    return false;
}

struct request *
request_read(struct search *s, struct call *call)
{
    const struct search_conf *conf = worker_conf(s->worker);
    struct request *r = arena_alloc(call->mem, sizeof(*r));
    const cJSON *tag;
    if (!r)
        return NULL;
    *r = (struct request){ .search = s,
                           .call = call,
                           .mode = read_mode(call->body),
                           .query = json_string(call->body, "query"),
                           .scope = json_string(call->body, "scope"),
                           .source = json_string(call->body, "source"),
                           .k = json_int(call->body, "k", K_DEFAULT),
                           .min_score = json_number(call->body, "min_score", 0),
                           .has_min_score = json_member(call->body, "min_score") != NULL,
                           .deadline_us = clock_mono_us() + conf->budget_ms * 1000,
                           .known = 1 };
    r->query_len = strlen(r->query);
    if (read_time(call->body, "since", &r->since_ms) != RC_OK ||
        read_time(call->body, "until", &r->until_ms) != RC_OK)
        return NULL;
    cJSON_ArrayForEach (tag, json_member(call->body, "tags")) {
        if (seen_before(r, tag->valuestring))
            continue;
        if (r->tag_count == SEARCH_TAGS_MAX)
            return NULL;
        r->tags[r->tag_count++] = tag->valuestring;
    }
    return r;
}
