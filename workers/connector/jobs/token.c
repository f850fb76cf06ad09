/* SPDX-License-Identifier: MIT */
/*
 * token - the secrets of an errand: as they are, or access tokens of OAuth 2 that were had for them.
 *
 * A token is refreshed once for all errands and replicas: who holds the lease of the row asks the service,
 * the others look again until there is one.
 *
 * Source: RFC 6749 sections 4.4, 5.1, 5.2, 6
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "jobs/connector.h"
#include "recipe/fill.h"

#define LOOK_AGAIN_MS   100
#define TOKEN_ANSWER    65536
#define TOKEN_TRIES     3
#define VALID_DEFAULT_S 300
#define ERROR_SHOWN     64
/* Within the lease: a refresh token may be good for one use, and the next one waits for the lease. */
#define REFRESH_MS ((TOKEN_LEASE_S - 10) * 1000)

/* What is asked at the desk. */
struct asking {
    struct errand *e;
    const struct recipe_secret *secret;
    struct vault_secret *had;
    const char *token, *value;
    int64_t valid_s;
    bool mine;
    struct err err;
};

static void
on_use(void *arg, struct desk_ticket *ticket)
{
    struct asking *a = arg;
    desk_answer(ticket, (int)vault_use(&a->e->c->vault, a->e->ref.workspace, a->secret->name,
                                       a->had, &a->err));
}

static void
on_lease(void *arg, struct desk_ticket *ticket)
{
    struct asking *a = arg;
    desk_answer(ticket, (int)vault_token_lease(&a->e->c->vault, a->e->ref.workspace,
                                               a->secret->name, &a->mine, &a->err));
}

static void
on_put(void *arg, struct desk_ticket *ticket)
{
    struct asking *a = arg;
    desk_answer(ticket, (int)vault_token_put(&a->e->c->vault, a->e->ref.workspace, a->secret->name,
                                             a->had, a->token, a->valid_s, a->value, &a->err));
}

static void
on_drop(void *arg, struct desk_ticket *ticket)
{
    struct asking *a = arg;
    desk_answer(ticket, (int)vault_token_drop(&a->e->c->vault, a->e->ref.workspace, a->secret->name,
                                              a->token, &a->err));
}

static enum rc
ask(struct asking *a, desk_fn *fn)
{
    int answer = desk_ask(a->e->c->desk, fn, a);
    if (answer < 0)
        return err_set(&a->err, RC_TEMP, "the program ends");
    return (enum rc)answer;
}

/* --- failures ---------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static enum rc
fail(struct errand *e, const char *outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e->why, sizeof(e->why), format, args);
    va_end(args);
    e->outcome = outcome;
    return RC_DENIED;
}

/* RC_TEMP: another attempt of the job; everything else ends it. */
static enum rc
fail_of_vault(struct errand *e, const struct asking *a, enum rc rc)
{
    if (rc == RC_NOTFOUND)
        return fail(e, "secret_missing", "the workspace has no secret '%s': gantry secret set",
                    a->secret->name);
    if (rc == RC_CONFIG)
        return fail(e, "secret_unreadable", "%.200s", a->err.text);
    (void)snprintf(e->why, sizeof(e->why), "%.200s", a->err.text);
    return RC_TEMP;
}

/* --- refreshing ---------------------------------------------------------------------------------------------- */

static bool
allowed(void *arg, const char *host, unsigned port)
{
    return errand_allowed(arg, host, port);
}

/* A text of the secret, which is a JSON object; NULL: it has no such member. */
static enum rc
token_request(struct errand *e, const struct recipe_secret *secret, const cJSON *doc,
              struct buf *url, struct buf *form)
{
    static const char *const MEMBERS[] = { "client_id", "client_secret", "refresh_token" };
    AUTO(json) cJSON *values = cJSON_CreateObject();
    size_t needed = secret->grant == GRANT_REFRESH_TOKEN ? 3 : 2;
    struct err err = { 0 };
    enum rc rc;

    if (!values || !cJSON_AddItemReferenceToObject(values, "secret", (cJSON *)(uintptr_t)doc))
        log_no_memory("a request for a token");
    rc = fill_text(secret->token_url, values, FILL_SEGMENT, url, &err);
    buf_printf(form, "grant_type=%s",
               secret->grant == GRANT_REFRESH_TOKEN ? "refresh_token" : "client_credentials");
    for (size_t i = 0; i < needed && rc == RC_OK; i++) {
        const char *text = json_string(doc, MEMBERS[i]);
        if (!text)
            return fail(e, "secret_malformed",
                        "the secret '%s' must be a JSON object with client_id, client_secret%s",
                        secret->name, needed == 3 ? " and refresh_token" : "");
        buf_printf(form, "&%s=", MEMBERS[i]);
        fill_percent(form, text, strlen(text));
    }
    if (rc == RC_OK && secret->scope) {
        buf_puts(form, "&scope=");
        fill_percent(form, secret->scope, strlen(secret->scope));
    }
    return rc == RC_OK && !buf_failed(form)
               ? RC_OK
               : fail(e, "secret_malformed", "the secret '%s' does not fit its service",
                      secret->name);
}

