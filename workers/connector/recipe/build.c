/* SPDX-License-Identifier: MIT */
/*
 * build - a request from its template: each value encoded for the place that it comes to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "recipe/fill.h"
#include "recipe/message.h"
#include "recipe/recipe.h"

#define HEADER_MAX 16384

void
built_fini(struct built *built)
{
    for (size_t i = 0; i < built->n_headers; i++) {
        crypto_wipe(built->headers[i], strlen(built->headers[i]));
        free(built->headers[i]);
    }
    buf_wipe(&built->url);
    buf_wipe(&built->body);
    *built = (struct built){ 0 };
}

static enum rc
add_header(struct built *built, const char *name, const char *template, const cJSON *values,
           struct err *err)
{
    AUTO(buf) struct buf line = { 0 };
    char *copy;
    enum rc rc;

    buf_init(&line, HEADER_MAX);
    buf_printf(&line, "%s: ", name);
    rc = fill_text(template, values, FILL_HEADER, &line, err);
    copy = rc == RC_OK ? strdup(buf_text(&line)) : NULL;
    buf_wipe(&line);
    if (rc != RC_OK)
        return rc;
    if (!copy)
        log_no_memory("a header");
    built->headers[built->n_headers++] = copy;
    return RC_OK;
}

/* --- the parts ----------------------------------------------------------------------------------------- */

