/* SPDX-License-Identifier: MIT */
/*
 * run - one action as a job: parameters by the action's schema, waiting, what the task wrote.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "gateway.h"
#include "jobs.h"

#define PARAM_MAX  (256u * 1024) /* bytes of one parameter */
#define BODY_MAX   (512u * 1024) /* bytes, as MAX_BODY_BYTES */
#define NAME_ROOM  128
#define FIRST_MS   20
#define LAST_MS    1000 /* between two looks at the job that came back at once */
#define LOOK_S     30   /* for so long the gateway waits for the job's next state; */
#define LOOK_TTY_S 1    /* on a terminal, where the seconds are counted */
#define WAIT_S     3600
#define WAIT_MAX_S 86400

/* --- what to run ------------------------------------------------------------------------------ */

/* The action's row of GET /ai/actions, in *doc. */
static enum rc
find_action(struct cli *cli, const char *name, cJSON **doc, const cJSON **out, struct err *err)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(buf) struct buf names = { 0 };
    const cJSON *action = NULL;

    enum rc rc = gateway_get(cli, "/ai/actions", &answer, doc, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&names, 200);
    cJSON_ArrayForEach (action, json_member(*doc, "actions")) {
        const char *own = json_string(action, "action");
        if (!own || strcmp(own, name) != 0) {
            buf_printf(&names, "%s%s", names.len ? ", " : "", own ? own : "?");
            continue;
        }
        if (!json_bool(action, "allowed", false))
            return err_set(err, RC_DENIED,
                           "this workspace may not run %.64s: `gantry workspace allow WORKSPACE "
                           "ACTION...` sets what it may",
                           name);
        *out = action;
        return RC_OK;
    }
    return err_set(err, RC_NOTFOUND, "there is no action '%.64s'; there are %s", name,
                   buf_text(&names));
}

/* A parameter is a string unless its schema wants something else: then its text is JSON. */
static bool
is_text(const cJSON *schema)
{
    const cJSON *type = json_member(schema, "type");
    const char *word = cJSON_GetStringValue(type);
    return word && strcmp(word, "string") == 0;
}

static enum rc
put_param(struct json_writer *w, const cJSON *action, const char *word, struct err *err)
{
    AUTO(buf) struct buf file = { 0 };
    AUTO(json) cJSON *doc = NULL;
    char name[NAME_ROOM];
    size_t len = strcspn(word, "=");
    const char *value = word + len + 1;
    const cJSON *known = json_member(json_member(action, "params"), "properties");

    if (word[len] != '=' || len == 0 || len >= sizeof(name))
        return err_set(err, RC_INVALID,
                       "'%.60s' is not a parameter: write name=value or name=@FILE", word);
    memcpy(name, word, len);
    name[len] = '\0';
    const cJSON *schema = json_member(known, name);
    if (!schema) {
        AUTO(buf) struct buf names = { 0 };
        const cJSON *each = NULL;
        buf_init(&names, 200);
        cJSON_ArrayForEach (each, known)
            buf_printf(&names, "%s%s", names.len ? ", " : "", each->string);
        return err_set(err, RC_INVALID, "the action has no parameter '%.60s'; it has %s", name,
                       names.len ? buf_text(&names) : "none");
    }
    buf_init(&file, PARAM_MAX);
    if (*value == '@') {
        enum rc rc = cli_read_file(value + 1, &file, err);
        if (rc != RC_OK)
            return rc;
        value = buf_text(&file);
    }
    if (is_text(schema))
        json_put_string(w, name, value);
    else if (json_read(value, strlen(value), &doc, NULL) == RC_OK)
        json_put_doc(w, name, doc);
    else
        return err_set(err, RC_INVALID, "%s takes JSON, such as 5, true, \"text\" or {\"a\": 1}",
                       name);
    return RC_OK;
}

static enum rc
execute_body(const struct cli *cli, const cJSON *action, struct buf *body, struct err *err)
{
    struct json_writer w;

    json_begin(&w, body);
    json_object(&w, NULL);
    json_array(&w, "actions");
    json_object(&w, NULL);
    json_put_string(&w, "action", cli->argv[0]);
    json_object(&w, "params");
    for (int i = 1; i < cli->argc; i++) {
        enum rc rc = put_param(&w, action, cli->argv[i], err);
        if (rc != RC_OK)
            return rc;
    }
    json_close(&w);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    return json_end(&w) == RC_OK
               ? RC_OK
               : err_set(err, RC_LIMIT, "the parameters are longer than %u bytes", BODY_MAX);
}

