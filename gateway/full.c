/* SPDX-License-Identifier: MIT */
#include "full.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "fleet.h"
#include "gateway.h"
#include "protocol/bounds.h"

static const char *const NAMES[] = {
#define FULL_TEXT(id, name) [id] = (name),
    FULL_TABLE(FULL_TEXT)
#undef FULL_TEXT
};

/* One refusal for each look at most: the HTTP server has counters of its own. */
void
full_watch(struct gateway *gw)
{
    const struct http_counts *now = http_counts(gw->http);
    struct http_counts *seen = &gw->http_seen;
    if (now->evicted > seen->evicted)
        full_note(gw, FULL_CONNECTIONS, "");
    if (now->crowded > seen->crowded)
        full_note(gw, FULL_ADDRESS, "");
    if (now->unread > seen->unread)
        full_note(gw, FULL_ANSWERS, "");
    *seen = *now;
}

bool
full_is(const struct gateway *gw, enum full what)
{
    return gw->full[what].until_ms > clock_mono_ms();
}

void
full_note(struct gateway *gw, enum full what, const char *workspace)
{
    struct full_mark *mark = &gw->full[what];
    if (!full_is(gw, what))
        log_fields(LOG_WARN, "a bound is reached: more is refused", "bound", NAMES[what],
                   "workspace", workspace, NULL);
    mark->until_ms = clock_mono_ms() + BOUND_MS;
    mark->refusals++;
}

void
full_put(const struct gateway *gw, struct json_writer *w)
{
    json_array(w, "full");
    for (unsigned i = 0; i < FULL_COUNT; i++)
        if (full_is(gw, (enum full)i))
            json_put_string(w, NULL, NAMES[i]);
    for (enum bound bound = 0; bound < BOUND_COUNT; bound++)
        if (fleet_is_full(gw->fleet, bound))
            json_put_string(w, NULL, bound_name(bound));
    json_close(w);
}

void
full_expose(const struct gateway *gw, const struct exposition *e)
{
    static const char FULL[] = "gantry_gateway_full";
    static const char REFUSALS[] = "gantry_gateway_full_refusals_total";
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 128);
    exposition_family(e, FULL, METRIC_GAUGE, "whether the bound refused something within 10 s");
    for (unsigned i = 0; i < FULL_COUNT; i++) {
        buf_reset(&labels);
        exposition_label(&labels, "bound", NAMES[i]);
        exposition_value(e, FULL, buf_text(&labels), full_is(gw, (enum full)i));
    }
    exposition_family(e, REFUSALS, METRIC_COUNTER, "what the bound refused");
    for (unsigned i = 0; i < FULL_COUNT; i++) {
        buf_reset(&labels);
        exposition_label(&labels, "bound", NAMES[i]);
        exposition_value(e, REFUSALS, buf_text(&labels), gw->full[i].refusals);
    }
}
