/* SPDX-License-Identifier: MIT */
/*
 * dispatch - deliveries that are due, sent and settled.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "db/db.h"
#include "json/json_pool.h"
#include "process/fault.h"
#include "sql_connector.h"
#include "webhooks/sign.h"
#include "webhooks/store.h"
#include "webhooks/telling.h"
#include "webhooks/webhooks.h"

#define LEAVES_MAX    500 /* of the log, for one webhook, at once */
#define ROUNDS_MAX    4   /* of collecting in one tick */
#define SWEEP_EVERY_S 60
#define HEADER_MAX    512
#define N_HEADERS     5
#define HTTP_GONE     410

/* A delivery that is under way. The thread owns answer until it posts the parcel back. */
struct parcel {
    LIST_ENTRY(parcel) link;
    struct dispatch *dispatch; /* borrowed */
    pthread_t thread;
    bool threaded, sent;
    char workspace[WORKSPACE_TEXT_MAX], webhook[ID_TEXT_MAX], id[ID_TEXT_MAX];
    int64_t attempt, claim;
    char *url;     /* owned */
    cJSON *egress; /* owned */
    struct buf body;
    char headers[N_HEADERS][HEADER_MAX];
    struct outbound_answer answer;
    char why[OUTBOUND_WHY_MAX + 40]; /* nothing was sent; "" = it was */
};

struct dispatch {
    struct connector *c; /* borrowed */
    LIST_HEAD(, parcel) parcels;
    unsigned count;
    int64_t retries_s[WEBHOOK_RETRIES_MAX];
    size_t n_retries;
    unsigned ticks;
    struct tellings tellings;
    atomic_bool stop;
};

/* --- life ------------------------------------------------------------------------------------------------- */

static enum rc
read_retries(const char *text, struct dispatch *dispatch, struct err *err)
{
    while (*(text += strspn(text, " ,"))) {
        char *end = NULL;
        errno = 0;
        long seconds = strtol(text, &end, 10);
        if (end == text || errno || seconds < 0 || seconds > 30L * 86400 ||
            dispatch->n_retries == WEBHOOK_RETRIES_MAX || !strchr(" ,", *end))
            return err_set(
                err, RC_CONFIG,
                "WEBHOOK_RETRIES must be up to %d numbers of seconds, such as 5 300 1800",
                WEBHOOK_RETRIES_MAX);
        dispatch->retries_s[dispatch->n_retries++] = seconds;
        text = end;
    }
    return RC_OK;
}

enum rc
dispatch_new(struct connector *c, struct dispatch **out, struct err *err)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    enum rc rc;

    if (!dispatch)
        return err_set(err, RC_TEMP, "no memory for deliveries");
    dispatch->c = c;
    dispatch->tellings.c = c;
    LIST_INIT(&dispatch->parcels);
    rc = read_retries(c->settings->webhook_retries, dispatch, err);
    if (rc == RC_OK)
        *out = dispatch;
    else
        free(dispatch);
    return rc;
}

static void
parcel_free(struct parcel *parcel)
{
    LIST_REMOVE(parcel, link);
    parcel->dispatch->count--;
    json_cleanup(&parcel->egress);
    buf_fini(&parcel->body);
    buf_fini(&parcel->answer.body);
    free(parcel->url);
    free(parcel);
}

/* What is under way is not settled: its lease ends, and it is sent again. */
void
dispatch_free(struct dispatch *dispatch)
{
    struct parcel *parcel;

    if (!dispatch)
        return;
    atomic_store(&dispatch->stop, true);
    while ((parcel = LIST_FIRST(&dispatch->parcels)) != NULL) {
        if (parcel->threaded)
            (void)pthread_join(parcel->thread, NULL);
        parcel_free(parcel);
    }
    free(dispatch);
}

/* --- settled ------------------------------------------------------------------------------------------------ */

struct verdict_of {
    const char *state, *error, *disable;
    int64_t wait_ms;
};

static int64_t
wait_ms(const struct parcel *parcel)
{
    int64_t wait_s = parcel->dispatch->retries_s[parcel->attempt - 1];
    int64_t asked_s = parcel->answer.retry_after_s;
    uint32_t random;

    crypto_random(&random, sizeof(random));
    if (asked_s > WEBHOOK_WAIT_MAX_S)
        asked_s = WEBHOOK_WAIT_MAX_S;
    if (asked_s > wait_s)
        wait_s = asked_s;
    return wait_s * 1000 + wait_s * 200 * (int64_t)(random % 1000) / 1000;
}

