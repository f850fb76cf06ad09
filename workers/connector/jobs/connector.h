/* SPDX-License-Identifier: MIT */
/*
 * connector - what the service holds, for its files: service.c, running.c, errand.c, follow.c, token.c, requests.c.
 *
 * A job runs as an errand on a thread of its own (errand.c): it may wait for names, servers and other
 * errands. PostgreSQL, Redis and NATS are the loop's; an errand asks at the desk.
 */
#ifndef GANTRY_CONNECTOR_JOBS_CONNECTOR_H
#define GANTRY_CONNECTOR_JOBS_CONNECTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fetch/outbound.h"
#include "jobs/desk.h"
#include "process/conf.h"
#include "recipe/recipe.h"
#include "tasking/question.h"
#include "tasking/tasking.h"
#include "vault/vault.h"
#include "worker/worker.h"

#define ERRAND_TOKEN_LEN 33
#define ERRAND_WHY_MAX   300

struct settings {
    char *actions_dir, *networks, *hosts, *ca_file;
    int task_service;
    int64_t slots, webhook_slots;
    char *webhook_retries;
    uint8_t secret_key[CRYPTO_KEY_LEN], secret_key_previous[CRYPTO_KEY_LEN];
    struct tasking_settings jobs;
};

struct connector {
    const struct settings *settings; /* borrowed */
    struct worker *w;                /* borrowed */
    struct recipes recipes;
    struct outbound_options outbound;
    struct vault vault;
    struct desk *desk;
    struct taskings taskings;
    struct bus_sub *questions, *hooks;
    LIST_HEAD(, errand) errands; /* under way, for the end of the program */
    int64_t rotate_ms;           /* when rotation is looked at next */
    bool rotating;               /* there is a key before, and its end was not logged yet */
    struct dispatch *dispatch;   /* owned: deliveries of webhooks */
    unsigned closed;             /* secrets that neither key opens */
};

/* The question that the workspace's policy was asked, to ask it again about the targets of redirects. */
struct errand_policy {
    cJSON *doc;  /* owned: {"version","document"}; NULL = no policy, or no redirects */
    char *scope; /* owned; NULL = it has none */
    enum role role;
    int64_t accepted_ms;
    bool approved;
};

enum errand_end { ERRAND_ENDED, ERRAND_INVALID, ERRAND_LATER };

/* One job. The thread owns what is in it until it posts it back; the loop only sets stop. */
struct errand {
    LIST_ENTRY(errand) link;
    struct connector *c; /* borrowed; the thread reads recipes and outbound */
    struct tasking *t;   /* borrowed, the loop's; NULL: it was dropped */
    const struct recipe *recipe;
    struct job_ref ref;
    char token[ERRAND_TOKEN_LEN]; /* of this attempt: jobs_send() */
    cJSON *values;                /* owned: params, secrets, id */
    cJSON *egress;                /* owned: hosts of the workspace */
    cJSON *texts;                 /* owned: what must not be shown */
    struct errand_policy policy;
    int64_t started_ms, end_ms;
    atomic_bool stop;
    bool doubt; /* a request that was sent before may have had its effect */
    bool lost;  /* …since Redis has lost what an earlier delivery recorded */
    pthread_t thread;
    /* How it ended. */
    enum errand_end end;
    const char *outcome; /* static */
    char why[ERRAND_WHY_MAX];
    unsigned attempts;
    struct buf output;
};

extern const struct conf_table CONNECTOR_CONF;
extern const struct tasking_kind CONNECTOR_KIND;

/* service.c */
enum rc connector_start(struct worker *w, struct err *err);
enum rc connector_ready(struct worker *w, struct err *err);
void connector_tick(struct worker *w);
void connector_stop(struct worker *w);
unsigned connector_slots_free(struct worker *w);
enum rc connector_dead(struct worker *w, struct call *call, const char *reason, struct err *err);

/* running.c */
void connector_run_start(struct worker *w, struct call *call);
/* Parameters of this task, without type; owned. NULL: the task is malformed. */
void errand_stop_all(struct connector *c);
/* A thread with a small stack and without signals; 0, or why not. */
int connector_thread(pthread_t *thread, void *(*fn)(void *), void *arg);

/* errand.c: the thread */
void *errand_main(void *arg);
bool errand_allowed(const struct errand *e, const char *host, unsigned port);
bool errand_stopped(void *arg);
int64_t errand_left_ms(const struct errand *e);
/* Waits, but not longer than the errand may take; false: it is over. */
bool errand_wait(struct errand *e, uint32_t ms);

/* follow.c: whether the policy lets a request that goes to first follow a redirect to url. */
bool errand_follow(const struct errand *e, const char *first, const char *url,
                   char why[OUTBOUND_WHY_MAX]);

/* token.c: fills values.secrets; OUTBOUND-like verdicts as outcome and why. */
enum rc errand_secrets(struct errand *e);
/* The service does not accept what was had for these: have another. */
void errand_drop_tokens(struct errand *e);

/* requests.c */
void secrets_put_start(struct worker *w, struct call *call);
void secrets_get_start(struct worker *w, struct call *call);
void secrets_list_start(struct worker *w, struct call *call);
void secrets_delete_start(struct worker *w, struct call *call);
void connector_on_question(void *arg, const struct bus_msg *msg);

#endif
