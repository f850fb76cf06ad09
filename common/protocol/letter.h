/* SPDX-License-Identifier: MIT */
/*
 * letter - a dead letter as JetStream's API gives it: what it says, and how it is sent again.
 *
 * Errors:  RC_INVALID it cannot be sent again (err says why) · RC_BUG the server's answer is not of its
 *          form · RC_TEMP no memory
 * Source:  docs/protocol.md, "Dead letters"; common/worker/dead.c writes them
 */
#ifndef GANTRY_PROTOCOL_LETTER_H
#define GANTRY_PROTOCOL_LETTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/id.h"
#include "json/json.h"
#include "protocol/command.h"

#define LETTER_NAME_MAX   64
#define LETTER_HEADER_MAX 1100 /* bytes of one header's value with the NUL */
#define LETTER_MSG_ID_MAX (LETTER_HEADER_MAX + 40)

struct letter {
    int64_t seq;
    char subject[SUBJECT_MAX]; /* where it died */
    char time[CLOCK_TEXT_MAX + 8];
    char *headers; /* owned; NUL-terminated block */
    char *data;    /* owned */
    size_t len;
};

/* message: the member of the answer to $JS.API.STREAM.MSG.GET.DEAD. */
enum rc letter_read(const cJSON *message, struct letter *out, struct err *err);
/* Only its number, where it died and when: what is known of one that cannot be read. */
void letter_head(const cJSON *message, struct letter *out);
void letter_fini(struct letter *letter);
#define letter_cleanup letter_fini

/* The value of a header; "" when absent. Returns out. */
const char *letter_header(const struct letter *letter, const char *name,
                          char out[LETTER_HEADER_MAX]);
/* Whose it is: from the subject where it died. */
void letter_place(const struct letter *letter, char workspace[LETTER_NAME_MAX],
                  char program[LETTER_NAME_MAX]);
/* The members seq, workspace, program, time, subject, reason, msg_id, deliveries, size. */
void letter_put(struct json_writer *w, const struct letter *letter);
/* The member payload, a document; or payload_base64, when nobody could decode it. */
enum rc letter_put_payload(struct json_writer *w, const struct letter *letter, struct err *err);

/* A command with the gateway's claim keeps its id by the claim and gets a new Nats-Msg-Id; a direct
 * client's id is the Nats-Msg-Id itself, so within JetStream's duplicate window of two minutes it
 * cannot be sent again. */
struct letter_again {
    char subject[LETTER_HEADER_MAX];
    char workspace[WORKSPACE_TEXT_MAX];
    enum command command;
    char actor[LETTER_HEADER_MAX];  /* the claim; "" = none */
    char msg_id[LETTER_MSG_ID_MAX]; /* "" = none */
    char list[LETTER_HEADER_MAX];   /* Gantry-List; "" = one command */
};
enum rc letter_again(const struct letter *letter, struct letter_again *out, struct err *err);

#endif