static struct verdict_of
judge(const struct parcel *parcel, char error[OUTBOUND_WHY_MAX])
{
    const struct outbound_answer *answer = &parcel->answer;
    bool answered = !parcel->why[0] && answer->end == OUTBOUND_ANSWERED;
    bool last = parcel->attempt > (int64_t)parcel->dispatch->n_retries;
    struct verdict_of verdict = { .state = "failed", .error = error };

    if (answered && answer->status >= 200 && answer->status < 300)
        return (struct verdict_of){ .state = "delivered" };
    if (answered)
        (void)snprintf(error, OUTBOUND_WHY_MAX, "the receiver answers %d", answer->status);
    else
        (void)snprintf(error, OUTBOUND_WHY_MAX, "%.190s",
                       parcel->why[0] ? parcel->why : answer->why);
    if (answered && answer->status == HTTP_GONE) {
        verdict.disable = "gone";
    } else if (last) {
        verdict.disable = "failing";
    } else {
        verdict.state = "pending";
        verdict.wait_ms = wait_ms(parcel);
    }
    return verdict;
}

static void
log_disabled(const struct parcel *parcel, const char *reason)
{
    log_fields(LOG_WARN, "a webhook was disabled", "workspace", parcel->workspace, "webhook",
               parcel->webhook, "reason", reason, NULL);
}

/* RC_TEMP: not now. */
static enum rc
settle(struct parcel *parcel)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct connector *c = parcel->dispatch->c;
    struct metrics *metrics = worker_metrics(c->w);
    struct db_params params = { 0 };
    struct err err = { 0 };
    char error[OUTBOUND_WHY_MAX];
    const struct verdict_of verdict = judge(parcel, error);

    db_param_text(&params, parcel->workspace);
    db_param_text(&params, parcel->id);
    db_param_int(&params, parcel->claim);
    db_param_text(&params, verdict.state);
    if (!parcel->why[0] && parcel->answer.end == OUTBOUND_ANSWERED)
        db_param_int(&params, parcel->answer.status);
    else
        db_param_null(&params);
    db_param_text(&params, verdict.error);
    db_param_number(&params, (double)verdict.wait_ms / 1000);
    db_param_text(&params, verdict.disable);
    enum rc rc = db_query(worker_db(c->w), parcel->workspace, SQL_CONNECTOR_WEBHOOK_SETTLE, &params,
                          &rows, &err);
    if (rc == RC_TEMP)
        return rc;
    if (rc != RC_OK)
        log_fields(LOG_ERROR, "a delivery cannot be settled", "workspace", parcel->workspace,
                   "webhook", parcel->webhook, "why", err.text, NULL);
    else if (PQntuples(rows) && db_bool(rows, 0, 0))
        log_disabled(parcel, verdict.disable);
    if (verdict.error)
        metrics->webhooks_refused++;
    else
        metrics->webhooks_delivered++;
    return RC_OK;
}

/* --- sent, on a thread ---------------------------------------------------------------------------------------- */

static bool
allowed(void *arg, const char *host, unsigned port)
{
    const struct parcel *parcel = arg;
    const cJSON *item;

    cJSON_ArrayForEach (item, parcel->egress) {
        if (cJSON_IsString(item) && guard_host_matches(item->valuestring, host, port))
            return true;
    }
    return false;
}

static bool
stopped(void *arg)
{
    const struct parcel *parcel = arg;

    return atomic_load(&parcel->dispatch->stop);
}

static void on_sent(void *arg);

