/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scripts.h"

#define KEY_MAX    160
#define ANSWER_MAX (4u << 20)

/* Of a row, after the id: the order of job_list.lua. */
enum field { STATUS, ACTION, ANSWER, ERROR, ENQUEUED, STARTED, FINISHED, OUTCOME, WALL, CPU, RSS };
#define FIELDS (RSS + 1)

/* --- calls ----------------------------------------------------------------------------------------- */

struct keys {
    char job[KEY_MAX], index[KEY_MAX], pending[KEY_MAX], share[KEY_MAX];
};

static void
make_keys(const char *workspace, const char *id, struct keys *out)
{
    (void)snprintf(out->job, KEY_MAX, "job:%s:%s", workspace, id);
    (void)snprintf(out->index, KEY_MAX, "jobs:%s", workspace);
    (void)snprintf(out->pending, KEY_MAX, "pending:%s", workspace);
    (void)snprintf(out->share, KEY_MAX, "jobs:share:%s", workspace);
}

#define JOB_KEYS 4 /* of begin() */

static void
begin(const struct job_ref *ref, struct keys *keys, struct kv_command *cmd)
{
    make_keys(ref->workspace, ref->id, keys);
    kv_add(cmd, keys->job);
    kv_add(cmd, keys->index);
    kv_add(cmd, keys->pending);
    kv_add(cmd, keys->share);
    kv_add(cmd, ref->id);
}

static void
call(const struct jobs *jobs, enum script_number script, const struct kv_command *cmd, kv_fn *fn,
     void *arg)
{
    kv_script_call(jobs->kv, script, JOB_KEYS, cmd, JOBS_TIMEOUT_MS, fn, arg);
}

void
jobs_create(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    begin(ref, &keys, &cmd);
    kv_add(&cmd, ref->action);
    kv_add_int(&cmd, ref->enqueued_ms);
    kv_add_int(&cmd, jobs->retention_s);
    call(jobs, SCRIPT_JOB_CREATE, &cmd, fn, arg);
}

void
jobs_start(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    begin(ref, &keys, &cmd);
    kv_add(&cmd, ref->action);
    kv_add_int(&cmd, ref->enqueued_ms);
    kv_add_int(&cmd, jobs->retention_s);
    kv_add_int(&cmd, clock_wall_ms());
    kv_add_int(&cmd, ref->message);
    kv_add_int(&cmd, (int64_t)ref->delivery);
    kv_add_int(&cmd, JOBS_LOST_MS);
    kv_add(&cmd, jobs->marks ? "marks" : "");
    kv_add_int(&cmd, jobs->share_bytes);
    call(jobs, SCRIPT_JOB_START, &cmd, fn, arg);
}

void
jobs_hold(const struct jobs *jobs, const struct job_ref *ref, const struct job_hold *hold,
          kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    begin(ref, &keys, &cmd);
    kv_add(&cmd, ref->action);
    kv_add_int(&cmd, ref->enqueued_ms);
    kv_add_int(&cmd, jobs->retention_s + hold->keep_s);
    kv_add(&cmd, hold->status);
    kv_add_int(&cmd, clock_wall_ms());
    kv_add(&cmd, hold->error ? hold->error : "");
    call(jobs, SCRIPT_JOB_HOLD, &cmd, fn, arg);
}

static bool
has_text(const struct kv_reply *reply, size_t at)
{
    return reply && reply->type == KV_LIST && reply->count > at &&
           reply->items[at].type == KV_TEXT && reply->items[at].len > 0;
}

bool
jobs_was_sent(const struct kv_reply *reply)
{
    return has_text(reply, 1);
}

bool
jobs_mark_lost(const struct kv_reply *reply)
{
    return has_text(reply, 1) && strcmp(reply->items[1].text, "lost") == 0;
}

bool
jobs_was_cancelled(const struct kv_reply *reply)
{
    return has_text(reply, 2);
}

static void
answer_place(const char *workspace, const char *id, char place[KEY_MAX])
{
    (void)snprintf(place, KEY_MAX, "job:%s:%s:answer", workspace, id);
}

