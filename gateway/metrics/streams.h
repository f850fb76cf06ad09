/* SPDX-License-Identifier: MIT */
/*
 * streams - how much waits in each stream of JetStream, for /metrics and /readyz.
 *
 * Asked every STREAMS_EVERY_MS, so that reading the page asks nobody and waits for nothing.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_METRICS_STREAMS_H
#define GANTRY_GATEWAY_METRICS_STREAMS_H

#include <stdbool.h>

#include "base/loop.h"
#include "bus/bus.h"
#include "protocol/exposition.h"

#define STREAMS_EVERY_MS 5000
#define STREAMS_STUCK_MS 45000 /* what a killed worker had in hand comes again after 30 s */

/* How a stream gets on. Times are monotonic; all 0: nothing is known. */
struct stream_progress {
    bool known;
    int64_t gone;     /* messages that ever left it */
    int64_t moved_ms; /* when one left it last, or none was there; 0 = not known yet */
    int64_t come;     /* messages that ever came to it … */
    int64_t before;   /* … until then */
};

/* An answer about it: what it holds, and the last sequence. */
void stream_progress_saw(struct stream_progress *progress, int64_t messages, int64_t last_seq,
                         int64_t now_ms);
/* No answer. Until the next, workers that were cut off as we were have time to go on. */
void stream_progress_forget(struct stream_progress *progress);
/* Some came since the last one left, STREAMS_STUCK_MS ago. What only stays may be there again after a kill
 * of the server, has had its effect and waits for gantry provision --repair-only. */
bool stream_progress_stuck(const struct stream_progress *progress, int64_t now_ms);

struct streams;

/* bus is borrowed. */
enum rc streams_open(struct loop *loop, struct bus *bus, struct streams **out, struct err *err);
void streams_close(struct streams *streams); /* after bus_free(); NULL allowed */
/* Events wait in AUDIT, and for some time none has left it: nobody records them. */
bool streams_audit_stuck(const struct streams *streams);
/* running: tasks that executors have in hand. */
void streams_expose(const struct streams *streams, uint64_t running, const struct exposition *e);

#endif
