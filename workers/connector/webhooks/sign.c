/* SPDX-License-Identifier: MIT */
#include "webhooks/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"

#define SYMMETRIC  "whsec_"
#define PRIVATE    "whsk_"
#define PUBLIC     "whpk_"
#define KEY_MIN    24 /* bytes of a symmetric secret; a shorter one is a mistake */
#define KEY_MAX    64
#define PREFIX_MAX 64 /* "ID.TIMESTAMP." has an id of 36 characters */
#define ONE_MAX    (4 + BASE64_LEN(CRYPTO_SIG_LEN))

static bool
has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void
write_key(const char *prefix, const uint8_t *bytes, size_t len, char out[SIGN_TEXT_MAX])
{
    size_t n = strlen(prefix);

    memcpy(out, prefix, n);
    base64_encode(bytes, len, out + n);
}

static enum rc
read_key(const char *text, const char *prefix, size_t least, uint8_t key[KEY_MAX], size_t *len)
{
    text += strlen(prefix);
    if (strlen(text) >= SIGN_TEXT_MAX ||
        base64_decode(text, strlen(text), key, KEY_MAX, len) != RC_OK || *len < least)
        return RC_INVALID;
    return RC_OK;
}

enum rc
sign_public(const char *secret, char public_key[SIGN_TEXT_MAX])
{
    struct crypto_signer signer;
    uint8_t seed[KEY_MAX];
    size_t len = 0;

    if (!has_prefix(secret, PRIVATE) ||
        read_key(secret, PRIVATE, CRYPTO_SEED_LEN, seed, &len) != RC_OK || len != CRYPTO_SEED_LEN)
        return RC_INVALID;
    crypto_signer_init(&signer, seed);
    write_key(PUBLIC, signer.public_key, sizeof(signer.public_key), public_key);
    crypto_wipe(&signer, sizeof(signer));
    crypto_wipe(seed, sizeof(seed));
    return RC_OK;
}

void
sign_new(bool asymmetric, char secret[SIGN_TEXT_MAX], char public_key[SIGN_TEXT_MAX])
{
    uint8_t random[CRYPTO_SEED_LEN];

    crypto_random(random, sizeof(random));
    write_key(asymmetric ? PRIVATE : SYMMETRIC, random, sizeof(random), secret);
    crypto_wipe(random, sizeof(random));
    public_key[0] = '\0';
    if (asymmetric)
        (void)!sign_public(secret, public_key);
}

/* "ID.TIMESTAMP.BODY" as parts: the body is not copied. */
struct signed_text {
    char prefix[PREFIX_MAX + 320];
    struct hash_part parts[2];
};

static enum rc
text_of(const struct sign_message *message, struct signed_text *out)
{
    int n = snprintf(out->prefix, sizeof(out->prefix), "%s.%lld.", message->id,
                     (long long)message->timestamp_s);

    if (n < 0 || (size_t)n >= sizeof(out->prefix))
        return RC_INVALID;
    out->parts[0] = (struct hash_part){ out->prefix, (size_t)n };
    out->parts[1] = (struct hash_part){ message->body, message->len };
    return RC_OK;
}

/* libsodium signs one piece. */
static void
sign_ed25519(const uint8_t *seed, const struct signed_text *text, uint8_t out[CRYPTO_SIG_LEN])
{
    size_t len = text->parts[0].len + text->parts[1].len;
    AUTO(free) uint8_t *whole = malloc(len ? len : 1);
    struct crypto_signer signer;

    if (!whole)
        log_no_memory("a signature");
    memcpy(whole, text->parts[0].data, text->parts[0].len);
    if (text->parts[1].len)
        memcpy(whole + text->parts[0].len, text->parts[1].data, text->parts[1].len);
    crypto_signer_init(&signer, seed);
    crypto_signature(&signer, whole, len, out);
    crypto_wipe(&signer, sizeof(signer));
}

static enum rc
sign_one(const char *secret, const struct sign_message *message, char out[ONE_MAX])
{
    uint8_t key[KEY_MAX], signature[CRYPTO_SIG_LEN];
    bool symmetric = has_prefix(secret, SYMMETRIC), private = has_prefix(secret, PRIVATE);
    struct signed_text text;
    size_t len = 0;
    enum rc rc = RC_INVALID;

    if (symmetric)
        rc = read_key(secret, SYMMETRIC, KEY_MIN, key, &len);
    else if (private)
        rc = read_key(secret, PRIVATE, CRYPTO_SEED_LEN, key, &len);
    if (rc != RC_OK || (private && len != CRYPTO_SEED_LEN) || text_of(message, &text) != RC_OK)
        return RC_INVALID;
    if (symmetric)
        hmac_sha256(key, len, text.parts, ARRAY_LEN(text.parts), signature);
    else
        sign_ed25519(key, &text, signature);
    crypto_wipe(key, sizeof(key));
    (void)snprintf(out, ONE_MAX, "%s", symmetric ? "v1," : "v1a,");
    base64_encode(signature, symmetric ? HASH_LEN : CRYPTO_SIG_LEN, out + strlen(out));
    return RC_OK;
}

enum rc
sign_add(const char *secret, const struct sign_message *message, struct buf *out)
{
    char one[ONE_MAX];
    enum rc rc = sign_one(secret, message, one);

    if (rc != RC_OK)
        return rc;
    if (out->len)
        buf_putc(out, ' ');
    buf_puts(out, one);
    return buf_failed(out) ? RC_LIMIT : RC_OK;
}

bool
sign_check(const char *secret, const struct sign_message *message, const char *header)
{
    char one[ONE_MAX] = "";
    bool found = false;

    if (sign_one(secret, message, one) != RC_OK)
        return false;
    for (const char *at = header; *at;) {
        size_t len = strcspn(at, " ");
        found |= len == strlen(one) && crypto_equal(at, one, len);
        at += len + strspn(at + len, " ");
    }
    return found;
}
