/* SPDX-License-Identifier: MIT */
/*
 * secret - gantry secret set, list, delete: as the operator, asked of gantry-connector over NATS, which
 * alone can encrypt. The value is read from standard input, so that no list of processes shows it.
 */
#ifndef GANTRY_CLI_SECRET_H
#define GANTRY_CLI_SECRET_H

#include "base/buf.h"
#include "json/json.h"
#include "protocol/command.h"

struct cli;

/* A core request to gantry-connector about the workspace in argv[0]. *doc is the caller's. */
enum rc secret_ask(struct cli *cli, enum command command, const struct buf *body, cJSON **doc,
                   struct err *err);
int cmd_secret_set(struct cli *cli);
int cmd_secret_list(struct cli *cli);
int cmd_secret_delete(struct cli *cli);

#endif
