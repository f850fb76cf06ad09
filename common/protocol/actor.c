/* SPDX-License-Identifier: MIT */
/*
 * actor - signing and checking of the gateway's word about a caller.
 */
#include "actor.h"

#include <stdio.h>
#include <string.h>

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

static enum rc
write_claim(const struct actor_claim *claim, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "id", claim->command_id);
    json_put_string(&w, "kid", claim->key_id);
    json_put_string(&w, "role", role_name(claim->role));
    json_put_int(&w, "at", claim->accepted_ms);
    json_put_string(&w, "rid", claim->request_id);
    if (claim->idem_hash[0])
        json_put_string(&w, "idem", claim->idem_hash);
    json_close(&w);
    return json_end(&w);
}

enum rc
actor_sign(const struct crypto_signer *signer, const struct actor_claim *claim, const char *subject,
           const void *payload, size_t len, char wire[ACTOR_WIRE_MAX], struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    AUTO(buf) struct buf signed_text = { 0 };
    uint8_t sig[CRYPTO_SIG_LEN];

    buf_init(&text, CLAIM_MAX);
    buf_init(&signed_text, SIGNED_MAX);
    enum rc rc = write_claim(claim, &text);
    if (rc != RC_OK)
        return err_set(err, RC_BUG, "the actor claim does not fit %d bytes", CLAIM_MAX);
    write_signed(&signed_text, subject, payload, len, buf_text(&text), text.len);
    if (buf_failed(&signed_text))
        return err_set(err, RC_BUG, "the subject is too long to sign");
    crypto_signature(signer, buf_text(&signed_text), signed_text.len, sig);

    size_t claim_len = BASE64URL_LEN(text.len) - 1;
    if (claim_len + 1 + BASE64URL_LEN(CRYPTO_SIG_LEN) > ACTOR_WIRE_MAX)
        return err_set(err, RC_BUG, "the actor claim is too long for its header");
    base64url_encode((const uint8_t *)buf_text(&text), text.len, wire);
    wire[claim_len] = '.';
    base64url_encode(sig, sizeof(sig), wire + claim_len + 1);
    return RC_OK;
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
actor_verify(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const char *wire, const char *subject,
             const void *payload, size_t len, struct actor_claim *out, struct err *err)
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