static void *
send_parcel(void *arg)
{
    struct parcel *parcel = arg;
    const char *headers[N_HEADERS];
    const struct outbound_request request = {
        .method = "POST",
        .url = parcel->url,
        .headers = headers,
        .n_headers = N_HEADERS,
        .body = parcel->body.data,
        .len = parcel->body.len,
        .connect_ms = WEBHOOK_CONNECT_MS,
        .head_ms = WEBHOOK_HEAD_MS,
        .total_ms = WEBHOOK_TOTAL_MS,
        .answer_max = WEBHOOK_ANSWER_MAX,
        .redirects_max = 0, /* a receiver that has moved is told of again by its owner */
        .share = parcel->workspace,
        .allowed = allowed,
        .stop = stopped,
        .arg = parcel,
    };

    for (size_t i = 0; i < N_HEADERS; i++)
        headers[i] = parcel->headers[i];
    outbound_send(&parcel->dispatch->c->outbound, &request, &parcel->answer);
    json_pool_leave();
    loop_post(worker_loop(parcel->dispatch->c->w), on_sent, parcel);
    return NULL;
}

/* --- made ready ----------------------------------------------------------------------------------------------- */

/* Both secrets sign during a rotation: a receiver takes whichever it has. */
static enum rc
sign(struct parcel *parcel, const struct sign_message *message, bool both, struct buf *out,
     struct err *err)
{
    struct connector *c = parcel->dispatch->c;
    enum rc rc = RC_OK;

    for (unsigned before = 0; before <= both && rc == RC_OK; before++) {
        struct vault_secret secret = { 0 };
        char name[SECRET_NAME_MAX];
        store_secret_name(WEBHOOK_NOUN, parcel->webhook, before == 1, name);
        rc = vault_use(&c->vault, parcel->workspace, name, &secret, err);
        if (rc == RC_OK && sign_add(buf_text(&secret.value), message, out) != RC_OK)
            rc = err_set(err, RC_CONFIG, "the signing secret is malformed");
        vault_secret_fini(&secret);
    }
    return rc;
}

static enum rc
write_headers(struct parcel *parcel, bool both, struct err *err)
{
    const struct sign_message message = { .id = parcel->id,
                                          .timestamp_s = clock_wall_ms() / 1000,
                                          .body = parcel->body.data,
                                          .len = parcel->body.len };
    AUTO(buf) struct buf signatures = { 0 };

    buf_init(&signatures, HEADER_MAX - 32);
    enum rc rc = sign(parcel, &message, both, &signatures, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(parcel->headers[0], HEADER_MAX, "Content-Type: application/json");
    (void)snprintf(parcel->headers[1], HEADER_MAX, "User-Agent: Gantry-Webhooks/%s",
                   GANTRY_VERSION);
    (void)snprintf(parcel->headers[2], HEADER_MAX, "webhook-id: %s", message.id);
    (void)snprintf(parcel->headers[3], HEADER_MAX, "webhook-timestamp: %lld",
                   (long long)message.timestamp_s);
    (void)snprintf(parcel->headers[4], HEADER_MAX, "webhook-signature: %s", buf_text(&signatures));
    return RC_OK;
}

static struct parcel *
parcel_new(struct dispatch *dispatch, const PGresult *rows, int row)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel));
    const char *body = db_text(rows, row, 6), *egress = db_text(rows, row, 9);

    if (!parcel || !(parcel->url = strdup(db_text(rows, row, 4))))
        log_no_memory("a delivery");
    parcel->dispatch = dispatch;
    (void)snprintf(parcel->workspace, sizeof(parcel->workspace), "%s", db_text(rows, row, 0));
    (void)snprintf(parcel->webhook, sizeof(parcel->webhook), "%s", db_text(rows, row, 1));
    (void)snprintf(parcel->id, sizeof(parcel->id), "%s", db_text(rows, row, 2));
    parcel->attempt = db_int(rows, row, 3, 1);
    parcel->claim = db_int(rows, row, 10, 0);
    buf_init(&parcel->body, strlen(body) + 1);
    buf_puts(&parcel->body, body);
    if (json_read(egress, strlen(egress), &parcel->egress, NULL) != RC_OK)
        parcel->egress = NULL;
    LIST_INSERT_HEAD(&dispatch->parcels, parcel, link);
    dispatch->count++;
    return parcel;
}

static void
start(struct dispatch *dispatch, const PGresult *rows, int row)
{
    struct parcel *parcel = parcel_new(dispatch, rows, row);
    struct err err = { 0 };
    enum rc rc = write_headers(parcel, db_bool(rows, row, 8), &err);

    if (rc == RC_TEMP) { /* the lease ends, and it is tried again */
        parcel_free(parcel);
        return;
    }
    if (rc != RC_OK) {
        (void)snprintf(parcel->why, sizeof(parcel->why), "%.200s", err.text);
    } else if (connector_thread(&parcel->thread, send_parcel, parcel) == 0) {
        parcel->threaded = true;
        return;
    } else {
        (void)snprintf(parcel->why, sizeof(parcel->why), "cannot start a thread");
    }
    parcel->sent = true;
    if (settle(parcel) == RC_OK)
        parcel_free(parcel);
}

