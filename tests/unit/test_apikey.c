/* SPDX-License-Identifier: MIT */
/*
 * test_apikey - documented keys (checksums from Python's zlib) and what is not a key.
 */
#include <string.h>

#include "crypto/crypto.h"
#include "protocol/apikey.h"
#include "tests/unit/test.h"

/* Not credentials: the documented test vectors of the format. */
#define VECTOR "relay_sk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMNOPQRSTUV4JzC97"

static void
documented_key_is_taken_apart(void **state)
{
    struct apikey key;
    assert_int_equal(apikey_parse(VECTOR, APIKEY_LEN, &key), RC_OK);
    assert_string_equal(key.id, "Ab3dEf6hIj9k");
    assert_string_equal(key.secret, "0123456789ABCDEFGHIJKLMNOPQRSTUV");
    assert_int_equal(
        apikey_parse("relay_sk_0000000000000000000000000000000000000000000041mnM4", 59, &key),
        RC_OK);
    assert_int_equal(
        apikey_parse("relay_sk_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz4KGAJK", 59, &key),
        RC_OK);
}

static void
every_changed_character_is_refused(void **state)
{
    char text[APIKEY_LEN + 1] = VECTOR;
    struct apikey key;
    memset(&key, 'x', sizeof(key));
    for (size_t i = 0; i < APIKEY_LEN; i++) {
        char was = text[i];
        text[i] = was == 'Q' ? 'R' : 'Q';
        assert_int_equal(apikey_parse(text, APIKEY_LEN, &key), RC_INVALID);
        text[i] = was;
    }
    assert_int_equal(key.id[0], 'x');
}

static void
wrong_shapes_are_refused(void **state)
{
    struct apikey key;
    const char *bad[] = {
        "",
        "relay_sk_",
        "relay_sk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMNOPQRSTUV4JzC9",
        "relay_sk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMNOPQRSTUV4JzC977",
        "relay_pk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMNOPQRSTUV4JzC97",
        "relay_sk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMN-PQRSTUV4JzC97",
        "relay_sk_Ab3dEf6hIj9k0123456789ABCDEFGHIJKLMN\303\274QRSTUV4JzC97",
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(apikey_parse(bad[i], strlen(bad[i]), &key), RC_INVALID);
}

static void
new_keys_are_whole_and_differ(void **state)
{
    struct apikey made, parsed;
    char text[APIKEY_LEN + 1], last[APIKEY_LEN + 1] = "";
    for (int i = 0; i < 200; i++) {
        apikey_new(&made, text);
        assert_int_equal(strlen(text), APIKEY_LEN);
        assert_int_equal(apikey_parse(text, APIKEY_LEN, &parsed), RC_OK);
        assert_string_equal(parsed.id, made.id);
        assert_string_equal(parsed.secret, made.secret);
        assert_string_not_equal(text, last);
        memcpy(last, text, sizeof(last));
    }
    apikey_wipe(&made);
    assert_string_equal(made.secret, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_key_is_taken_apart),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(wrong_shapes_are_refused),
        cmocka_unit_test(new_keys_are_whole_and_differ),
    };
    if (crypto_init(NULL) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
