/* SPDX-License-Identifier: MIT */
#include "logins/jwt.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"

static const char HEADER[] =
    "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}"; /* as nats-server writes it */

static void
add_base64url(struct buf *out, const void *bytes, size_t len)
{
    char *text = malloc(BASE64URL_LEN(len));
    if (!text) {
        out->failed = true;
        return;
    }
    base64url_encode(bytes, len, text);
    buf_puts(out, text);
    free(text);
}

enum rc
jwt_sign(const struct crypto_signer *signer, const char *claims, size_t len, struct buf *out)
{
    uint8_t sig[CRYPTO_SIG_LEN];
    size_t start = out->len;

    add_base64url(out, HEADER, sizeof(HEADER) - 1);
    buf_putc(out, '.');
    add_base64url(out, claims, len);
    if (buf_failed(out))
        return RC_LIMIT;
    crypto_signature(signer, out->data + start, out->len - start, sig);
    buf_putc(out, '.');
    add_base64url(out, sig, sizeof(sig));
    return buf_failed(out) ? RC_LIMIT : RC_OK;
}

static enum rc
read_part(const char *text, size_t len, cJSON **out, struct err *err)
{
    size_t cap = len, n = 0;
    AUTO(free) uint8_t *bytes = malloc(cap + 1);
    if (!bytes)
        return err_set(err, RC_TEMP, "no memory for a token");
    if (base64url_decode(text, len, bytes, cap, &n) != RC_OK)
        return err_set(err, RC_CORRUPT, "a part of the token is not base64url");
    if (json_read((const char *)bytes, n, out, err) != RC_OK || !cJSON_IsObject(*out)) {
        json_cleanup(out);
        *out = NULL;
        return err_set(err, RC_CORRUPT, "a part of the token is not a JSON object");
    }
    return RC_OK;
}

static enum rc
check_signature(const cJSON *claims, const char *token, const char *sig_text, size_t sig_len,
                enum nkey_kind *kind, struct err *err)
{
    const char *issuer = json_string(claims, "iss");
    uint8_t key[CRYPTO_PUBLIC_LEN], sig[CRYPTO_SIG_LEN];
    size_t n = 0;

    if (!issuer || nkey_decode(issuer, kind, key) != RC_OK)
        return err_set(err, RC_CORRUPT, "the token's issuer is not an NKey");
    if (base64url_decode(sig_text, sig_len, sig, sizeof(sig), &n) != RC_OK || n != sizeof(sig))
        return err_set(err, RC_CORRUPT, "the token's signature has a wrong length");
    if (crypto_verify(key, token, (size_t)(sig_text - 1 - token), sig) != RC_OK)
        return err_set(err, RC_CORRUPT, "the token's signature is not its issuer's");
    return RC_OK;
}

enum rc
jwt_verify(const char *token, size_t len, cJSON **claims, enum nkey_kind *issuer_kind,
           struct err *err)
{
    if (len > JWT_MAX)
        return err_set(err, RC_LIMIT, "a token of over %d bytes", JWT_MAX);
    const char *first = memchr(token, '.', len);
    const char *second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - token)) : NULL;
    if (!second)
        return err_set(err, RC_CORRUPT, "a token has three parts");

    AUTO(json) cJSON *header = NULL;
    AUTO(json) cJSON *body = NULL;
    enum nkey_kind kind = NKEY_KIND_COUNT;
    enum rc rc = read_part(token, (size_t)(first - token), &header, err);
    if (rc != RC_OK)
        return rc;
    const char *algorithm = json_string(header, "alg");
    if (!algorithm || strcmp(algorithm, "ed25519-nkey") != 0)
        return err_set(err, RC_CORRUPT, "the token's algorithm is not ed25519-nkey");
    if ((rc = read_part(first + 1, (size_t)(second - first - 1), &body, err)) != RC_OK)
        return rc;
    if ((rc = check_signature(body, token, second + 1, len - (size_t)(second + 1 - token), &kind,
                              err)) != RC_OK)
        return rc;
    *issuer_kind = kind;
    *claims = TAKE(body);
    return RC_OK;
}
