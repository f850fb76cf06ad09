/* SPDX-License-Identifier: MIT */
#include "audit_event.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "validate/redact.h"

#define ACTION_MAX        128 /* bytes */
#define TARGET_MAX        256
#define PREFIX_CHARACTERS 64
#define CANONICAL_MAX     (4u << 20) /* more than any body may have */

static const char *const ACTORS[] = { "key", "nats", "anonymous", "operator", "program" };
static const char *const STATUSES[] = { "success", "failed", "denied", "unknown" };

/* The longest start of text that has at most max bytes and ends between two characters. */
static size_t
cut(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void
put_target(struct json_writer *w, const char *target)
{
    AUTO(buf) struct buf plain = { 0 };

    if (!target || !*target) {
        json_put_null(w, "target");
        return;
    }
    buf_init(&plain, 2 * strlen(target) + 64);
    redact_text(target, strlen(target), &plain);
    json_put_bytes(w, "target", buf_text(&plain), cut(buf_text(&plain), plain.len, TARGET_MAX));
}

static bool
digest_valid(const char *hex)
{
    return !hex || !*hex || (strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64);
}

static enum rc
check(const struct audit_request_event *event)
{
    if (!event->event_id || !id_valid(event->event_id))
        return RC_INVALID;
    if (!event->action || !*event->action || strlen(event->action) > ACTION_MAX)
        return RC_INVALID;
    if (!digest_valid(event->params_sha256) || !digest_valid(event->idempotency_sha256))
        return RC_INVALID;
    if (event->actor < AUDIT_ACTOR_KEY || event->actor > AUDIT_ACTOR_PROGRAM ||
        event->status < AUDIT_SUCCESS || event->status > AUDIT_UNKNOWN)
        return RC_INVALID;
    return event->count < 0 || event->http_status < 0 ? RC_INVALID : RC_OK;
}

enum rc
audit_event_write(const struct audit_request_event *event, struct buf *out)
{
    struct json_writer w;
    enum rc rc = check(event);

    if (rc != RC_OK)
        return rc;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_int(&w, "v", 1);
    json_put_string(&w, "type", "request");
    json_put_string(&w, "event_id", event->event_id);
    json_put_string(&w, "actor_type", ACTORS[event->actor]);
    json_put_string_or_null(&w, "key_id", event->key_id);
    json_put_string_or_null(&w, "request_id", event->request_id);
    json_put_string(&w, "action", event->action);
    put_target(&w, event->target);
    json_put_string(&w, "decision",
                    event->decision                 ? event->decision
                    : event->status == AUDIT_DENIED ? "denied"
                                                    : "allowed");
    json_put_string(&w, "status", STATUSES[event->status]);
    if (event->http_status > 0)
        json_put_int(&w, "http_status", event->http_status);
    else
        json_put_null(&w, "http_status");
    json_put_string_or_null(&w, "error_reason", event->error_code);
    if (event->duration_ms >= 0)
        json_put_int(&w, "duration_ms", event->duration_ms);
    else
        json_put_null(&w, "duration_ms");
    json_put_string_or_null(&w, "idempotency_key_sha256", event->idempotency_sha256);
    json_put_string_or_null(&w, "params_sha256", event->params_sha256);
    json_put_string_or_null(&w, "params_prefix64", event->params_prefix64);
    json_put_string_or_null(&w, "region", event->region);
    json_put_string_or_null(&w, "client", event->client);
    json_put_time(&w, "time", event->time_ms);
    json_put_int(&w, "count", event->count > 0 ? event->count : 1);
    if (event->traceparent)
        json_put_string(&w, "traceparent", event->traceparent);
    if (event->policy)
        json_put_raw(&w, "policy", event->policy, strlen(event->policy));
    if (event->intent)
        json_put_bool(&w, "intent", true);
    json_close(&w);
    return json_end(&w);
}

void
audit_digest(const void *data, size_t len, char hex[AUDIT_DIGEST_MAX])
{
    uint8_t hash[HASH_LEN];

    hash_sha256_bytes(data, len, hash);
    hex_encode(hash, sizeof(hash), hex);
}

enum rc
audit_digest_json(const cJSON *doc, char hex[AUDIT_DIGEST_MAX])
{
    static const char *const skip[] = { "client_request_id", NULL };
    AUTO(buf) struct buf canonical = { 0 };
    enum rc rc;

    buf_init(&canonical, CANONICAL_MAX);
    if ((rc = json_canonical(doc, skip, &canonical)) != RC_OK)
        return rc;
    audit_digest(buf_text(&canonical), canonical.len, hex);
    return RC_OK;
}

enum rc
audit_params_prefix(const cJSON *params, char prefix[AUDIT_PREFIX_MAX])
{
    AUTO(buf) struct buf text = { 0 };
    size_t end = 0;

    buf_init(&text, CANONICAL_MAX);
    redact_json(params, AUDIT_PREFIX_MAX, &text);
    if (buf_failed(&text))
        return RC_LIMIT;
    for (unsigned n = 0; n < PREFIX_CHARACTERS && end < text.len; n++)
        do
            end++;
        while (end < text.len && ((unsigned char)text.data[end] & 0xc0) == 0x80);
    memcpy(prefix, buf_text(&text), end);
    prefix[end] = '\0';
    return RC_OK;
}
