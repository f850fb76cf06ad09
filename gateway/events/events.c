/* SPDX-License-Identifier: MIT */
#include "events/events.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"
#include "events/events_own.h"
#include "gateway.h"
#include "json/json.h"
#include "protocol/command.h"
#include "protocol/jobs.h"
#include "requests/answer.h"

#define TOLD_SUBJECT "gantry.sys.gateway.events." /* and the workspace */
#define TICK_MS      1000

/* --- who waits for a job ------------------------------------------------------------------------- */

static struct watch_list *
watches_of(struct events *events, const char *id)
{
    uint32_t h = fnv32_text(id);
    return &events->watches[(h ^ h >> 16) % WATCH_BUCKETS];
}

void
events_watch(struct events *events, struct job_watch *watch)
{
    LIST_INSERT_HEAD(watches_of(events, watch->id), watch, link);
}

void
events_unwatch(struct job_watch *watch)
{
    LIST_REMOVE(watch, link);
}

static void
wake(struct events *events, const char *workspace, const char *id, const char *status)
{
    struct job_watch *watch = LIST_FIRST(watches_of(events, id));
    while (watch) {
        struct job_watch *next = LIST_NEXT(watch, link);
        if (strcmp(watch->id, id) == 0 && strcmp(watch->workspace, workspace) == 0)
            watch->fn(watch->arg, status);
        watch = next;
    }
}

static void
wake_all(struct events *events)
{
    for (size_t i = 0; i < WATCH_BUCKETS; i++) {
        struct job_watch *watch = LIST_FIRST(&events->watches[i]);
        while (watch) {
            struct job_watch *next = LIST_NEXT(watch, link);
            watch->fn(watch->arg, "");
            watch = next;
        }
    }
}

/* --- what jobs come to ---------------------------------------------------------------------------- */

static void
tell_job(struct events *events, const char *workspace, const char *id, const char *status,
         const char *action)
{
    char text[EVENTS_TEXT_MAX];
    struct buf data;
    struct json_writer w;

    wake(events, workspace, id, status);
    struct channel *channel = channel_find(events, workspace);
    if (!channel)
        return;
    buf_init(&data, sizeof(text) - 1);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "job_id", id);
    json_put_string(&w, "status", status);
    if (action)
        json_put_string(&w, "action", action);
    json_put_time(&w, "at", clock_wall_ms());
    json_close(&w);
    if (json_end(&w) == RC_OK)
        channel_tell(channel, &(struct telling){ .workspace = workspace,
                                                 .scope = 1u << SCOPE_ACTIONS_PREVIEW,
                                                 .name = "job",
                                                 .data = buf_text(&data),
                                                 .job = id,
                                                 .status = status });
    buf_fini(&data);
}

/* --- commands' ends ------------------------------------------------------------------------------- */

static enum scope
scope_of(const char *family)
{
    return strcmp(family, "memory") == 0  ? SCOPE_MEMORY_WRITE
           : strcmp(family, "audit") == 0 ? SCOPE_AUDIT_WRITE
                                          : SCOPE_ACTIONS_PREVIEW;
}

static void
tell_command(struct channel *channel, const char *family, const char *id, int http,
             const char *code)
{
    AUTO(buf) struct buf data = { 0 };
    struct json_writer w;

    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "family", family);
    json_put_string(&w, "id", id);
    json_put_int(&w, "http_status", http);
    if (code)
        json_put_string(&w, "code", code);
    else
        json_put_null(&w, "code");
    json_put_time(&w, "at", clock_wall_ms());
    json_close(&w);
    if (json_end(&w) == RC_OK)
        channel_tell(channel, &(struct telling){ .workspace = channel->workspace,
                                                 .scope = 1u << scope_of(family),
                                                 .name = "command",
                                                 .data = buf_text(&data) });
}

void
events_done(struct events *events, const char *workspace, const char *family, const char *id,
            const struct worker_answer *answer)
{
    if (strcmp(family, "job") == 0) {
        bool good = answer->status < 300 && answer->job_status;
        tell_job(events, workspace, id, good ? answer->job_status : "failed", NULL);
        return;
    }
    struct channel *channel = channel_find(events, workspace);
    if (channel)
        tell_command(channel, family, id, answer->status, answer->code);
}

/* --- from NATS ------------------------------------------------------------------------------------ */

/* The workspace of <prefix><workspace>.<id>; the id, or NULL. */
static const char *
split_subject(const char *subject, size_t prefix, char workspace[WORKSPACE_TEXT_MAX])
{
    const char *name = subject + prefix;
    const char *dot = strchr(name, '.');

    if (!dot || (size_t)(dot - name) >= WORKSPACE_TEXT_MAX)
        return NULL;
    memcpy(workspace, name, (size_t)(dot - name));
    workspace[dot - name] = '\0';
    return dot + 1;
}

/* gantry.sys.jobs.<workspace>.<id> {"status":…,"action":…}: from the executor and the connector. */
static void
on_job_state(void *arg, const struct bus_msg *msg)
{
    struct events *events = arg;
    AUTO(json) cJSON *doc = NULL;
    char workspace[WORKSPACE_TEXT_MAX];
    const char *id = split_subject(msg->subject, sizeof(JOB_STATE_SUBJECT) - 1, workspace);

    if (id && json_read(msg->data, msg->len, &doc, NULL) == RC_OK && json_string(doc, "status"))
        tell_job(events, workspace, id, json_string(doc, "status"), json_string(doc, "action"));
}

