/* SPDX-License-Identifier: MIT */
/*
 * gateway - one request to the gateway with the API key, for every subcommand that speaks HTTP.
 *
 * Errors:  RC_CONFIG names the variable that is missing, or says that the key is refused; else as
 *          fetch_pool_call(), with what to look at next
 * Threads: blocks; one thread
 */
#ifndef GANTRY_CLI_GATEWAY_H
#define GANTRY_CLI_GATEWAY_H

#include "cli.h"

#define GATEWAY_PATH_MAX 2048 /* bytes of a path with its query */

/* The pool that GANTRY_URL and GANTRY_API_KEY name. */
enum rc gateway_open(struct cli *cli, unsigned parallel, struct fetch_pool **out, struct err *err);

/* On RC_OK answer holds what came, and *doc, if it is wanted, the same as a document that may be
 * shown: without U+0000, and on a terminal without control characters. */
enum rc gateway_call(struct cli *cli, const struct fetch_request *request, struct buf *answer,
                     cJSON **doc, struct err *err);

/* A GET of path, and its answer as above. */
enum rc gateway_get(struct cli *cli, const char *path, struct buf *answer, cJSON **doc,
                    struct err *err);

/* Adds "?name=value" or "&name=value", percent-encoded; nothing when value is NULL. */
void gateway_query(struct buf *path, const char *name, const char *value);

#endif
