/* SPDX-License-Identifier: MIT */
/*
 * jobs - the workspace's jobs, over HTTP with the API key: list, show, cancel.
 */
#ifndef GANTRY_CLI_JOBS_H
#define GANTRY_CLI_JOBS_H

struct cli;

int cmd_jobs_list(struct cli *cli);
int cmd_jobs_show(struct cli *cli);
int cmd_jobs_cancel(struct cli *cli);

#endif
