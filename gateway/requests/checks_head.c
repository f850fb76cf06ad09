/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin.h"
#include "audit/audit.h"
#include "effects/forward.h"
#include "gateway.h"
#include "http/head.h"
#include "http/http.h"
#include "keys/keys.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/cors.h"
#include "requests/media.h"
#include "validate/secrets.h"

/* --- 404, 405 --------------------------------------------------------------------------------- */

/* RFC 9112: a server must accept the absolute form, http://host/path. */
static const char *
skip_authority(const char *uri, size_t *len)
{
    static const char *const SCHEMES[] = { "http://", "https://" };
    for (unsigned i = 0; i < 2; i++) {
        size_t n = strlen(SCHEMES[i]);
        if (*len < n || strncasecmp(uri, SCHEMES[i], n) != 0)
            continue;
        const char *slash = memchr(uri + n, '/', *len - n);
        size_t skipped = slash ? (size_t)(slash - uri) : *len;
        *len -= skipped;
        return uri + skipped;
    }
    return uri;
}

/* MCP: a page that is not on the list may not ask at all, though it holds a key. */
static enum step
check_origin(struct request *r)
{
    bool foreign = !r->answer.lines && http_header(r->exchange, "Origin", NULL);
    if (!foreign || !(r->route->flags & ROUTE_RPC))
        return STEP_NEXT;
    return answer_problem(r, PROBLEM_ORIGIN,
                          "the origin of this page is not on the list CORS_ORIGINS of the gateway");
}

enum step
check_route(struct request *r)
{
    char allowed[64];
    size_t len = r->path_len;
    if (r->outer) /* it was made for its route */
        return STEP_NEXT;
    const char *path = skip_authority(r->uri, &len);
    if (len > 1 && path[len - 1] == '/')
        len--; /* "/memory/" is "/memory" */
    if (r->admin)
        return admin_answer(r, path, len);
    route_find(r->method, path, len, &r->match);
    r->route = r->match.route;
    if (r->route)
        return check_origin(r);
    if (r->match.allowed && cors_is_preflight(r))
        return cors_preflight(r, r->match.allowed);
    if (!r->match.allowed)
        return answer_problem(r, PROBLEM_NOT_FOUND,
                              "there is nothing at this path; GET /openapi.json lists the routes");
    route_allowed_text(r->match.allowed, allowed);
    answer_header(r, "Allow", "%s", allowed);
    return answer_problem(r, PROBLEM_METHOD_NOT_ALLOWED, "this path takes %s", allowed);
}

/* --- 413 -------------------------------------------------------------------------------------- */

enum step
check_size(struct request *r)
{
    if (http_head(r->exchange)->length > r->body_max)
        return answer_problem(r, PROBLEM_BODY_TOO_LARGE, "a body here has at most %zu bytes",
                              r->body_max);
    return STEP_NEXT;
}

/* --- 401 -------------------------------------------------------------------------------------- */

/* The one credential of the request; false if there is none or they differ. */
static bool
find_credential(const struct request *r, const char **text, size_t *len)
{
    unsigned n_key = 0;
    unsigned n_authorization = 0;
    const char *key = http_header(r->exchange, "X-API-Key", &n_key);
    const char *bearer = http_header(r->exchange, "Authorization", &n_authorization);
    if (n_key > 1 || n_authorization > 1)
        return false;
    if (key && !*key) /* of a client whose variable is not set */
        key = NULL;
    if (bearer) {
        if (strncasecmp(bearer, "Bearer ", 7) != 0)
            return false;
        bearer += 7;
        bearer += strspn(bearer, " ");
        size_t n = strlen(bearer);
        if (key && (strlen(key) != n || memcmp(key, bearer, n) != 0))
            return false;
        key = bearer;
    }
    if (!key)
        return false;
    *text = key;
    *len = strlen(key);
    return true;
}

