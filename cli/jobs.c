/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "cli.h"

#define PATH_ROOM 512 /* bytes */
#define WAIT_MS   20000

/* What a task printed may hold control characters, which our reader refuses: for people they become
 * U+FFFD. Only escapes can hold them; the text keeps its length or grows. */
static void
soften(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\' || i + 1 == len) {
            buf_putc(out, text[i]);
        } else if (text[i + 1] == 'u' && i + 5 < len && strncmp(text + i + 2, "00", 2) == 0 &&
                   (text[i + 4] == '0' || text[i + 4] == '1')) {
            buf_puts(out, "\\ufffd");
            i += 5;
        } else if (text[i + 1] == 'b' || text[i + 1] == 'f') {
            buf_puts(out, "\\ufffd");
            i++;
        } else {
            buf_add(out, text + i, 2);
            i++;
        }
    }
}

/* One request. On RC_OK answer holds what came, and *doc, if it is wanted, the same as a document. */
static enum rc
call(struct cli *cli, const char *method, const char *path, struct buf *answer, cJSON **doc,
     struct err *err)
{
    AUTO(buf) struct buf soft = { 0 };
    struct fetch_pool *pool = NULL;
    const struct fetch_request request = {
        .method = method, .path = path, .once = true, .timeout_ms = WAIT_MS
    }; /* somebody is watching */
    enum rc rc;

    buf_init(answer, FETCH_ANSWER_MAX);
    buf_init(&soft, FETCH_ANSWER_MAX);
    if (!cli->conf.api_key)
        return err_set(err, RC_CONFIG, "GANTRY_API_KEY is not set");
    if ((rc = cli_http(cli, 1, &pool, err)) != RC_OK)
        return rc;
    if ((rc = fetch_pool_call(pool, &request, answer, err)) != RC_OK)
        return rc;
    soften(buf_text(answer), answer->len, &soft);
    if (doc && (buf_failed(&soft) || json_read(buf_text(&soft), soft.len, doc, err) != RC_OK))
        return err_set(err, RC_BUG, "the gateway's answer cannot be read");
    return RC_OK;
}

static const char *
text_of(const cJSON *job, const char *name)
{
    const char *text = json_string(job, name);
    return text ? text : "-";
}

static void
print_row(const cJSON *job)
{
    const cJSON *duration = json_member(job, "duration_ms");
    (void)printf("%s  %-9s  %-16s  ", text_of(job, "job_id"), text_of(job, "status"),
                 text_of(job, "action"));
    if (cJSON_IsNumber(duration))
        (void)printf("%6lld ms", (long long)json_int(job, "duration_ms", 0));
    else
        (void)printf("%9s", "-");
    (void)printf("  %s  %s\n", text_of(job, "enqueued_at"), text_of(job, "error"));
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
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { .rc = RC_OK };
    char path[PATH_ROOM];
    const char *status = cli_option(cli, "status");
    const char *cursor = cli_option(cli, "cursor");
    const cJSON *job = NULL;
    int64_t limit = 0;

    if (cli_option_int(cli, "limit", 1, 100, 20, &limit, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (status && !is_state(status))
        return cli_usage(
            "--status: pending, running, completed, failed, cancelled or dead, please");
    if (cursor && strspn(cursor, "0123456789abcdef-:") != strlen(cursor))
        return cli_usage("--cursor: what the page before ended with, please");
    (void)snprintf(path, sizeof(path), "/ai/jobs?limit=%lld%s%.32s%s%.128s", (long long)limit,
                   status ? "&status=" : "", status ? status : "", cursor ? "&cursor=" : "",
                   cursor ? cursor : "");
    if (call(cli, "GET", path, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    cJSON_ArrayForEach (job, json_member(doc, "jobs"))
        print_row(job);
    (void)printf("%lld jobs, %lld waiting", (long long)json_int(doc, "count", 0),
                 (long long)json_int(doc, "queue_depth", 0));
    if (json_string(doc, "next_cursor"))
        (void)printf("; more with --cursor %s", json_string(doc, "next_cursor"));
    (void)putchar('\n');
    return EXIT_OK;
}

static int
one_job(struct cli *cli, const char *method)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { .rc = RC_OK };
    char path[PATH_ROOM];
    char id[ID_TEXT_MAX];

    if (id_parse(cli->argv[0], strlen(cli->argv[0]), id) != RC_OK)
        return cli_usage("'%.60s' is no job's id (a UUID)", cli->argv[0]);
    (void)snprintf(path, sizeof(path), "/ai/jobs/%s", id);
    if (call(cli, method, path, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    if (cli->json)
        return cli_print_json(&answer);
    print_row(doc);
    const cJSON *result = json_member(doc, "result");
    if (json_string(result, "stdout"))
        (void)fputs(json_string(result, "stdout"), stdout);
    if (json_string(result, "stderr"))
        (void)fputs(json_string(result, "stderr"), stderr);
    return EXIT_OK;
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
