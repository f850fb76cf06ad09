/* SPDX-License-Identifier: MIT */
/*
 * answer - how the caller hears of a result: the reply to a core request, or the .done event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
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
    struct bus_header headers[2];
    char status[16];
    size_t n = 0;
    if (result->status >= 400) {
        snprintf(status, sizeof(status), "%d", result->status);
        headers[n++] = (struct bus_header){ ERROR_HEADER, error_name(result) };
        headers[n++] = (struct bus_header){ ERROR_STATUS_HEADER, status };
    } else if (result->status == 202) {
        headers[n++] = (struct bus_header){ STATUS_HEADER, "202" };
    }
    struct bus_out out = { .subject = delivery->msg->reply,
                           .headers = headers,
                           .n_headers = n,
                           .data = result->body,
                           .len = result->body_len };
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

void
delivery_publish_done(struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    const struct result *result = &call->result;
    const struct command_info *info = command_info(call->command);
    char subject[SUBJECT_MAX], status[16];
    AUTO(buf) struct buf text = { 0 };
    struct bus_header headers[3];
    size_t n = 0;
    if (!delivery->route || !info->family || !call->id[0])
        return;
    done_subject(subject, call->actor.workspace, info->family, call->id);
    snprintf(status, sizeof(status), "%d", result->status);
    headers[n++] = (struct bus_header){ EVENT_HEADER, "done" };
    headers[n++] = (struct bus_header){ STATUS_HEADER, status };
    if (result->status >= 400)
        headers[n++] = (struct bus_header){ ERROR_HEADER, error_name(result) };
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
