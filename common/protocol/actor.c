/* SPDX-License-Identifier: MIT */
/*
 * actor - writing and checking of the gateway's word about a caller.
 */
#include "actor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"

#define VERSION  "2"
#define MAC_TEXT (BASE64URL_LEN(CRYPTO_HASH_LEN) - 1)
#define AT_MAX   15 /* digits */

enum field {
    FIELD_VERSION,
    FIELD_ID,
    FIELD_KEY,
    FIELD_ROLE,
    FIELD_AT,
    FIELD_REQUEST,
    FIELD_IDEM,
    FIELD_APPROVAL, /* may be missing */
    FIELDS
};

struct span {
    const char *text;
    size_t len;
};

void
actor_key(const uint8_t signing_key[CRYPTO_KEY_LEN], const char *program,
          uint8_t out[CRYPTO_KEY_LEN])
{
    char label[64];
    (void)snprintf(label, sizeof(label), "actor %s", program);
    crypto_subkey(signing_key, label, out);
}

/* head: the header up to its last comma, inclusive. */
static void
make_mac(const uint8_t key[CRYPTO_KEY_LEN], struct span head, const char *subject,
         const void *payload, size_t len, uint8_t mac[CRYPTO_HASH_LEN])
{
    const struct hash_part parts[] = {
        { head.text, head.len }, { "", 1 }, { subject, strlen(subject) + 1 }, { payload, len }
    };
    crypto_mac(key, parts, ARRAY_LEN(parts), mac);
}

/* Exactly so many fields, each ended by a comma; how many, or 0. */
static unsigned
split(struct span head, struct span fields[FIELDS])
{
    const char *at = head.text;
    const char *end = head.text + head.len;
    for (unsigned i = 0; i < FIELDS; i++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (!comma && i == FIELD_APPROVAL && at == end) {
            fields[i] = (struct span){ at, 0 };
            return FIELD_APPROVAL;
        }
        if (!comma)
            return 0;
        fields[i] = (struct span){ at, (size_t)(comma - at) };
        at = comma + 1;
    }
    return at == end ? FIELDS : 0;
}

enum rc
actor_write(const uint8_t key[CRYPTO_KEY_LEN], const struct actor_claim *claim, const char *subject,
            const void *payload, size_t len, char wire[ACTOR_WIRE_MAX], struct err *err)
{
    struct span fields[FIELDS];
    uint8_t mac[CRYPTO_HASH_LEN];
    int n = snprintf(wire, ACTOR_WIRE_MAX, VERSION ",%s,%s,%s,%" PRId64 ",%s,%s,",
                     claim->command_id, claim->key_id, role_name(claim->role), claim->accepted_ms,
                     claim->request_id, claim->idem_hash);
    if (claim->approval[0] && n > 0 && n < ACTOR_WIRE_MAX)
        n += snprintf(wire + n, ACTOR_WIRE_MAX - (size_t)n, "%s,", claim->approval);
    if (n < 0 || (size_t)n + MAC_TEXT >= ACTOR_WIRE_MAX)
        return err_set(err, RC_BUG, "the actor claim is too long for its header");
    struct span head = { wire, (size_t)n };
    if (split(head, fields) != (claim->approval[0] ? FIELDS : FIELD_APPROVAL))
        return err_set(err, RC_BUG, "a comma in a field of the actor claim");
    make_mac(key, head, subject, payload, len, mac);
    base64url_encode(mac, sizeof(mac), wire + n);
    return RC_OK;
}

/* The field as a string; false if it is of another length than so many characters. */
static bool
take(struct span field, size_t min, size_t max, char *out)
{
    if (field.len < min || field.len > max)
        return false;
    memcpy(out, field.text, field.len);
    out[field.len] = '\0';
    return true;
}

static bool
take_number(struct span field, int64_t *out)
{
    int64_t value = 0;
    if (field.len < 1 || field.len > AT_MAX)
        return false;
    for (size_t i = 0; i < field.len; i++) {
        if (field.text[i] < '0' || field.text[i] > '9')
            return false;
        value = value * 10 + (field.text[i] - '0');
    }
    *out = value;
    return true;
}

static enum rc
read_claim(struct span head, struct actor_claim *out, struct err *err)
{
    struct actor_claim claim = { .role = ROLE_COUNT };
    struct span fields[FIELDS];
    char role[16];
    unsigned n = split(head, fields);
    if (n == 0 ||
        id_parse(fields[FIELD_ID].text, fields[FIELD_ID].len, claim.command_id) != RC_OK ||
        !take(fields[FIELD_KEY], KEY_ID_LEN, KEY_ID_LEN, claim.key_id) ||
        !take(fields[FIELD_ROLE], 1, sizeof(role) - 1, role) ||
        role_parse(role, &claim.role) != RC_OK ||
        !take_number(fields[FIELD_AT], &claim.accepted_ms) ||
        !take(fields[FIELD_REQUEST], 0, sizeof(claim.request_id) - 1, claim.request_id) ||
        !take(fields[FIELD_IDEM], 0, sizeof(claim.idem_hash) - 1, claim.idem_hash) ||
        !take(fields[FIELD_APPROVAL], 0, sizeof(claim.approval) - 1, claim.approval))
        return err_set(err, RC_CORRUPT, "the actor claim lacks a field");
    if (fields[FIELD_IDEM].len != strspn(claim.idem_hash, "0123456789abcdef") ||
        (fields[FIELD_IDEM].len != 0 && fields[FIELD_IDEM].len != sizeof(claim.idem_hash) - 1))
        return err_set(err, RC_CORRUPT, "the actor claim's idempotency hash is not a digest");
    const char *dot = strchr(claim.approval, '.');
    if (n == FIELDS && (!dot || dot == claim.approval || strlen(dot + 1) != KEY_ID_LEN ||
                        strspn(claim.approval, "0123456789") != (size_t)(dot - claim.approval)))
        return err_set(err, RC_CORRUPT, "the actor claim's approval is malformed");
    *out = claim;
    return RC_OK;
}

static bool
is_set(const uint8_t key[CRYPTO_KEY_LEN])
{
    static const uint8_t NONE[CRYPTO_KEY_LEN];
    return !crypto_equal(key, NONE, sizeof(NONE));
}

enum rc
actor_verify(const struct actor_keys *keys, const char *wire, const char *subject,
             const void *payload, size_t len, struct actor_claim *out, struct err *err)
{
    const uint8_t *const accepted[] = { keys->now, keys->before };
    const char *comma = strrchr(wire, ',');
    uint8_t mac[CRYPTO_HASH_LEN], right[CRYPTO_HASH_LEN];
    size_t mac_len = 0;

    if (strlen(wire) >= ACTOR_WIRE_MAX)
        return err_set(err, RC_CORRUPT, "the actor header is malformed");
    if (!comma && is_set(keys->signer))
        return actor_verify_signed(keys->signer, wire, subject, payload, len, out, err);
    if (!comma || strncmp(wire, VERSION ",", sizeof(VERSION)) != 0 ||
        base64url_decode(comma + 1, strlen(comma + 1), mac, sizeof(mac), &mac_len) != RC_OK ||
        mac_len != sizeof(mac))
        return err_set(err, RC_CORRUPT, "the actor header is malformed");
    struct span head = { wire, (size_t)(comma + 1 - wire) };
    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        if (!is_set(accepted[i]))
            continue;
        make_mac(accepted[i], head, subject, payload, len, right);
        if (crypto_equal(mac, right, sizeof(mac)))
            return read_claim(head, out, err);
    }
    return err_set(err, RC_CORRUPT, "the actor claim does not fit the message");
}
