/* SPDX-License-Identifier: MIT */
/*
 * jobs - the workspace's jobs, over HTTP with the API key: run, list, show, cancel.
 */
#ifndef GANTRY_CLI_JOBS_H
#define GANTRY_CLI_JOBS_H

#include "json/json.h"

#define JOBS_PATH_MAX 64 /* bytes of "/ai/jobs/ID" */

struct cli;

int cmd_run(struct cli *cli);
int cmd_jobs_list(struct cli *cli);
int cmd_jobs_show(struct cli *cli);
int cmd_jobs_cancel(struct cli *cli);

/* The output of the job's task, each part on the stream that it was written to. */
void jobs_print_output(const cJSON *job);

#endif
