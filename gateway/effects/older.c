/* SPDX-License-Identifier: MIT */
#include "effects/older.h"

#include <string.h>

#include "base/cleanup.h"
#include "protocol/jobs.h"

enum rc
older_done(const char *text, size_t len, cJSON **doc, struct worker_answer *out)
{
    static const char STATUS[] = "{\"status\":";
    static const char BODY[] = ",\"body\":";
    size_t at = sizeof(STATUS) - 1;
    struct worker_answer answer = { .body = "{}", .len = 2 };
    if (len < at + 4 || memcmp(text, STATUS, at) != 0 || text[len - 1] != '}')
        return RC_CORRUPT;
    for (; text[at] >= '0' && text[at] <= '9' && answer.status < 1000; at++)
        answer.status = answer.status * 10 + (text[at] - '0');
    if (len - at > sizeof(BODY) && memcmp(text + at, BODY, sizeof(BODY) - 1) == 0 &&
        text[at + sizeof(BODY) - 1] == '{') {
        answer.body = text + at + sizeof(BODY) - 1;
        answer.len = len - 1 - (at + sizeof(BODY) - 1);
    }
    if (answer.status >= 400 && json_read(answer.body, answer.len, doc, NULL) == RC_OK)
        answer.code = json_string(*doc, "code");
    *out = answer;
    return RC_OK;
}

const char *
older_job_status(const char *body, size_t len)
{
    AUTO(json) cJSON *doc = NULL;
    if (json_read_foreign(body, len, &doc, NULL) != RC_OK)
        return NULL;
    const char *outcome = json_string(doc, "outcome");
    return outcome ? jobs_status_of(outcome) : jobs_status_named(json_string(doc, "status"));
}
