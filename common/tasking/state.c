/* SPDX-License-Identifier: MIT */
/*
 * state - tells the gateways a job's state at once, for those who listen there.
 *
 * Nothing depends on it: whoever hears nothing asks, and the end of a job is told by its .done event.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "tasking/tasking.h"

#define TEXT_MAX 512

void
tasking_tell_state(struct taskings *all, const struct job_ref *ref, const char *status)
{
    AUTO(buf) struct buf text = { 0 };
    char subject[SUBJECT_MAX];
    struct json_writer w;

    buf_init(&text, TEXT_MAX);
    json_begin(&w, &text);
    json_object(&w, NULL);
    json_put_string(&w, "status", status);
    if (ref->action[0])
        json_put_string(&w, "action", ref->action);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    (void)snprintf(subject, sizeof(subject), JOB_STATE_SUBJECT "%s.%s", ref->workspace, ref->id);
    struct bus_out out = { .subject = subject, .data = buf_text(&text), .len = text.len };
    (void)bus_publish(worker_bus(all->w), &out, NULL);
}