static enum rc
start(struct cli *cli, struct buf *answer, char job[ID_TEXT_MAX], struct err *err)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *actions = NULL;
    AUTO(json) cJSON *doc = NULL;
    const cJSON *action = NULL;
    char key[ID_TEXT_MAX];

    enum rc rc = find_action(cli, cli->argv[0], &actions, &action, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&body, BODY_MAX);
    if ((rc = execute_body(cli, action, &body, err)) != RC_OK)
        return rc;
    id_new(key); /* a retry of ours starts nothing twice */
    const struct fetch_request request = { .method = "POST",
                                           .path = "/ai/execute",
                                           .idempotency_key = key,
                                           .body = buf_text(&body),
                                           .len = body.len,
                                           .retry_conflict = true };
    if ((rc = gateway_call(cli, &request, answer, &doc, err)) != RC_OK)
        return rc;
    const char *id = cJSON_GetStringValue(cJSON_GetArrayItem(json_member(doc, "job_ids"), 0));
    if (!id || id_parse(id, strlen(id), job) != RC_OK)
        return err_set(err, RC_BUG, "the answer names no job");
    return RC_OK;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool
has_ended(const char *status)
{
    return status && strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
}

static void
show_state(const char *job, const char *status, int64_t since_ms)
{
    if (isatty(STDERR_FILENO) == 1)
        (void)fprintf(stderr, "\r\033[Kjob %s %s %lld s", job, status ? status : "?",
                      (long long)(clock_mono_ms() - since_ms) / 1000);
}

/* Until the job has ended: *doc is then its document, and answer the same as it came. */
static enum rc
wait_job(struct cli *cli, const char *job, int64_t wait_s, struct buf *answer, cJSON **doc,
         struct err *err)
{
    char path[JOBS_PATH_MAX];
    int64_t start_ms = clock_mono_ms(), pause_ms = FIRST_MS;
    enum rc rc = RC_OK;
    const struct fetch_request look = { .method = "GET", .path = path };
    int64_t look_s = isatty(STDERR_FILENO) == 1 ? LOOK_TTY_S : LOOK_S;

    for (;;) {
        int64_t look_ms = clock_mono_ms(), left_s = wait_s - (look_ms - start_ms) / 1000;
        left_s = left_s < 0 ? 0 : left_s < look_s ? left_s : look_s;
        (void)snprintf(path, sizeof(path), "/ai/jobs/%s?wait=%lld", job, (long long)left_s);
        json_cleanup(doc);
        *doc = NULL;
        buf_fini(answer);
        if ((rc = gateway_call(cli, &look, answer, doc, err)) != RC_OK)
            break;
        if (has_ended(json_string(*doc, "status")))
            break;
        show_state(job, json_string(*doc, "status"), start_ms);
        if (clock_mono_ms() - start_ms >= wait_s * 1000) {
            rc = err_set(err, RC_TEMP, "it has not ended within %lld s", (long long)wait_s);
            break;
        }
        if (clock_mono_ms() - look_ms >= LAST_MS) { /* it did wait */
            pause_ms = FIRST_MS;
            continue;
        }
        (void)nanosleep(
            &(struct timespec){ .tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000 },
            NULL);
        pause_ms = pause_ms * 3 / 2 < LAST_MS ? pause_ms * 3 / 2 : LAST_MS;
    }
    if (isatty(STDERR_FILENO) == 1)
        (void)fputs("\r\033[K", stderr);
    return rc == RC_OK
               ? rc
               : err_wrap(err, "job %s is still running: see `gantry jobs show %s`", job, job);
}

static int
tell(const struct cli *cli, const char *job, const struct buf *answer, const cJSON *doc)
{
    const cJSON *result = json_member(doc, "result");
    const char *outcome = json_string(result, "outcome");
    const char *error = json_string(doc, "error");
    bool good = outcome && strcmp(outcome, "ok") == 0;
    int code = EXIT_OK;

    if (cli->json)
        code = cli_print_json(answer);
    else
        jobs_print_output(doc);
    if (code != EXIT_OK || good)
        return code;
    (void)fprintf(stderr, "gantry: job %s: %s", job,
                  outcome ? outcome
                  : error ? error
                          : json_string(doc, "status"));
    if (outcome && strcmp(outcome, "nonzero_exit") == 0)
        (void)fprintf(stderr, ", exit code %lld", (long long)json_int(result, "exit_code", 0));
    (void)fputc('\n', stderr);
    return EXIT_NO;
}

int
cmd_run(struct cli *cli)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
    char job[ID_TEXT_MAX];
    int64_t wait_s = 0;

    if (cli_option_int(cli, "wait", 1, WAIT_MAX_S, WAIT_S, &wait_s, &err) != RC_OK)
        return cli_usage("%s", err.text);
    enum rc rc = start(cli, &answer, job, &err);
    if (rc == RC_INVALID)
        return cli_usage("%s", err.text);
    if (rc != RC_OK)
        return cli_fail(&err);
    if (cli_option(cli, "async"))
        return cli->json ? cli_print_json(&answer)
                         : (printf("%s\n", job) > 0 ? EXIT_OK : EXIT_TEMP);
    if (wait_job(cli, job, wait_s, &answer, &doc, &err) != RC_OK)
        return cli_fail(&err);
    return tell(cli, job, &answer, doc);
}