static enum step
unauthorized(struct request *r)
{
    r->gw->count.unauthorized_total++;
    answer_header(r, "WWW-Authenticate", "Bearer realm=\"gantry\"");
    /* The same for all, whatever was wrong: a stranger learns nothing about keys. */
    return answer_problem(r, PROBLEM_UNAUTHORIZED,
                          "a valid API key is needed, in the header X-API-Key: KEY or "
                          "Authorization: Bearer KEY");
}

static enum step
take_key(struct request *r, enum rc rc, const struct key_view *key)
{
    if (rc == RC_OK) {
        r->actor = key->principal;
        r->authenticated = true;
        return STEP_NEXT;
    }
    if (rc == RC_DENIED)
        return unauthorized(r);
    if (keys_reachable(r->gw->keys))
        full_note(r->gw, FULL_KEY_CHECKS, "");
    answer_header(r, "Retry-After", "1");
    return answer_problem(
        r, PROBLEM_UNAVAILABLE,
        "keys cannot be checked at the moment: PostgreSQL does not answer, or too "
        "many keys wait for their check");
}

static void
on_key(void *arg, enum rc rc, const struct key_view *key)
{
    struct request *r = arg;
    request_continue(r, take_key(r, rc, key));
}

enum step
check_key(struct request *r)
{
    const char *text;
    size_t len;
    struct key_view key;
    enum rc rc;
    r->key_tried = true;
    if (r->route->flags & ROUTE_OPEN || r->outer) /* the outer request's key */
        return STEP_NEXT;
    if (!find_credential(r, &text, &len))
        return unauthorized(r);
    if (!keys_verify(r->gw->keys, &(struct key_text){ text, len, r->client }, on_key, r, &rc, &key))
        return STEP_WAIT;
    return take_key(r, rc, &key);
}

static void
on_identified(void *arg, enum rc rc, const struct key_view *key)
{
    struct request *r = arg;
    if (rc == RC_OK) {
        r->actor = key->principal;
        r->authenticated = true;
    }
    request_continue(r, STEP_NEXT);
}

/* A request that was refused before the key's turn (no such path, too large) still has an owner,
 * whom the audit log names. */
enum step
close_identify(struct request *r)
{
    const char *text;
    size_t len;
    struct key_view key;
    enum rc rc;
    if (r->key_tried || r->admin || !find_credential(r, &text, &len))
        return STEP_NEXT;
    r->key_tried = true;
    if (!keys_verify(r->gw->keys, &(struct key_text){ text, len, r->client }, on_identified, r, &rc,
                     &key))
        return STEP_WAIT;
    if (rc == RC_OK) {
        r->actor = key.principal;
        r->authenticated = true;
    }
    return STEP_NEXT;
}

/* --- 403, 503, 415 ---------------------------------------------------------------------------- */

enum step
check_scope(struct request *r)
{
    if (r->route->flags & ROUTE_OPEN || principal_has(&r->actor, r->route->scope))
        return STEP_NEXT;
    return answer_problem(r, PROBLEM_MISSING_SCOPE,
                          "this needs the scope %s, which a key of the role %s does not have",
                          scope_name(r->route->scope), role_name(r->actor.role));
}

enum step
check_servers(struct request *r)
{
    if (r->route->flags & ROUTE_OPEN)
        return STEP_NEXT;
    bool nats = bus_connected(r->gw->bus);
    bool audit = audit_healthy(r->gw->audit);
    if (nats && audit && (!(r->route->flags & ROUTE_JOBS) || kv_connected(r->gw->kv)))
        return STEP_NEXT;
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "%s",
                          !nats    ? "NATS is unavailable"
                          : !audit ? "the audit log accepts no events"
                                   : "Redis is unavailable");
}

