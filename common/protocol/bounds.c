/* SPDX-License-Identifier: MIT */
#include "protocol/bounds.h"

static const char *const NAMES[] = {
#define BOUND_TEXT(id, name) [id] = (name),
    BOUND_TABLE(BOUND_TEXT)
#undef BOUND_TEXT
};

const char *
bound_name(enum bound bound)
{
    return NAMES[bound];
}

bool
bound_mark(struct bounds *bounds, enum bound bound, int64_t now_ms)
{
    bool fresh = bounds->marks[bound].until_ms <= now_ms;
    bounds->marks[bound].until_ms = now_ms + BOUND_MS;
    bounds->marks[bound].refusals++;
    return fresh;
}

void
bounds_write(const struct bounds *bounds, int64_t now_ms, struct json_writer *w)
{
    json_object(w, "bounds");
    for (enum bound bound = 0; bound < BOUND_COUNT; bound++) {
        if (!bounds->marks[bound].refusals)
            continue;
        json_object(w, NAMES[bound]);
        json_put_bool(w, "full", bounds->marks[bound].until_ms > now_ms);
        json_put_int(w, "refusals", (int64_t)(bounds->marks[bound].refusals % JSON_INT_MAX));
        json_close(w);
    }
    json_close(w);
}

void
bounds_read(const cJSON *doc, struct bounds *out)
{
    struct bounds bounds = { 0 };
    for (enum bound bound = 0; bound < BOUND_COUNT; bound++) {
        const cJSON *mark = json_member(doc, NAMES[bound]);
        int64_t refusals = json_int(mark, "refusals", 0);
        bounds.marks[bound].full = json_bool(mark, "full", false);
        bounds.marks[bound].refusals = refusals > 0 ? (uint64_t)refusals : 0;
    }
    *out = bounds;
}
