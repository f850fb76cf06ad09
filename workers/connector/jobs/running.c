/* SPDX-License-Identifier: MIT */
/*
 * running - what carrying out means here: an errand on a thread (tasking/tasking.h).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "jobs/connector.h"
#include "json/json_pool.h"

#define STACK_BYTES (1u << 20)

static void
errand_free(struct errand *e)
{
    LIST_REMOVE(e, link);
    json_secret_cleanup(&e->values);
    json_secret_cleanup(&e->texts);
    json_cleanup(&e->egress);
    json_cleanup(&e->policy.doc);
    free(e->policy.scope);
    buf_fini(&e->output);
    free(e);
}

/* The schema describes the parameters: the task without its type. */
static cJSON *
read_params(struct tasking *t, const struct recipe *recipe)
{
    cJSON *params = cJSON_Duplicate(json_member(t->call->body, "task"), true);
    struct field_errors found = { 0 };

    if (!params)
        log_no_memory("parameters");
    cJSON_DeleteItemFromObjectCaseSensitive(params, "type");
    if (recipe_check(recipe, params, &found) == RC_OK)
        return params;
    for (size_t i = 0; i < found.count; i++) {
        char field[SCHEMA_FIELD_MAX + 8];

        (void)snprintf(field, sizeof(field), "task%s%s", found.items[i].field[0] ? "." : "",
                       found.items[i].field);
        field_errors_add(&t->errors, field, "%s", found.items[i].detail);
    }
    json_cleanup(&params);
    return NULL;
}

/* 0: refused, and the tasking has ended. */
static int64_t
read_time(struct tasking *t, const struct recipe *recipe)
{
    int64_t seconds = json_int(t->call->body, "timeout_seconds", 0);

    if (seconds * 1000 <= recipe->limits.total_max_ms)
        return seconds > 0 ? seconds * 1000 : recipe->limits.total_ms;
    field_errors_add(&t->errors, "timeout_seconds", "must be at most %u for this action, not %lld",
                     recipe->limits.total_max_ms / 1000, (long long)seconds);
    tasking_refuse(t, PROBLEM_INVALID_REQUEST, "timeout_seconds is larger than the action allows");
    return 0;
}

/* Only of a request that follows redirects. */
static void
keep_policy(struct errand *e, struct tasking *t)
{
    const char *scope = json_string(t->call->body, "scope");

    if (!t->policy || e->recipe->limits.redirects == 0)
        return;
    e->policy = (struct errand_policy){ .doc = t->policy,
                                        .role = t->call->actor.role,
                                        .accepted_ms = t->call->accepted_ms,
                                        .approved = t->call->approval[0] != '\0' };
    t->policy = NULL;
    if (scope && !(e->policy.scope = strdup(scope)))
        log_no_memory("an errand");
}

static struct errand *
errand_new(struct tasking *t, const struct recipe *recipe, cJSON *params, int64_t total_ms)
{
    struct connector *c = t->all->program;
    struct errand *e = calloc(1, sizeof(*e));
    uint8_t random[(ERRAND_TOKEN_LEN - 1) / 2];

    if (!e || !(e->values = cJSON_CreateObject()))
        log_no_memory("an errand");
    e->c = c;
    e->t = t;
    e->recipe = recipe;
    e->ref = t->ref;
    e->doubt = t->sent;
    e->lost = t->mark_lost;
    atomic_store(&e->stop, t->cancelled);
    e->egress = t->egress;
    t->egress = NULL;
    keep_policy(e, t);
    e->started_ms = clock_mono_ms();
    e->end_ms = e->started_ms + total_ms;
    crypto_random(random, sizeof(random));
    hex_encode(random, sizeof(random), e->token);
    if (!cJSON_AddStringToObject(e->values, "id", t->ref.id))
        log_no_memory("an errand");
    cJSON_AddItemToObject(e->values, "params", params);
    LIST_INSERT_HEAD(&c->errands, e, link);
    return e;
}

/* --- its end, back on the loop ------------------------------------------------------------------------------ */