void
jobs_finish(const struct jobs *jobs, const struct job_ref *ref, const struct job_end *end,
            kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;
    char place[KEY_MAX];
    size_t len = end->answer_len + CRYPTO_SEAL_EXTRA;
    AUTO(free) uint8_t *sealed = malloc(len);

    if (!sealed)
        log_no_memory("a job's answer");
    answer_place(ref->workspace, ref->id, place);
    crypto_seal(jobs->data_key, place, end->answer, end->answer_len, sealed);
    begin(ref, &keys, &cmd);
    kv_add_int(&cmd, ref->message);
    kv_add_int(&cmd, (int64_t)ref->delivery);
    kv_add(&cmd, end->status);
    kv_add_int(&cmd, end->http);
    kv_add_bytes(&cmd, sealed, len);
    kv_add(&cmd, end->error);
    kv_add_int(&cmd, clock_wall_ms());
    kv_add_int(&cmd, jobs->retention_s);
    kv_add_int(&cmd, jobs->share_bytes);
    kv_add(&cmd, end->outcome);
    kv_add_int(&cmd, end->usage.wall_ms);
    kv_add_int(&cmd, end->usage.cpu_ms);
    kv_add_int(&cmd, end->usage.max_rss_bytes);
    call(jobs, SCRIPT_JOB_FINISH, &cmd, fn, arg);
}

void
jobs_cancel(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    begin(ref, &keys, &cmd);
    kv_add_int(&cmd, clock_wall_ms());
    kv_add_int(&cmd, jobs->retention_s);
    call(jobs, SCRIPT_JOB_CANCEL, &cmd, fn, arg);
}

void
jobs_send(const struct jobs *jobs, const struct job_ref *ref, const char *token, kv_fn *fn,
          void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    make_keys(ref->workspace, ref->id, &keys);
    kv_add(&cmd, keys.job);
    kv_add(&cmd, ref->id);
    kv_add_int(&cmd, ref->message);
    kv_add_int(&cmd, (int64_t)ref->delivery);
    kv_add(&cmd, token);
    kv_script_call(jobs->kv, SCRIPT_JOB_SEND, 1, &cmd, JOBS_TIMEOUT_MS, fn, arg);
}

enum rc
jobs_dead_sync(const struct jobs *jobs, const struct job_ref *ref, const char *reason,
               struct err *err)
{
    struct kv_command cmd = { 0 };
    struct kv_reply *reply = NULL;
    struct keys keys;
    enum rc rc;

    begin(ref, &keys, &cmd);
    kv_add(&cmd, ref->action);
    kv_add_int(&cmd, ref->enqueued_ms);
    kv_add_int(&cmd, jobs->retention_s);
    kv_add_int(&cmd, clock_wall_ms());
    kv_add(&cmd, reason);
    rc = kv_script_sync(jobs->kv, SCRIPT_JOB_DEAD, JOB_KEYS, &cmd, &reply, err);
    if (reply)
        kv_reply_free(reply);
    return rc;
}

void
jobs_get(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg)
{
    static const char *const NAMES[FIELDS] = { "status",   "action",  "answer",   "error",
                                               "enqueued", "started", "finished", "outcome",
                                               "wall",     "cpu",     "rss" };
    struct kv_command cmd = { 0 };
    struct keys keys;

    make_keys(ref->workspace, ref->id, &keys);
    kv_add(&cmd, "HMGET");
    kv_add(&cmd, keys.job);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        kv_add(&cmd, NAMES[i]);
    kv_call(jobs->kv, &cmd, JOBS_TIMEOUT_MS, fn, arg);
}

void
jobs_list(const struct jobs *jobs, const char *workspace, const char *cursor, int64_t limit,
          const char *status, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    struct keys keys;

    make_keys(workspace, "", &keys);
    kv_add(&cmd, keys.index);
    kv_add(&cmd, keys.pending);
    kv_add(&cmd, keys.job);
    kv_add(&cmd, cursor);
    kv_add_int(&cmd, limit);
    kv_add(&cmd, status);
    kv_add_int(&cmd, JOBS_PAGE_BYTES);
    kv_script_call(jobs->kv, SCRIPT_JOB_LIST, 3, &cmd, JOBS_TIMEOUT_MS, fn, arg);
}

/* --- states ------------------------------------------------------------------------------------------ */

