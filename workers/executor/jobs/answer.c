/* SPDX-License-Identifier: MIT */
#include "jobs/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json.h"

/* Cut at max bytes, but not inside a character. */
static size_t
cut_length(const char *text, size_t len, size_t max)
{
    size_t cut = len < max ? len : max;

    for (int back = 0; back < 3 && cut > 0 && cut < len; back++) {
        if (((unsigned char)text[cut] & 0xC0) != 0x80)
            break;
        cut--;
    }
    return cut;
}

#define REASON_MAX 160

/* The result as the handler wrote it, or why there is none. */
struct result {
    const char *text; /* borrowed; NULL = null */
    size_t len;
    bool cut; /* something was left out for its size */
    char reason[REASON_MAX];
};

/* Our reader's numbers are doubles and its bounds are those of requests: it only judges the text, which
 * is passed on as it stands. */
static void
judge_text(const char *text, size_t len, struct result *out)
{
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };

    if (json_read_exact(text, len, &doc, &err) != RC_OK) {
        (void)snprintf(out->reason, sizeof(out->reason), "result: refused: %.120s\n", err.text);
        return;
    }
    out->text = text;
    out->len = len;
    out->cut = json_member(doc, "left_out") != NULL;
}

static struct result
take_result(const struct action *action, const struct run_result *run)
{
    bool printed = action->result == RESULT_STDOUT;
    struct result result = { 0 };

    if (printed ? run->exit_code != 0 : action->result != RESULT_FD3)
        return result;
    if (printed ? run->output_cut : run->result_cut) {
        result.cut = true;
        (void)snprintf(result.reason, sizeof(result.reason),
                       "result: left out; the bound is %d bytes of JSON\n", LIMIT_RESULT_BYTES);
    } else if (printed) {
        judge_text(run->output, run->output_len, &result);
    } else if (run->result_len > 0) {
        judge_text(run->result, run->result_len, &result);
    }
    return result;
}

/* Standard error, and after it in a line of its own why there is no result. */
static void
write_error(struct json_writer *w, const struct run_result *run, const char *reason, bool *cut)
{
    AUTO(buf) struct buf text = { 0 };
    size_t reason_len = strlen(reason);
    size_t kept = cut_length(run->error, run->error_len, LIMIT_OUTPUT_KEPT - reason_len);

    *cut = kept < run->error_len;
    buf_init(&text, LIMIT_OUTPUT_KEPT + 1);
    buf_add(&text, run->error, kept);
    if (reason_len > 0 && kept > 0 && run->error[kept - 1] != '\n')
        buf_putc(&text, '\n');
    buf_add(&text, reason, reason_len);
    json_put_bytes(w, "stderr", buf_text(&text), text.len);
}

enum rc
answer_output(const struct action *action, const struct run_result *run, struct buf *out)
{
    struct json_writer writer, *w = &writer;
    struct result result = take_result(action, run);
    size_t output_len = cut_length(run->output, run->output_len, LIMIT_OUTPUT_KEPT);
    bool error_cut;

    json_begin(w, out);
    json_object(w, NULL);
    if (run->exit_code >= 0)
        json_put_int(w, "exit_code", run->exit_code);
    else
        json_put_null(w, "exit_code");
    json_put_bytes(w, "stdout", run->output, output_len);
    write_error(w, run, result.reason, &error_cut);
    if (result.text)
        json_put_raw(w, "result", result.text, result.len);
    else
        json_put_null(w, "result");
    json_put_bool(w, "truncated",
                  run->truncated || result.cut || error_cut || output_len < run->output_len);
    json_close(w);
    return json_end(w);
}

struct job_usage
answer_usage(const struct run_result *result)
{
    return (struct job_usage){ .wall_ms = (int64_t)result->wall_ms,
                               .cpu_ms = (int64_t)result->cpu_ms,
                               .max_rss_bytes = (int64_t)result->max_rss_bytes };
}

enum rc
answer_write(const struct action *action, const struct run_result *result, const char *job_id,
             struct buf *out)
{
    const struct job_usage usage = answer_usage(result);
    AUTO(buf) struct buf output = { 0 };
    enum rc rc;

    buf_init(&output, ANSWER_BYTES_MAX);
    rc = answer_output(action, result, &output);
    return rc == RC_OK ? jobs_compose(outcome_name(result->outcome), &usage, buf_text(&output),
                                      output.len, job_id, out)
                       : rc;
}
