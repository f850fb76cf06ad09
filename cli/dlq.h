/* SPDX-License-Identifier: MIT */
/*
 * dlq - the dead letters of the stream DEAD: looked at, sent again, thrown away.
 */
#ifndef GANTRY_CLI_DLQ_H
#define GANTRY_CLI_DLQ_H

struct cli;

int cmd_dlq_list(struct cli *cli);
int cmd_dlq_show(struct cli *cli);
int cmd_dlq_replay(struct cli *cli);
int cmd_dlq_discard(struct cli *cli);

#endif
