/* SPDX-License-Identifier: MIT */
/*
 * policy - gantry policy get, set, versions, test; gantry approval list, show, approve, deny.
 *
 * Policies are the operator's and go straight to the database; a decision about an action, and one about an
 * approval, is a request with the API key.
 */
#ifndef GANTRY_CLI_POLICY_H
#define GANTRY_CLI_POLICY_H

struct cli;

int cmd_policy_get(struct cli *cli);
int cmd_policy_set(struct cli *cli);
int cmd_policy_versions(struct cli *cli);
int cmd_policy_test(struct cli *cli);
int cmd_approval_list(struct cli *cli);
int cmd_approval_show(struct cli *cli);
int cmd_approval_approve(struct cli *cli);
int cmd_approval_deny(struct cli *cli);

#endif
