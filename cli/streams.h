/* SPDX-License-Identifier: MIT */
/*
 * streams - what the NATS server says of the queues, and the workers of themselves.
 *
 * Errors:  those of cli_js() and cli_bus()
 * Source:  the JetStream API; NATS ADR-32
 */
#ifndef GANTRY_CLI_STREAMS_H
#define GANTRY_CLI_STREAMS_H

#include "cli.h"

#define STREAMS_COUNT 5 /* at most: CONNECTOR is where there is a connector */

struct stream_count {
    const char *name;
    int64_t messages, consumers;
    int64_t pending;   /* not delivered yet */
    int64_t unsettled; /* under way */
    int64_t last_seq;  /* of the newest message: how many there ever were */
};

enum rc streams_read(struct cli *cli, struct stream_count out[STREAMS_COUNT], size_t *count,
                     struct err *err);

/* Sends $SRV.<verb> (PING, STATS) and gives each answer to fn, until none has come for wait_ms and
 * missing (NULL: nobody) says that nobody is missing, for a few seconds at most. */
enum rc workers_ask(struct cli *cli, const char *verb, int64_t wait_ms,
                    bool (*missing)(const void *arg), bus_fn *fn, void *arg, struct err *err);

#endif
