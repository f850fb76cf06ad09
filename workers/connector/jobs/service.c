/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "hooks/hooks.h"
#include "jobs/connector.h"
#include "webhooks/webhooks.h"

#define AT(member)     offsetof(struct settings, member)
#define PLACE          "workers/connector/actions"
#define ROTATE_ROWS    50
#define ROTATE_WAIT_MS 30000

static const char *const TASK_SERVICES[] = { "google", "microsoft", NULL };

/* clang-format off */
static const struct conf_item ITEMS[] = {
    { .name = "SECRET_KEY", .type = CONF_KEY32, .offset = AT(secret_key),
      .help = "encrypts the secrets of workspaces in PostgreSQL; only this program has it" },
    { .name = "SECRET_KEY_PREVIOUS", .type = CONF_KEY32, .offset = AT(secret_key_previous), .flags = CONF_OPTIONAL,
      .help = "previous SECRET_KEY during a rotation; its rows are encrypted again" },
    { .name = "CONNECTOR_SLOTS", .type = CONF_INT, .offset = AT(slots), .default_text = "8", .min = 1, .max = 256,
      .help = "requests to services that run at once" },
    { .name = "CONNECTOR_ACTIONS_DIR", .type = CONF_STRING, .offset = AT(actions_dir), .default_text = "", .max = 1024,
      .help = "folder of the actions; empty = the one beside the program" },
    { .name = "CONNECTOR_TASK_SERVICE", .type = CONF_CHOICE, .offset = AT(task_service), .default_text = "google", .choices = TASK_SERVICES,
      .help = "service in which task.create creates tasks: Google Tasks or Microsoft To Do" },
    { .name = "CONNECTOR_NETWORKS", .type = CONF_STRING, .offset = AT(networks), .default_text = "", .max = 1024,
      .help = "private networks that may be reached, such as 10.1.0.0/16" },
    { .name = "CONNECTOR_HOSTS", .type = CONF_STRING, .offset = AT(hosts), .default_text = "", .max = 8192,
      .help = "addresses to use instead of DNS: HOST=ADDRESS or HOST=ADDRESS:PORT, separated by commas or blanks" },
    { .name = "CONNECTOR_CA_FILE", .type = CONF_STRING, .offset = AT(ca_file), .default_text = "", .max = 1024,
      .help = "file with the certificate authorities of services; empty = the system's" },
    { .name = "WEBHOOK_SLOTS", .type = CONF_INT, .offset = AT(webhook_slots), .default_text = "8", .min = 2, .max = 64,
      .help = "deliveries of webhooks that are sent at once; a workspace has at most half of them" },
    { .name = "WEBHOOK_RETRIES", .type = CONF_STRING, .offset = AT(webhook_retries), .default_text = "5 300 1800 7200 18000 36000 50400 72000 86400", .min = 1, .max = 256,
      .help = "seconds before each further attempt of a delivery, up to a fifth more at random" },
    TASKING_CONF(struct settings, jobs),
};
/* clang-format on */

const struct conf_table CONNECTOR_CONF = { ITEMS, ARRAY_LEN(ITEMS), NULL };

__attribute__((noinline)) static enum rc
load_recipes(struct connector *c, struct err *err)
{
    char folder[PATH_MAX];
    enum rc rc = folder_locate(c->settings->actions_dir, PLACE, "CONNECTOR_ACTIONS_DIR", folder,
                               sizeof(folder), err);

    return rc == RC_OK
               ? recipes_load(folder, TASK_SERVICES[c->settings->task_service], &c->recipes, err)
               : rc;
}