static enum rc
build_method(const struct recipe *recipe, const cJSON *values, struct built *out, struct err *err)
{
    static const char *const METHODS[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
    AUTO(buf) struct buf text = { 0 };
    const char *template = json_string(recipe->request, "method");
    enum rc rc;

    buf_init(&text, 64);
    rc = fill_text(template ? template : "GET", values, FILL_PLAIN, &text, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (strcmp(buf_text(&text), METHODS[i]) != 0)
            continue;
        (void)snprintf(out->method, sizeof(out->method), "%s", METHODS[i]);
        out->safe = i < 2;
        return RC_OK;
    }
    return err_set(err, RC_INVALID, "method must be GET, HEAD, POST, PUT, PATCH or DELETE");
}

/* A template whose placeholders are segments of its path, or one placeholder: a URL of the caller's. */
static enum rc
build_url(const struct recipe *recipe, const cJSON *values, struct built *out, struct err *err)
{
    const char *template = json_string(recipe->request, "url");
    const cJSON *query = json_member(recipe->request, "query");
    struct buf pairs = { 0 };
    struct guard_url place;
    enum rc rc = fill_text(template, values, fill_is_whole(template) ? FILL_PLAIN : FILL_SEGMENT,
                           &out->url, err);

    if (rc != RC_OK)
        return rc;
    buf_init(&pairs, GUARD_URL_MAX);
    if (query)
        rc = fill_pairs(query, values, &pairs, err);
    if (rc == RC_OK && pairs.len > 0) {
        buf_puts(&out->url, strchr(buf_text(&out->url), '?') ? "&" : "?");
        buf_add(&out->url, buf_text(&pairs), pairs.len);
    }
    buf_wipe(&pairs);
    if (rc != RC_OK)
        return rc;
    if (strchr(buf_text(&out->url), '#'))
        return err_set(err, RC_INVALID, "url: a fragment is not sent");
    rc = guard_url_read(buf_text(&out->url), &place, err);
    return rc == RC_OK ? rc : err_wrap(err, "url");
}

/* --- the body -------------------------------------------------------------------------------------------- */

/* The e-mail that the template describes, as /message/raw and, for JSON, /message/base64url. */
static enum rc
add_message(const struct recipe *recipe, cJSON *values, int64_t now_ms, struct err *err)
{
    const cJSON *template = json_member(recipe->request, "message");
    AUTO(json) cJSON *mail = NULL;
    AUTO(buf) struct buf raw = { 0 };
    cJSON *message = cJSON_CreateObject();
    enum rc rc;

    if (!message)
        log_no_memory("a message");
    cJSON_AddItemToObject(values, "message", message);
    if (!template)
        return RC_OK;
    if ((rc = fill_json(template, values, &mail, err)) != RC_OK)
        return rc;
    buf_init(&raw, RECIPE_BODY_MAX);
    if ((rc = message_write(mail, now_ms, &raw, err)) != RC_OK)
        return rc;
    AUTO(free) char *text = malloc(BASE64URL_LEN(raw.len));
    if (!text)
        log_no_memory("a message");
    base64url_encode((const uint8_t *)raw.data, raw.len, text);
    if (!cJSON_AddStringToObject(message, "base64url", text) ||
        !cJSON_AddStringToObject(message, "raw", buf_text(&raw)))
        log_no_memory("a message");
    return RC_OK;
}

static enum rc
build_json(const cJSON *template, const cJSON *values, struct built *out, struct err *err)
{
    AUTO(json_secret) cJSON *filled = NULL;
    struct json_writer w;
    enum rc rc = fill_json(template, values, &filled, err);

    if (rc != RC_OK || !filled)
        return rc;
    json_begin(&w, &out->body);
    json_put_doc(&w, NULL, filled);
    if (json_end(&w) != RC_OK)
        return err_set(err, RC_LIMIT, "the request's body is too long");
    return add_header(out, "Content-Type", "application/json", values, err);
}

static enum rc
build_body(const struct recipe *recipe, const cJSON *values, struct built *out, struct err *err)
{
    const cJSON *json = json_member(recipe->request, "json");
    const cJSON *form = json_member(recipe->request, "form");
    const char *mime = json_string(recipe->request, "mime");
    enum rc rc = RC_OK;

    if (json)
        return build_json(json, values, out, err);
    if (form && (rc = fill_pairs(form, values, &out->body, err)) == RC_OK)
        return add_header(out, "Content-Type", "application/x-www-form-urlencoded", values, err);
    if (mime && (rc = fill_text(mime, values, FILL_PLAIN, &out->body, err)) == RC_OK)
        return add_header(out, "Content-Type", "message/rfc822", values, err);
    return rc;
}

/* A key is no length, no host and no credential: these say where a request ends and whose it is. */
static bool
is_taken(const struct built *built, const char *name)
{
    static const char *const OURS[] = { "Accept-Encoding",
                                        "Authorization",
                                        "Connection",
                                        "Content-Encoding",
                                        "Content-Length",
                                        "Content-Type",
                                        "Cookie",
                                        "Expect",
                                        "Host",
                                        "Keep-Alive",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade" };
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (strcasecmp(name, OURS[i]) == 0)
            return true;
    for (size_t i = 0; i < built->n_headers; i++)
        if (strncasecmp(built->headers[i], name, len) == 0 && built->headers[i][len] == ':')
            return true;
    return strncasecmp(name, "Proxy-", 6) == 0;
}

static enum rc
build_headers(const struct recipe *recipe, const cJSON *values, struct built *out, struct err *err)
{
    const cJSON *member;
    AUTO(buf) struct buf name = { 0 };
    enum rc rc = RC_OK;

    cJSON_ArrayForEach (member, json_member(recipe->request, "headers")) {
        if (rc == RC_OK)
            rc = add_header(out, member->string, member->valuestring, values, err);
    }
    if (rc != RC_OK || !recipe->key_header)
        return rc;
    buf_init(&name, 128);
    rc = fill_text(recipe->key_header, values, FILL_HEADER, &name, err);
    if (rc != RC_OK || name.len == 0)
        return rc;
    if (buf_text(&name)[strspn(buf_text(&name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return err_set(err, RC_INVALID, "the header of the idempotency key is not a header name");
    if (is_taken(out, buf_text(&name)))
        return err_set(
            err, RC_INVALID,
            "the header of the idempotency key must not be one that is sent anyway, such as "
            "Host or Content-Length");
    out->keyed = true;
    return add_header(out, buf_text(&name), "{/id}", values, err);
}

enum rc
recipe_build(const struct recipe *recipe, cJSON *values, int64_t now_ms, struct built *out,
             struct err *err)
{
    struct built built = { 0 };
    enum rc rc;

    buf_init(&built.url, GUARD_URL_MAX);
    buf_init(&built.body, RECIPE_BODY_MAX);
    cJSON_DeleteItemFromObjectCaseSensitive(values, "message");
    if ((rc = add_message(recipe, values, now_ms, err)) == RC_OK &&
        (rc = build_method(recipe, values, &built, err)) == RC_OK &&
        (rc = build_url(recipe, values, &built, err)) == RC_OK &&
        (rc = build_headers(recipe, values, &built, err)) == RC_OK)
        rc = build_body(recipe, values, &built, err);
    if (rc == RC_OK && (buf_failed(&built.url) || buf_failed(&built.body)))
        rc = err_set(err, RC_LIMIT, "the request is too long");
    if (rc == RC_OK)
        *out = built;
    else
        built_fini(&built);
    return rc;
}
