/* SPDX-License-Identifier: MIT */
#include "hooks/scheme.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "webhooks/sign.h"

#define SIGNATURE_MAX 64 /* bytes that a signature is read to */
#define TIME_DIGITS   15

static const char *
header(const struct scheme_request *request, const char *name)
{
    const char *value = json_string(request->headers, name);

    return value ? value : "";
}

/* Seconds, in digits only; -1: none. */
static int64_t
read_time(const char *text, size_t len)
{
    int64_t seconds = 0;

    if (len == 0 || len > TIME_DIGITS)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        seconds = seconds * 10 + (text[i] - '0');
    }
    return seconds;
}

static bool
is_fresh(const cJSON *definition, int64_t seconds, int64_t now_s)
{
    int64_t tolerance_s = json_int(definition, "tolerance_seconds", SCHEME_TOLERANCE_S);

    return seconds >= 0 && seconds >= now_s - tolerance_s && seconds <= now_s + tolerance_s;
}

static void
mac_of(const char *secret, const char *before, const struct scheme_request *request,
       uint8_t mac[HASH_LEN])
{
    const struct hash_part parts[] = { { before, strlen(before) },
                                       { request->body, request->len } };

    hmac_sha256((const uint8_t *)secret, strlen(secret), parts, ARRAY_LEN(parts), mac);
}

static bool
is_hex_of(const uint8_t mac[HASH_LEN], const char *text, size_t len)
{
    uint8_t given[HASH_LEN];

    return len == 2 * (size_t)HASH_LEN && hex_decode(text, len, given) == RC_OK &&
           hash_equal(mac, given);
}

static bool
is_base64_of(const uint8_t mac[HASH_LEN], const char *text)
{
    uint8_t given[SIGNATURE_MAX];
    size_t len = 0;

    return base64_decode(text, strlen(text), given, sizeof(given), &len) == RC_OK &&
           len == HASH_LEN && hash_equal(mac, given);
}

static bool
verify_standard(const cJSON *definition, const char *secret, const struct scheme_request *request)
{
    const char *time = header(request, "webhook-timestamp");
    const struct sign_message message = { .id = header(request, "webhook-id"),
                                          .timestamp_s = read_time(time, strlen(time)),
                                          .body = request->body,
                                          .len = request->len };

    return sign_check(secret, &message, header(request, "webhook-signature")) && *message.id &&
           is_fresh(definition, message.timestamp_s, request->now_s);
}

static bool
verify_github(const cJSON *definition, const char *secret, const struct scheme_request *request)
{
    const char *given = header(request, "x-hub-signature-256");
    uint8_t mac[HASH_LEN];

    (void)definition;
    mac_of(secret, "", request, mac);
    return strncmp(given, "sha256=", 7) == 0 && is_hex_of(mac, given + 7, strlen(given + 7));
}

/* The time is the first; any of the v1 may fit: there are two while Stripe changes a secret. */
static bool
verify_stripe(const cJSON *definition, const char *secret, const struct scheme_request *request)
{
    const char *at = header(request, "stripe-signature");
    char before[TIME_DIGITS + 2];
    uint8_t mac[HASH_LEN];
    bool found = false;

    if (strncmp(at, "t=", 2) != 0)
        return false;
    size_t len = strcspn(at + 2, ",");
    int64_t seconds = read_time(at + 2, len);
    if (seconds < 0)
        return false;
    (void)snprintf(before, sizeof(before), "%.*s.", (int)len, at + 2);
    mac_of(secret, before, request, mac);
    for (at += 2 + len; *at == ','; at += len) {
        at++;
        len = strcspn(at, ",");
        if (len > 3 && strncmp(at, "v1=", 3) == 0)
            found |= is_hex_of(mac, at + 3, len - 3);
    }
    return found && is_fresh(definition, seconds, request->now_s);
}

static bool
verify_slack(const cJSON *definition, const char *secret, const struct scheme_request *request)
{
    const char *time = header(request, "x-slack-request-timestamp");
    const char *given = header(request, "x-slack-signature");
    int64_t seconds = read_time(time, strlen(time));
    char before[TIME_DIGITS + 5];
    uint8_t mac[HASH_LEN];

    if (seconds < 0)
        return false;
    (void)snprintf(before, sizeof(before), "v0:%s:", time);
    mac_of(secret, before, request, mac);
    return strncmp(given, "v0=", 3) == 0 && is_hex_of(mac, given + 3, strlen(given + 3)) &&
           is_fresh(definition, seconds, request->now_s);
}

static bool
verify_hmac(const cJSON *definition, const char *secret, const struct scheme_request *request)
{
    const char *name = json_string(definition, "header");
    const char *prefix = json_string(definition, "prefix");
    const char *encoding = json_string(definition, "encoding");
    char lower[80];
    uint8_t mac[HASH_LEN];
    size_t i = 0;

    for (; name && name[i] && i < sizeof(lower) - 1; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[i] = '\0';
    const char *given = header(request, lower);
    size_t skip = prefix ? strlen(prefix) : 0;
    mac_of(secret, "", request, mac);
    if (skip && strncmp(given, prefix, skip) != 0)
        return false;
    given += skip;
    return encoding && strcmp(encoding, "base64") == 0 ? is_base64_of(mac, given)
                                                       : is_hex_of(mac, given, strlen(given));
}

enum rc
scheme_verify(const char *scheme, const cJSON *definition, const char *secret,
              const struct scheme_request *request)
{
    static const struct {
        const char *name;
        bool (*fn)(const cJSON *definition, const char *secret,
                   const struct scheme_request *request);
    } SCHEMES[] = {
        { "standard", verify_standard }, { "github", verify_github }, { "stripe", verify_stripe },
        { "slack", verify_slack },       { "hmac", verify_hmac },
    };

    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++)
        if (strcmp(scheme, SCHEMES[i].name) == 0)
            return SCHEMES[i].fn(definition, secret, request) ? RC_OK : RC_DENIED;
    return RC_DENIED;
}
