/* SPDX-License-Identifier: MIT */
#include "protocol/letter.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "protocol/command_list.h"

void
letter_fini(struct letter *letter)
{
    free(letter->headers);
    free(letter->data);
    *letter = (struct letter){ .seq = 0 };
}

/* Headers are a block "NATS/1.0\r\nName: value\r\n…". */
const char *
letter_header(const struct letter *letter, const char *name, char out[LETTER_HEADER_MAX])
{
    size_t own = strlen(name);
    out[0] = '\0';
    for (const char *line = letter->headers; line && *line;) {
        size_t len = strcspn(line, "\r\n");
        if (len > own + 1 && strncasecmp(line, name, own) == 0 && line[own] == ':') {
            const char *value = line + own + 1 + strspn(line + own + 1, " ");
            size_t n = (size_t)(line + len - value);
            if (n < LETTER_HEADER_MAX) {
                memcpy(out, value, n);
                out[n] = '\0';
            }
            return out;
        }
        line += len + strspn(line + len, "\r\n");
    }
    return out;
}

static enum rc
decode(const char *text, char **out, size_t *len, struct err *err)
{
    size_t cap = text ? strlen(text) : 0;
    AUTO(free) char *bytes = calloc(1, cap + 1);
    if (!bytes)
        return err_set(err, RC_TEMP, "no memory for a message");
    *len = 0;
    if (text && base64_decode(text, cap, (uint8_t *)bytes, cap, len) != RC_OK)
        return err_set(err, RC_BUG, "the server did not send base64");
    bytes[*len] = '\0';
    *out = TAKE(bytes);
    return RC_OK;
}

void
letter_head(const cJSON *message, struct letter *out)
{
    const char *subject = json_string(message, "subject");
    const char *time = json_string(message, "time");
    *out = (struct letter){ .seq = json_int(message, "seq", 0) };
    (void)strlcpy(out->subject, subject ? subject : "", sizeof(out->subject));
    (void)strlcpy(out->time, time ? time : "", sizeof(out->time));
}

enum rc
letter_read(const cJSON *message, struct letter *out, struct err *err)
{
    struct letter letter;
    size_t len = 0;
    letter_head(message, &letter);
    enum rc rc = decode(json_string(message, "hdrs"), &letter.headers, &len, err);
    if (rc == RC_OK)
        rc = decode(json_string(message, "data"), &letter.data, &letter.len, err);
    if (rc == RC_OK)
        *out = letter;
    else
        letter_fini(&letter);
    return rc;
}

void
letter_place(const struct letter *letter, char workspace[LETTER_NAME_MAX],
             char program[LETTER_NAME_MAX])
{
    workspace[0] = program[0] = '\0';
    (void)sscanf(letter->subject, "gantry.v1.%63[^.].dead.%63s", workspace, program);
}

void
letter_put(struct json_writer *w, const struct letter *letter)
{
    static const struct {
        const char *header, *member;
    } NAMES[] = { { "Gantry-Subject", "subject" },
                  { "Gantry-Reason", "reason" },
                  { "Gantry-Msg-Id", "msg_id" } };
    char workspace[LETTER_NAME_MAX], program[LETTER_NAME_MAX], value[LETTER_HEADER_MAX];

    letter_place(letter, workspace, program);
    json_put_int(w, "seq", letter->seq);
    json_put_string(w, "workspace", workspace);
    json_put_string(w, "program", program);
    json_put_string(w, "time", letter->time);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        json_put_string(w, NAMES[i].member, letter_header(letter, NAMES[i].header, value));
    json_put_int(w, "deliveries",
                 strtoll(letter_header(letter, "Gantry-Deliveries", value), NULL, 10));
    json_put_int(w, "size", (int64_t)letter->len);
}

enum rc
letter_put_payload(struct json_writer *w, const struct letter *letter, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    if (json_read(letter->data, letter->len, &doc, NULL) == RC_OK) {
        json_put_doc(w, "payload", doc);
        return RC_OK;
    }
    AUTO(free) char *text = calloc(1, BASE64_LEN(letter->len));
    if (!text)
        return err_set(err, RC_TEMP, "no memory for a message");
    base64_encode((const uint8_t *)letter->data, letter->len, text);
    json_put_string(w, "payload_base64", text);
    return RC_OK;
}

/* A worker that knew no lists kept none of their headers, but their id, which ends in ".l" and the number. */
static void
list_count(const struct letter *letter, const char *msg_id, char out[LETTER_HEADER_MAX])
{
    const char *end = strrchr(msg_id, '.');
    if (letter_header(letter, LIST_HEADER, out)[0] || !end || end[1] != 'l' || !end[2] ||
        strspn(end + 2, "0123456789") != strlen(end + 2))
        return;
    (void)strlcpy(out, end + 2, LETTER_HEADER_MAX);
}

enum rc
letter_again(const struct letter *letter, struct letter_again *out, struct err *err)
{
    char id[LETTER_HEADER_MAX];

    if (letter_header(letter, CUT_HEADER, id)[0])
        return err_set(
            err, RC_INVALID,
            "dead letter %lld cannot be sent again: of its %.20s bytes only %zu are kept",
            (long long)letter->seq, id, letter->len);
    (void)letter_header(letter, "Gantry-Subject", out->subject);
    (void)letter_header(letter, ACTOR_HEADER, out->actor);
    (void)letter_header(letter, "Gantry-Msg-Id", id);
    if (strlen(out->subject) >= SUBJECT_MAX ||
        command_parse(out->subject, out->workspace, &out->command) != RC_OK ||
        command_info(out->command)->stream == STREAM_NONE)
        return err_set(err, RC_INVALID, "dead letter %lld names no command to send again",
                       (long long)letter->seq);
    list_count(letter, id, out->list);
    (void)strlcpy(out->msg_id, id, sizeof(out->msg_id));
    if (out->actor[0] || out->command == CMD_AUDIT_REQUEST)
        (void)snprintf(out->msg_id, sizeof(out->msg_id), "%s.replay.%lld", id,
                       (long long)letter->seq);
    return RC_OK;
}
