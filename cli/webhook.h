/* SPDX-License-Identifier: MIT */
/*
 * webhook - gantry webhook and gantry hook: webhooks out and in of a workspace, by gantry-connector.
 *
 * Threads: one
 */
#ifndef GANTRY_CLI_WEBHOOK_H
#define GANTRY_CLI_WEBHOOK_H

struct cli;

int cmd_webhook_create(struct cli *cli);
int cmd_webhook_list(struct cli *cli);
int cmd_webhook_deliveries(struct cli *cli);
int cmd_webhook_replay(struct cli *cli);
int cmd_webhook_test(struct cli *cli);
int cmd_webhook_enable(struct cli *cli);
int cmd_webhook_rotate(struct cli *cli);
int cmd_webhook_delete(struct cli *cli);
int cmd_hook_create(struct cli *cli);
int cmd_hook_list(struct cli *cli);
int cmd_hook_rotate(struct cli *cli);
int cmd_hook_delete(struct cli *cli);

#endif
