/* SPDX-License-Identifier: MIT */
/*
 * repair - consumers that are ahead of their stream are made anew.
 *
 * Why `gantry provision --no-workspaces` belongs after each start of a NATS server of version 2.10:
 *
 * 1. Killed in the instant in which a work queue becomes empty, it can forget the sequence that the
 *    stream had reached, and numbers what comes next from an older one. The consumer remembers, takes
 *    those numbers for settled, and never delivers the messages. Made anew, it begins with the first
 *    message that the stream has: what was being worked on is delivered again, which every worker
 *    absorbs.
 * 2. Killed before it has written an encrypted stream's index, it starts without that stream's key,
 *    and makes a new one when it writes the index (after two minutes, or when it stops): the stream's
 *    own description stays under the old one, and the start after that cannot read the stream. An
 *    update of the stream, also one that changes nothing, writes both anew (provision.c does it).
 *
 * Source: nats-server issues 6881 and 5412 for the first; setupAEK() in its filestore.go for the second
 */
#ifndef GANTRY_CLI_REPAIR_H
#define GANTRY_CLI_REPAIR_H

#include "base/rc.h"

struct cli;

/* All consumers of a work queue; *count grows by those made anew. A stream that is not there has
 * none. */
enum rc repair_stream(struct cli *cli, const char *stream, unsigned *count, struct err *err);

#endif
