/* SPDX-License-Identifier: MIT */
/* Signatures of Standard Webhooks: the reference vectors of its libraries. */
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "test.h"
#include "webhooks/sign.h"

#define BODY      "{\"test\": 2432232314}"
#define SYMMETRIC "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
/* The seed of the reference test for Ed25519. */
#define PRIVATE "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="

static const struct sign_message MESSAGE = { .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                             .timestamp_s = 1614265330,
                                             .body = BODY,
                                             .len = sizeof(BODY) - 1 };

static void
test_the_reference_vectors(void **state)
{
    static const char HMAC[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    static const char ED25519[] =
        "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHe"
        "YGb7KaaBRdM5WqyeFiL8Ag==";
    AUTO(buf) struct buf one = { 0 };
    AUTO(buf) struct buf two = { 0 };
    AUTO(buf) struct buf small = { 0 };
    buf_init(&one, 200);
    buf_init(&two, 200);
    buf_init(&small, 20);
    assert_int_equal(sign_add(SYMMETRIC, &MESSAGE, &one), RC_OK);
    assert_string_equal(buf_text(&one), HMAC);
    assert_int_equal(sign_add(PRIVATE, &MESSAGE, &two), RC_OK);
    assert_string_equal(buf_text(&two), ED25519);
    assert_int_equal(sign_add(PRIVATE, &MESSAGE, &one), RC_OK);
    assert_non_null(strstr(buf_text(&one), ED25519));
    assert_int_equal(strlen(buf_text(&one)), strlen(HMAC) + 1 + strlen(ED25519));
    assert_int_equal(sign_add(SYMMETRIC, &MESSAGE, &small), RC_LIMIT);
}

static void
test_a_header_is_checked(void **state)
{
    static const char GOOD[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    struct sign_message other = MESSAGE;
    assert_true(sign_check(SYMMETRIC, &MESSAGE, GOOD));
    assert_true(sign_check(SYMMETRIC, &MESSAGE,
                           "v2,AAAA v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= "
                           "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    assert_false(sign_check(SYMMETRIC, &MESSAGE, ""));
    assert_false(sign_check(SYMMETRIC, &MESSAGE, "v1,"));
    assert_false(
        sign_check(SYMMETRIC, &MESSAGE, "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    assert_false(sign_check(SYMMETRIC, &MESSAGE, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE"));
    assert_false(sign_check("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", &MESSAGE, GOOD));
    other.timestamp_s++;
    assert_false(sign_check(SYMMETRIC, &other, GOOD));
    other = MESSAGE;
    other.len--;
    assert_false(sign_check(SYMMETRIC, &other, GOOD));
    other = MESSAGE;
    other.id = "msg_p5jXN8AQM9LWM0D4loKWxJel";
    assert_false(sign_check(SYMMETRIC, &other, GOOD));
}

static void
test_what_is_no_secret(void **state)
{
    static const char *const WRONG[] = {
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", /* without what it is */
        "whsec_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_c2hvcnQ=",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", /* 24 bytes: no seed */
        "whpk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
    };
    AUTO(buf) struct buf out = { 0 };
    char public_key[SIGN_TEXT_MAX] = "untouched";
    buf_init(&out, 200);
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        assert_int_equal(sign_add(WRONG[i], &MESSAGE, &out), RC_INVALID);
        assert_int_equal(sign_public(WRONG[i], public_key), RC_INVALID);
    }
    assert_int_equal(out.len, 0);
    assert_string_equal(public_key, "untouched");
}

static void
test_new_ones_differ_and_fit(void **state)
{
    char one[SIGN_TEXT_MAX], two[SIGN_TEXT_MAX], key[SIGN_TEXT_MAX], same[SIGN_TEXT_MAX];
    AUTO(buf) struct buf out = { 0 };
    buf_init(&out, 400);
    sign_new(false, one, key);
    assert_string_equal(key, "");
    sign_new(false, two, key);
    assert_string_not_equal(one, two);
    assert_memory_equal(one, "whsec_", 6);
    assert_int_equal(sign_add(one, &MESSAGE, &out), RC_OK);
    assert_true(sign_check(one, &MESSAGE, buf_text(&out)));
    assert_false(sign_check(two, &MESSAGE, buf_text(&out)));
    sign_new(true, one, key);
    assert_memory_equal(one, "whsk_", 5);
    assert_memory_equal(key, "whpk_", 5);
    assert_int_equal(sign_public(one, same), RC_OK);
    assert_string_equal(key, same);
}

int
main(void)
{
    struct err err = { 0 };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reference_vectors),
        cmocka_unit_test(test_a_header_is_checked),
        cmocka_unit_test(test_what_is_no_secret),
        cmocka_unit_test(test_new_ones_differ_and_fit),
    };
    if (crypto_init(&err) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
