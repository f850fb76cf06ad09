/* SPDX-License-Identifier: MIT */
/*
 * take - a service's request: verified over its raw bytes, then parsed, then filled into the template.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "db/db.h"
#include "hooks/form.h"
#include "hooks/hooks.h"
#include "hooks/scheme.h"
#include "json/json_pointer.h"
#include "recipe/fill.h"
#include "sql_connector.h"
#include "webhooks/store.h"

#define ANSWER_MAX (4u << 20)
/* What an unknown hook is checked with, so that it takes the time of a known one. */
#define NO_SECRET "no hook has this secret"

struct taking {
    struct connector *c; /* borrowed */
    const char *hook;    /* borrowed: of the question */
    struct scheme_request request;
    char workspace[WORKSPACE_TEXT_MAX];
    char scheme[16], command[32];
    cJSON *definition; /* owned */
    bool two_secrets, known;
    char delivery[HASH_TEXT_MAX];
};

/* --- whose it is ------------------------------------------------------------------------------------------ */

static enum rc
find(struct taking *t, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };

    db_param_text(&params, t->hook);
    enum rc rc = db_query(worker_db(t->c->w), NULL, SQL_CONNECTOR_HOOK_FIND, &params, &rows, err);
    if (rc != RC_OK || PQntuples(rows) == 0)
        return rc;
    const char *definition = db_text(rows, 0, 3);
    (void)snprintf(t->workspace, sizeof(t->workspace), "%s", db_text(rows, 0, 0));
    (void)snprintf(t->scheme, sizeof(t->scheme), "%s", db_text(rows, 0, 1));
    (void)snprintf(t->command, sizeof(t->command), "%s", db_text(rows, 0, 2));
    t->two_secrets = db_bool(rows, 0, 4);
    t->known = true;
    return json_read(definition, strlen(definition), &t->definition, err);
}

/* Every path checks a signature, with a secret or with none. */
static enum rc
verify(struct taking *t, struct err *err)
{
    enum rc found = RC_DENIED;

    if (!t->known) {
        (void)!scheme_verify("github", NULL, NO_SECRET, &t->request);
        return RC_DENIED;
    }
    for (unsigned before = 0; before <= t->two_secrets; before++) {
        struct vault_secret secret = { 0 };
        char name[SECRET_NAME_MAX];
        store_secret_name(HOOK_NOUN, t->hook, before == 1, name);
        enum rc rc = vault_use(&t->c->vault, t->workspace, name, &secret, err);
        if (rc == RC_OK &&
            scheme_verify(t->scheme, t->definition, buf_text(&secret.value), &t->request) == RC_OK)
            found = RC_OK;
        vault_secret_fini(&secret);
        if (rc != RC_OK && rc != RC_NOTFOUND)
            return rc;
    }
    return found;
}

/* --- what it becomes -------------------------------------------------------------------------------------- */

/* Requests with the same of these are one. Only what is signed counts. */
static void
name_delivery(struct taking *t, const cJSON *doc)
{
    const char *pointer = json_string(t->definition, "delivery_id");
    const cJSON *id = pointer ? json_pointer(doc, pointer, strlen(pointer)) : NULL;
    const char *standard = json_string(t->request.headers, "webhook-id");
    char number[JSON_NUMBER_TEXT_MAX];
    struct hash_part part = { t->request.body, t->request.len };
    uint8_t hash[HASH_LEN];

    if (id && cJSON_IsString(id))
        part = (struct hash_part){ id->valuestring, strlen(id->valuestring) };
    else if (id && cJSON_IsNumber(id))
        part.len = strlen(part.data = json_format_number(id->valuedouble, number));
    else if (strcmp(t->scheme, "standard") == 0 && standard)
        part = (struct hash_part){ standard, strlen(standard) };
    hash_sha256(&part, 1, hash);
    hex_encode(hash, sizeof(hash), t->delivery);
}

/* Whether `only` takes it: each pointer has one of its texts. */
static bool
is_wanted(const struct taking *t, const cJSON *values)
{
    const cJSON *rule, *text;

    cJSON_ArrayForEach (rule, json_member(t->definition, "only")) {
        const cJSON *value = json_pointer(values, rule->string, strlen(rule->string));
        bool found = false;
        cJSON_ArrayForEach (text, rule)
            found |= cJSON_IsString(value) && strcmp(value->valuestring, text->valuestring) == 0;
        if (!found)
            return false;
    }
    return true;
}