/* Is it harmless to repeat? */
static bool
is_plain(const char *text, size_t len)
{
    static const char PLAIN[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "!#$&^_.+-/:";
    return len > 0 && len <= 80 && strspn(text, PLAIN) >= len;
}

/* What came, as far as it is harmless to repeat, and what to send. */
static enum step
refuse_media(struct request *r, const struct media *m, const char *field, unsigned members)
{
    bool secret = secrets_find(field, strlen(field)) != NULL;
    bool type = !secret && is_plain(m->type, m->type_len);
    bool charset = !secret && m->charset && is_plain(m->charset, m->charset_len);
    char with[128] = "", among[64] = "";
    if (m->kind == MEDIA_CHARSET)
        (void)snprintf(with, sizeof(with), " in the charset %.*s",
                       charset ? (int)m->charset_len : 7, charset ? m->charset : "unknown");
    else if (m->kind == MEDIA_PARAMETER)
        (void)snprintf(with, sizeof(with), " with a parameter that is not understood");
    if (members > 1)
        (void)snprintf(among, sizeof(among), ", among %u types", members);
    return answer_problem(r, PROBLEM_MEDIA_TYPE,
                          "Content-Type is %.*s%s%s: send application/json%s%s",
                          type ? (int)m->type_len : 7, type ? m->type : "unknown", with, among,
                          m->kind == MEDIA_CHARSET ? " in UTF-8" : "", members > 1 ? ", once" : "");
}

/* Several types, in one header or more, are a mistake that does no harm where each of them is JSON:
 * whichever of them somebody on the way has gone by, it is the same body (RFC 9110, 8.3). */
static enum step
check_type(struct request *r)
{
    const struct http_head *head = http_head(r->exchange);
    struct media wrong = { 0 };
    const char *field = NULL;
    unsigned members = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        const char *value = head->text + head->fields[i].value, *at = value;
        struct media m;
        if (strcasecmp(head->text + head->fields[i].name, "Content-Type") != 0)
            continue;
        for (; media_next(&at, &m); members++) {
            if (m.kind == MEDIA_JSON || field)
                continue;
            wrong = m;
            field = value;
        }
    }
    return field ? refuse_media(r, &wrong, field, members) : STEP_NEXT;
}

enum step
check_media(struct request *r)
{
    if (!r->route->schema || r->method == METHOD_GET || r->method == METHOD_DELETE || r->outer)
        return STEP_NEXT;
    const char *length = http_header(r->exchange, "Content-Length", NULL);
    if (r->route->flags & ROUTE_BODY_EMPTY && length && strcmp(length, "0") == 0)
        return STEP_NEXT; /* curl -d '' sends the type of a form with nothing in it */
    const char *coding = http_header(r->exchange, "Content-Encoding", NULL);
    if (coding && strlen(coding) && strcasecmp(coding, "identity") != 0) {
        size_t len = strspn(coding, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
        bool plain = len == strlen(coding) && len <= 20;
        return answer_problem(r, PROBLEM_MEDIA_TYPE,
                              "Content-Encoding %.*s is not taken: send the body as it is, without "
                              "that header",
                              plain ? (int)len : 7, plain ? coding : "unknown");
    }
    return check_type(r);
}

/* --- Prefer (RFC 7240) ------------------------------------------------------------------------ */

static bool
is_preference(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

static void
prefer_one(struct request *r, const char *text, size_t len)
{
    while (len && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (is_preference(text, len, "respond-async")) {
        r->respond_async = true;
        return;
    }
    if (len < 6 || len > 10 || strncasecmp(text, "wait=", 5) != 0)
        return;
    uint32_t seconds = 0;
    for (size_t i = 5; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return;
        seconds = seconds * 10 + (uint32_t)(text[i] - '0');
    }
    r->wait_ms = seconds > WAIT_MS_MAX / 1000 ? WAIT_MS_MAX : seconds * 1000;
}

enum step
check_preferences(struct request *r)
{
    r->wait_ms = (uint32_t)r->gw->settings->sync_wait_ms;
    const char *prefer = http_header(r->exchange, "Prefer", NULL);
    while (prefer && *prefer) {
        size_t len = strcspn(prefer, ",;");
        prefer_one(r, prefer, len);
        prefer += len + (prefer[len] != '\0');
    }
    if (r->gw->draining && r->wait_ms > FORWARD_DRAIN_MS)
        r->wait_ms = FORWARD_DRAIN_MS;
    return STEP_NEXT;
}
