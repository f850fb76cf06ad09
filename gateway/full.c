/* SPDX-License-Identifier: MIT */
#include "full.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway.h"

static const char *const NAMES[] = {
#define FULL_TEXT(id, name) [id] = (name),
    FULL_TABLE(FULL_TEXT)
#undef FULL_TEXT
};

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
        log_fields(LOG_WARN, "a bound is reached, what is beyond it is refused", "bound",
                   NAMES[what], "workspace", workspace, NULL);
    mark->until_ms = clock_mono_ms() + FULL_MS;
    mark->refusals++;
}

void
full_put(const struct gateway *gw, struct json_writer *w)
{
    json_array(w, "full");
    for (unsigned i = 0; i < FULL_COUNT; i++)
        if (full_is(gw, (enum full)i))
            json_put_string(w, NULL, NAMES[i]);
    json_close(w);
}

void
full_expose(const struct gateway *gw, struct buf *out)
{
    buf_printf(out,
               "# HELP gantry_gateway_full whether the bound refused something within %d s\n"
               "# TYPE gantry_gateway_full gauge\n",
               FULL_MS / 1000);
    for (unsigned i = 0; i < FULL_COUNT; i++)
        buf_printf(out, "gantry_gateway_full{bound=\"%s\"} %d\n", NAMES[i],
                   full_is(gw, (enum full)i));
    buf_printf(out, "# HELP gantry_gateway_full_refusals_total what the bound refused\n"
                    "# TYPE gantry_gateway_full_refusals_total counter\n");
    for (unsigned i = 0; i < FULL_COUNT; i++)
        buf_printf(out, "gantry_gateway_full_refusals_total{bound=\"%s\"} %llu\n", NAMES[i],
                   (unsigned long long)gw->full[i].refusals);
}
