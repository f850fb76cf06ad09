/* SPDX-License-Identifier: MIT */
/*
 * tally - what each workspace has in hand, while it has anything.
 *
 * Errors:  none; a row for which there is no memory is NULL
 * Threads: one
 */
#ifndef GANTRY_GATEWAY_TALLY_H
#define GANTRY_GATEWAY_TALLY_H

#include <stdint.h>
#include <sys/queue.h>

#include "base/id.h"
#include "base/rc.h"

struct tally;
struct request;

struct tally_row {
    SLIST_ENTRY(tally_row) link;
    char workspace[WORKSPACE_TEXT_MAX];
    uint64_t count;
    uint64_t bytes;
    uint64_t changes; /* of its keys, under way */
    uint64_t asking;  /* requests that have room for an answer, or wait for it (effects/room.h) */
    uint64_t answer_bytes;         /* of the former */
    TAILQ_HEAD(, request) answers; /* of the latter; all zero until the first */
    TAILQ_ENTRY(tally_row) ring;
};

enum rc tally_new(struct tally **out, struct err *err);
void tally_free(struct tally *tally); /* NULL allowed */
/* The workspace's row, made when it has none; valid until it is dropped. */
struct tally_row *tally_row(struct tally *tally, const char *workspace);
void tally_drop(struct tally *tally, struct tally_row *row);
void tally_drop_unused(struct tally *tally, struct tally_row *row); /* when it counts nothing */
void tally_clear(struct tally *tally);

#endif