static void
on_ended(void *arg)
{
    struct errand *e = arg;
    struct tasking *t = e->t;
    const struct job_usage usage = { .wall_ms = clock_mono_ms() - e->started_ms };

    (void)pthread_join(e->thread, NULL);
    t->own = NULL;
    switch (e->end) {
    case ERRAND_ENDED:
        tasking_end(t, e->outcome, &usage, &e->output);
        break;
    case ERRAND_INVALID:
        tasking_refuse(t, PROBLEM_INVALID_REQUEST, e->why);
        break;
    case ERRAND_LATER:
        tasking_give_back(t, RC_TEMP, e->why);
        break;
    }
    errand_free(e);
}

static void *
thread_main(void *arg)
{
    struct errand *e = arg;

    (void)errand_main(e);
    json_pool_leave();
    loop_post(worker_loop(e->c->w), on_ended, e);
    return NULL;
}

/* Signals are the loop's. */
int
connector_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int failed = pthread_attr_init(&attr);

    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!failed)
        failed = pthread_create(thread, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return failed;
}

static void
run_errand(struct tasking *t)
{
    const struct connector *c = t->all->program;
    const struct recipe *recipe = recipes_find(&c->recipes, t->ref.action);
    cJSON *params;
    int64_t total_ms;
    struct errand *e;

    if (!recipe) {
        char why[JOBS_ERROR_MAX];

        (void)snprintf(why, sizeof(why), "there is no action '%.64s'; GET /ai/actions lists them",
                       t->ref.action);
        tasking_refuse(t, PROBLEM_INVALID_REQUEST, why);
        return;
    }
    params = read_params(t, recipe);
    if (!params) {
        char why[JOBS_ERROR_MAX];

        (void)snprintf(why, sizeof(why), "a parameter of %s is wrong: %.90s %.200s", recipe->name,
                       t->errors.items[0].field, t->errors.items[0].detail);
        tasking_refuse(t, PROBLEM_INVALID_REQUEST, why);
        return;
    }
    total_ms = read_time(t, recipe);
    if (total_ms == 0) {
        json_cleanup(&params);
        return;
    }
    e = errand_new(t, recipe, params, total_ms);
    if (connector_thread(&e->thread, thread_main, e) == 0) {
        t->own = e;
        return;
    }
    errand_free(e);
    tasking_give_back(t, RC_TEMP, "cannot start a thread");
}

static void
cancel_errand(struct tasking *t)
{
    struct errand *e = t->own;

    atomic_store(&e->stop, true);
}

static enum rc
write_cancelled(struct buf *out)
{
    static const struct recipe NOTHING = { .name = "" };

    return recipe_output(&NOTHING, NULL, "cancelled", 0, NULL, out);
}

static void
facts(const struct tasking *t, struct policy_ask *ask)
{
    const struct connector *c = t->all->program;
    const struct recipe *recipe = recipes_find(&c->recipes, t->ref.action);

    ask->kind = recipe ? "connector" : "unknown";
    ask->hosts = recipe ? json_member(recipe->doc, "hosts") : NULL;
    ask->risk = recipe ? recipe->risk : NULL;
}

const struct tasking_kind CONNECTOR_KIND = {
    .command = CMD_CONNECTOR_RUN,
    .run = run_errand,
    .cancel = cancel_errand,
    .cancelled = write_cancelled,
    .facts = facts,
    .keeps_policy = true,
    .output_max = RECIPE_OUTPUT_MAX,
};

void
connector_run_start(struct worker *w, struct call *call)
{
    struct connector *c = worker_state(w);

    tasking_start(&c->taskings, call);
}

/* The program ends: nothing is settled any more. */
void
errand_stop_all(struct connector *c)
{
    struct errand *e;
    LIST_FOREACH (e, &c->errands, link)
        atomic_store(&e->stop, true);
    if (c->desk)
        desk_close(c->desk);
    while ((e = LIST_FIRST(&c->errands)) != NULL) {
        (void)pthread_join(e->thread, NULL);
        errand_free(e);
    }
}