const char *
jobs_status_named(const char *name)
{
    static const char *const NAMES[] = { JOB_WAITING, "pending",   "running", "completed",
                                         "failed",    "cancelled", "dead" };
    for (size_t i = 0; name && i < ARRAY_LEN(NAMES); i++)
        if (strcmp(NAMES[i], name) == 0)
            return NAMES[i];
    return NULL;
}

const char *
jobs_status_of(const char *outcome)
{
    return strcmp(outcome, "ok") == 0          ? "completed"
           : strcmp(outcome, "cancelled") == 0 ? "cancelled"
                                               : "failed";
}

/* --- replies ----------------------------------------------------------------------------------------- */

const char *
jobs_word(const struct kv_reply *reply)
{
    if (!reply || reply->type != KV_LIST || reply->count == 0 || reply->items[0].type != KV_TEXT)
        return "";
    return reply->items[0].text;
}

static enum rc
open_answer(const struct jobs *jobs, const char *workspace, const char *id,
            const struct kv_reply *sealed, struct buf *out)
{
    char place[KEY_MAX];
    AUTO(free) char *clear = NULL;
    size_t len;

    if (sealed->type != KV_TEXT || sealed->len < CRYPTO_SEAL_EXTRA)
        return RC_OK; /* none: cancelled before it ran, or dead */
    len = sealed->len - CRYPTO_SEAL_EXTRA;
    clear = malloc(len + 1);
    if (!clear)
        return RC_TEMP;
    answer_place(workspace, id, place);
    if (crypto_open(jobs->data_key, place, (const uint8_t *)sealed->text, sealed->len,
                    (uint8_t *)clear) != RC_OK)
        return RC_BUG;
    buf_add(out, clear, len);
    return buf_failed(out) ? RC_LIMIT : RC_OK;
}

static int64_t
field_int(const struct kv_reply *field)
{
    return field->type == KV_TEXT && field->len ? strtoll(field->text, NULL, 10) : 0;
}

static struct job_usage
usage_of(const struct kv_reply *wall_cpu_rss)
{
    return (struct job_usage){ .wall_ms = field_int(&wall_cpu_rss[0]),
                               .cpu_ms = field_int(&wall_cpu_rss[1]),
                               .max_rss_bytes = field_int(&wall_cpu_rss[2]) };
}

enum rc
jobs_read_end(const struct jobs *jobs, const struct job_ref *ref, const struct kv_reply *reply,
              struct job_end *end, struct buf *out, struct err *err)
{
    if (reply->count != 7 || reply->items[1].type != KV_TEXT || reply->items[3].type != KV_TEXT)
        return err_set(err, RC_BUG, "Redis sent a malformed answer");
    if (open_answer(jobs, ref->workspace, ref->id, &reply->items[2], out) != RC_OK)
        return err_set(err, RC_BUG, "a recorded answer cannot be opened (was DATA_KEY changed?)");
    end->http = (int)field_int(&reply->items[1]);
    end->outcome = reply->items[3].text;
    end->usage = usage_of(&reply->items[4]);
    end->answer = buf_text(out);
    end->answer_len = out->len;
    return RC_OK;
}

void
jobs_put_usage(struct json_writer *w, const struct job_usage *usage)
{
    json_object(w, "usage");
    json_put_int(w, "wall_ms", usage->wall_ms);
    json_put_int(w, "cpu_ms", usage->cpu_ms);
    json_put_int(w, "max_rss_bytes", usage->max_rss_bytes);
    json_close(w);
}

enum rc
jobs_compose(const char *outcome, const struct job_usage *usage, const char *output,
             size_t output_len, const char *job_id, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "status", strcmp(outcome, "ok") == 0 ? "success" : "failed");
    json_put_string(&w, "outcome", outcome);
    if (job_id)
        json_put_string(&w, "job_id", job_id);
    json_put_raw(&w, "output", output, output_len);
    jobs_put_usage(&w, usage);
    json_close(&w);
    return json_end(&w);
}

/* A record of version 1 holds the whole answer {...,"outcome","output":{...},"usage"}. */
static void
put_result_of_version_1(struct json_writer *w, const struct buf *answer)
{
    AUTO(json) cJSON *doc = NULL;
    const cJSON *member;

    if (json_read_exact(buf_text(answer), answer->len, &doc, NULL) != RC_OK ||
        !cJSON_IsObject(json_member(doc, "output"))) {
        json_put_null(w, "result"); /* the detail of a refusal */
        return;
    }
    json_object(w, "result");
    json_put_doc(w, "outcome", json_member(doc, "outcome"));
    cJSON_ArrayForEach (member, json_member(doc, "output"))
        json_put_doc(w, member->string, member);
    json_put_doc(w, "usage", json_member(doc, "usage"));
    json_close(w);
}

