/* SPDX-License-Identifier: MIT */
/*
 * test_nkey - keys and tokens made by another implementation (Python's base64, binascii and
 * cryptography), for the Ed25519 seed 00 01 02 … 1f.
 */
#include <string.h>

#include "base/cleanup.h"
#include "gateway/logins/jwt.h"
#include "tests/unit/test.h"

#define ACCOUNT "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV"
#define USER    "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
#define SERVER  "NAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RSWB"
/* Not credentials: the seed is the numbers from 0 to 31. */
#define ACCOUNT_SEED "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI"
#define USER_SEED    "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
#define HEADER       "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ."
#define CLAIMS                                                                                     \
    "eyJpc3MiOiJBQUIyQ0I1NzZQSEJCUFE1T0RPUlJaMkxZQ01XUFpHV0dDTjJLREs3RFhPSU1aQVNLVVkzUVBaViIs"     \
    "Im4iOjF9."
#define SIGNATURE                                                                                  \
    "MyYg_mv5CPY0Xp5Jm1f2M5wlORNC5Q1h5TCjNcy8MOSFPSibiwVXbTLkhOjME9W0Qn9zRO_XIwh93s3yn1AtAQ"
#define TOKEN HEADER CLAIMS SIGNATURE

static void
make_signer(struct crypto_signer *signer)
{
    uint8_t seed[CRYPTO_SEED_LEN];
    for (unsigned i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)i;
    crypto_signer_init(signer, seed);
}

static void
public_keys_have_one_text(void **state)
{
    static const char *const TEXT[] = { ACCOUNT, USER, SERVER };
    struct crypto_signer signer;
    make_signer(&signer);
    for (unsigned i = 0; i < NKEY_KIND_COUNT; i++) {
        char text[NKEY_TEXT_MAX];
        enum nkey_kind kind = NKEY_KIND_COUNT;
        uint8_t key[CRYPTO_PUBLIC_LEN];
        nkey_encode((enum nkey_kind)i, signer.public_key, text);
        assert_string_equal(text, TEXT[i]);
        assert_int_equal(nkey_decode(TEXT[i], &kind, key), RC_OK);
        assert_int_equal(kind, i);
        assert_memory_equal(key, signer.public_key, sizeof(key));
    }
}

static void
seeds_round_trip(void **state)
{
    char text[NKEY_SEED_MAX];
    uint8_t seed[CRYPTO_SEED_LEN];
    enum nkey_kind kind = NKEY_KIND_COUNT;
    assert_int_equal(nkey_seed_decode(ACCOUNT_SEED, &kind, seed), RC_OK);
    assert_int_equal(kind, NKEY_ACCOUNT);
    assert_int_equal(seed[31], 31);
    nkey_seed_encode(NKEY_USER, seed, text);
    assert_string_equal(text, USER_SEED);
}

static void
other_texts_are_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "A",
        ACCOUNT "A",
        ACCOUNT_SEED,
        "aAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV",
        "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZW",
        "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV",
        "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZ1",
    };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        uint8_t key[CRYPTO_PUBLIC_LEN] = { 7 };
        enum nkey_kind kind = NKEY_KIND_COUNT;
        assert_int_equal(nkey_decode(BAD[i], &kind, key), RC_INVALID);
        assert_int_equal(kind, NKEY_KIND_COUNT);
        assert_int_equal(key[0], 7);
    }
    uint8_t seed[CRYPTO_SEED_LEN];
    enum nkey_kind kind;
    assert_int_equal(nkey_seed_decode(ACCOUNT, &kind, seed), RC_INVALID);
}

static void
tokens_are_those_of_another_signer(void **state)
{
    struct crypto_signer signer;
    make_signer(&signer);
    AUTO(buf) struct buf out = { 0 };
    buf_init(&out, JWT_MAX);
    static const char CLAIM[] = "{\"iss\":\"" ACCOUNT "\",\"n\":1}";
    assert_int_equal(jwt_sign(&signer, CLAIM, sizeof(CLAIM) - 1, &out), RC_OK);
    assert_string_equal(buf_text(&out), TOKEN);

    AUTO(json) cJSON *claims = NULL;
    enum nkey_kind kind = NKEY_KIND_COUNT;
    assert_int_equal(jwt_verify(TOKEN, strlen(TOKEN), &claims, &kind, NULL), RC_OK);
    assert_int_equal(kind, NKEY_ACCOUNT);
    assert_int_equal(json_int(claims, "n", 0), 1);
}

static void
changed_tokens_are_refused(void **state)
{
    char token[] = TOKEN;
    for (size_t i = 0; i < sizeof(token) - 1; i++) {
        cJSON *claims = NULL;
        enum nkey_kind kind;
        struct err err;
        char was = token[i];
        token[i] = was == 'R' ? 'S' : 'R';
        assert_int_equal(jwt_verify(token, sizeof(token) - 1, &claims, &kind, &err), RC_CORRUPT);
        assert_null(claims);
        token[i] = was;
    }
    static const char *const BAD[] = { "",
                                       "..",
                                       "a.b.c",
                                       HEADER CLAIMS,
                                       "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0." CLAIMS,
                                       TOKEN "." SIGNATURE };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        cJSON *claims = NULL;
        enum nkey_kind kind;
        assert_int_equal(jwt_verify(BAD[i], strlen(BAD[i]), &claims, &kind, NULL), RC_CORRUPT);
        assert_null(claims);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_keys_have_one_text),
        cmocka_unit_test(seeds_round_trip),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(tokens_are_those_of_another_signer),
        cmocka_unit_test(changed_tokens_are_refused),
    };
    if (crypto_init(NULL) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