/* The error of RFC 6749, which is a word of few characters. */
static void
error_of(const cJSON *doc, char out[ERROR_SHOWN])
{
    const char *error = json_string(doc, "error");
    size_t len = error ? strspn(error, "abcdefghijklmnopqrstuvwxyz_") : 0;
    (void)snprintf(out, ERROR_SHOWN, "%.*s", len && !error[len] ? (int)len : 0, len ? error : "");
}

static enum rc
keep_token(struct asking *a, const cJSON *answer, cJSON *doc)
{
    AUTO(buf) struct buf value = { 0 };
    const char *refresh = json_string(answer, "refresh_token");
    const char *known = json_string(doc, "refresh_token");
    enum rc rc;

    a->token = json_string(answer, "access_token");
    a->valid_s = json_int(answer, "expires_in", VALID_DEFAULT_S);
    if (a->valid_s < 0 || a->valid_s > 30 * 86400)
        a->valid_s = VALID_DEFAULT_S;
    if (refresh && known &&
        strcmp(refresh, known) != 0) { /* the old one may be worth nothing now */
        buf_init(&value, SECRET_VALUE_MAX * 2);
        cJSON_ReplaceItemInObjectCaseSensitive(doc, "refresh_token", cJSON_CreateString(refresh));
        if (json_canonical(doc, NULL, &value) == RC_OK)
            a->value = buf_text(&value);
    }
    rc = ask(a, on_put);
    crypto_wipe(value.data, value.len);
    a->value = NULL;
    buf_wipe(&a->had->token);
    buf_init(&a->had->token, TOKEN_ANSWER);
    buf_puts(&a->had->token, a->token);
    (void)rc; /* not kept: it is used all the same, and another is had the next time */
    return RC_OK;
}

static enum rc
read_token(struct errand *e, struct asking *a, const struct outbound_answer *answer, cJSON *doc)
{
    AUTO(json_secret) cJSON *said = NULL;
    char error[ERROR_SHOWN];

    if (json_read_foreign(buf_text(&answer->body), answer->body.len, &said, NULL) != RC_OK)
        said = NULL;
    if (answer->status == 200 && json_string(said, "access_token"))
        return keep_token(a, said, doc);
    error_of(said, error);
    if (answer->status >= 400 && answer->status < 500 && answer->status != 429)
        return fail(e, "secret_refused",
                    "the service refuses the secret '%s' (%d%s%s): set it anew", a->secret->name,
                    answer->status, error[0] ? ", " : "", error);
    return fail(e, "token_error", "no access token for the secret '%s': the service answers %d",
                a->secret->name, answer->status);
}

static uint32_t
least(int64_t a_ms, int64_t b_ms)
{
    int64_t ms = a_ms < b_ms ? a_ms : b_ms;
    return ms > 0 ? (uint32_t)ms : 0;
}

static enum rc
refresh(struct errand *e, struct asking *a, cJSON *doc)
{
    static const char *const HEADERS[] = { "Content-Type: application/x-www-form-urlencoded",
                                           "Accept: application/json" };
    const struct recipe_limits *limits = &e->recipe->limits;
    int64_t end_ms = clock_mono_ms() + REFRESH_MS;
    AUTO(buf) struct buf url = { 0 };
    struct buf form = { 0 };
    enum rc rc;

    buf_init(&url, GUARD_URL_MAX);
    buf_init(&form, SECRET_VALUE_MAX * 4);
    rc = token_request(e, a->secret, doc, &url, &form);
    for (unsigned i = 1; rc == RC_OK && i <= TOKEN_TRIES; i++) {
        const struct outbound_request request = {
            .method = "POST",
            .url = buf_text(&url),
            .headers = HEADERS,
            .n_headers = ARRAY_LEN(HEADERS),
            .body = form.data,
            .len = form.len,
            .connect_ms = limits->connect_ms,
            .head_ms = limits->head_ms,
            .total_ms = least(errand_left_ms(e), end_ms - clock_mono_ms()),
            .answer_max = TOKEN_ANSWER,
            .share = e->ref.workspace,
            .allowed = allowed,
            .stop = errand_stopped,
            .arg = e,
        };
        struct outbound_answer answer = { 0 };
        outbound_send(&e->c->outbound, &request, &answer);
        bool passing = answer.end == OUTBOUND_ANSWERED
                           ? answer.status >= 500 || answer.status == 429
                           : answer.end == OUTBOUND_UNREACHABLE || answer.end == OUTBOUND_BROKEN;
        bool again = passing && i < TOKEN_TRIES && errand_wait(e, 250U << i);
        if (!again && answer.end == OUTBOUND_ANSWERED)
            rc = read_token(e, a, &answer, doc);
        else if (!again)
            rc = fail(e,
                      answer.end == OUTBOUND_STOPPED   ? "cancelled"
                      : answer.end == OUTBOUND_REFUSED ? "egress_denied"
                                                       : "token_error",
                      "no access token for the secret '%s': %.150s", a->secret->name, answer.why);
        buf_wipe(&answer.body);
        if (!again)
            break;
    }
    buf_wipe(&form);
    return rc;
}

