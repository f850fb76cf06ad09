/* SPDX-License-Identifier: MIT */
/*
 * audit - gantry audit verify | export | checkpoint | tail.
 *
 * The verifier key is --key or GANTRY_AUDIT_VKEY. verify reads the log from DATABASE_URL, or from
 * an export with no server at all. tail asks the gateway, with the API key.
 *
 * Source: contract sections 2 and 7.3; docs/audit.md
 */
#ifndef GANTRY_CLI_AUDIT_H
#define GANTRY_CLI_AUDIT_H

#include "cli.h"

int cmd_audit_verify(struct cli *cli);
int cmd_audit_export(struct cli *cli);
int cmd_audit_checkpoint(struct cli *cli);
int cmd_audit_tail(struct cli *cli);

#endif
