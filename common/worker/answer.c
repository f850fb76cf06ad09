/* SPDX-License-Identifier: MIT */
/*
 * answer - how the caller hears of a result: the reply to a core request, or the .done event; of a
 * command that came in a list, the gateway with its neighbours, and clients by its own event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker_own.h"

#define DONE_EXTRA 64 /* bytes around the body of a .done event of the first form */

static const char *
error_name(const struct result *result)
{
    return result->code < PROBLEM_COUNT ? problem_name(result->code) : "internal";
}

void
delivery_reply(struct delivery *delivery)
{
    const struct result *result = &delivery->call.result;
    struct bus_header headers[3];
    char status[16];
    size_t n = 0;
    int64_t took_ms = (clock_mono_us() - delivery->arrived_us) / 1000;
    if (delivery->answer_ms && took_ms > delivery->answer_ms)
        return; /* nobody waits any more, nor has room for it */
    if (delivery->too_large) {
        snprintf(status, sizeof(status), "%zu", result->body_len);
        headers[n++] = (struct bus_header){ ANSWER_SIZE_HEADER, status };
    } else if (result->status >= 400) {
        snprintf(status, sizeof(status), "%d", result->status);
        headers[n++] = (struct bus_header){ ERROR_HEADER, error_name(result) };
        headers[n++] = (struct bus_header){ ERROR_STATUS_HEADER, status };
    } else if (result->status == 202) {
        headers[n++] = (struct bus_header){ STATUS_HEADER, "202" };
    }
    if (!delivery->too_large && result->job_status)
        headers[n++] = (struct bus_header){ JOB_STATUS_HEADER, result->job_status };
    struct bus_out out = { .subject = delivery->msg->reply,
                           .headers = headers,
                           .n_headers = n,
                           .data = delivery->too_large ? NULL : result->body,
                           .len = delivery->too_large ? 0 : result->body_len };
    if (out.subject) /* else the caller wanted no answer; the request is done and recorded all the same */
        (void)bus_publish(delivery->w->bus, &out,
                          NULL); /* not connected: the caller's time-out tells */
}

/* A gateway of protocol 1 reads {"status":n,"body":…}; it is there until an upgrade is complete. */
static bool
wants_first_form(const struct delivery *delivery)
{
    const char *version = bus_msg_header(delivery->msg, PROTOCOL_HEADER);
    return delivery->claim && (!version || strcmp(version, "1") == 0);
}

static enum rc
write_first_form(const struct result *result, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_int(&json, "status", result->status);
    if (result->body_len)
        json_put_raw(&json, "body", result->body, result->body_len);
    else
        json_put_null(&json, "body");
    json_close(&json);
    return json_end(&json);
}

/* --- of a list: together ---------------------------------------------------------------------- */

static bool
wants_list(const struct delivery *delivery)
{
    const char *version = delivery->list ? bus_msg_header(delivery->msg, PROTOCOL_HEADER) : NULL;
    return version && strtol(version, NULL, 10) >= LIST_PROTOCOL;
}

/* Lost: the callers poll, or ask again. */
void
worker_send_answers(struct worker *w)
{
    static const struct bus_header HEADERS[] = { { EVENT_HEADER, "answers" } };
    struct answers *answers = &w->answers;
    if (answers->count == 0)
        return;
    struct bus_out out = { .subject = answers->subject,
                           .headers = HEADERS,
                           .n_headers = ARRAY_LEN(HEADERS),
                           .data = answers->text.data,
                           .len = answers->text.len };
    (void)bus_publish(w->bus, &out, NULL);
    buf_fini(&answers->text);
    answers->count = 0;
}

static void
answer_with_list(struct delivery *delivery, const char *family)
{
    const struct call *call = &delivery->call;
    const struct result *result = &call->result;
    struct answers *answers = &delivery->w->answers;
    struct listed_answer answer = { .status = result->status,
                                    .body = result->body,
                                    .len = result->body_len };
    char subject[SUBJECT_MAX];
    answers_subject(subject, call->actor.workspace, family);
    if (answers->count == COMMAND_LIST_MAX || strcmp(subject, answers->subject) != 0 ||
        answers->text.len + result->body_len > ANSWER_LIST_BYTES)
        worker_send_answers(delivery->w);
    if (answers->count == 0) {
        buf_init(&answers->text, MESSAGE_MAX + ANSWER_LIST_BYTES);
        memcpy(answers->subject, subject, sizeof(subject));
    }
    (void)snprintf(answer.id, sizeof(answer.id), "%s", call->id);
    if (result->status >= 400)
        (void)snprintf(answer.code, sizeof(answer.code), "%s", error_name(result));
    answer_list_add(&answers->text, &answer);
    answers->count++;
}

/* --- one command's event ---------------------------------------------------------------------- */

void
delivery_publish_done(struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    const struct result *result = &call->result;
    const struct command_info *info = command_info(call->command);
    char subject[SUBJECT_MAX], status[16];
    AUTO(buf) struct buf text = { 0 };
    struct bus_header headers[4];
    size_t n = 0;
    if (!delivery->route || !info->family || !call->id[0])
        return;
    if (wants_list(delivery)) {
        answer_with_list(delivery, info->family);
        told_subject(subject, call->actor.workspace, info->family, call->id);
    } else
        done_subject(subject, call->actor.workspace, info->family, call->id);
    snprintf(status, sizeof(status), "%d", result->status);
    headers[n++] = (struct bus_header){ EVENT_HEADER, "done" };
    headers[n++] = (struct bus_header){ STATUS_HEADER, status };
    if (result->status >= 400)
        headers[n++] = (struct bus_header){ ERROR_HEADER, error_name(result) };
    if (result->job_status)
        headers[n++] = (struct bus_header){ JOB_STATUS_HEADER, result->job_status };
    struct bus_out out = { .subject = subject,
                           .headers = headers,
                           .n_headers = n,
                           .data = result->body,
                           .len = result->body_len };
    if (wants_first_form(delivery)) {
        buf_init(&text, result->body_len + DONE_EXTRA);
        if (write_first_form(result, &text) != RC_OK)
            return;
        out.data = text.data;
        out.len = text.len;
        out.n_headers = 1; /* Gantry-Status says that the payload is the body alone */
    }
    (void)bus_publish(delivery->w->bus, &out, NULL); /* lost: the caller polls, or asks again */
}
