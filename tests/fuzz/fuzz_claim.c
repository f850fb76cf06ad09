/* SPDX-License-Identifier: MIT */
/*
 * fuzz_claim - the header Gantry-Actor: as it comes, with the right MAC behind it, and rightly signed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "protocol/actor.h"

#define SUBJECT    "gantry.v1.w.memory.ingest"
#define PAYLOAD    "{}"
#define SIGNED_MAX 640

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct actor_keys KEYS = { .now = { 9 }, .before = { 8 }, .signer = { 7 } };

static enum rc
verify(const struct actor_keys *keys, const char *wire, struct actor_claim *out)
{
    struct err err;
    enum rc rc = actor_verify(keys, wire, SUBJECT, PAYLOAD, sizeof(PAYLOAD) - 1, out, &err);
    if (rc != RC_OK && rc != RC_CORRUPT)
        abort();
    return rc;
}

/* What is believed can be written again, and means the same. */
static void
try_with_mac(const char *head, size_t len)
{
    const struct hash_part parts[] = {
        { head, len }, { "", 1 }, { SUBJECT, sizeof(SUBJECT) }, { PAYLOAD, sizeof(PAYLOAD) - 1 }
    };
    uint8_t mac[CRYPTO_HASH_LEN];
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim, again;
    if (len + BASE64URL_LEN(sizeof(mac)) > sizeof(wire))
        return;
    crypto_mac(KEYS.now, parts, ARRAY_LEN(parts), mac);
    memcpy(wire, head, len);
    base64url_encode(mac, sizeof(mac), wire + len);
    if (verify(&KEYS, wire, &claim) != RC_OK)
        return;
    if (actor_write(KEYS.now, &claim, SUBJECT, PAYLOAD, sizeof(PAYLOAD) - 1, wire, NULL) != RC_OK ||
        verify(&KEYS, wire, &again) != RC_OK || strcmp(claim.command_id, again.command_id) != 0 ||
        strcmp(claim.key_id, again.key_id) != 0 || claim.role != again.role ||
        claim.accepted_ms != again.accepted_ms || strcmp(claim.request_id, again.request_id) != 0 ||
        strcmp(claim.idem_hash, again.idem_hash) != 0)
        abort();
}

static void
try_signed(const char *json, size_t len)
{
    static const uint8_t SEED[CRYPTO_SEED_LEN] = { 6 };
    /* hexadecimal SHA-256 of PAYLOAD */
    static const char DIGEST[] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    struct crypto_signer signer;
    struct actor_keys keys = KEYS;
    struct actor_claim claim;
    uint8_t sig[CRYPTO_SIG_LEN];
    char text[SIGNED_MAX + 256], wire[ACTOR_WIRE_MAX];
    if (len > SIGNED_MAX)
        return;
    crypto_signer_init(&signer, SEED);
    memcpy(keys.signer, signer.public_key, sizeof(keys.signer));
    int n = snprintf(text, sizeof(text), "gantry-actor-v1\n" SUBJECT "\n%s\n", DIGEST);
    memcpy(text + n, json, len);
    crypto_signature(&signer, text, (size_t)n + len, sig);
    size_t at = BASE64URL_LEN(len) - 1;
    if (at + 1 + BASE64URL_LEN(sizeof(sig)) > sizeof(wire))
        return;
    base64url_encode((const uint8_t *)json, len, wire);
    wire[at] = '.';
    base64url_encode(sig, sizeof(sig), wire + at + 1);
    (void)verify(&keys, wire, &claim);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct actor_claim claim;
    AUTO(free) char *text = calloc(1, size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    size_t len = strlen(text);
    if (verify(&KEYS, text, &claim) == RC_OK) /* no text is a claim of a key that nobody has */
        abort();
    try_with_mac(text, len);
    try_signed(text, len);
    return 0;
}
