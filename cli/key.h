/* SPDX-License-Identifier: MIT */
/*
 * key - API keys for the operator: made, listed, rotated, revoked, in any workspace.
 */
#ifndef GANTRY_CLI_KEY_H
#define GANTRY_CLI_KEY_H

struct cli;

int cmd_key_create(struct cli *cli);
int cmd_key_list(struct cli *cli);
int cmd_key_revoke(struct cli *cli);
int cmd_key_rotate(struct cli *cli);

#endif
