/* SPDX-License-Identifier: MIT */
#include "effects/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/crypto_encode.h"
#include "effects/share.h"
#include "events/events.h"
#include "gateway.h"
#include "keys/allow.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define ROOM_FRESH_MS   1000
#define ROOM_TIMEOUT_MS 1000
#define ROOM_PERCENT    80

/* --- room in Redis ---------------------------------------------------------------------------- */

static int64_t
number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

static void
on_room(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct gateway *gw = arg;
    (void)err;
    if (rc != RC_OK || reply->type != KV_TEXT)
        return;
    int64_t used = number_after(reply->text, "\nused_memory:");
    int64_t most = number_after(reply->text, "\nmaxmemory:");
    gw->room_short = most > 0 && used > most / 100 * ROOM_PERCENT;
}

/* What was true a second ago is good enough for a bound. */
static bool
room_left(struct gateway *gw)
{
    struct kv_command cmd = { 0 };
    int64_t now_ms = clock_mono_ms();
    if (now_ms - gw->room_asked_ms >= ROOM_FRESH_MS) {
        gw->room_asked_ms = now_ms;
        kv_add(&cmd, "INFO");
        kv_add(&cmd, "memory");
        kv_call(gw->kv, &cmd, ROOM_TIMEOUT_MS, on_room, gw);
    }
    return !gw->room_short;
}

/* --- the allowlist ---------------------------------------------------------------------------- */

struct question {
    struct request *r;
    struct asked *asked;
    size_t n;
};

static const char *
first_missing(const struct question *q, const struct allow_view *view)
{
    for (size_t i = 0; i < q->n; i++)
        if (!view || !allow_has(view, q->asked[i].action))
            return q->asked[i].action;
    return NULL;
}

/* The first that the policy does not simply allow; NULL = all of them run. */
static const struct asked *
first_not_allowed(const struct question *q, const struct allow_view *view)
{
    const struct asked *first = NULL;
    for (size_t i = 0; i < q->n; i++) {
        decide(q->r, view, &q->asked[i]);
        if (q->asked[i].decision.outcome != POLICY_ALLOW && !first)
            first = &q->asked[i];
    }
    return first;
}

static enum step
unreadable(struct request *r)
{
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "the allowlist cannot be read now");
}

static enum step
judge(const struct question *q, enum rc rc, const struct allow_view *view)
{
    if (rc != RC_OK && rc != RC_NOTFOUND) /* not knowing is no verdict */
        return unreadable(q->r);
    const char *missing = first_missing(q, view);
    if (missing)
        return answer_not_allowed(q->r, missing);
    (void)first_not_allowed(q, view);
    q->r->decision = decide_gravest(q->asked, q->n);
    for (size_t i = 0; i < q->n; i++)
        if (q->asked[i].decision.outcome == POLICY_DENY)
            return answer_denied(q->r, &q->asked[i]);
    return STEP_NEXT;
}

static void
on_allowed(void *arg, enum rc rc, const struct allow_view *view)
{
    struct question *q = arg;
    struct request *r = q->r;
    enum step step = judge(q, rc, view);
    free(q);
    request_continue(r, step);
}

enum step
tasks_allow(struct request *r, struct asked *asked, size_t n)
{
    if (!kv_connected(r->gw->kv) || !room_left(r->gw)) {
        if (r->gw->room_short)
            full_note(r->gw, FULL_REDIS, r->actor.workspace);
        answer_header(r, "Retry-After", "2");
        return answer_problem(r, PROBLEM_UNAVAILABLE,
                              r->gw->room_short ? "there is no room for more jobs"
                                                : "Redis is unavailable: no jobs now");
    }
    if (share_used_up(r->gw, SHARE_JOBS, r->actor.workspace))
        return share_refuse(r, SHARE_JOBS);
    const struct allow_view *known = allow_known(r->gw->allowlist, r->actor.workspace);
    struct question question = { .r = r, .asked = asked, .n = n };
    if (known && !first_missing(&question, known) && !first_not_allowed(&question, known)) {
        r->decision = decide_gravest(asked, n);
        return STEP_NEXT;
    }
    /* What a remembered list or policy refuses may have been allowed a moment ago. */
    struct question *q = malloc(sizeof(*q));
    if (!q)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory");
    *q = question;
    if (allow_ask(r->gw->allowlist, r->actor.workspace, on_allowed, q) == RC_OK)
        return STEP_WAIT;
    free(q);
    return unreadable(r);
}

/* --- one task --------------------------------------------------------------------------------- */

enum rc
tasks_message(const char *action, const cJSON *params, struct buf *out)
{
    struct json_writer w;
    const cJSON *member;
    if (json_member(params, "type"))
        return RC_INVALID;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_object(&w, "task");
    json_put_string(&w, "type", action);
    cJSON_ArrayForEach (member, params)
        json_put_doc(&w, member->string, member);
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}

void
tasks_id(const struct request *r, size_t number, char id[ID_TEXT_MAX])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    char text[ID_TEXT_MAX + 24];
    char hex[2 * CRYPTO_HASH_LEN + 1];
    int len = snprintf(text, sizeof(text), "%s.%zu", r->id, number);
    crypto_keyed_hash(r->gw->idem_key, text, (size_t)len, hash);
    hex_encode(hash, sizeof(hash), hex);
    (void)snprintf(id, ID_TEXT_MAX, "%.13s-7%.3s-%c%.3s-%.12s", r->id, hex, "89ab"[hash[20] & 3],
                   hex + 3, hex + 6);
}

static void
ignore_reply(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    (void)arg, (void)rc, (void)reply, (void)err; /* the executor makes the record too */
}

static void
tell_pending(const struct request *r, const struct job_ref *ref)
{
    AUTO(buf) struct buf data = { 0 };
    struct json_writer w;
    if (r->idem.hold == IDEM_REPLAYED || r->idem.attempt > 1) /* it may have ended long ago */
        return;
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "job_id", ref->id);
    json_put_string(&w, "status", "pending");
    json_put_string(&w, "action", ref->action);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        events_tell(r->gw, ref->workspace, SCOPE_ACTIONS_PREVIEW, "job", buf_text(&data));
}

void
tasks_show(struct request *r, const char *id, const char *action, kv_fn *fn, void *arg)
{
    struct job_ref ref = { .enqueued_ms = r->accepted_ms };
    (void)snprintf(ref.workspace, sizeof(ref.workspace), "%s", r->actor.workspace);
    (void)snprintf(ref.id, sizeof(ref.id), "%s", id);
    (void)snprintf(ref.action, sizeof(ref.action), "%s", action);
    jobs_create(&r->gw->jobs, &ref, fn ? fn : ignore_reply, arg);
    tell_pending(r, &ref);
}

/* --- POST /webhook/executor/run ----------------------------------------------------------------- */

static const char *
type_of(const struct request *r)
{
    return json_string(json_member(r->doc, "task"), "type");
}

enum step
task_allow(struct request *r)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory");
    r->own = asked;
    asked->action = type_of(r);
    asked->params = json_member(r->doc, "task");
    return tasks_allow(r, asked, 1);
}

void
task_stored(struct request *r)
{
    tasks_show(r, r->id, type_of(r), NULL, NULL);
}
