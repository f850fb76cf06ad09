/* SPDX-License-Identifier: MIT */
#include "logins/login.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "logins/jwt.h"
#include "protocol/command.h"

#define CLAIMS_VERSION 2
#define UNLIMITED      (-1) /* the account's limits hold (nats/server.conf) */

/* --- what is asked ---------------------------------------------------------------------------- */

static enum rc
copy_nkey(const char *text, enum nkey_kind wanted, char out[NKEY_TEXT_MAX])
{
    enum nkey_kind kind;
    uint8_t key[CRYPTO_PUBLIC_LEN];
    if (!text || nkey_decode(text, &kind, key) != RC_OK || kind != wanted)
        return RC_CORRUPT;
    (void)snprintf(out, NKEY_TEXT_MAX, "%s", text);
    return RC_OK;
}

/* Anyone may sign with a key of their own: the signer must be the server that the claims name. Who
 * may publish such a request at all is the server's account AUTH's to say. */
static enum rc
check_claims(const cJSON *doc, enum nkey_kind issuer, struct login_request *out, struct err *err)
{
    const cJSON *nats = json_member(doc, "nats");
    const char *audience = json_string(doc, "aud");
    const char *type = json_string(nats, "type");
    const char *signer = json_string(doc, "iss");
    const char *server = json_string(json_member(nats, "server_id"), "id");
    const char *host = json_string(json_member(nats, "client_info"), "host");
    int64_t expires = json_int(doc, "exp", 0);
    if (issuer != NKEY_SERVER || !signer || !server || strcmp(signer, server) != 0 ||
        copy_nkey(server, NKEY_SERVER, out->server_id) != RC_OK)
        return err_set(err, RC_CORRUPT, "the request is not signed by the server that it names");
    if (!audience || strcmp(audience, "nats-authorization-request") != 0 || !type ||
        strcmp(type, "authorization_request") != 0)
        return err_set(err, RC_CORRUPT, "not a request for authorization");
    if (expires && expires * 1000 < clock_wall_ms())
        return err_set(err, RC_CORRUPT, "the request has expired");
    if (copy_nkey(json_string(nats, "user_nkey"), NKEY_USER, out->user_nkey) != RC_OK)
        return err_set(err, RC_CORRUPT, "the request names no user key");
    (void)snprintf(out->host, sizeof(out->host), "%s", host ? host : "");
    out->key = json_string(json_member(nats, "connect_opts"), "auth_token");
    return RC_OK;
}

enum rc
login_read(const char *token, size_t len, struct login_request *out, struct err *err)
{
    struct login_request request = { 0 };
    enum nkey_kind issuer = NKEY_KIND_COUNT;
    enum rc rc = jwt_verify(token, len, &request.doc, &issuer, err);
    if (rc == RC_OK)
        rc = check_claims(request.doc, issuer, &request, err);
    if (rc != RC_OK) {
        login_request_wipe(&request);
        return rc == RC_LIMIT ? RC_CORRUPT : rc;
    }
    *out = request;
    return RC_OK;
}

void
login_request_wipe(struct login_request *request)
{
    const cJSON *token =
        json_member(json_member(json_member(request->doc, "nats"), "connect_opts"), "auth_token");
    if (token && cJSON_IsString(token))
        crypto_wipe(token->valuestring, strlen(token->valuestring));
    request->key = NULL;
    json_cleanup(&request->doc);
    request->doc = NULL;
}

/* --- what is answered ------------------------------------------------------------------------- */

void
login_issuer_init(struct login_issuer *issuer, const uint8_t seed[CRYPTO_SEED_LEN])
{
    crypto_signer_init(&issuer->signer, seed);
    nkey_encode(NKEY_ACCOUNT, issuer->signer.public_key, issuer->nkey);
}

static void
begin_claims(struct json_writer *w, struct buf *out, const struct login_issuer *issuer,
             const struct login_request *request, const char *audience)
{
    json_begin(w, out);
    json_object(w, NULL);
    json_put_string(w, "aud", audience);
    json_put_string(w, "iss", issuer->nkey);
    json_put_string(w, "sub", request->user_nkey);
    json_put_int(w, "iat", clock_wall_ms() / 1000);
}

static void
begin_nats(struct json_writer *w, const char *type)
{
    json_object(w, "nats");
    json_put_string(w, "type", type);
    json_put_int(w, "version", CLAIMS_VERSION);
}

