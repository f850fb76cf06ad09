/* SPDX-License-Identifier: MIT */
#include "keys/keywatch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "keys/keys.h"
#include "sql_gateway.h"

#define PAGE       2000     /* the LIMIT of keys_changed */
#define OVERLAP_US 30000000 /* changes become visible out of order, but not by more */

struct keywatch {
    struct loop *loop; /* borrowed */
    const char *url;   /* borrowed */
    loop_fn *fn;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t wanted; /* the last ticket given out */
    uint64_t asked;  /* the last ticket that a query began after */
    bool stopping;
    struct db *db;     /* the thread's */
    int64_t newest_us; /* the thread's: the latest change seen */
    int64_t after_us;  /* the thread's: of the next page */
    char after_id[KEY_ID_LEN + 1];
    bool loaded; /* the thread's: all pages were read once */
};

static uint32_t
scope_bits(const char *names)
{
    uint32_t bits = 0;
    while (names && *names) {
        size_t len = strcspn(names, " ");
        for (unsigned s = 0; s < SCOPE_COUNT; s++) {
            const char *name = scope_name((enum scope)s);
            if (strlen(name) == len && memcmp(name, names, len) == 0)
                bits |= 1u << s;
        }
        names += len + (names[len] == ' ');
    }
    return bits;
}

static bool
copy(char *to, size_t cap, const char *from)
{
    size_t len = from ? strlen(from) : cap;
    if (len >= cap)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

/* A row that does not fit its bounds is no valid key. */
static void
read_row(const PGresult *result, int i, struct key_row *row)
{
    row->changed_us = db_int(result, i, 7, 0);
    row->expires_ms = db_int(result, i, 5, 0);
    row->revoked = true;
    row->principal.scopes = scope_bits(db_text(result, i, 4));
    if (!copy(row->principal.key_id, sizeof(row->principal.key_id), db_text(result, i, 0)))
        return;
    if (!copy(row->principal.workspace, sizeof(row->principal.workspace), db_text(result, i, 1)) ||
        !copy(row->phc, sizeof(row->phc), db_text(result, i, 2)) ||
        role_parse(db_text(result, i, 3), &row->principal.role) != RC_OK)
        return;
    row->revoked = db_bool(result, i, 6);
}

static enum rc
ask(struct keywatch *watch, PGresult **result, struct err *err)
{
    struct db_params params = { 0 };
    if (!watch->db) {
        enum rc rc = db_open(watch->url, "gantry-gateway watch", SQL_GATEWAY, SQL_GATEWAY_COUNT,
                             &watch->db, err);
        if (rc != RC_OK)
            return rc;
    }
    enum rc rc = db_ready(watch->db, err);
    if (rc != RC_OK)
        return rc;
    db_param_int(&params, watch->after_us);
    db_param_text(&params, watch->after_id);
    return db_query(watch->db, NULL, SQL_GATEWAY_KEYS_CHANGED, &params, result, err);
}

/* Where to go on: behind this page, or, after the last one, half a minute before the newest. */
static void
next_page(struct keywatch *watch, const struct keywatch_batch *batch)
{
    const struct key_row *last = batch->count ? &batch->rows[batch->count - 1] : NULL;
    if (last && last->changed_us > watch->newest_us)
        watch->newest_us = last->changed_us;
    if (batch->more) {
        watch->after_us = last->changed_us;
        memcpy(watch->after_id, last->principal.key_id, sizeof(watch->after_id));
        return;
    }
    watch->after_us = watch->newest_us > OVERLAP_US ? watch->newest_us - OVERLAP_US : 0;
    watch->after_id[0] = '\0';
    watch->loaded = true;
}

static bool
poll_once(struct keywatch *watch, uint64_t ticket)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct err err = { 0 };
    struct keywatch_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        log_no_memory("API keys");
    batch->arg = watch->arg;
    batch->ticket = ticket;
    batch->asked_ms = clock_mono_ms();
    batch->first = !watch->loaded;
    batch->ok = ask(watch, &result, &err) == RC_OK;
    if (batch->ok) {
        int n = PQntuples(result);
        batch->rows = n ? calloc((size_t)n, sizeof(struct key_row)) : NULL;
        if (n && !batch->rows)
            log_no_memory("API keys");
        for (int i = 0; i < n; i++)
            read_row(result, i, &batch->rows[i]);
        batch->count = (size_t)n;
        batch->more = n == PAGE;
        next_page(watch, batch);
    } else {
        (void)snprintf(batch->problem, sizeof(batch->problem), "%.199s", err.text);
    }
    bool more = batch->more;
    loop_post(watch->loop, watch->fn, batch);
    return more;
}

static void
wait_until(struct keywatch *watch, int64_t after_ms, bool wake_early)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += after_ms % 1000 * 1000000;
    until.tv_sec += after_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!watch->stopping && !(wake_early && watch->wanted != watch->asked))
        if (pthread_cond_timedwait(&watch->wake, &watch->lock, &until) != 0)
            return;
}

static void *
work(void *arg)
{
    struct keywatch *watch = arg;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stopping) {
        watch->asked = watch->wanted;
        uint64_t ticket = watch->asked;
        pthread_mutex_unlock(&watch->lock);
        while (poll_once(watch, ticket))
            continue;
        pthread_mutex_lock(&watch->lock);
        wait_until(watch, KEYWATCH_MIN_MS, false);
        wait_until(watch, KEYS_POLL_MS - KEYWATCH_MIN_MS, true);
    }
    pthread_mutex_unlock(&watch->lock);
    db_close(watch->db);
    return NULL;
}

enum rc
keywatch_open(struct loop *loop, const char *database_url, loop_fn *fn, void *arg,
              struct keywatch **out, struct err *err)
{
    struct keywatch *watch = calloc(1, sizeof(*watch));
    pthread_condattr_t attr;
    if (!watch)
        return err_set(err, RC_TEMP, "no memory for the key watch");
    *watch = (struct keywatch){ .loop = loop, .url = database_url, .fn = fn, .arg = arg };
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&watch->thread, NULL, work, watch) != 0) {
        free(watch);
        return err_set(err, RC_TEMP, "cannot start the key watch's thread");
    }
    *out = watch;
    return RC_OK;
}

void
keywatch_close(struct keywatch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_broadcast(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

uint64_t
keywatch_ask(struct keywatch *watch)
{
    pthread_mutex_lock(&watch->lock);
    if (watch->wanted == watch->asked) {
        watch->wanted++;
        pthread_cond_signal(&watch->wake);
    }
    uint64_t ticket = watch->wanted;
    pthread_mutex_unlock(&watch->lock);
    return ticket;
}

void
keywatch_batch_free(struct keywatch_batch *batch)
{
    if (batch->rows)
        crypto_wipe(batch->rows, batch->count * sizeof(*batch->rows));
    free(batch->rows);
    free(batch);
}
