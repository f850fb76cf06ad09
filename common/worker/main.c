/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "process/confine.h"
#include "process/transport.h"
#include "worker.h"
#include "worker_own.h"

/*
 * Theory of operation. worker_main() goes through these phases, in Postfix's order:
 *
 *   arguments -> configuration (every problem at once) -> on_start -> hardening -> connect (for as
 *   long as it takes) -> on_ready -> ready -> loop -> drain -> on_stop -> exit
 *
 * The loop is common/base/loop.h's: messages come in through the bus's callbacks (receive.c), the
 * prepare hook hands them to handlers in batches (run.c) and asks for more (fetch.c), and
 * confirmations move each delivery through its steps (settle.c has the table). Handlers run on the
 * loop's thread and may block it; worker_keepalive() keeps what is in hand alive meanwhile. With
 * turns_meanwhile the loop turns on while a handler waits for the database: messages come in and are
 * checked, confirmations are taken, but no other handler runs.
 */
#define CONNECT_RETRY_MS 1000
#define CONNECT_WAIT_MS  2000u

/* --- phases before the loop ------------------------------------------------------------------- */

/* After on_start, which may need more than the rest of the program's life. */
static enum rc
harden(struct worker *w, struct err *err)
{
    enum rc rc = w->spec->spawns ? RC_OK : confine_drop_root(err);
    (void)signal(SIGPIPE, SIG_IGN);
    return rc == RC_OK ? confine_calls(w->spec->spawns ? CONFINE_SPAWN : 0, err) : rc;
}

static void
warn_of_plaintext(const struct worker *w)
{
    if (w->common.allow_plaintext)
        return;
    transport_warn("NATS_URL", w->common.nats_url);
    transport_warn("DATABASE_URL", w->common.database_url);
    transport_warn("REDIS_URL", w->common.redis_url);
}

static void
on_terminate(void *arg)
{
    struct worker *w = arg;
    if (w->stopping)
        return;
    w->stopping = true;
    w->stop_by_ms = clock_mono_ms() + WORKER_DRAIN_MS;
}

static void
on_state(void *arg, bool connected)
{
    (void)arg;
    log_msg(connected ? LOG_INFO : LOG_WARN,
            connected ? "NATS: connected again" : "NATS: connection lost, reconnecting");
}

/* Sleeps on the loop, so that SIGTERM ends it. */
static void
pause_ms(struct worker *w, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    while (!w->stopping && clock_mono_ms() < until_ms)
        loop_turn(w->loop, 50);
}

static enum rc
connect_bus(struct worker *w, struct err *err)
{
    char inbox[64], name[64];
    snprintf(inbox, sizeof(inbox), "_INBOX.%s", w->spec->name);
    snprintf(name, sizeof(name), "gantry-%s", w->spec->name);
    const struct bus_options options = {
        .url = w->common.nats_url,
        .name = name,
        .inbox_prefix = inbox,
        .tls_ca_file = w->common.tls_ca,
        .tls_cert_file = w->common.tls_cert,
        .tls_key_file = w->common.tls_key,
        .on_state = on_state,
        .arg = w,
    };
    return bus_connect(w->loop, &options, CONNECT_WAIT_MS, &w->bus, err);
}

enum rc
worker_db_open(struct worker *w, struct db **out, struct err *err)
{
    char name[64];
    snprintf(name, sizeof(name), "gantry-%s", w->spec->name);
    return db_open(w->common.database_url, name, w->spec->statements, w->spec->n_statements, out,
                   err);
}

static enum rc
connect_db(struct worker *w, struct err *err)
{
    return worker_db_open(w, &w->db, err);
}