static void
put_outcome(struct json_writer *w, const char *outcome, const char *detail)
{
    json_put_string(w, "outcome", outcome);
    if (detail)
        json_put_string(w, "detail", detail);
}

static cJSON *
values_of(const struct taking *t, cJSON *doc)
{
    cJSON *values = cJSON_CreateObject();
    cJSON *headers = cJSON_Duplicate(t->request.headers, true);

    if (!values || !headers || !cJSON_AddStringToObject(values, "hook", t->hook) ||
        !cJSON_AddStringToObject(values, "delivery", t->delivery))
        log_no_memory("a hook's values");
    cJSON_AddItemToObject(values, "headers", headers);
    cJSON_AddItemToObject(values, "body", doc);
    return values;
}

static void
map(struct taking *t, cJSON *doc, struct json_writer *w)
{
    AUTO(json) cJSON *values = values_of(t, doc);
    AUTO(json) cJSON *body = NULL;
    struct err err = { 0 };

    if (!is_wanted(t, values)) {
        put_outcome(w, "ignored", NULL);
        return;
    }
    enum rc rc = fill_json(json_member(t->definition, "template"), values, &body, &err);
    if (rc != RC_OK || !cJSON_IsObject(body)) {
        put_outcome(w, "malformed",
                    rc != RC_OK ? err.text
                                : "the hook's template makes no JSON object of this request: a "
                                  "command's body must be one");
        return;
    }
    put_outcome(w, "ok", NULL);
    json_put_string(w, "workspace", t->workspace);
    json_put_string(w, "command", t->command);
    json_put_string(w, "delivery", t->delivery);
    json_put_doc(w, "body", body);
}

static void
parse(struct taking *t, struct json_writer *w)
{
    cJSON *doc = NULL;
    struct err err = { 0 };

    if (form_read(json_string(t->request.headers, "content-type"), t->request.body, t->request.len,
                  &doc, &err) != RC_OK) {
        put_outcome(w, "malformed", err.text);
        return;
    }
    const char *type = json_string(doc, "type"), *challenge = json_string(doc, "challenge");
    if (strcmp(t->scheme, "slack") == 0 && type && challenge &&
        strcmp(type, "url_verification") == 0) {
        put_outcome(w, "challenge", NULL);
        json_put_string(w, "challenge", challenge);
        json_cleanup(&doc);
        return;
    }
    name_delivery(t, doc);
    map(t, doc, w); /* takes the document */
}

static void
take(struct taking *t, struct json_writer *w)
{
    struct err err = { 0 };
    enum rc rc = find(t, &err);

    if (rc == RC_OK)
        rc = verify(t, &err);
    if (rc == RC_OK)
        parse(t, w);
    else
        put_outcome(w, rc == RC_DENIED ? "denied" : "unavailable", NULL);
    if (rc != RC_OK && rc != RC_DENIED)
        log_fields(LOG_WARN, "a hook's request cannot be checked", "hook", t->hook, "workspace",
                   t->workspace, "why", err.text, NULL);
}

/* --- the question ------------------------------------------------------------------------------------------- */

static void
answer(struct connector *c, const char *reply, struct taking *t)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct bus_out message = { .subject = reply };

    buf_init(&out, ANSWER_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    take(t, &w);
    json_close(&w);
    message.data = out.data;
    message.len = out.len;
    if (json_end(&w) == RC_OK)
        (void)bus_publish(worker_bus(c->w), &message, NULL);
    json_cleanup(&t->definition);
}

void
hooks_on_request(void *arg, const struct bus_msg *msg)
{
    AUTO(json) cJSON *doc = NULL;
    size_t len = 0;

    if (!msg->reply || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    const char *hook = json_string(doc, "hook"), *body = json_string(doc, "body");
    if (!hook || strlen(hook) != HOOK_ID_LEN || !body)
        return;
    AUTO(free) uint8_t *raw = malloc(strlen(body) + 1);
    if (!raw)
        log_no_memory("a hook's request");
    if (base64_decode(body, strlen(body), raw, strlen(body), &len) != RC_OK)
        return;
    struct taking t = { .c = arg,
                        .hook = hook,
                        .request = { .headers = json_member(doc, "headers"),
                                     .body = raw,
                                     .len = len,
                                     .now_s = clock_wall_ms() / 1000 } };
    answer(arg, msg->reply, &t);
}
