/* SPDX-License-Identifier: MIT */
/*
 * letters_own - what the files of the dead letters' routes share.
 *
 * letters.c asks the server, and has the routes of one letter; letters_list.c has the pages of a list.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_LETTERS_LETTERS_OWN_H
#define GANTRY_GATEWAY_LETTERS_LETTERS_OWN_H

#include "bus/bus.h"
#include "protocol/letter_walk.h"
#include "requests/request.h"

#define LETTER_GET_SUBJECT "$JS.API.STREAM.MSG.GET.DEAD"

struct desk {
    struct request *r;
    enum step (*take)(struct desk *desk); /* what is done with a letter that was read */
    enum step (*none)(struct desk *desk); /* what follows when no letter was found */
    bool keeps_unreadable;   /* a letter that cannot be read counts, with what is known of it */
    struct letter_walk walk; /* of a list; of one letter only the workspace is set */
    bool from_start;         /* this page is the first */
    int64_t looked_at;       /* letters, for this page, when it goes over all */
    const char *subject;     /* of the question that waits for room */
    bus_reply_fn *fn;
    struct buf question; /* owned */
    int64_t limit;
    int64_t count;
    struct buf out;
    struct json_writer w;
    struct letter letter; /* the one that was read last */
};

/* letters.c */
struct desk *letters_new(struct request *r, size_t out_max); /* NULL: no memory */
/* The end of the first call of a route: what waits keeps its desk. */
enum step letters_begun(struct desk *desk, enum step step);
void letters_go_on(struct desk *desk, enum step step); /* the same, in a callback */
enum step letters_unavailable(struct request *r, const char *why);
enum step letters_refuse(struct request *r, const char *member, const char *why);
/* Send desk->question, which was written with the result `question`. An answer may be a whole letter: it
 * has room before it is asked for, and fn gives that back. */
enum step letters_ask(struct desk *desk, const char *subject, enum rc question, bus_reply_fn *fn);
void letters_on_letter(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err);
/* The server's answer; RC_NOTFOUND: there is no such letter. */
enum rc letters_read_answer(enum rc rc, const struct bus_msg *msg, cJSON **doc);
bool letters_has_ours(const struct desk *desk); /* the letter that was read is of this workspace */

#endif