/* An empty list would mean everything. */
static void
put_nothing(struct json_writer *w)
{
    json_array(w, "deny");
    json_put_string(w, NULL, ">");
    json_close(w);
}

static void
put_publish(struct json_writer *w, const struct principal *who)
{
    char subject[SUBJECT_MAX];
    unsigned count = 0;
    json_object(w, "pub");
    for (unsigned c = 0; c < CMD_COUNT; c++)
        count += command_info((enum command)c)->for_clients &&
                 principal_has(who, command_info((enum command)c)->scope);
    if (count == 0) {
        put_nothing(w);
        json_close(w);
        return;
    }
    json_array(w, "allow");
    for (unsigned c = 0; c < CMD_COUNT; c++) {
        const struct command_info *info = command_info((enum command)c);
        if (!info->for_clients || !principal_has(who, info->scope))
            continue;
        command_subject(subject, who->workspace, (enum command)c);
        json_put_string(w, NULL, subject);
    }
    json_close(w);
    json_close(w);
}

/* Which .done events a scope may hear: those of what it may publish, and of the jobs that it may list. */
static const struct {
    enum scope scope;
    const char *family;
} EVENTS[] = { { SCOPE_MEMORY_WRITE, "memory" },
               { SCOPE_AUDIT_WRITE, "audit" },
               { SCOPE_ACTIONS_PREVIEW, "job" } };

static void
put_subscribe(struct json_writer *w, const struct principal *who)
{
    char subject[SUBJECT_MAX];
    json_object(w, "sub");
    json_array(w, "allow");
    (void)snprintf(subject, sizeof(subject), "_INBOX.%s.>", who->key_id);
    json_put_string(w, NULL, subject);
    for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++) {
        if (!principal_has(who, EVENTS[i].scope))
            continue;
        (void)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.%s.*.done", who->workspace,
                       EVENTS[i].family);
        json_put_string(w, NULL, subject);
    }
    json_close(w);
    json_close(w);
}

static enum rc
sign_user(const struct login_issuer *issuer, const struct login_request *request,
          const struct principal *who, int64_t expires_ms, struct buf *out)
{
    AUTO(buf) struct buf claims = { 0 };
    struct json_writer w;
    buf_init(&claims, LOGIN_TOKEN_MAX);
    begin_claims(&w, &claims, issuer, request, LOGIN_ACCOUNT);
    json_put_string(&w, "name", who->key_id); /* without a name the server's lists show the token */
    if (expires_ms)
        json_put_int(&w, "exp", (expires_ms + 999) / 1000);
    begin_nats(&w, "user");
    put_publish(&w, who);
    put_subscribe(&w, who);
    json_put_int(&w, "subs", UNLIMITED);
    json_put_int(&w, "data", UNLIMITED);
    json_put_int(&w, "payload", UNLIMITED);
    json_close(&w);
    json_close(&w);
    enum rc rc = json_end(&w);
    return rc == RC_OK ? jwt_sign(&issuer->signer, claims.data, claims.len, out) : rc;
}

/* One of jwt and error is given. */
static enum rc
sign_answer(const struct login_issuer *issuer, const struct login_request *request, const char *jwt,
            const char *error, struct buf *out)
{
    AUTO(buf) struct buf claims = { 0 };
    struct json_writer w;
    buf_init(&claims, LOGIN_TOKEN_MAX);
    begin_claims(&w, &claims, issuer, request, request->server_id);
    begin_nats(&w, "authorization_response");
    json_put_string(&w, jwt ? "jwt" : "error", jwt ? jwt : error);
    json_close(&w);
    json_close(&w);
    enum rc rc = json_end(&w);
    return rc == RC_OK ? jwt_sign(&issuer->signer, claims.data, claims.len, out) : rc;
}

enum rc
login_accept(const struct login_issuer *issuer, const struct login_request *request,
             const struct principal *who, int64_t expires_ms, struct buf *out)
{
    AUTO(buf) struct buf user = { 0 };
    buf_init(&user, LOGIN_TOKEN_MAX);
    enum rc rc = sign_user(issuer, request, who, expires_ms, &user);
    return rc == RC_OK ? sign_answer(issuer, request, buf_text(&user), NULL, out) : rc;
}

enum rc
login_refuse(const struct login_issuer *issuer, const struct login_request *request,
             const char *why, struct buf *out)
{
    return sign_answer(issuer, request, NULL, why, out);
}
