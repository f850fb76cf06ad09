/* SPDX-License-Identifier: MIT */
#include "jobs/answer.h"

#include "base/cleanup.h"
#include "json/json.h"

/* Cut at LIMIT_OUTPUT_KEPT bytes, but not inside a character. */
static size_t
cut_length(const char *text, size_t len)
{
    size_t cut = len < LIMIT_OUTPUT_KEPT ? len : LIMIT_OUTPUT_KEPT;

    for (int back = 0; back < 3 && cut > 0 && cut < len; back++) {
        if (((unsigned char)text[cut] & 0xC0) != 0x80)
            break;
        cut--;
    }
    return cut;
}

/* The document that the handler gave as its result; NULL when there is none that can be passed on. */
static cJSON *
read_result(const struct action *action, const struct run_result *run)
{
    cJSON *doc = NULL;

    if (action->result == RESULT_FD3 && run->result_len > 0 &&
        json_read(run->result, run->result_len, &doc, NULL) != RC_OK)
        return NULL;
    if (action->result == RESULT_STDOUT && run->exit_code == 0 &&
        json_read(run->output, run->output_len, &doc, NULL) != RC_OK)
        return NULL;
    return doc;
}

static void
write_output(struct json_writer *w, const struct action *action, const struct run_result *run)
{
    AUTO(json) cJSON *result = read_result(action, run);
    size_t output_len = cut_length(run->output, run->output_len);
    size_t error_len = cut_length(run->error, run->error_len);
    bool lost = action->result == RESULT_FD3 && run->result_len > 0 && !result;

    json_object(w, "output");
    if (run->exit_code >= 0)
        json_put_int(w, "exit_code", run->exit_code);
    else
        json_put_null(w, "exit_code");
    json_put_bytes(w, "stdout", run->output, output_len);
    json_put_bytes(w, "stderr", run->error, error_len);
    if (result)
        json_put_doc(w, "result", result);
    else
        json_put_null(w, "result");
    json_put_bool(w, "truncated",
                  run->truncated || lost || output_len < run->output_len ||
                      error_len < run->error_len);
    json_close(w);
}

enum rc
answer_write(const struct action *action, const struct run_result *result, const char *job_id,
             struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "status", result->outcome == OUTCOME_OK ? "success" : "failed");
    json_put_string(&w, "outcome", outcome_name(result->outcome));
    if (job_id)
        json_put_string(&w, "job_id", job_id);
    write_output(&w, action, result);
    json_object(&w, "usage");
    json_put_int(&w, "wall_ms", (int64_t)result->wall_ms);
    json_put_int(&w, "cpu_ms", (int64_t)result->cpu_ms);
    json_put_int(&w, "max_rss_bytes", (int64_t)result->max_rss_bytes);
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}