/* The lease is ours, and there is no token: get one. */
static enum rc
refresh_held(struct errand *e, struct asking *a)
{
    AUTO(json_secret) cJSON *doc = NULL;
    enum rc rc = json_read(buf_text(&a->had->value), a->had->value.len, &doc, NULL);

    if (rc != RC_OK || !cJSON_IsObject(doc))
        rc = fail(e, "secret_malformed", "the secret '%s' must be a JSON object with client_id, …",
                  a->secret->name);
    else
        rc = refresh(e, a, doc);
    if (rc != RC_OK) { /* the next one tries */
        a->token = NULL;
        (void)!ask(a, on_drop);
    }
    return rc;
}

/* --- all of them ---------------------------------------------------------------------------------------------- */

static enum rc
have_token(struct errand *e, struct asking *a)
{
    for (;;) {
        enum rc rc = ask(a, on_use);
        if (rc != RC_OK)
            return fail_of_vault(e, a, rc);
        if (a->secret->grant == GRANT_NONE || a->had->token.len > 0)
            return RC_OK;
        a->mine = false;
        if ((rc = ask(a, on_lease)) != RC_OK)
            return fail_of_vault(e, a, rc);
        if (a->mine)
            return refresh_held(e, a);
        vault_secret_fini(a->had);
        if (!errand_wait(e, LOOK_AGAIN_MS))
            return fail(e, errand_stopped(e) ? "cancelled" : "token_error",
                        "no access token for the secret '%s' in time", a->secret->name);
    }
}

/* What a service could give back: the token, the secret, and each text of a secret that is an object. */
static void
remember(struct errand *e, const struct vault_secret *had)
{
    AUTO(json_secret) cJSON *doc = NULL;
    const cJSON *member;
    const char *texts[] = { buf_text(&had->token), buf_text(&had->value) };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i][0])
            cJSON_AddItemToArray(e->texts, cJSON_CreateString(texts[i]));
    if (json_read(buf_text(&had->value), had->value.len, &doc, NULL) != RC_OK)
        return;
    cJSON_ArrayForEach (member, doc) {
        if (cJSON_IsString(member))
            cJSON_AddItemToArray(e->texts, cJSON_CreateString(member->valuestring));
    }
}

enum rc
errand_secrets(struct errand *e)
{
    cJSON *secrets = cJSON_CreateObject();
    enum rc rc = RC_OK;

    json_wipe(cJSON_GetObjectItemCaseSensitive(e->values, "secrets"));
    cJSON_DeleteItemFromObjectCaseSensitive(e->values, "secrets");
    json_secret_cleanup(&e->texts);
    e->texts = cJSON_CreateArray();
    if (!secrets || !e->texts)
        log_no_memory("secrets");
    cJSON_AddItemToObject(e->values, "secrets", secrets);
    for (size_t i = 0; i < e->recipe->n_secrets && rc == RC_OK; i++) {
        const struct recipe_secret *secret = &e->recipe->secrets[i];
        struct vault_secret had = { 0 };
        struct asking a = { .e = e, .secret = secret, .had = &had };
        rc = have_token(e, &a);
        if (rc == RC_OK) {
            remember(e, &had);
            if (!cJSON_AddStringToObject(
                    secrets, secret->member,
                    buf_text(secret->grant == GRANT_NONE ? &had.value : &had.token)))
                log_no_memory("secrets");
        }
        vault_secret_fini(&had);
    }
    return rc;
}

void
errand_drop_tokens(struct errand *e)
{
    for (size_t i = 0; i < e->recipe->n_secrets; i++) {
        struct vault_secret had = { 0 };
        struct asking a = { .e = e, .secret = &e->recipe->secrets[i], .had = &had };
        a.token = json_string(json_member(e->values, "secrets"), a.secret->member);
        if (a.secret->grant != GRANT_NONE && a.token)
            (void)!ask(&a, on_drop);
    }
}
