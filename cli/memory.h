/* SPDX-License-Identifier: MIT */
/*
 * memory - memories in and out of a workspace, over HTTP with the API key.
 *
 * Import takes bodies of POST /webhook/memory/ingest, and the items that export writes, one JSON
 * object a line. Each line is sent with an idempotency key made of the line and its number: importing
 * the same file again, or going on after an interruption, stores nothing twice.
 */
#ifndef GANTRY_CLI_MEMORY_H
#define GANTRY_CLI_MEMORY_H

struct cli;

int cmd_memory_add(struct cli *cli);
int cmd_memory_search(struct cli *cli);
int cmd_memory_import(struct cli *cli);
int cmd_memory_export(struct cli *cli);
int cmd_memory_reindex(struct cli *cli); /* this one over the database, as its owner */

#endif
