/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "cli.h"
#include "gateway.h"
#include "table.h"

static const struct table_column COLUMNS[] = {
    { "JOB", 36, false, false },    { "STATUS", 9, false, false }, { "ACTION", 11, true, false },
    { "DURATION", 8, false, true }, { "ERROR", 6, true, false },   { "ENQUEUED", 20, true, false },
};

static void
put_row(struct table *table, const cJSON *job)
{
    table_put(table, json_string(job, "job_id"));
    table_put(table, json_string(job, "status"));
    table_put(table, json_string(job, "action"));
    if (cJSON_IsNumber(json_member(job, "duration_ms")))
        table_putf(table, "%lld ms", (long long)json_int(job, "duration_ms", 0));
    else
        table_put(table, NULL);
    table_put(table, json_string(job, "error"));
    table_put(table, json_string(job, "enqueued_at"));
}

static bool
is_state(const char *word)
{
    static const char *const STATES[] = { "pending", "running",   "completed",
                                          "failed",  "cancelled", "dead" };
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++)
        if (strcmp(word, STATES[i]) == 0)
            return true;
    return false;
}

int
cmd_jobs_list(struct cli *cli)
{
    AUTO(buf) struct buf path = { 0 };
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    AUTO(table) struct table table = { 0 };
    struct err err = { 0 };
    const char *status = cli_option(cli, "status");
    const cJSON *job = NULL;
    int64_t limit = 0;

    if (cli_option_int(cli, "limit", 1, 100, 20, &limit, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (status && !is_state(status))
        return cli_usage("--status must be pending, running, completed, failed, cancelled or dead");
    buf_init(&path, GATEWAY_PATH_MAX);
    buf_printf(&path, "/ai/jobs?limit=%lld", (long long)limit);
    gateway_query(&path, "status", status);
    gateway_query(&path, "cursor", cli_option(cli, "cursor"));
    if (buf_failed(&path))
        return cli_usage("--cursor must be what the page before ended with");
    if (gateway_get(cli, buf_text(&path), &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach (job, json_member(doc, "jobs"))
        put_row(&table, job);
    if (table_print(&table) != EXIT_OK)
        return EXIT_TEMP;
    (void)printf("%lld jobs, %lld waiting", (long long)json_int(doc, "count", 0),
                 (long long)json_int(doc, "queue_depth", 0));
    if (json_string(doc, "next_cursor"))
        (void)printf("; more with --cursor %s", json_string(doc, "next_cursor"));
    (void)putchar('\n');
    return EXIT_OK;
}

void
jobs_print_output(const cJSON *job)
{
    const cJSON *result = json_member(job, "result");
    if (json_string(result, "stdout"))
        (void)fputs(json_string(result, "stdout"), stdout);
    (void)fflush(stdout);
    if (json_string(result, "stderr"))
        (void)fputs(json_string(result, "stderr"), stderr);
}

static int
one_job(struct cli *cli, const char *method)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    AUTO(table) struct table table = { 0 };
    struct err err = { 0 };
    char id[ID_TEXT_MAX], path[JOBS_PATH_MAX];

    if (id_parse(cli->argv[0], strlen(cli->argv[0]), id) != RC_OK)
        return cli_usage("'%.60s' is not the id of a job (a UUID): gantry jobs list shows them",
                         cli->argv[0]);
    (void)snprintf(path, sizeof(path), "/ai/jobs/%s", id);
    const struct fetch_request request = { .method = method, .path = path, .once = true };
    if (gateway_call(cli, &request, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    put_row(&table, doc);
    int code = table_print(&table);
    jobs_print_output(doc);
    return code;
}

int
cmd_jobs_show(struct cli *cli)
{
    return one_job(cli, "GET");
}

int
cmd_jobs_cancel(struct cli *cli)
{
    return one_job(cli, "DELETE");
}
