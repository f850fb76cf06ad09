/* SPDX-License-Identifier: MIT */
/*
 * judge - what an answer, or none, means: done, not done, or nobody knows. Not a word of it guesses: a
 * request that may have had its effect is sent again only if that cannot have a second one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "json/json_pointer.h"
#include "recipe/fill.h"
#include "recipe/mask.h"
#include "recipe/recipe.h"

#define WAIT_MIN_MS 500u
#define WAIT_MAX_MS 60000u

/* --- the verdict ------------------------------------------------------------------------------------------ */

static bool
is_success(const struct recipe *recipe, const struct outbound_answer *answer)
{
    const cJSON *statuses = json_member(recipe->success, "status");
    const char *member = json_string(recipe->success, "member");
    const cJSON *item;
    bool good = !statuses && answer->status >= 200 && answer->status < 300;

    cJSON_ArrayForEach (item, statuses) {
        good = good || (cJSON_IsNumber(item) && item->valueint == answer->status);
    }
    if (good && member) {
        AUTO(json) cJSON *doc = NULL;

        good = json_read_foreign(buf_text(&answer->body), answer->body.len, &doc, NULL) == RC_OK &&
               cJSON_Compare(json_pointer(doc, member, strlen(member)),
                             json_member(recipe->success, "equals"), true);
    }
    return good;
}

/* Growing, half of it by chance; the service's wish if it is longer and within the bound. */
static uint32_t
wait_of(unsigned attempt, int64_t retry_after_s)
{
    uint32_t most = WAIT_MIN_MS << (attempt < 6 ? attempt : 6);
    uint32_t chance = 0;

    crypto_random(&chance, sizeof(chance));
    uint32_t wait_ms = most / 2 + chance % (most / 2 + 1);
    if (retry_after_s > 0 && retry_after_s <= WAIT_MAX_MS / 1000 &&
        (uint32_t)retry_after_s * 1000 > wait_ms)
        wait_ms = (uint32_t)retry_after_s * 1000;
    return wait_ms;
}

static struct recipe_judgement
again(const struct recipe *recipe, const struct outbound_answer *answer, unsigned attempt,
      enum recipe_verdict last, const char *outcome)
{
    bool too_long = answer->retry_after_s > WAIT_MAX_MS / 1000;

    if (attempt >= recipe->limits.attempts || too_long)
        return (struct recipe_judgement){ last, outcome, 0 };
    return (struct recipe_judgement){ VERDICT_AGAIN, outcome,
                                      wait_of(attempt, answer->retry_after_s) };
}

static struct recipe_judgement
judge_status(const struct recipe *recipe, const struct built *built,
             const struct outbound_answer *answer, unsigned attempt)
{
    bool repeatable = built->safe || built->keyed;
    int status = answer->status;

    if (is_success(recipe, answer))
        return (struct recipe_judgement){ VERDICT_OK, "ok", 0 };
    if (status == 401)
        return (struct recipe_judgement){ VERDICT_REFRESH, "http_error", 0 };
    if (status == 429 || (status == 503 && answer->retry_after_s > 0)) /* it says: not now */
        return again(recipe, answer, attempt, VERDICT_FAILED, "throttled");
    if (status >= 500 && repeatable)
        return again(recipe, answer, attempt, built->safe ? VERDICT_FAILED : VERDICT_UNKNOWN,
                     built->safe ? "http_error" : "unknown");
    /* "See there" is what a form says once it has been taken. */
    if (status >= 500 || (!built->safe && status >= 301 && status <= 303))
        return (struct recipe_judgement){ VERDICT_UNKNOWN, "unknown", 0 };
    return (struct recipe_judgement){ VERDICT_FAILED, "http_error", 0 };
}

static const char *
name_of_end(enum outbound_end end)
{
    switch (end) {
    case OUTBOUND_ANSWERED:
    case OUTBOUND_BROKEN:
    case OUTBOUND_UNREACHABLE:
        return "connect_error";
    case OUTBOUND_REFUSED:
        return "egress_denied";
    case OUTBOUND_UNFOLLOWED:
        return "policy_denied";
    case OUTBOUND_UNTRUSTED:
        return "tls_error";
    case OUTBOUND_TIMEOUT:
        return "timeout";
    case OUTBOUND_TOO_LARGE:
        return "answer_too_large";
    case OUTBOUND_STOPPED:
        return "cancelled";
    }
    return "connect_error";
}

