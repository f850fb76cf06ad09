/* SPDX-License-Identifier: MIT */
/*
 * actor_signed - checks claims of the form before the MAC: base64url(JSON) "." base64url(signature).
 *
 * Messages of an earlier gateway wait in streams while a system is upgraded, and in dead letters for
 * 30 days. The signature covers "gantry-actor-v1\n" subject "\n" hex SHA-256 of the payload "\n" JSON.
 */
#include <stdio.h>
#include <string.h>

#include "actor.h"
#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "json/json.h"

#define DOMAIN       "gantry-actor-v1"
#define CLAIM_MAX    640 /* bytes: the longest claim is below 420 */
#define SIGNED_MAX   (SUBJECT_ROOM + HASH_TEXT_MAX + CLAIM_MAX + sizeof(DOMAIN) + 3)
#define SUBJECT_ROOM 256

/* What the signature covers: a claim fits one subject, one payload and nothing else. */
static void
write_signed(struct buf *out, const char *subject, const void *payload, size_t len,
             const char *claim, size_t claim_len)
{
    uint8_t digest[HASH_LEN];
    char hex[HASH_TEXT_MAX];
    hash_sha256_bytes(payload, len, digest);
    hex_encode(digest, sizeof(digest), hex);
    buf_printf(out, DOMAIN "\n%s\n%s\n", subject, hex);
    buf_add(out, claim, claim_len);
}

/* Copy a member that must be a string of at most cap - 1 bytes. */
static bool
take_string(const cJSON *doc, const char *name, char *out, size_t cap)
{
    const char *text = json_string(doc, name);
    if (!text || strlen(text) >= cap)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool
all_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static enum rc
read_claim(const char *text, size_t len, struct actor_claim *out, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    struct actor_claim claim = { .role = ROLE_COUNT };
    char id[ID_TEXT_MAX];

    if (json_read(text, len, &doc, err) != RC_OK)
        return err_set(err, RC_CORRUPT, "the actor claim is not JSON");
    claim.accepted_ms = json_int(doc, "at", -1);
    const char *role = json_string(doc, "role");
    if (!take_string(doc, "id", claim.command_id, sizeof(claim.command_id)) ||
        id_parse(claim.command_id, strlen(claim.command_id), id) != RC_OK ||
        !take_string(doc, "kid", claim.key_id, sizeof(claim.key_id)) ||
        strlen(claim.key_id) != KEY_ID_LEN ||
        !take_string(doc, "rid", claim.request_id, sizeof(claim.request_id)) ||
        claim.accepted_ms < 0 || !role || role_parse(role, &claim.role) != RC_OK)
        return err_set(err, RC_CORRUPT, "the actor claim lacks a member");
    if (json_member(doc, "idem") &&
        (!take_string(doc, "idem", claim.idem_hash, sizeof(claim.idem_hash)) ||
         !all_hex(claim.idem_hash, 64)))
        return err_set(err, RC_CORRUPT, "the actor claim's idem is not a digest");
    memcpy(claim.command_id, id, sizeof(id));
    *out = claim;
    return RC_OK;
}

enum rc
actor_verify_signed(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const char *wire,
                    const char *subject, const void *payload, size_t len, struct actor_claim *out,
                    struct err *err)
{
    AUTO(buf) struct buf signed_text = { 0 };
    uint8_t claim[CLAIM_MAX];
    uint8_t sig[CRYPTO_SIG_LEN];
    size_t claim_len = 0;
    size_t sig_len = 0;

    buf_init(&signed_text, SIGNED_MAX);
    const char *dot = strchr(wire, '.');
    if (!dot || strlen(wire) >= ACTOR_WIRE_MAX ||
        base64url_decode(wire, (size_t)(dot - wire), claim, sizeof(claim), &claim_len) != RC_OK ||
        base64url_decode(dot + 1, strlen(dot + 1), sig, sizeof(sig), &sig_len) != RC_OK ||
        sig_len != sizeof(sig))
        return err_set(err, RC_CORRUPT, "the actor header is malformed");
    write_signed(&signed_text, subject, payload, len, (const char *)claim, claim_len);
    if (buf_failed(&signed_text))
        return err_set(err, RC_CORRUPT, "the subject is too long for a claim");
    if (crypto_verify(public_key, buf_text(&signed_text), signed_text.len, sig) != RC_OK)
        return err_set(err, RC_CORRUPT, "the actor signature does not fit");
    return read_claim((const char *)claim, claim_len, out, err);
}
