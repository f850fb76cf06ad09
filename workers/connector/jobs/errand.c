/* SPDX-License-Identifier: MIT */
/*
 * errand - one job, from its secrets to its end, on a thread of its own.
 *
 * The instant that counts is the one before the first byte of a request leaves, when the connection
 * stands: there Redis is told that the job may have had its effect (job_send.lua), unless the request is
 * safe. Whoever comes to the job after a crash is told so, and ends it as unknown instead of sending it a
 * second time, unless it carries our id as the service's key. A redelivered job without a record counts as
 * marked: the record was made before the mark, and Redis has lost both.
 *
 * Once a request may have had its effect (doubt), there are two ends left: ok, and unknown.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "jobs/connector.h"

#define WAIT_STEP_MS 50

enum send_word { SEND_OK, SEND_SENT, SEND_CANCELLED, SEND_BUSY, SEND_DOWN };

struct sending {
    struct errand *e;
    const struct built *built;
    enum send_word word;
    bool asked;
};

bool
errand_stopped(void *arg)
{
    const struct errand *e = arg;

    return atomic_load(&e->stop);
}

int64_t
errand_left_ms(const struct errand *e)
{
    int64_t left_ms = e->end_ms - clock_mono_ms();

    return left_ms > 0 ? left_ms : 0;
}

bool
errand_wait(struct errand *e, uint32_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;

    while (clock_mono_ms() < until_ms) {
        const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };

        if (errand_stopped(e) || errand_left_ms(e) == 0)
            return false;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
    }
    return true;
}

/* The action's own hosts, and the workspace's. */
bool
errand_allowed(const struct errand *e, const char *host, unsigned port)
{
    const cJSON *item;

    if (!recipe_host(e->recipe, host, port))
        return false;
    cJSON_ArrayForEach (item, e->egress) {
        if (cJSON_IsString(item) && guard_host_matches(item->valuestring, host, port))
            return true;
    }
    return false;
}

static bool
allowed(void *arg, const char *host, unsigned port)
{
    const struct sending *sending = arg;

    return errand_allowed(sending->e, host, port);
}

static bool
follow(void *arg, const char *url, char why[OUTBOUND_WHY_MAX])
{
    const struct sending *sending = arg;

    return errand_follow(sending->e, buf_text(&sending->built->url), url, why);
}

static bool
stopped(void *arg)
{
    const struct sending *sending = arg;

    return errand_stopped(sending->e);
}

/* --- the instant that counts ------------------------------------------------------------------------------- */

static void
on_marked(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    const char *word = jobs_word(reply);

    (void)err;
    desk_answer(arg, rc != RC_OK                      ? SEND_DOWN
                     : strcmp(word, "ok") == 0        ? SEND_OK
                     : strcmp(word, "sent") == 0      ? SEND_SENT
                     : strcmp(word, "cancelled") == 0 ? SEND_CANCELLED
                                                      : SEND_BUSY);
}

static void
mark(void *arg, struct desk_ticket *ticket)
{
    const struct errand *e = arg;

    jobs_send(&e->c->taskings.jobs, &e->ref, e->token, on_marked, ticket);
}

static bool
may_send(void *arg)
{
    struct sending *sending = arg;
    int word;

    if (sending->built->safe)
        return true;
    sending->asked = true;
    word = desk_ask(sending->e->c->desk, mark, sending->e);
    sending->word = word < 0 ? SEND_DOWN : (enum send_word)word;
    if (sending->word != SEND_SENT)
        return sending->word == SEND_OK;
    sending->e->doubt = true;
    return sending->built->keyed;
}

/* --- the ends ---------------------------------------------------------------------------------------------- */

static void
end_with(struct errand *e, const char *outcome, const struct outbound_answer *answer,
         const char *why)
{
    e->end = ERRAND_ENDED;
    e->outcome = e->doubt && strcmp(outcome, "ok") != 0 ? "unknown" : outcome;
    buf_fini(&e->output);
    buf_init(&e->output, RECIPE_OUTPUT_MAX);
    if (recipe_output(e->recipe, answer, why, e->attempts, e->texts, &e->output) != RC_OK)
        (void)!recipe_output(e->recipe, NULL, why, e->attempts, NULL, &e->output);
}

