/* SPDX-License-Identifier: MIT */
#include "metrics/streams.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"

#define ASK_MS 2000

static const char *const NAMES[] = { "TASKS", "MEMORY", "AUDIT", "DEAD" };
enum { AUDIT = 2 };

struct stream {
    uint64_t messages, bytes;
    bool asking;
    struct stream_progress progress;
};

struct streams {
    struct bus *bus;          /* borrowed */
    struct loop_timer *timer; /* owned */
    struct stream all[ARRAY_LEN(NAMES)];
    bool stuck; /* was told of */
};

void
stream_progress_forget(struct stream_progress *progress)
{
    progress->known = false;
    progress->moved_ms = 0;
}

void
stream_progress_saw(struct stream_progress *progress, int64_t messages, int64_t last_seq,
                    int64_t now_ms)
{
    int64_t gone = last_seq - messages;
    bool moves = messages == 0 || gone != progress->gone || progress->moved_ms == 0;
    progress->known = true;
    progress->come = last_seq;
    progress->gone = gone;
    if (!moves)
        return;
    progress->moved_ms = now_ms;
    progress->before = last_seq;
}

bool
stream_progress_stuck(const struct stream_progress *progress, int64_t now_ms)
{
    return progress->known && progress->come > progress->before &&
           now_ms - progress->moved_ms >= STREAMS_STUCK_MS;
}

static void
on_info(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct stream *stream = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    stream->asking = false;
    bool answered = rc == RC_OK && json_read(msg->data, msg->len, &doc, NULL) == RC_OK;
    const cJSON *state = answered ? json_member(doc, "state") : NULL;
    int64_t messages = json_int(state, "messages", -1);
    int64_t bytes = json_int(state, "bytes", -1);
    if (messages < 0 || bytes < 0) {
        stream_progress_forget(&stream->progress);
        return;
    }
    stream->messages = (uint64_t)messages;
    stream->bytes = (uint64_t)bytes;
    stream_progress_saw(&stream->progress, messages, json_int(state, "last_seq", 0),
                        clock_mono_ms());
}

bool
streams_audit_stuck(const struct streams *streams)
{
    return stream_progress_stuck(&streams->all[AUDIT].progress, clock_mono_ms());
}

static void
tell_stuck(struct streams *streams)
{
    bool stuck = streams_audit_stuck(streams);
    char messages[24];
    if (stuck == streams->stuck || !streams->all[AUDIT].progress.known)
        return;
    streams->stuck = stuck;
    (void)snprintf(messages, sizeof(messages), "%llu",
                   (unsigned long long)streams->all[AUDIT].messages);
    log_fields(stuck ? LOG_ERROR : LOG_INFO,
               stuck ? "events wait in AUDIT, and none is recorded: see the audit workers' logs"
                     : "events are recorded again",
               "messages", messages, NULL);
}

static void
ask(void *arg)
{
    struct streams *streams = arg;
    char subject[64];
    tell_stuck(streams);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct stream *stream = &streams->all[i];
        if (stream->asking)
            continue;
        (void)snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", NAMES[i]);
        struct bus_out out = { .subject = subject };
        stream->asking = bus_request(streams->bus, &out, ASK_MS, on_info, stream, NULL) == RC_OK;
        if (!stream->asking)
            stream_progress_forget(&stream->progress);
    }
}

enum rc
streams_open(struct loop *loop, struct bus *bus, struct streams **out, struct err *err)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    if (!streams)
        return err_set(err, RC_TEMP, "no memory for counts of streams");
    streams->bus = bus;
    streams->timer = loop_timer_new(loop, ask, streams);
    loop_timer_set(streams->timer, 0, STREAMS_EVERY_MS);
    *out = streams;
    return RC_OK;
}

void
streams_close(struct streams *streams)
{
    if (!streams)
        return;
    loop_timer_free(streams->timer);
    free(streams);
}

static void
expose(const struct streams *streams, const char *name, const char *help, bool bytes,
       const struct exposition *e)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 128);
    exposition_family(e, name, METRIC_GAUGE, help);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const struct stream *stream = &streams->all[i];
        if (!stream->progress.known)
            continue;
        buf_reset(&labels);
        exposition_label(&labels, "stream", NAMES[i]);
        exposition_value(e, name, buf_text(&labels), bytes ? stream->bytes : stream->messages);
    }
}

/* A stream that did not answer has no value, which alerts can ask for; a false 0 they cannot. */
void
streams_expose(const struct streams *streams, uint64_t running, const struct exposition *e)
{
    static const char DEPTH[] = "ai_queue_depth_total";
    const struct stream *tasks = &streams->all[0];
    uint64_t pending = tasks->messages > running ? tasks->messages - running : 0;
    expose(streams, "gantry_stream_messages", "messages in the stream: not settled yet, or dead",
           false, e);
    expose(streams, "gantry_stream_bytes", "their size", true, e);
    exposition_family(e, DEPTH, METRIC_UNKNOWN, "jobs that wait, or run");
    if (tasks->progress.known)
        exposition_value(e, DEPTH, "status=\"pending\"", pending);
    exposition_value(e, DEPTH, "status=\"running\"", running);
}
