/* SPDX-License-Identifier: MIT */
/*
 * status - is the system there, and what waits in it.
 */
#ifndef GANTRY_CLI_STATUS_H
#define GANTRY_CLI_STATUS_H

struct cli;

/* Exit code 1 when anything that was asked does not work. */
int cmd_status(struct cli *cli);
int cmd_top(struct cli *cli);

#endif