/* Held back before it was sent. true: the errand has ended. */
static void
end_held(struct errand *e, enum send_word word)
{
    switch (word) {
    case SEND_SENT:
        end_with(e, "unknown", NULL,
                 e->lost
                     ? "Redis has lost the record of an earlier attempt: it may have been done, "
                       "and is not sent a second time"
                     : "an earlier attempt ended while it was sending: it may have been done, "
                       "and is not sent a second time");
        return;
    case SEND_OK:
    case SEND_CANCELLED:
        end_with(e, "cancelled", NULL,
                 e->doubt ? "cancelled: an earlier request may have been done"
                          : "cancelled before it was sent");
        return;
    case SEND_BUSY:
    case SEND_DOWN:
        e->end = ERRAND_LATER;
        (void)snprintf(e->why, sizeof(e->why), "%s",
                       word == SEND_BUSY ? "another delivery of this command has taken over"
                                         : "Redis is unavailable: nothing was sent");
        return;
    }
}

static const char *
describe(const struct errand *e, const struct recipe_judgement *judgement,
         const struct outbound_answer *answer, char text[ERRAND_WHY_MAX])
{
    bool perhaps = e->doubt || judgement->verdict == VERDICT_UNKNOWN;

    if (judgement->verdict == VERDICT_OK)
        return NULL;
    if (answer->end == OUTBOUND_ANSWERED)
        (void)snprintf(text, ERRAND_WHY_MAX, "the service answers %d%s", answer->status,
                       perhaps ? ": it may have been done" : "");
    else
        (void)snprintf(text, ERRAND_WHY_MAX, "%s%s", answer->why,
                       perhaps ? ": it may have been done" : "");
    return text;
}

/* --- one attempt -------------------------------------------------------------------------------------------- */

static void
send_once(struct errand *e, struct sending *sending, struct outbound_answer *answer)
{
    const struct recipe_limits *limits = &e->recipe->limits;
    const struct built *built = sending->built;
    const struct outbound_request request = {
        .method = built->method,
        .url = buf_text(&built->url),
        .headers = (const char *const *)built->headers,
        .n_headers = built->n_headers,
        .body = built->body.data,
        .len = built->body.len,
        .connect_ms = limits->connect_ms,
        .head_ms = limits->head_ms,
        .total_ms = (uint32_t)errand_left_ms(e),
        .answer_max = limits->answer_bytes,
        .redirects_max = limits->redirects,
        .share = e->ref.workspace,
        .allowed = allowed,
        .follow = follow,
        .go = may_send,
        .stop = stopped,
        .arg = sending,
    };

    e->attempts++;
    outbound_send(&e->c->outbound, &request, answer);
}

/* true: once more. */
static bool
attempt(struct errand *e, bool *refreshed)
{
    struct built built = { 0 };
    struct sending sending = { .e = e, .built = &built };
    struct outbound_answer answer = { 0 };
    struct recipe_judgement judgement;
    struct err err = { 0 };
    char text[ERRAND_WHY_MAX];
    bool again = false;

    if (recipe_build(e->recipe, e->values, e->ref.enqueued_ms, &built, &err) != RC_OK) {
        if (e->doubt)
            end_held(e, SEND_SENT);
        else
            e->end = ERRAND_INVALID;
        (void)snprintf(e->why, sizeof(e->why), "%.250s", err.text);
        return false;
    }
    if (e->doubt && !built.keyed && !built.safe) {
        end_held(e, SEND_SENT);
        built_fini(&built);
        return false;
    }
    send_once(e, &sending, &answer);
    judgement = recipe_judge(e->recipe, &built, &answer, e->attempts);
    if (answer.sent && !built.safe && strcmp(judgement.outcome, "unknown") == 0)
        e->doubt = true;
    if (answer.end == OUTBOUND_STOPPED && sending.asked && !answer.sent) {
        end_held(e, sending.word);
    } else if (judgement.verdict == VERDICT_REFRESH && !*refreshed && recipe_grants(e->recipe)) {
        *refreshed = again = true;
        errand_drop_tokens(e);
    } else if (judgement.verdict == VERDICT_AGAIN && judgement.wait_ms < errand_left_ms(e) &&
               errand_wait(e, judgement.wait_ms)) {
        again = true;
    } else {
        end_with(e, judgement.outcome, &answer, describe(e, &judgement, &answer, text));
    }
    buf_wipe(&answer.body);
    built_fini(&built);
    return again;
}

void *
errand_main(void *arg)
{
    struct errand *e = arg;
    bool refreshed = false;
    enum rc rc;

    if (e->doubt && (!e->recipe->key_header || errand_stopped(e))) {
        end_held(e, SEND_SENT);
        return NULL;
    }
    do {
        rc = errand_secrets(e);
        if (rc == RC_TEMP)
            e->end = ERRAND_LATER;
        else if (rc != RC_OK)
            end_with(e, e->outcome, NULL, e->why);
    } while (rc == RC_OK && attempt(e, &refreshed));
    return NULL;
}
