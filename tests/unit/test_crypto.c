/* SPDX-License-Identifier: MIT */
/*
 * test_crypto - known answers from RFC 8032, the reference Argon2 and Python's hashlib and PyNaCl.
 */
#include <string.h>

#include "base/id.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "tests/unit/test.h"

static uint8_t KEY[32];

static void
unhex(const char *text, uint8_t *out)
{
    assert_int_equal(hex_decode(text, strlen(text), out), RC_OK);
}

static int
set_up(void **state)
{
    for (unsigned i = 0; i < sizeof(KEY); i++)
        KEY[i] = (uint8_t)i;
    return crypto_init(NULL) == RC_OK ? 0 : -1;
}

static void
keyed_hash_is_blake2b(void **state)
{
    uint8_t out[32], expected[32];
    unhex("d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f", expected);
    crypto_keyed_hash(KEY, "abc", 3, out);
    assert_memory_equal(out, expected, 32);
    unhex("7f8088eb65cc4626d4a3ca026af9f97dbd1b8a39b7ac12a63a07745f1fa09847", expected);
    crypto_subkey(KEY, "label", out);
    assert_memory_equal(out, expected, 32);
}

static void
ed25519_of_rfc8032(void **state)
{
    uint8_t seed[32], public_key[32], expected[64], sig[64];
    unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", seed);
    unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", public_key);
    unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
          expected);
    struct crypto_signer signer;
    crypto_signer_init(&signer, seed);
    assert_memory_equal(signer.public_key, public_key, 32);
    crypto_signature(&signer, "\x72", 1, sig);
    assert_memory_equal(sig, expected, 64);
    assert_int_equal(crypto_verify(public_key, "\x72", 1, sig), RC_OK);
    assert_int_equal(crypto_verify(public_key, "\x73", 1, sig), RC_DENIED);
    sig[63] ^= 0x10;
    assert_int_equal(crypto_verify(public_key, "\x72", 1, sig), RC_DENIED);
}

static void
box_of_another_implementation_opens(void **state)
{
    uint8_t sealed[51], data[12] = { 0 };
    unhex("4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e"
          "d3c3fb749a40541e03a978e136b2bbfed5b8132012089ef342dac3",
          sealed);
    assert_int_equal(crypto_open(KEY, "job:w:1:params", sealed, 51, data), RC_OK);
    assert_string_equal((char *)data, "hello world");
}

static void
box_is_bound_to_key_context_and_bytes(void **state)
{
    uint8_t sealed[5 + CRYPTO_SEAL_EXTRA], again[5 + CRYPTO_SEAL_EXTRA], data[5], other[32];
    crypto_seal(KEY, "a", "hello", 5, sealed);
    crypto_seal(KEY, "a", "hello", 5, again);
    assert_memory_not_equal(sealed, again, sizeof(sealed));
    assert_int_equal(crypto_open(KEY, "a", sealed, sizeof(sealed), data), RC_OK);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(crypto_open(KEY, "b", sealed, sizeof(sealed), data), RC_DENIED);
    assert_int_equal(crypto_open(KEY, "a", sealed, sizeof(sealed) - 1, data), RC_DENIED);
    assert_int_equal(crypto_open(KEY, "a", sealed, CRYPTO_SEAL_EXTRA - 1, data), RC_DENIED);
    memcpy(other, KEY, 32);
    other[0] ^= 1;
    assert_int_equal(crypto_open(other, "a", sealed, sizeof(sealed), data), RC_DENIED);
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        assert_int_equal(crypto_open(KEY, "a", sealed, sizeof(sealed), data), RC_DENIED);
        sealed[i] ^= 1;
    }
}

static void
argon2id_of_the_reference_library(void **state)
{
    const char *phc = "$argon2id$v=19$m=19456,t=2,p=1$BSu0OHS/Hzdv09hsIqn+Cg$"
                      "tHoimtaQlEhbDJqZWqKfMJhdBNRqjeqASc4yAbjy32A";
    const char *secret = "abcdefghabcdefghabcdefghabcdefgh";
    assert_int_equal(crypto_password_verify(phc, secret, 32), RC_OK);
    assert_int_equal(crypto_password_verify(phc, secret, 31), RC_DENIED);
    assert_int_equal(crypto_password_verify("", secret, 32), RC_DENIED);
    assert_int_equal(crypto_password_verify("$argon2id$v=19$m=19456", secret, 32), RC_DENIED);
}

static void
argon2id_uses_the_contract_costs(void **state)
{
    char phc[CRYPTO_PWHASH_MAX], again[CRYPTO_PWHASH_MAX];
    const char *head = "$argon2id$v=19$m=19456,t=2,p=1$";
    assert_int_equal(crypto_password_hash("secret", 6, phc, NULL), RC_OK);
    assert_int_equal(crypto_password_hash("secret", 6, again, NULL), RC_OK);
    assert_memory_equal(phc, head, strlen(head));
    assert_string_not_equal(phc, again);
    assert_int_equal(crypto_password_verify(phc, "secret", 6), RC_OK);
    assert_int_equal(crypto_password_verify(phc, "Secret", 6), RC_DENIED);
}

static void
small_helpers(void **state)
{
    uint8_t a[16], b[16];
    crypto_random(a, sizeof(a));
    memcpy(b, a, sizeof(a));
    assert_true(crypto_equal(a, b, sizeof(a)));
    b[15] ^= 1;
    assert_false(crypto_equal(a, b, sizeof(a)));
    crypto_wipe(a, sizeof(a));
    memset(b, 0, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed_hash_is_blake2b),
        cmocka_unit_test(ed25519_of_rfc8032),
        cmocka_unit_test(box_of_another_implementation_opens),
        cmocka_unit_test(box_is_bound_to_key_context_and_bytes),
        cmocka_unit_test(argon2id_of_the_reference_library),
        cmocka_unit_test(argon2id_uses_the_contract_costs),
        cmocka_unit_test(small_helpers),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
