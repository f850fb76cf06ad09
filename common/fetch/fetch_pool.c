/* SPDX-License-Identifier: MIT */
/*
 * fetch_pool - requests in flight, each in a slot with a handle of its own.
 */
#include "fetch/fetch_pool.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "fetch/fetch_own.h"
#include "json/json.h"

#define CONNECT_MS 5000
#define TOTAL_MS   90000
#define URL_MAX    2048

struct slot {
    CURL *curl; /* owned */
    struct curl_slist *headers;
    char *body; /* owned copy */
    struct buf answer;
    fetch_done_fn *done;
    void *arg;
    unsigned attempt;
    int64_t again_ms; /* > 0: waits until then before it is sent again */
    bool busy, once, retry_conflict;
};

struct fetch_pool {
    CURLM *multi; /* owned */
    char *base;   /* owned, without a slash at its end */
    char *key;    /* owned */
    unsigned tries;
    size_t n_slots, n_busy;
    struct slot *slots; /* owned */
};

enum rc
fetch_pool_new(const char *base_url, const char *key, unsigned parallel, unsigned tries,
               struct fetch_pool **out, struct err *err)
{
    enum rc rc = fetch_check_url(base_url, err);
    if (rc != RC_OK)
        return rc;
    if (key && strpbrk(key, "\r\n"))
        return err_set(err, RC_CONFIG, "the API key holds a line break");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, RC_BUG, "libcurl does not start");
    AUTO(fetch_pool) struct fetch_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return err_set(err, RC_TEMP, "no memory for connections");
    pool->multi = curl_multi_init();
    pool->base = strdup(base_url);
    pool->key = key ? strdup(key) : NULL;
    pool->slots = calloc(parallel, sizeof(*pool->slots));
    if (!pool->multi || !pool->base || !pool->slots || (key && !pool->key))
        return err_set(err, RC_TEMP, "no memory for connections");
    size_t len = strlen(pool->base);
    while (len && pool->base[len - 1] == '/')
        pool->base[--len] = '\0';
    pool->tries = tries ? tries : 1;
    pool->n_slots = parallel;
    for (size_t i = 0; i < parallel; i++)
        buf_init(&pool->slots[i].answer, FETCH_ANSWER_MAX);
    (void)curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)parallel);
    *out = TAKE(pool);
    return RC_OK;
}

static void
empty_slot(struct fetch_pool *pool, struct slot *slot)
{
    if (slot->busy) {
        if (slot->again_ms == 0)
            (void)curl_multi_remove_handle(pool->multi, slot->curl);
        pool->n_busy--;
    }
    slot->busy = false;
    fetch_wipe_headers(slot->headers);
    slot->headers = NULL;
    free(slot->body);
    slot->body = NULL;
    buf_reset(&slot->answer);
}

void
fetch_pool_free(struct fetch_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->n_slots; i++) {
        empty_slot(pool, &pool->slots[i]);
        buf_fini(&pool->slots[i].answer);
        curl_easy_cleanup(pool->slots[i].curl);
    }
    curl_multi_cleanup(pool->multi);
    if (pool->key)
        crypto_wipe(pool->key, strlen(pool->key));
    free(pool->key);
    free(pool->base);
    free(pool->slots);
    free(pool);
}

void
fetch_pool_cleanup(struct fetch_pool **pool)
{
    fetch_pool_free(*pool);
}

