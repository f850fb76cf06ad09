/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "test.h"
#include "vault/vault.h"

static const uint8_t OLD[CRYPTO_KEY_LEN] = { 1 };
static const uint8_t NEW[CRYPTO_KEY_LEN] = { 2 };

static struct vault
vault_of(const uint8_t *key, const uint8_t *before)
{
    struct vault vault;
    vault_init(&vault, NULL, key, before);
    return vault;
}

static const struct vault_place PLACE = { "secret", "w1", "a", 5 };

static enum rc
open_it(const struct vault *vault, const struct vault *sealer, const struct vault_place *place,
        const struct buf *sealed, struct buf *out)
{
    return vault_open(vault, place, sealer->key_name, sealed->data, sealed->len, out);
}

static void
test_a_box_opens_in_its_place_only(void **state)
{
    static const struct vault_place HERE = { "secret", "w1", "slack", 7 };
    struct vault vault = vault_of(NEW, NULL);
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf out = { 0 };
    vault_seal(&vault, &HERE, "xoxb-1", 6, &sealed);
    assert_non_null(sealed.data);
    assert_int_equal(sealed.len, 6 + 40);
    assert_int_equal(open_it(&vault, &vault, &HERE, &sealed, &out), RC_OK);
    assert_string_equal(buf_text(&out), "xoxb-1");
    buf_fini(&out);
    static const struct vault_place ELSEWHERE[] = {
        { "secret", "w2", "slack", 7 },  { "secret", "w1", "slack2", 7 },
        { "token", "w1", "slack", 7 },   { "secret", "w1 slack", "", 7 },
        { "secret", "", "w1 slack", 7 }, { "secret", "w1", "slack", 6 },
        { "secret", "w1", "slack", 8 },  { "secret", "w1", "slack", 77 },
        { "secret", "w1", "slack", 0 },
    };
    for (size_t i = 0; i < TEST_COUNT(ELSEWHERE); i++)
        assert_int_equal(open_it(&vault, &vault, &ELSEWHERE[i], &sealed, &out), RC_CONFIG);
    sealed.data[sealed.len - 1] ^= 1;
    assert_int_equal(open_it(&vault, &vault, &HERE, &sealed, &out), RC_CONFIG);
    assert_int_equal(out.len, 0);
    assert_int_equal(vault_open(&vault, &HERE, vault.key_name, "short", 5, &out), RC_CONFIG);
    vault_fini(&vault);
}

/* Sealed by the release before, which knew no versions: the context is "secret w1 slack". */
static void
test_a_box_of_the_form_before(void **state)
{
    static const struct vault_place BEFORE = { "secret", "w1", "slack", 0 };
    static const struct vault_place NOW = { "secret", "w1", "slack", 1 };
    struct vault vault = vault_of(NEW, NULL);
    uint8_t sealed[6 + CRYPTO_SEAL_EXTRA];
    AUTO(buf) struct buf out = { 0 };
    crypto_seal(NEW, "secret w1 slack", "xoxb-1", 6, sealed);
    assert_int_equal(vault_open(&vault, &NOW, vault.key_name, sealed, sizeof(sealed), &out),
                     RC_CONFIG);
    assert_int_equal(out.len, 0);
    assert_int_equal(vault_open(&vault, &BEFORE, vault.key_name, sealed, sizeof(sealed), &out),
                     RC_OK);
    assert_string_equal(buf_text(&out), "xoxb-1");
}

static void
test_the_key_before_opens_and_does_not_seal(void **state)
{
    struct vault before = vault_of(OLD, NULL);
    struct vault now = vault_of(NEW, OLD);
    struct vault later = vault_of(NEW, NULL);
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf again = { 0 };
    AUTO(buf) struct buf out = { 0 };
    assert_memory_not_equal(before.key_name, now.key_name, VAULT_KEY_NAME);
    vault_seal(&before, &PLACE, "value", 5, &sealed);
    assert_int_equal(open_it(&now, &before, &PLACE, &sealed, &out), RC_OK);
    assert_string_equal(buf_text(&out), "value");
    buf_fini(&out);
    assert_int_equal(open_it(&later, &before, &PLACE, &sealed, &out), RC_CONFIG);
    vault_seal(&now, &PLACE, "value", 5, &again);
    assert_int_equal(open_it(&later, &now, &PLACE, &again, &out), RC_OK);
    assert_int_equal(open_it(&before, &now, &PLACE, &again, &out), RC_CONFIG);
}

static void
test_the_same_value_is_sealed_differently_each_time(void **state)
{
    struct vault vault = vault_of(NEW, NULL);
    AUTO(buf) struct buf one = { 0 };
    AUTO(buf) struct buf two = { 0 };
    vault_seal(&vault, &PLACE, "value", 5, &one);
    vault_seal(&vault, &PLACE, "value", 5, &two);
    assert_non_null(one.data);
    assert_non_null(two.data);
    assert_memory_not_equal(one.data, two.data, one.len);
    struct vault wiped = vault;
    vault_fini(&wiped);
    static const struct vault NOTHING;
    assert_memory_equal(&wiped, &NOTHING, sizeof(wiped));
}

int
main(void)
{
    struct err err = { 0 };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_box_opens_in_its_place_only),
        cmocka_unit_test(test_a_box_of_the_form_before),
        cmocka_unit_test(test_the_key_before_opens_and_does_not_seal),
        cmocka_unit_test(test_the_same_value_is_sealed_differently_each_time),
    };
    if (crypto_init(&err) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
