/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * What is full. The log says whose it was when that begins, and $SRV.PING, which only the operator asks,
 * whose it was last; /readyz, which needs no key, the bound's name only. The gateway hears of it with the
 * next tick.
 */
#define AGAIN_MS 1000

void
worker_full(struct worker *w, enum bound bound, const char *workspace)
{
    (void)strlcpy(w->full_whose[bound], workspace, WORKSPACE_TEXT_MAX);
    if (!bound_mark(&w->bounds, bound, clock_mono_ms()))
        return;
    w->tell_soon = true;
    log_fields(LOG_WARN, "a bound is reached: more waits or is refused", "bound", bound_name(bound),
               "workspace", workspace, NULL);
}

void
worker_full_still(struct worker *w, enum bound bound, const char *workspace)
{
    if (w->bounds.marks[bound].until_ms < clock_mono_ms() + BOUND_MS - AGAIN_MS)
        worker_full(w, bound, workspace);
}
