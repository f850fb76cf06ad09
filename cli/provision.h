/* SPDX-License-Identifier: MIT */
/*
 * provision - streams and consumers from the files that the program carries.
 *
 * nats/streams/NAME.json is the body of $JS.API.STREAM.CREATE.NAME (UPDATE where it exists already
 * with another configuration); nats/consumers/NAME.json that of CONSUMER.CREATE. A file named
 * NAME.template.json is a consumer for each workspace: @WORKSPACE@ in it is the workspace's name.
 */
#ifndef GANTRY_CLI_PROVISION_H
#define GANTRY_CLI_PROVISION_H

#include "base/rc.h"

struct cli;

int cmd_provision(struct cli *cli);

/* The consumers of one workspace; idempotent. */
enum rc provision_workspace(struct cli *cli, const char *workspace, struct err *err);

#endif
