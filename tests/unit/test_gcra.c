/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/gcra.h"
#include "gateway/keys/keytable.h"
#include "test.h"

#define SECOND 1000000

static void
test_burst_then_steady(void **state)
{
    struct gcra_bucket bucket = gcra_bucket(60); /* one a second, 60 at once */
    struct gcra_state s;
    int64_t tat = 0;
    int64_t now = 1000 * (int64_t)SECOND;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(gcra_take(&tat, now, &bucket, &s), 0);
        assert_int_equal(s.left, 59 - i);
    }
    int64_t before = tat;
    assert_int_equal(gcra_take(&tat, now, &bucket, &s), SECOND);
    assert_int_equal(tat, before); /* a refusal costs nothing */
    assert_int_equal(s.left, 0);
    assert_int_equal(s.full_us, 60 * (int64_t)SECOND);
    assert_int_equal(gcra_take(&tat, now + SECOND, &bucket, &s), 0);
    assert_int_equal(gcra_take(&tat, now + SECOND, &bucket, &s), SECOND);
    assert_int_equal(gcra_take(&tat, now + 1000 * (int64_t)SECOND, &bucket, &s), 0);
    assert_int_equal(s.left, 59);
}

static void
test_one_a_minute(void **state)
{
    struct gcra_bucket bucket = gcra_bucket(1);
    struct gcra_state s;
    int64_t tat = 0;
    assert_int_equal(gcra_take(&tat, SECOND, &bucket, &s), 0);
    assert_int_equal(gcra_take(&tat, SECOND, &bucket, &s), 60 * (int64_t)SECOND);
}

static struct key_row
row(const char *id, int64_t changed_us, bool revoked)
{
    struct key_row r = { .changed_us = changed_us, .revoked = revoked };
    memcpy(r.principal.key_id, id, KEY_ID_LEN);
    memcpy(r.principal.workspace, "w", 2);
    memcpy(r.phc, "$argon2id$x", 12);
    return r;
}

static void
test_key_table(void **state)
{
    struct keytable t;
    keytable_init(&t);
    struct key_row a = row("aaaaaaaaaaaa", 1, false);
    assert_true(keytable_apply(&t, &a));
    assert_false(keytable_apply(&t, &a)); /* polls overlap */
    struct key *key = keytable_get(&t, "aaaaaaaaaaaa");
    assert_non_null(key);
    key->verified = true;
    a = row("aaaaaaaaaaaa", 2, false);
    assert_true(keytable_apply(&t, &a));
    assert_true(keytable_get(&t, "aaaaaaaaaaaa")->verified);
    a = row("aaaaaaaaaaaa", 3, false);
    memcpy(a.phc, "$argon2id$y", 12);
    assert_true(keytable_apply(&t, &a));
    assert_false(keytable_get(&t, "aaaaaaaaaaaa")->verified); /* another secret */
    a = row("aaaaaaaaaaaa", 4, true);
    assert_true(keytable_apply(&t, &a));
    assert_null(keytable_get(&t, "aaaaaaaaaaaa"));
    assert_false(keytable_apply(&t, &a));
    assert_int_equal(t.count, 0);
    keytable_fini(&t);
}

static void
test_key_table_grows(void **state)
{
    struct keytable t;
    char id[KEY_ID_LEN + 1];
    keytable_init(&t);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(id, sizeof(id), "k%011d", i);
        struct key_row r = row(id, i + 1, false);
        assert_true(keytable_apply(&t, &r));
    }
    assert_int_equal(t.count, 5000);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(id, sizeof(id), "k%011d", i);
        assert_int_equal(keytable_get(&t, id)->changed_us, i + 1);
        keytable_remove(&t, id);
    }
    assert_int_equal(t.count, 0);
    keytable_fini(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_steady),
        cmocka_unit_test(test_one_a_minute),
        cmocka_unit_test(test_key_table),
        cmocka_unit_test(test_key_table_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