/* What a task prints may hold control characters, which our reader refuses: its output is not parsed. */
static void
put_result(struct json_writer *w, const struct kv_reply *fields, const struct buf *answer)
{
    const struct job_usage usage = usage_of(&fields[WALL]);

    if (answer->len == 0) {
        json_put_null(w, "result");
    } else if (fields[OUTCOME].type != KV_TEXT || fields[OUTCOME].len == 0) {
        put_result_of_version_1(w, answer);
    } else {
        json_object(w, "result");
        json_put_string(w, "outcome", fields[OUTCOME].text);
        json_put_members(w, buf_text(answer), answer->len);
        jobs_put_usage(w, &usage);
        json_close(w);
    }
}

static enum rc
write_job(const struct jobs *jobs, const struct job_ref *ref, const struct kv_reply *fields,
          const char *name, struct json_writer *w)
{
    AUTO(buf) struct buf answer = { 0 };
    int64_t started_ms = field_int(&fields[STARTED]);
    int64_t finished_ms = field_int(&fields[FINISHED]);
    const struct kv_reply *error = &fields[ERROR];

    buf_init(&answer, ANSWER_MAX);
    if (open_answer(jobs, ref->workspace, ref->id, &fields[ANSWER], &answer) != RC_OK)
        return RC_BUG;
    json_object(w, name);
    json_put_string(w, "job_id", ref->id);
    json_put_bytes(w, "status", fields[STATUS].text, fields[STATUS].len);
    json_put_string(w, "action", fields[ACTION].type == KV_TEXT ? fields[ACTION].text : "");
    put_result(w, fields, &answer);
    if (error->type == KV_TEXT && error->len)
        json_put_bytes(w, "error", error->text, error->len);
    else
        json_put_null(w, "error");
    if (started_ms && finished_ms)
        json_put_int(w, "duration_ms", finished_ms - started_ms);
    else
        json_put_null(w, "duration_ms");
    json_put_time_or_null(w, "enqueued_at", field_int(&fields[ENQUEUED]));
    json_put_time_or_null(w, "started_at", started_ms);
    json_put_time_or_null(w, "finished_at", finished_ms);
    json_close(w);
    return RC_OK;
}

enum rc
jobs_write_one(const struct jobs *jobs, const struct job_ref *ref, const struct kv_reply *reply,
               const char *name, struct json_writer *w)
{
    if (reply->type != KV_LIST || reply->count != FIELDS)
        return RC_BUG;
    if (reply->items[STATUS].type != KV_TEXT)
        return RC_NOTFOUND;
    return write_job(jobs, ref, reply->items, name, w);
}

enum rc
jobs_write_page(const struct jobs *jobs, const char *workspace, const struct kv_reply *reply,
                struct json_writer *w)
{
    struct job_ref ref = { 0 };

    if (reply->type != KV_LIST || reply->count < 2 || reply->items[0].type != KV_TEXT)
        return RC_BUG;
    (void)strlcpy(ref.workspace, workspace, sizeof(ref.workspace));
    json_object(w, NULL);
    json_array(w, "jobs");
    for (size_t i = 2; i < reply->count; i++) {
        const struct kv_reply *row = &reply->items[i];

        if (row->type != KV_LIST || row->count != 1 + FIELDS || row->items[0].type != KV_TEXT)
            return RC_BUG;
        (void)strlcpy(ref.id, row->items[0].text, sizeof(ref.id));
        if (write_job(jobs, &ref, row->items + 1, NULL, w) != RC_OK)
            return RC_BUG;
    }
    json_close(w);
    json_put_int(w, "count", (int64_t)reply->count - 2);
    json_put_int(w, "queue_depth", reply->items[1].integer);
    if (reply->items[0].len)
        json_put_bytes(w, "next_cursor", reply->items[0].text, reply->items[0].len);
    else
        json_put_null(w, "next_cursor");
    json_close(w);
    return RC_OK;
}
