/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/gcra.h"
#include "base/log.h"
#include "claims.h"
#include "console/console.h"
#include "effects/connectors.h"
#include "effects/forward.h"
#include "effects/lists.h"
#include "effects/room.h"
#include "effects/share.h"
#include "effects/waiters.h"
#include "events/events.h"
#include "fleet.h"
#include "gateway.h"
#include "health.h"
#include "http/http.h"
#include "keys/allow.h"
#include "keys/dbwork.h"
#include "keys/keys.h"
#include "keys/uses.h"
#include "logins/direct.h"
#include "mcp/mcp.h"
#include "metrics/streams.h"
#include "metrics/traffic.h"
#include "policy/hold.h"
#include "process/confine.h"
#include "process/transport.h"
#include "requests/cors.h"
#include "requests/openapi.h"
#include "requests/request.h"
#include "requests/served.h"
#include "sql_gateway.h"
#include "validate/schema.h"

#define FIRST_CONNECT_MS  5000
#define DRAIN_MS          30000
#define DESCRIPTORS_OWN   128 /* servers, logs, the admin listener */
#define DRAIN_TURN_MS     50
#define SHORT_BODY        8192 /* read before the checks: one wait less for most requests */
#define ADMIN_CONNECTIONS 64

static void
on_done_event(void *arg, const struct bus_msg *msg)
{
    forward_done(arg, msg);
}

static void
on_answers(void *arg, const struct bus_msg *msg)
{
    forward_answers(arg, msg);
}