static bool
send_again(struct fetch_pool *pool, struct slot *slot, enum rc rc, long status)
{
    curl_off_t retry_after_s = 0;
    if (rc != RC_TEMP || slot->once)
        return false;
    if (status != 429 && ++slot->attempt >= pool->tries)
        return false;
    (void)curl_easy_getinfo(slot->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    slot->again_ms = clock_mono_ms() + fetch_delay_ms(slot->attempt, (long)retry_after_s);
    (void)curl_multi_remove_handle(pool->multi, slot->curl);
    buf_reset(&slot->answer);
    return true;
}

static void
finish(struct fetch_pool *pool, struct slot *slot, CURLcode code)
{
    struct fetch_answer answer = { .rc = fetch_rc_from_curl((int)code) };
    long status = 0;

    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(slot->curl, CURLINFO_RESPONSE_CODE, &status);
        bool again =
            fetch_rc_from_status(status) == RC_TEMP || (status == 409 && slot->retry_conflict);
        answer.rc = again ? RC_TEMP : RC_OK;
    }
    if (send_again(pool, slot, answer.rc, status))
        return;
    answer.status = (int)status;
    answer.body = buf_text(&slot->answer);
    answer.len = slot->answer.len;
    answer.error = code == CURLE_OK ? "the server answers with an error" : curl_easy_strerror(code);
    fetch_done_fn *done = slot->done;
    done(slot->arg, &answer);
    empty_slot(pool, slot);
}

/* One round: send what waited long enough, move bytes, finish what is complete. */
static void
turn(struct fetch_pool *pool)
{
    int running = 0;
    int left = 0;
    int wait_ms = 200;
    CURLMsg *message = NULL;
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < pool->n_slots; i++) {
        struct slot *slot = &pool->slots[i];
        if (!slot->busy || slot->again_ms == 0)
            continue;
        if (slot->again_ms <= now_ms) {
            slot->again_ms = 0;
            (void)curl_multi_add_handle(pool->multi, slot->curl);
        } else if (slot->again_ms - now_ms < wait_ms) {
            wait_ms = (int)(slot->again_ms - now_ms);
        }
    }
    (void)curl_multi_perform(pool->multi, &running);
    bool any = false;
    while ((message = curl_multi_info_read(pool->multi, &left)) != NULL) {
        void *slot = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        finish(pool, slot, code);
        any = true;
    }
    if (!any)
        (void)curl_multi_poll(pool->multi, NULL, 0, wait_ms, NULL);
}

static struct slot *
free_slot(struct fetch_pool *pool)
{
    while (pool->n_busy == pool->n_slots)
        turn(pool);
    for (size_t i = 0; i < pool->n_slots; i++)
        if (!pool->slots[i].busy)
            return &pool->slots[i];
    return NULL;
}