enum rc
connector_start(struct worker *w, struct err *err)
{
    struct connector *c = calloc(1, sizeof(*c));
    enum rc rc;

    if (!c)
        return err_set(err, RC_TEMP, "no memory");
    c->w = w;
    c->settings = worker_conf(w);
    worker_set_state(w, c);
    c->outbound.ca_file = c->settings->ca_file;
    if ((rc = guard_networks_read(c->settings->networks, &c->outbound.networks, err)) != RC_OK)
        return err_wrap(err, "CONNECTOR_NETWORKS");
    if ((rc = outbound_pins_read(c->settings->hosts, &c->outbound, err)) != RC_OK)
        return err_wrap(err, "CONNECTOR_HOSTS");
    if ((rc = outbound_init(&c->outbound, err)) != RC_OK ||
        (rc = dispatch_new(c, &c->dispatch, err)) != RC_OK)
        return rc;
    return load_recipes(c, err);
}

enum rc
connector_ready(struct worker *w, struct err *err)
{
    static const uint8_t UNSET[CRYPTO_KEY_LEN];
    struct connector *c = worker_state(w);
    const struct settings *s = c->settings;
    bool has_before = memcmp(s->secret_key_previous, UNSET, sizeof(UNSET)) != 0;
    enum rc rc;

    vault_init(&c->vault, worker_db(w), s->secret_key, has_before ? s->secret_key_previous : NULL);
    c->rotating = has_before;
    c->rotate_ms = clock_mono_ms();
    c->taskings = (struct taskings){
        .w = w,
        .kind = &CONNECTOR_KIND,
        .program = c,
        .jobs = { .marks = true },
    };
    if ((rc = desk_new(worker_loop(w), &c->desk, err)) != RC_OK ||
        (rc = taskings_open(&c->taskings, &s->jobs, err)) != RC_OK ||
        (rc = bus_subscribe(worker_bus(w), CONNECTOR_QUESTION_SUBJECT "*", "connector",
                            connector_on_question, c, &c->questions, err)) != RC_OK)
        return rc;
    return bus_subscribe(worker_bus(w), HOOK_SUBJECT, "connector", hooks_on_request, c, &c->hooks,
                         err);
}

/* All are looked through; said once, if there was something to do. */
static void
rotated(struct connector *c)
{
    char count[16];

    if (c->closed) {
        (void)snprintf(count, sizeof(count), "%u", c->closed);
        log_fields(
            LOG_WARN,
            "the other secrets are encrypted under SECRET_KEY; some can be opened with neither "
            "SECRET_KEY nor SECRET_KEY_PREVIOUS: set them anew",
            "secrets", count, NULL);
    } else {
        log_fields(LOG_INFO, "all secrets are encrypted under SECRET_KEY", NULL);
    }
    c->vault.resealed = 0;
    c->rotating = false;
}

/* Some rows at a time, until the key before has none, nor the form of the release before. Later, too: the last
 * migrations of an upgrade come when this program runs. */
void
connector_tick(struct worker *w)
{
    struct connector *c = worker_state(w);
    struct err err = { 0 };
    bool left = false;

    dispatch_tick(c->dispatch);
    if (clock_mono_ms() < c->rotate_ms)
        return;
    if (vault_rotate(&c->vault, ROTATE_ROWS, &c->closed, &left, &err) != RC_OK)
        log_fields(LOG_WARN, "secrets cannot be encrypted under the new key now", "why", err.text,
                   NULL);
    else if (left)
        return;
    else if (c->rotating || c->vault.resealed)
        rotated(c);
    c->rotate_ms = clock_mono_ms() + ROTATE_WAIT_MS;
}

void
connector_stop(struct worker *w)
{
    struct connector *c = worker_state(w);

    if (!c)
        return;
    errand_stop_all(c);
    dispatch_free(c->dispatch);
    outbound_fini(&c->outbound);
    taskings_close(&c->taskings);
    desk_free(c->desk);
    recipes_fini(&c->recipes);
    vault_fini(&c->vault);
    free(c);
    worker_set_state(w, NULL);
}

unsigned
connector_slots_free(struct worker *w)
{
    const struct connector *c = worker_state(w);

    return taskings_free_of(&c->taskings, c->settings->slots);
}

enum rc
connector_dead(struct worker *w, struct call *call, const char *reason, struct err *err)
{
    struct connector *c = worker_state(w);

    return taskings_dead(&c->taskings, call, reason, err);
}