/* gantry.sys.webhooks.<workspace>.<id> {"state":…,"reason":…}: from the connector. */
static void
on_webhook_state(void *arg, const struct bus_msg *msg)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf data = { 0 };
    char workspace[WORKSPACE_TEXT_MAX];
    struct json_writer w;
    const char *id = split_subject(msg->subject, sizeof(WEBHOOK_STATE_SUBJECT) - 1, workspace);
    struct channel *channel = id ? channel_find(arg, workspace) : NULL;

    if (!channel || json_read(msg->data, msg->len, &doc, NULL) != RC_OK ||
        !json_string(doc, "state") || !json_string(doc, "reason"))
        return;
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "id", id);
    json_put_string(&w, "state", json_string(doc, "state"));
    json_put_string(&w, "reason", json_string(doc, "reason"));
    json_put_time(&w, "at", clock_wall_ms());
    json_close(&w);
    if (json_end(&w) == RC_OK)
        channel_tell(channel, &(struct telling){ .workspace = workspace,
                                                 .scope = 1u << SCOPE_WEBHOOKS_MANAGE,
                                                 .name = "webhook",
                                                 .data = buf_text(&data) });
}

/* What events_tell() sent: {"scope":…,"event":…,"data":{…}}; of a job also its state. */
static void
on_told(void *arg, const struct bus_msg *msg)
{
    struct events *events = arg;
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf data = { 0 };
    const char *workspace = msg->subject + sizeof(TOLD_SUBJECT) - 1;
    struct json_writer w;

    if (json_read(msg->data, msg->len, &doc, NULL) != RC_OK || !json_string(doc, "event"))
        return;
    const cJSON *what = json_member(doc, "data");
    if (strcmp(json_string(doc, "event"), "job") == 0 && json_string(what, "job_id") &&
        json_string(what, "status")) {
        tell_job(events, workspace, json_string(what, "job_id"), json_string(what, "status"),
                 json_string(what, "action"));
        return;
    }
    struct channel *channel = channel_find(events, workspace);
    if (!channel)
        return;
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_put_doc(&w, NULL, what);
    if (json_end(&w) == RC_OK)
        channel_tell(channel, &(struct telling){ .workspace = workspace,
                                                 .scope = (uint32_t)json_int(doc, "scope", 0),
                                                 .name = json_string(doc, "event"),
                                                 .data = buf_text(&data) });
}

void
events_tell(struct gateway *gw, const char *workspace, enum scope scope, const char *name,
            const char *data)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;
    char subject[SUBJECT_MAX];

    buf_init(&text, 2 * EVENTS_TEXT_MAX);
    json_begin(&w, &text);
    json_object(&w, NULL);
    json_put_int(&w, "scope", scope < SCOPE_COUNT ? 1 << scope : 0);
    json_put_string(&w, "event", name);
    json_put_raw(&w, "data", data, strlen(data));
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    (void)snprintf(subject, sizeof(subject), TOLD_SUBJECT "%s", workspace);
    struct bus_out out = { .subject = subject, .data = buf_text(&text), .len = text.len };
    (void)bus_publish(gw->bus, &out, NULL); /* NATS is unavailable: events_missed() comes */
}

/* --- life ----------------------------------------------------------------------------------------- */

enum rc
events_open(struct gateway *gw, struct events **out, struct err *err)
{
    struct events *events = calloc(1, sizeof(*events));
    struct bus_sub *sub;

    if (!events)
        return err_set(err, RC_TEMP, "no memory for events");
    events->gw = gw;
    TAILQ_INIT(&events->beats);
    enum rc rc = tally_new(&events->shares, err);
    if (rc == RC_OK)
        rc = bus_subscribe(gw->bus, JOB_STATE_SUBJECT "*.*", NULL, on_job_state, events, &sub, err);
    if (rc == RC_OK)
        rc = bus_subscribe(gw->bus, WEBHOOK_STATE_SUBJECT "*.*", NULL, on_webhook_state, events,
                           &sub, err);
    if (rc == RC_OK)
        rc = bus_subscribe(gw->bus, TOLD_SUBJECT "*", NULL, on_told, events, &sub, err);
    if (rc != RC_OK) {
        tally_free(events->shares);
        free(events);
        return rc;
    }
    events->timer = loop_timer_new(gw->loop, channels_tick, events);
    loop_timer_set(events->timer, TICK_MS, TICK_MS);
    *out = events;
    return RC_OK;
}

void
events_close(struct events *events)
{
    if (!events)
        return;
    loop_timer_free(events->timer);
    for (size_t i = 0; i < CHANNEL_BUCKETS; i++)
        while (!LIST_EMPTY(&events->channels[i])) {
            struct channel *channel = LIST_FIRST(&events->channels[i]);
            while (!TAILQ_EMPTY(&channel->listeners))
                listener_leave(TAILQ_FIRST(&channel->listeners));
            channel_free(channel);
        }
    tally_free(events->shares);
    free(events);
}

void
events_missed(struct events *events)
{
    struct channel *channel;

    for (size_t i = 0; i < CHANNEL_BUCKETS; i++)
        LIST_FOREACH (channel, &events->channels[i], link)
            channel_missed(channel);
    wake_all(events);
}

void
events_key_changed(struct events *events, const char *key_id)
{
    struct listener *next;

    for (struct listener *one = TAILQ_FIRST(&events->beats); one; one = next) {
        next = TAILQ_NEXT(one, beat_link);
        if (strcmp(one->r->actor.key_id, key_id) == 0)
            listener_end(one);
    }
}

void
events_drain(struct events *events)
{
    events->draining = true;
    while (!TAILQ_EMPTY(&events->beats))
        listener_end(TAILQ_FIRST(&events->beats));
    wake_all(events);
}

unsigned
events_listeners(const struct events *events)
{
    return events->n_listeners;
}