static void
claim(struct dispatch *dispatch)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct connector *c = dispatch->c;
    unsigned slots = (unsigned)c->settings->webhook_slots;
    struct db_params params = { 0 };
    struct err err = { 0 };

    if (dispatch->count >= slots || worker_draining(c->w) || atomic_load(&dispatch->stop))
        return;
    db_param_int(&params, slots - dispatch->count);
    db_param_int(&params, slots / 2);
    db_param_int(&params, WEBHOOK_LEASE_S);
    if (db_query(worker_db(c->w), NULL, SQL_CONNECTOR_WEBHOOK_CLAIM, &params, &rows, &err) != RC_OK)
        return;
    for (int row = 0; row < PQntuples(rows); row++)
        start(dispatch, rows, row);
}

static void
on_sent(void *arg)
{
    struct parcel *parcel = arg;
    struct dispatch *dispatch = parcel->dispatch;

    (void)pthread_join(parcel->thread, NULL);
    parcel->threaded = false;
    parcel->sent = true;
    FAULT("webhook_sent");
    if (settle(parcel) != RC_OK)
        return; /* PostgreSQL is unavailable: with the next tick */
    parcel_free(parcel);
    claim(dispatch);
}

/* --- each second ------------------------------------------------------------------------------------------------ */

static void
collect(struct dispatch *dispatch)
{
    struct db *db = worker_db(dispatch->c->w);
    struct err err = { 0 };
    int64_t made = LEAVES_MAX;

    for (unsigned round = 0; round < ROUNDS_MAX && made >= LEAVES_MAX; round++) {
        AUTO(pgresult) PGresult *rows = NULL;
        struct db_params params = { 0 };
        db_param_int(&params, LEAVES_MAX);
        db_param_int(&params, WEBHOOK_PENDING_MAX);
        enum rc rc = db_query(db, NULL, SQL_CONNECTOR_WEBHOOK_COLLECT, &params, &rows, &err);
        if (rc != RC_OK && rc != RC_TEMP)
            log_fields(LOG_ERROR, "events cannot be collected for webhooks", "why", err.text, NULL);
        made = rc == RC_OK ? db_int(rows, 0, 0, 0) : 0;
    }
}

static void
sweep(struct dispatch *dispatch)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };

    db_param_int(&params, WEBHOOK_ENDED_MAX);
    db_param_int(&params, WEBHOOK_ENDED_DAYS);
    (void)!db_query(worker_db(dispatch->c->w), NULL, SQL_CONNECTOR_WEBHOOK_SWEEP, &params, &rows,
                    NULL);
}

static void
count(struct dispatch *dispatch)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct metrics *metrics = worker_metrics(dispatch->c->w);
    const struct db_params params = { 0 };

    if (db_query(worker_db(dispatch->c->w), NULL, SQL_CONNECTOR_WEBHOOK_COUNTS, &params, &rows,
                 NULL) != RC_OK)
        return;
    metrics->webhooks_disabled = (uint64_t)db_int(rows, 0, 1, 0);
    metrics->webhooks_pending = (uint64_t)db_int(rows, 0, 2, 0);
}

void
dispatch_tick(struct dispatch *dispatch)
{
    struct parcel *parcel, *next;
    struct err err = { 0 };

    if (db_ready(worker_db(dispatch->c->w), &err) != RC_OK)
        return;
    for (parcel = LIST_FIRST(&dispatch->parcels); parcel; parcel = next) {
        next = LIST_NEXT(parcel, link);
        if (parcel->sent && settle(parcel) == RC_OK)
            parcel_free(parcel);
    }
    if (worker_draining(dispatch->c->w))
        return;
    collect(dispatch);
    claim(dispatch);
    tellings_tick(&dispatch->tellings);
    count(dispatch);
    if (dispatch->ticks++ % SWEEP_EVERY_S == 0)
        sweep(dispatch);
}
