/* SPDX-License-Identifier: MIT */
/*
 * requests - the core requests: secrets of a workspace, and which actions there are.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "jobs/connector.h"
#include "webhooks/store.h"

#define ONE_MAX     4096
#define LIST_MAX    (1 << 20)
#define CATALOG_MAX (1 << 20)
#define SUMMARY_MAX 512

/* --- secrets ------------------------------------------------------------------------------------------------ */

static const char *
name_of(struct call *call)
{
    const char *name = json_string(call->body, "name");

    call->audit_target = arena_strdup(call->mem, name);
    return name;
}

typedef enum rc fill_fn(struct connector *c, struct call *call, struct json_writer *w,
                        struct err *err);

/* Answers 200 with the object that fill writes the members of. */
static void
respond(struct worker *w, struct call *call, size_t limit, fill_fn *fill)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer writer;
    struct err err = { 0 };
    enum rc rc;

    buf_init(&out, limit);
    json_begin(&writer, &out);
    json_object(&writer, NULL);
    rc = fill(worker_state(w), call, &writer, &err);
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    store_settle(w, call, "secret", rc, &err, 200, &out);
}

static enum rc
put(struct connector *c, struct call *call, struct json_writer *w, struct err *err)
{
    const char *value = json_string(call->body, "value");

    return vault_put(&c->vault, call->actor.workspace, name_of(call), value, w, err);
}

static enum rc
get(struct connector *c, struct call *call, struct json_writer *w, struct err *err)
{
    return vault_show(&c->vault, call->actor.workspace, name_of(call), w, err);
}

static enum rc
list(struct connector *c, struct call *call, struct json_writer *w, struct err *err)
{
    int64_t count = 0;
    enum rc rc;

    json_array(w, "items");
    rc = vault_list(&c->vault, call->actor.workspace, w, &count, err);
    json_close(w);
    json_put_int(w, "count", count);
    return rc;
}

void
secrets_put_start(struct worker *w, struct call *call)
{
    respond(w, call, ONE_MAX, put);
}

void
secrets_get_start(struct worker *w, struct call *call)
{
    respond(w, call, ONE_MAX, get);
}

void
secrets_list_start(struct worker *w, struct call *call)
{
    respond(w, call, LIST_MAX, list);
}

void
secrets_delete_start(struct worker *w, struct call *call)
{
    struct connector *c = worker_state(w);
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    enum rc rc = vault_delete(&c->vault, call->actor.workspace, name_of(call), &err);

    buf_init(&out, ONE_MAX);
    buf_puts(&out, "{}");
    store_settle(w, call, "secret", rc, &err, 204, &out);
}

/* --- actions ------------------------------------------------------------------------------------------------- */

static void
write_limits(const struct recipe_limits *limits, struct json_writer *w)
{
    json_object(w, "limits");
    json_put_int(w, "wall_ms", limits->total_ms);
    json_put_int(w, "wall_max_ms", limits->total_max_ms);
    json_put_int(w, "answer_bytes", (int64_t)limits->answer_bytes);
    json_put_int(w, "redirects", limits->redirects);
    json_put_int(w, "attempts", limits->attempts);
    json_close(w);
}

/* What a preview shows: the summary, and what is wrong with the parameters. */
static void
write_preview(const struct recipe *recipe, cJSON *params, struct json_writer *w)
{
    struct field_errors errors = { 0 };
    char summary[SUMMARY_MAX];

    folder_summarize(recipe->summary, params, summary, sizeof(summary));
    json_put_string(w, "summary", summary);
    (void)!recipe_check(recipe, params, &errors);
    problem_put_errors(w, &errors);
}

static void
write_action(const struct recipe *recipe, cJSON *params, struct json_writer *w)
{
    json_object(w, NULL);
    json_put_string(w, "action", recipe->name);
    json_put_string(w, "description", recipe->description);
    json_put_string(w, "kind", "connector");
    json_put_doc(w, "params", recipe->params_definition);
    write_limits(&recipe->limits, w);
    json_array(w, "hosts");
    for (size_t i = 0; i < recipe->n_hosts; i++)
        json_put_string(w, NULL, recipe->hosts[i]);
    json_close(w);
    json_array(w, "secrets");
    for (size_t i = 0; i < recipe->n_secrets; i++)
        json_put_string(w, NULL, recipe->secrets[i].name);
    json_close(w);
    json_put_doc(w, "risk", recipe->risk);
    if (recipe->hints)
        json_put_doc(w, "hints", recipe->hints);
    if (params)
        write_preview(recipe, params, w);
    json_close(w);
}

/* The executor asks, for actions.list: {"action"?,"params"?}. No answer says that there is no connector. */
void
connector_on_question(void *arg, const struct bus_msg *msg)
{
    const struct connector *c = arg;
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct bus_out answer = { .subject = msg->reply };

    if (!msg->reply || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    const char *only = json_string(doc, "action");
    cJSON *params = only ? cJSON_GetObjectItemCaseSensitive(doc, "params") : NULL;
    buf_init(&out, CATALOG_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "actions");
    for (size_t i = 0; i < c->recipes.count; i++)
        if (!only || strcmp(only, c->recipes.items[i].name) == 0)
            write_action(&c->recipes.items[i], params, &w);
    json_close(&w);
    json_close(&w);
    answer.data = out.data;
    answer.len = out.len;
    if (json_end(&w) == RC_OK)
        (void)!bus_publish(worker_bus(c->w), &answer, NULL);
}