static enum rc
connect_kv(struct worker *w, struct err *err)
{
    enum rc rc = RC_OK;
    if (!w->kv)
        rc = kv_open(w->loop, w->common.redis_url, w->spec->scripts, w->spec->n_scripts, &w->kv,
                     err);
    int64_t until_ms = clock_mono_ms() + CONNECT_WAIT_MS;
    while (rc == RC_OK && !kv_connected(w->kv) && clock_mono_ms() < until_ms && !w->stopping) {
        if (kv_down(w->kv)->rc == RC_CONFIG)
            break;
        loop_turn(w->loop, 20);
    }
    if (rc != RC_OK || kv_connected(w->kv) || w->spec->kv_optional)
        return rc;
    if (err)
        *err = *kv_down(w->kv);
    return kv_down(w->kv)->rc == RC_CONFIG ? RC_CONFIG : RC_TEMP;
}

/* Every server, for as long as it takes. RC_TEMP is waited out, everything else ends the program. */
static enum rc
connect_all(struct worker *w, struct err *err)
{
    enum rc (*const steps[])(struct worker *,
                             struct err *) = { connect_bus, w->spec->statements ? connect_db : NULL,
                                               w->spec->uses_kv ? connect_kv : NULL };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum rc rc = RC_OK;
        for (unsigned tries = 0; steps[i] && !w->stopping; tries++) {
            rc = steps[i](w, err);
            if (rc != RC_TEMP)
                break;
            if (tries % 30 == 0)
                log_fields(LOG_WARN, "waiting for a server", "reason", err->text, NULL);
            pause_ms(w, CONNECT_RETRY_MS);
        }
        if (w->stopping)
            return RC_OK;
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* --- the loop and its end --------------------------------------------------------------------- */

static enum rc
get_ready(struct worker *w, struct err *err)
{
    worker_timers_start(w);
    enum rc rc = worker_listen(w, err);
    if (rc == RC_OK)
        rc = service_listen(w, err);
    if (rc == RC_OK && w->spec->on_ready)
        rc = w->spec->on_ready(w, err);
    if (rc != RC_OK)
        return rc;
    /* Ready means that the server knows our subscriptions: what is sent from now on is heard. */
    (void)bus_flush(w->bus, CONNECT_WAIT_MS, NULL);
    loop_prepare(w->loop, LOOP_RANK_WORK, worker_turn, w);
    w->ready_ms = clock_wall_ms();
    w->healthy = true;
    w->ready = true;
    log_fields(LOG_INFO, "ready", "instance", w->instance, "version", GANTRY_VERSION, NULL);
    return RC_OK;
}

static bool
is_idle(const struct worker *w)
{
    const struct delivery *delivery;
    TAILQ_FOREACH (delivery, &w->all, all)
        if (delivery->state != DELIVERY_HELD && delivery->state != DELIVERY_OPENED)
            return false;
    return true;
}

/* Whatever is not settled by now goes back to the server at once, for another replica. */
static void
hand_all_back(struct worker *w)
{
    struct delivery *delivery;
    while ((delivery = TAILQ_FIRST(&w->all)) != NULL) {
        if (delivery->consumer)
            delivery_hand_back(delivery);
        else
            delivery_free(delivery);
    }
}

static void
run(struct worker *w)
{
    int64_t idle_since_ms = 0;
    while (!w->stopping)
        loop_turn(w->loop, LOOP_WAIT_MAX_MS);
    /* A pull that the server gets together with the end of its subscription, it would answer into the
     * void. And once it has read that we listen no more, all that it sent before is here. */
    (void)bus_flush(w->bus, CONNECT_WAIT_MS, NULL);
    worker_stop_listening(w);
    (void)bus_flush(w->bus, CONNECT_WAIT_MS, NULL);
    for (;;) {
        loop_turn(w->loop, LOOP_WAIT_MAX_MS);
        int64_t now_ms = clock_mono_ms();
        if (!is_idle(w) || idle_since_ms == 0)
            idle_since_ms = now_ms;
        if ((is_idle(w) && now_ms - idle_since_ms > 100) || now_ms > w->stop_by_ms)
            break;
        loop_turn(w->loop, 10);
    }
    if (!is_idle(w))
        log_warn("not everything in hand could be ended in time: it goes back to the server");
    if (w->spec->on_drained)
        w->spec->on_drained(w);
    hand_all_back(w);
}

static void
worker_free(struct worker *w)
{
    tracer_flush(w->tracer);
    if (w->spec->on_stop)
        w->spec->on_stop(w);
    hand_all_back(w);
    bus_free(w->bus);
    kv_free(w->kv);
    db_close(w->db);
    consumers_free(w);
    tracer_free(w->tracer);
    loop_timer_free(w->waker);
    loop_timer_free(w->tick);
    loop_timer_free(w->keepalive);
    loop_free(w->loop);
    heap_fini(&w->waiting);
    if (w->spec->conf)
        conf_wipe(w->spec->conf, 1, w->conf);
    if (w->spec->conf_too)
        conf_wipe(w->spec->conf_too, 1, w->conf);
    free(w->conf);
    free(w->batch);
    worker_say_rest(w, true);
    free(w->log_limits);
    series_free(&w->series);
    gcra_table_free(w->limits);
}

static enum rc
open_tracer(struct worker *w, struct err *err)
{
    const struct tracer_options options = { &w->common.trace, w->spec->name, w->instance,
                                            w->common.region };
    enum rc rc = tracer_new(w->loop, &options, &w->tracer, err);
    w->stages = (struct stages){ .tracer = w->tracer, .series = &w->series };
    return rc;
}

static enum rc
start(struct worker *w, struct err *err)
{
    char unique[ID_TEXT_MAX];
    enum rc rc = confine_memory(err);
    if (rc == RC_OK)
        rc = worker_conf_read(w, err);
    if (rc != RC_OK)
        return rc;
    log_init(w->spec->name, (enum log_level)w->common.log_level,
             (enum log_format)w->common.log_format);
    warn_of_plaintext(w);
    id_new_random(unique);
    snprintf(w->instance, sizeof(w->instance), "%.8s", unique);
    w->batch = calloc(WORKER_BATCH_CAP, sizeof(struct call *));
    if (!w->batch)
        return err_set(err, RC_TEMP, "no memory");
    rc = gcra_table_new(&w->limits, err);
    if (rc == RC_OK)
        rc = schema_builtin_init(err);
    if (rc == RC_OK)
        rc = crypto_init(err);
    if (rc == RC_OK)
        rc = loop_new(&w->loop, err);
    if (rc == RC_OK)
        rc = loop_on_terminate(w->loop, on_terminate, w, err);
    if (rc == RC_OK)
        rc = open_tracer(w, err);
    if (rc == RC_OK && w->spec->on_start)
        rc = w->spec->on_start(w, err);
    if (rc == RC_OK)
        rc = harden(w, err);
    if (rc == RC_OK) {
        w->waker = loop_timer_new(w->loop, worker_wake_due, w);
        rc = connect_all(w, err);
    }
    return rc;
}

static void
lists_init(struct worker *w)
{
    TAILQ_INIT(&w->all);
    TAILQ_INIT(&w->consumers);
    TAILQ_INIT(&w->due);
    TAILQ_INIT(&w->ring);
    TAILQ_INIT(&w->acking);
    core_init(&w->core);
    queue_init(&w->suspects);
    queue_init(&w->audits);
}

int
worker_main(int argc, char **argv, const struct worker_spec *spec)
{
    struct worker w = { .spec = spec };
    struct err err = { 0 };
    lists_init(&w);
    int code = worker_command_line(argc, argv, spec);
    if (code >= 0)
        return code;
    log_init(spec->name, LOG_INFO, LOG_JSON);
    enum rc rc = start(&w, &err);
    if (rc == RC_OK && !w.stopping)
        rc = get_ready(&w, &err);
    if (rc == RC_OK && w.ready)
        run(&w);
    if (rc != RC_OK)
        log_fields(LOG_FATAL, "cannot run", "reason", err.text, NULL);
    if (w.loop)
        worker_free(&w);
    if (rc == RC_OK)
        log_info("stopped");
    return rc_exit(rc);
}