static enum rc
prepare(struct fetch_pool *pool, struct slot *slot, const struct fetch_request *request,
        struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    if (!slot->curl)
        slot->curl = curl_easy_init();
    if (!slot->curl)
        return err_set(err, RC_TEMP, "no memory for a connection");
    buf_init(&text, URL_MAX);
    buf_printf(&text, "%s%s", pool->base, request->path);
    if (buf_failed(&text))
        return err_set(err, RC_LIMIT, "the URL is too long");
    curl_easy_reset(slot->curl); /* keeps the connection */
    fetch_restrict(slot->curl);
    (void)curl_easy_setopt(slot->curl, CURLOPT_URL, buf_text(&text));
    (void)curl_easy_setopt(slot->curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(slot->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    (void)curl_easy_setopt(slot->curl, CURLOPT_TIMEOUT_MS,
                           request->timeout_ms ? request->timeout_ms : (long)TOTAL_MS);
    (void)curl_easy_setopt(slot->curl, CURLOPT_PRIVATE, slot);
    (void)curl_easy_setopt(slot->curl, CURLOPT_WRITEDATA, &slot->answer);
    if (request->body) {
        slot->body = malloc(request->len + 1);
        if (!slot->body)
            return err_set(err, RC_TEMP, "no memory for a request");
        memcpy(slot->body, request->body, request->len);
        (void)curl_easy_setopt(slot->curl, CURLOPT_POSTFIELDS, slot->body);
        (void)curl_easy_setopt(slot->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
        slot->headers = fetch_header(slot->headers, "Content-Type: application/json");
        slot->headers = fetch_header(slot->headers, "Expect:");
    }
    buf_reset(&text);
    if (pool->key) {
        buf_printf(&text, "X-API-Key: %s", pool->key);
        slot->headers = fetch_header(slot->headers, buf_text(&text));
    }
    buf_reset(&text);
    if (request->idempotency_key) {
        buf_printf(&text, "Idempotency-Key: %s", request->idempotency_key);
        slot->headers = fetch_header(slot->headers, buf_text(&text));
    }
    buf_wipe(&text);
    (void)curl_easy_setopt(slot->curl, CURLOPT_HTTPHEADER, slot->headers);
    return RC_OK;
}

enum rc
fetch_pool_send(struct fetch_pool *pool, const struct fetch_request *request, fetch_done_fn *done,
                void *arg, struct err *err)
{
    struct slot *slot = free_slot(pool);
    if (!slot)
        return err_set(err, RC_BUG, "a pool without connections");
    enum rc rc = prepare(pool, slot, request, err);
    if (rc != RC_OK) {
        empty_slot(pool, slot);
        return rc;
    }
    slot->done = done;
    slot->arg = arg;
    slot->attempt = 0;
    slot->again_ms = 0;
    slot->once = request->once;
    slot->retry_conflict = request->retry_conflict;
    slot->busy = true;
    pool->n_busy++;
    (void)curl_multi_add_handle(pool->multi, slot->curl);
    return RC_OK;
}

void
fetch_pool_wait(struct fetch_pool *pool)
{
    while (pool->n_busy)
        turn(pool);
}

void
fetch_problem(const struct fetch_answer *answer, char out[FETCH_PROBLEM_MAX])
{
    AUTO(json) cJSON *doc = NULL;
    if (answer->status == 0) {
        (void)snprintf(out, FETCH_PROBLEM_MAX, "%s", answer->error);
        return;
    }
    if (json_read(answer->body, answer->len, &doc, NULL) != RC_OK)
        doc = NULL;
    const cJSON *first = cJSON_GetArrayItem(json_member(doc, "errors"), 0);
    const char *detail = json_string(first ? first : doc, "detail");
    const char *field = json_string(first, "field");
    (void)snprintf(out, FETCH_PROBLEM_MAX, "%.100s%s%.200s (HTTP %d)", field ? field : "",
                   field && *field ? ": " : "",
                   detail ? detail : "the server answers with an error", answer->status);
}

struct one_call {
    struct fetch_pool *pool;
    struct buf *out;
    struct err *err;
    enum rc rc;
};

static enum rc
rc_from_answer(int status)
{
    switch (status) {
    case 403:
        return RC_DENIED;
    case 404:
        return RC_NOTFOUND;
    case 409:
        return RC_CONFLICT;
    case 413:
        return RC_LIMIT;
    default:
        return fetch_rc_from_status(status);
    }
}

static void
on_one(void *arg, const struct fetch_answer *answer)
{
    struct one_call *call = arg;
    char text[FETCH_PROBLEM_MAX];
    call->rc = answer->rc;
    if (answer->rc == RC_OK)
        call->rc = rc_from_answer(answer->status);
    if (call->rc == RC_OK) {
        buf_add(call->out, answer->body, answer->len);
        return;
    }
    fetch_problem(answer, text);
    call->rc = answer->status ? err_set(call->err, call->rc, "%s", text)
                              : err_set(call->err, call->rc, "%s: %s", call->pool->base, text);
}

enum rc
fetch_pool_call(struct fetch_pool *pool, const struct fetch_request *request, struct buf *answer,
                struct err *err)
{
    struct one_call call = { pool, answer, err, RC_TEMP };
    enum rc rc = fetch_pool_send(pool, request, on_one, &call, err);
    if (rc != RC_OK)
        return rc;
    fetch_pool_wait(pool);
    if (call.rc == RC_OK && buf_failed(answer))
        return err_set(err, RC_LIMIT, "the answer is too large");
    return call.rc;
}
