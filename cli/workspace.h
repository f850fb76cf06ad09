/* SPDX-License-Identifier: MIT */
/*
 * workspace - making and listing workspaces, and what each may run.
 */
#ifndef GANTRY_CLI_WORKSPACE_H
#define GANTRY_CLI_WORKSPACE_H

struct cli;

int cmd_workspace_create(struct cli *cli);
int cmd_workspace_list(struct cli *cli);
int cmd_workspace_allow(struct cli *cli);
int cmd_workspace_egress(struct cli *cli);

#endif