struct recipe_judgement
recipe_judge(const struct recipe *recipe, const struct built *built,
             const struct outbound_answer *answer, unsigned attempt)
{
    const char *name = name_of_end(answer->end);

    if (answer->end == OUTBOUND_ANSWERED)
        return judge_status(recipe, built, answer, attempt);
    if (answer->end == OUTBOUND_STOPPED && (!answer->sent || built->safe))
        return (struct recipe_judgement){ VERDICT_CANCELLED, name, 0 };
    if (!answer->sent && answer->end == OUTBOUND_UNREACHABLE)
        return again(recipe, answer, attempt, VERDICT_FAILED, name);
    if (!answer->sent || built->safe) {
        bool passing = answer->end == OUTBOUND_BROKEN || answer->end == OUTBOUND_TIMEOUT ||
                       answer->end == OUTBOUND_UNREACHABLE;

        return passing ? again(recipe, answer, attempt, VERDICT_FAILED, name)
                       : (struct recipe_judgement){ VERDICT_FAILED, name, 0 };
    }
    /* Sent, and no answer that can be read. */
    if (built->keyed && (answer->end == OUTBOUND_BROKEN || answer->end == OUTBOUND_TIMEOUT))
        return again(recipe, answer, attempt, VERDICT_UNKNOWN, "unknown");
    return (struct recipe_judgement){ VERDICT_UNKNOWN, "unknown", 0 };
}

/* --- the result ------------------------------------------------------------------------------------------ */

/* {"status","type","json"|"text"}: what the template of the result sees as its root. */
static cJSON *
describe(const struct outbound_answer *answer)
{
    cJSON *values = cJSON_CreateObject();
    cJSON *doc = NULL;
    bool is_json = answer->body.len > 0 && json_read_foreign(buf_text(&answer->body),
                                                             answer->body.len, &doc, NULL) == RC_OK;

    if (!values || !cJSON_AddNumberToObject(values, "status", answer->status) ||
        !cJSON_AddStringToObject(values, "type", answer->type))
        log_no_memory("a result");
    if (is_json)
        cJSON_AddItemToObject(values, "json", doc);
    else if (!cJSON_AddStringToObject(values, "text", buf_text(&answer->body)))
        log_no_memory("a result");
    return values;
}

static cJSON *
make_result(const struct recipe *recipe, const struct outbound_answer *answer, const cJSON *secrets)
{
    AUTO(json) cJSON *values = NULL;
    cJSON *result = NULL;
    struct err err = { 0 };

    if (!answer || answer->end != OUTBOUND_ANSWERED)
        return NULL;
    values = describe(answer);
    if (is_success(recipe, answer)) {
        if (!recipe->result || fill_json(recipe->result, values, &result, &err) != RC_OK)
            return NULL;
    } else { /* what the service says against it */
        const cJSON *said = json_member(values, "json");

        result = cJSON_Duplicate(said ? said : json_member(values, "text"), true);
    }
    mask_doc(result, secrets);
    return result;
}

enum rc
recipe_output(const struct recipe *recipe, const struct outbound_answer *answer,
              const char *message, unsigned attempts, const cJSON *secrets, struct buf *out)
{
    AUTO(json) cJSON *result = make_result(recipe, answer, secrets);
    AUTO(json) cJSON *said = cJSON_CreateString(message ? message : "");
    size_t begin = out->len;

    if (!said)
        log_no_memory("a result");
    mask_doc(said, secrets);
    message = said->valuestring;

    for (bool with_result = true;; with_result = false) {
        struct json_writer w;

        json_begin(&w, out);
        json_object(&w, NULL);
        if (answer && answer->end == OUTBOUND_ANSWERED)
            json_put_int(&w, "http_status", answer->status);
        else
            json_put_null(&w, "http_status");
        if (result && with_result)
            json_put_doc(&w, "result", result);
        else
            json_put_null(&w, "result");
        json_put_string(&w, "message",
                        message && *message ? message
                        : with_result       ? NULL
                                            : "the result is too long and was left out");
        json_put_int(&w, "attempts", attempts);
        json_close(&w);
        if (json_end(&w) == RC_OK)
            return RC_OK;
        if (!with_result)
            return RC_LIMIT;
        buf_cut(out, begin);
    }
}
