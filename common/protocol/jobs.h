/* SPDX-License-Identifier: MIT */
/*
 * jobs - the state of every task, in Redis: one Lua script for each transition.
 *
 * Shape:   hash  job:<workspace>:<id>   status, action, enqueued, started, finished (ms), message and
 *                                       delivery (who holds it), cancel, http, error; of a task that
 *                                       ran: outcome, wall and cpu (ms), rss (bytes); answer (sealed):
 *                                       its output object, or the detail of a refusal
 *          zset  jobs:<workspace>       "<enqueued ms, 15 digits>:<id>", all with score 0
 *          set   pending:<workspace>    ids of the pending ones
 * States:  [waiting_approval ->] pending -> running -> completed | failed | cancelled | dead; never backwards, so that the
 *          gateway and the executor may both create a job (docs/states.md)
 * Secrecy: parameters are not stored at all; answers are sealed under DATA_KEY for their place
 * Errors:  RC_TEMP Redis is unavailable · RC_BUG a reply out of form
 * Threads: the loop's thread
 */
#ifndef GANTRY_PROTOCOL_JOBS_H
#define GANTRY_PROTOCOL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "kv/kv.h"

/* The executor tells the gateways a job's state at once: gantry.sys.jobs.<workspace>.<id>, a core
 * message {"status":…,"action":…}. Its end is told by the .done event. */
#define JOB_STATE_SUBJECT "gantry.sys.jobs."

#define JOBS_TIMEOUT_MS 3000
#define JOBS_LOST_MS    900000  /* longer than any wall limit: a run of that age has no executor */
#define JOBS_PAGE_BYTES 4194304 /* of answers on a page */
#define JOBS_CURSOR_MAX 64
#define JOBS_ERROR_MAX  400 /* = ERR_TEXT_MAX */

struct jobs {
    struct kv *kv; /* borrowed; opened with SCRIPTS (scripts.h) */
    int64_t retention_s;
    int64_t share_bytes; /* of Redis, for one workspace's previews and results */
    bool marks;          /* the program asks jobs_send() before each effect */
    uint8_t data_key[CRYPTO_KEY_LEN];
};

struct job_ref {
    char workspace[WORKSPACE_TEXT_MAX];
    char id[ID_TEXT_MAX];
    char action[257];
    int64_t enqueued_ms;
    int64_t message; /* which message of the stream, and which delivery of it */
    uint64_t delivery;
};

/* fn gets { status, pending }. */
void jobs_create(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg);
void jobs_start(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg);

/* To JOB_WAITING, or from that to "pending", "failed" or "cancelled" with an error. fn gets { status, pending }:
 * another status if an executor was there. keep_s: how long the record is kept. */
#define JOB_WAITING "waiting_approval"
struct job_hold {
    const char *status, *error;
    int64_t keep_s;
};
void jobs_hold(const struct jobs *jobs, const struct job_ref *ref, const struct job_hold *hold,
               kv_fn *fn, void *arg);

struct job_usage {
    int64_t wall_ms, cpu_ms, max_rss_bytes;
};
struct job_end {
    const char *status; /* "completed", "failed", "cancelled" */
    int http;
    const char *outcome; /* of a task; "" when it was refused: no usage then */
    struct job_usage usage;
    const char *answer; /* the output object, or the detail of a refusal; in clear, sealed here */
    size_t answer_len;
    const char *error; /* "" when there is none */
};
/* fn gets { 'full' } for a long answer when a share and a half is used: end it with a short one. */
void jobs_finish(const struct jobs *jobs, const struct job_ref *ref, const struct job_end *end,
                 kv_fn *fn, void *arg);
/* Of job_start's { 'run', … }: whether jobs_send() said ok to an earlier delivery, or may have said so in a
 * record that Redis has lost (jobs_mark_lost()). */
bool jobs_was_sent(const struct kv_reply *reply);
bool jobs_mark_lost(const struct kv_reply *reply);
/* …and whether it is to end all the same. */
bool jobs_was_cancelled(const struct kv_reply *reply);
void jobs_cancel(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg);
/* Before an effect that cannot be taken back. fn gets { 'ok' | 'sent' | 'cancelled' | 'busy' }
 * (job_send.lua). token: of this attempt. */
void jobs_send(const struct jobs *jobs, const struct job_ref *ref, const char *token, kv_fn *fn,
               void *arg);
enum rc jobs_dead_sync(const struct jobs *jobs, const struct job_ref *ref, const char *reason,
                       struct err *err);
void jobs_get(const struct jobs *jobs, const struct job_ref *ref, kv_fn *fn, void *arg);
/* cursor and status may be "". */
void jobs_list(const struct jobs *jobs, const char *workspace, const char *cursor, int64_t limit,
               const char *status, kv_fn *fn, void *arg);

/* One of ours as a static text; NULL: it is none of them, or name is NULL. */
const char *jobs_status_named(const char *name);
/* The state of a job that ended with this outcome; static. */
const char *jobs_status_of(const char *outcome);

/* The word that a script's reply begins with: "run", "done", …; "" when it is out of form. */
const char *jobs_word(const struct kv_reply *reply);
/* How a job ended, from { 'done', http, answer, outcome, wall, cpu, rss }. end->answer is in out,
 * end->outcome is borrowed from the reply; status and error are left alone. http is 0 and out empty
 * when the job ended without an answer. With an answer of 200 and no outcome the record is one of
 * version 1, and the answer a whole one (docs/states.md). */
enum rc jobs_read_end(const struct jobs *jobs, const struct job_ref *ref,
                      const struct kv_reply *reply, struct job_end *end, struct buf *out,
                      struct err *err);
/* {"status":"success"|"failed","outcome":…,["job_id":…,]"output":{…},"usage":{…}} */
enum rc jobs_compose(const char *outcome, const struct job_usage *usage, const char *output,
                     size_t output_len, const char *job_id, struct buf *out);
#define JOBS_COMPOSE_EXTRA 4096 /* bytes around the output */
/* Members "usage". */
void jobs_put_usage(struct json_writer *w, const struct job_usage *usage);

/* Write one job as the contract shows it. RC_NOTFOUND: jobs_get() found nothing. */
enum rc jobs_write_one(const struct jobs *jobs, const struct job_ref *ref,
                       const struct kv_reply *reply, const char *name, struct json_writer *w);
/* {"jobs":[…],"count","queue_depth","next_cursor"} from the reply to jobs_list(). */
enum rc jobs_write_page(const struct jobs *jobs, const char *workspace,
                        const struct kv_reply *reply, struct json_writer *w);

#endif
