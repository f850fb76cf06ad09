/* SPDX-License-Identifier: MIT */
/*
 * repair - consumers that are ahead of their stream are made anew; streams get their first message.
 *
 * Why `gantry provision --no-workspaces` belongs after each start of a NATS server of version 2.10:
 *
 * 1. Killed in the instant in which a work queue becomes empty, it can forget the sequence that the
 *    stream had reached, and numbers what comes next from an older one. The consumer remembers, takes
 *    those numbers for settled, and never delivers the messages. Made anew, it begins with the first
 *    message that the stream has: what was being worked on is delivered again, which every worker
 *    absorbs.
 *    Also, what had been settled out of order may be there again, which shows only when the messages
 *    before it have been settled: this is to be looked for now and then (provision --repair-only).
 * 2. Killed before it has written an encrypted stream's index, it starts without that stream's key,
 *    and makes a new one when it writes the index (after two minutes, or when it stops): the stream's
 *    own description stays under the old one, and the start after that cannot read the stream. An
 *    update of the stream, also one that changes nothing, writes both anew (provision.c does it).
 *
 * 3. However it was stopped, what it first writes to a stream that never had a message it does not
 *    encrypt, and so cannot read later: at a start it takes the key of a block only if the block's file
 *    has a byte. A message that comes and goes leaves some.
 *
 * A consumer is deleted and then made: whoever is killed in between leaves none, and the next run misses it
 * (provision.c).
 *
 * Source: nats-server issues 6881 and 5412 for the first; setupAEK() in its filestore.go for the second;
 *         lastChecksum() there, and pull request 7008, for the third
 */
#ifndef GANTRY_CLI_REPAIR_H
#define GANTRY_CLI_REPAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "json/json.h"

#define PLACE_MAX 128 /* bytes with the NUL */

struct cli;

struct place {
    char name[PLACE_MAX]; /* "STREAM", "STREAM.consumer" */
};

/* What there is; longer names are none of ours. */
struct places {
    struct place *all; /* owned; in order, but for what was added since the last places_have() */
    size_t count, ordered, cap;
};

void places_add(struct places *places, const char *name);
bool places_have(struct places *places, const char *name);
void places_cleanup(struct places *places);

/* All consumers of a work queue; *count grows by those made anew, places by the stream and them all. A
 * stream that is not there has none. */
enum rc repair_stream(struct cli *cli, const char *stream, struct places *places, unsigned *count,
                      struct err *err);

/* A stream that never had a message, or still has its first, which may be ours; body: its own of nats/streams. */
enum rc repair_new_stream(struct cli *cli, const char *stream, const cJSON *body, struct err *err);

#endif
