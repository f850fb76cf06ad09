/* SPDX-License-Identifier: MIT */
/*
 * answer_list - what became of several commands of a list (command_list.h), in one message.
 *
 * Subject: gantry.v1.<workspace>.answers.<family> (answers_subject), for gateways only
 * Header:  Gantry-Event: answers
 * Shape:   for each command "<command id> <HTTP status> <problem code or -> <length>\n<body>\n"
 * Asked:   a list whose Gantry-Protocol is LIST_PROTOCOL. Each command's own event is told as well, to
 *          clients only (told_subject).
 * Bounds:  a message holds at most COMMAND_LIST_MAX answers, and is closed at ANSWER_LIST_BYTES
 */
#ifndef GANTRY_PROTOCOL_ANSWER_LIST_H
#define GANTRY_PROTOCOL_ANSWER_LIST_H

#include <stddef.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/rc.h"

#define LIST_PROTOCOL     3
#define ANSWER_LIST_BYTES (256u << 10)
#define ANSWER_CODE_MAX   48 /* bytes with the NUL */

struct listed_answer {
    char id[ID_TEXT_MAX], code[ANSWER_CODE_MAX]; /* code: "" = none */
    int status;
    const char *body; /* of one that was read: borrowed from the list */
    size_t len;
};

void answer_list_add(struct buf *out, const struct listed_answer *answer);
/* Takes the first answer off *text; RC_CORRUPT: it is malformed. */
enum rc answer_list_next(const char **text, size_t *left, struct listed_answer *out);

#endif