static enum rc
subscribe(struct gateway *gw, struct err *err)
{
    static const struct {
        const char *subject;
        bus_fn *fn;
    } SUBJECTS[] = { { SUBJECT_PREFIX "*.memory.*.done", on_done_event },
                     { SUBJECT_PREFIX "*.audit.*.done", on_done_event },
                     { SUBJECT_PREFIX "*.job.*.done", on_done_event },
                     { SUBJECT_PREFIX "*.answers.memory", on_answers },
                     { SUBJECT_PREFIX "*.answers.audit", on_answers } };
    for (size_t i = 0; i < sizeof(SUBJECTS) / sizeof(SUBJECTS[0]); i++) {
        struct bus_sub *sub;
        enum rc rc =
            bus_subscribe(gw->bus, SUBJECTS[i].subject, NULL, SUBJECTS[i].fn, gw, &sub, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* What was told in an outage was told to nobody here. */
static void
on_bus_state(void *arg, bool connected)
{
    struct gateway *gw = arg;
    if (connected && gw->events)
        events_missed(gw->events);
}

/* --- start ------------------------------------------------------------------------------------ */

static void
on_key_change(void *arg, const char *key_id)
{
    struct gateway *gw = arg;
    direct_key_changed(gw->direct, key_id);
    if (gw->events)
        events_key_changed(gw->events, key_id);
}

static void
warn_of_plaintext(const struct settings *s)
{
    if (s->allow_plaintext)
        return;
    transport_warn("NATS_URL", s->nats_url);
    transport_warn("CALLOUT_NATS_URL", s->callout_nats_url);
    transport_warn("KICK_NATS_URL", s->kick_nats_url);
    transport_warn("DATABASE_URL", s->database_url);
    transport_warn("REDIS_URL", s->redis_url);
}

static enum rc
connect_servers(struct gateway *gw, struct err *err)
{
    const struct settings *s = gw->settings;
    struct bus_options bus = { .url = s->nats_url,
                               .name = "gantry-gateway",
                               .inbox_prefix = "_INBOX.gateway",
                               .tls_ca_file = s->nats_tls_ca,
                               .tls_cert_file = s->nats_tls_cert,
                               .tls_key_file = s->nats_tls_key,
                               .on_state = on_bus_state,
                               .arg = gw };
    struct keys_options keys = { .database_url = s->database_url,
                                 .hash_threads = (unsigned)s->key_hash_threads,
                                 .on_change = on_key_change,
                                 .arg = gw };
    enum rc rc = kv_open(gw->loop, s->redis_url, SCRIPTS, SCRIPTS_ALL, &gw->kv, err);
    if (rc == RC_OK) {
        gw->jobs = (struct jobs){ .kv = gw->kv,
                                  .retention_s = s->job_retention_days * 86400,
                                  .share_bytes = s->redis_share_bytes };
        memcpy(gw->jobs.data_key, s->data_key, sizeof(gw->jobs.data_key));
    }
    if (rc == RC_OK)
        rc = bus_connect(gw->loop, &bus, FIRST_CONNECT_MS, &gw->bus, err);
    if (rc == RC_OK)
        rc = dbworker_open(gw->loop, s->database_url, &gw->dbworker, err);
    if (rc == RC_OK)
        rc = keys_open(gw->loop, &keys, &gw->keys, err);
    if (rc == RC_OK)
        rc = allow_open(gw, &gw->allowlist, err);
    if (rc == RC_OK)
        rc = outbox_open(gw, &gw->outbox, err);
    if (rc == RC_OK)
        rc = waiting_open(gw, &gw->waiting, err);
    /* A job's state and its end may come in one read; of that, the newest subscription is first. */
    if (rc == RC_OK)
        rc = subscribe(gw, err);
    if (rc == RC_OK)
        rc = events_open(gw, &gw->events, err);
    if (rc == RC_OK)
        rc = connectors_open(gw->settings, &gw->connectors, err);
    if (rc == RC_OK)
        rc = fleet_new(gw->bus, &gw->fleet, err);
    if (rc == RC_OK)
        rc = streams_open(gw->loop, gw->bus, &gw->streams, err);
    if (rc == RC_OK)
        shares_open(gw, &gw->shares);
    if (rc == RC_OK)
        health_watch(gw);
    if (rc == RC_OK)
        rc = direct_open(gw, &gw->direct, err);
    return rc;
}

/* Every connection is a descriptor, and the usual soft limit is 1,024: take what the hard one gives,
 * and never accept more than that. */
static unsigned
connections_allowed(const struct settings *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return (unsigned)s->max_connections;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = (rlim_t)s->max_connections + DESCRIPTORS_OWN;
    if (limit.rlim_cur >= wanted)
        return (unsigned)s->max_connections;
    unsigned allowed = limit.rlim_cur > 2 * DESCRIPTORS_OWN
                           ? (unsigned)(limit.rlim_cur - DESCRIPTORS_OWN)
                           : DESCRIPTORS_OWN;
    log_warn("%u connections instead of MAX_CONNECTIONS: the limit of open files is %llu", allowed,
             (unsigned long long)limit.rlim_cur);
    return allowed;
}

static enum rc
listen_http(struct gateway *gw, struct err *err)
{
    const struct settings *s = gw->settings;
    size_t max_body = (size_t)s->max_body_bytes;
    size_t short_body = max_body < SHORT_BODY ? max_body : SHORT_BODY;
    struct http_options options = { .address = s->listen_addr,
                                    .trusted_proxies = s->trusted_proxies,
                                    .max_connections = gw->max_connections,
                                    .max_per_address = (unsigned)s->max_connections_per_address,
                                    .idle_seconds = (unsigned)s->connection_timeout_seconds,
                                    .head_seconds = (unsigned)s->head_timeout_seconds,
                                    .body_seconds = (unsigned)s->body_timeout_seconds,
                                    .short_body = short_body,
                                    .max_unsent = (uint64_t)s->max_buffered_bytes };
    struct http_options admin = { .address = s->admin_listen_addr,
                                  .trusted_proxies = "",
                                  .max_connections = ADMIN_CONNECTIONS,
                                  .max_per_address = ADMIN_CONNECTIONS,
                                  .idle_seconds = 30,
                                  .head_seconds = (unsigned)s->head_timeout_seconds,
                                  .body_seconds = (unsigned)s->body_timeout_seconds,
                                  .short_body = short_body,
                                  .max_unsent = (uint64_t)s->max_buffered_bytes };
    enum rc rc = http_open(gw->loop, &options, &REQUEST_CALLBACKS, gw, &gw->http, err);
    if (rc == RC_OK)
        rc = http_open(gw->loop, &admin, &REQUEST_ADMIN_CALLBACKS, gw, &gw->admin, err);
    return rc;
}

/* --- stop ------------------------------------------------------------------------------------- */

static void
on_terminate(void *arg)
{
    struct gateway *gw = arg;
    if (!gw->draining)
        log_info("draining");
    gw->draining = true;
    loop_stop(gw->loop);
}

/* New connections are refused; what is under way is finished; idle connections end. False if a
 * request is left. */
static bool
drain(struct gateway *gw)
{
    int64_t until_ms = clock_mono_ms() + DRAIN_MS;
    gw->draining = true;
    http_quiesce(gw->http);
    events_drain(gw->events);
    forward_drain(gw);
    while (gw->in_flight && clock_mono_ms() < until_ms)
        loop_turn(gw->loop, DRAIN_TURN_MS);
    if (gw->in_flight)
        log_warn("%u requests were not finished when the time to drain ran out", gw->in_flight);
    return gw->in_flight == 0;
}

/* Closing a connection to NATS turns the loop, so whatever a callback uses is freed after the last
 * connection: first what is under way ends, then the connections, then the modules. */
static void
release(struct gateway *gw)
{
    http_close(gw->http);
    http_close(gw->admin);
    direct_close(gw->direct);
    gw->direct = NULL;
    audit_settle(gw->audit);
    tracer_flush(gw->tracer);
    fleet_free(gw->fleet);
    bus_free(gw->bus);
    streams_close(gw->streams);
    kv_free(gw->kv);
    /* No callback runs any more. */
    keys_close(gw->keys);
    dbworker_close(gw->dbworker);
    outbox_close(gw->outbox);
    waiting_close(gw->waiting);
    uses_close(gw->uses);
    loop_timer_free(gw->redis_timer);
    shares_close(gw->shares);
    allow_close(gw->allowlist);
    audit_close(gw->audit);
    events_close(gw->events);
    connectors_close(gw->connectors);
    waiters_free(gw->waiters);
    lists_free(gw->lists);
    tally_free(gw->tally);
    room_free(gw->room);
    served_free(gw->served);
    tracer_free(gw->tracer);
    series_free(&gw->series);
    traffic_free(gw->traffic);
    gcra_table_free(gw->limiter);
    buf_fini(&gw->openapi);
    if (!gw->in_flight)
        cors_close(gw->cors);
    if (!gw->in_flight)
        mcp_close(gw->mcp);
    buf_fini(&gw->docs);
    loop_free(gw->loop);
}

static enum rc
open_tracer(struct gateway *gw, struct err *err)
{
    const struct tracer_options options = { &gw->settings->trace, "gateway", gw->instance,
                                            gw->settings->region };
    enum rc rc = tracer_new(gw->loop, &options, &gw->tracer, err);
    gw->stages = (struct stages){ .tracer = gw->tracer, .series = &gw->series };
    return rc;
}

static enum rc
start(struct gateway *gw, struct err *err)
{
    char unique[ID_TEXT_MAX];
    enum rc rc = confine_drop_root(err);
    if (rc == RC_OK)
        rc = confine_calls(CONFINE_LISTEN, err);
    if (rc == RC_OK)
        rc = crypto_init(err);
    if (rc == RC_OK)
        rc = openapi_write(&gw->openapi, err);
    if (rc == RC_OK)
        rc = mcp_open(&gw->mcp, err);
    if (rc == RC_OK)
        rc = docs_write(&gw->openapi, &gw->docs, err);
    if (rc == RC_OK)
        rc = loop_new(&gw->loop, err);
    if (rc == RC_OK)
        rc = loop_on_terminate(gw->loop, on_terminate, gw, err);
    if (rc == RC_OK)
        rc = gcra_table_new(&gw->limiter, err);
    if (rc == RC_OK)
        rc = waiters_new(&gw->waiters, err);
    if (rc == RC_OK)
        rc = tally_new(&gw->tally, err);
    if (rc == RC_OK)
        rc = room_new(gw->loop, &gw->room, err);
    if (rc == RC_OK)
        rc = traffic_new(&gw->traffic, err);
    if (rc == RC_OK)
        rc = served_new(&gw->served, err);
    if (rc != RC_OK)
        return rc;
    id_new_random(unique);
    (void)snprintf(gw->instance, sizeof(gw->instance), "%.8s", unique);
    rc = open_tracer(gw, err);
    if (rc != RC_OK)
        return rc;
    lists_open(gw, &gw->lists);
    warn_of_plaintext(gw->settings);
    claims_make_keys(gw->settings->actor_signing_key, gw->actor_keys);
    crypto_subkey(gw->settings->actor_signing_key, "idempotency", gw->idem_key);
    crypto_subkey(gw->settings->actor_signing_key, "cursor", gw->cursor_key);
    rc = cors_open(gw->settings->cors_origins, &gw->cors, err);
    if (rc == RC_OK)
        rc = audit_open(gw, &gw->audit, err);
    if (rc == RC_OK)
        rc = connect_servers(gw, err);
    if (rc == RC_OK)
        rc = uses_open(gw, &gw->uses, err);
    if (rc == RC_OK)
        rc = listen_http(gw, err);
    return rc;
}

int
serve(const struct settings *settings)
{
    struct gateway gw = { .settings = settings, .started_ms = clock_wall_ms() };
    struct err err = { 0 };
    buf_init(&gw.openapi, OPENAPI_MAX);
    buf_init(&gw.docs, DOCS_MAX);
    gw.max_connections = connections_allowed(settings);
    (void)signal(SIGPIPE, SIG_IGN);
    enum rc rc = start(&gw, &err);
    if (rc != RC_OK) {
        log_fatal("cannot start: %s", err.text);
        return rc_exit(rc);
    }
    log_fields(LOG_INFO, "listening", "address", settings->listen_addr, "admin",
               settings->admin_listen_addr, NULL);
    loop_run(gw.loop);
    if (drain(&gw))
        release(&gw);
    else /* its callbacks need everything: the end of the process frees it */
        audit_settle(gw.audit);
    log_info("drained");
    return EXIT_OK;
}
