/* SPDX-License-Identifier: MIT */
/*
 * letter_walk - the questions that find every dead letter of a workspace, one after the other.
 *
 * Theory of operation. The server finds the next letter of a subject (next_by_subj) by what it remembers
 * of each subject: the first block of its file that holds one. After deletions in another order than
 * that of their sequence numbers nats-server 2.10 remembers a later block than the true one, and passes
 * over letters; their count (subjects_filter of STREAM.INFO) stays true, and so does a walk over all
 * subjects. So a walk asks by subject, which costs nothing for others' letters; when fewer were found
 * than are counted, it goes over all letters again.
 *
 * Errors:  RC_BUG a question does not fit
 * Source:  tests/integration/test_letter_walk.py shows the server's fault and this way around it
 */
#ifndef GANTRY_PROTOCOL_LETTER_WALK_H
#define GANTRY_PROTOCOL_LETTER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "json/json.h"
#include "protocol/letter.h"

#define LETTER_INFO_SUBJECT "$JS.API.STREAM.INFO.DEAD"

struct letter_walk {
    char workspace[WORKSPACE_TEXT_MAX]; /* "" = of all */
    char program[LETTER_NAME_MAX];      /* "" = of all */
    int64_t seq;                        /* where the next question begins */
    int64_t found;                      /* ours that were found and are still there */
    bool all;                           /* it goes over all letters */
};

/* The next request to $JS.API.STREAM.MSG.GET.DEAD. Its answer may be somebody else's letter. */
enum rc letter_walk_next(const struct letter_walk *walk, struct buf *body);
bool letter_walk_is_ours(const struct letter_walk *walk, const struct letter *letter);
/* At the end: what LETTER_INFO_SUBJECT is asked; and whether its answer says that letters were passed
 * over. Then the walk begins again, over all. A malformed answer: false. */
enum rc letter_walk_count(const struct letter_walk *walk, struct buf *body);
bool letter_walk_again(struct letter_walk *walk, const cJSON *info);

#endif
