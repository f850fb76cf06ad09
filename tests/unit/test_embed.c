/* SPDX-License-Identifier: MIT */
/*
 * test_embed - the builtin vectors are the same everywhere and mean something; half precision.
 */
#include <math.h>
#include <string.h>

#include "embed/embed.h"
#include "embed/embed_fold.h"
#include "test.h"

static double
similarity(const char *a, const char *b)
{
    float x[EMBED_BUILTIN_DIM], y[EMBED_BUILTIN_DIM];
    double sum = 0;
    embed_builtin(a, strlen(a), x);
    embed_builtin(b, strlen(b), y);
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* Rows hold these vectors: another vector for the same text needs another model id. */
static void
vectors_do_not_change(void **state)
{
    static const struct {
        size_t place;
        double value;
    } KNOWN[] = { { 34, 0.28519541 },   { 39, 0.20696864 },   { 108, -0.20696864 },
                  { 116, 0.20696864 },  { 119, 0.20696864 },  { 126, 0.20696864 },
                  { 154, -0.20696864 }, { 175, -0.20696864 }, { 202, -0.20696864 },
                  { 211, -0.20696864 }, { 236, 0.28519541 },  { 248, 0.20696864 } };
    static const char TEXT[] =
        "The user prefers dark mode. Größe 42, Привет, 日本語 🙂";
    float v[EMBED_BUILTIN_DIM];
    assert_string_equal(EMBED_BUILTIN_MODEL, "builtin-hash-256-v1");
    embed_builtin(TEXT, strlen(TEXT), v);
    for (size_t i = 0; i < TEST_COUNT(KNOWN); i++)
        assert_true(fabs((double)v[KNOWN[i].place] - KNOWN[i].value) < 1e-6);
}

static void
length_is_one(void **state)
{
    assert_true(fabs(similarity("deploy on monday", "deploy on monday") - 1) < 1e-6);
    assert_true(fabs(similarity("", "deploy")) < 1e-12);
    assert_true(fabs(similarity("?! --- ...", "?! ---")) < 1e-12);
}

static void
meaning_of_overlap(void **state)
{
    assert_true(similarity("Deploy ON Monday", "deploy on monday") > 0.999);
    assert_true(similarity("ПРИВЕТ МИР", "привет мир") > 0.999);
    assert_true(similarity("ÄRGER ÜBER ÖL", "ärger über öl") > 0.999);
    double near = similarity("the deployment failed on friday", "deploy failures on fridays");
    double far = similarity("the deployment failed on friday", "grandmother likes apple pie");
    assert_true(near > 0.2);
    assert_true(far < 0.1);
    assert_true(similarity("the of and is", "deploy server") <
                similarity("deploy the server", "deploy server"));
    assert_true(similarity("日本語の文章", "日本語") > 0.3);
}

static void
odd_bytes_are_safe(void **state)
{
    static const char BAD[] = "\xff\xfe\xc3\x28 abc \xe2\x82 \xf0\x9f";
    float v[EMBED_BUILTIN_DIM];
    double sum = 0;
    embed_builtin(BAD, sizeof(BAD) - 1, v);
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        sum += (double)v[i] * (double)v[i];
    assert_true(fabs(sum - 1) < 1e-5);
}

static void
half_precision(void **state)
{
    static const struct {
        float value;
        uint8_t high, low;
    } KNOWN[] = {
        { 1.0F, 0x3C, 0x00 },          { -2.0F, 0xC0, 0x00 },    { 0.5F, 0x38, 0x00 },
        { 0.1F, 0x2E, 0x66 },          { 65504.0F, 0x7B, 0xFF }, { 1e9F, 0x7B, 0xFF },
        { 5.9604645e-8F, 0x00, 0x01 }, { 1e-9F, 0x00, 0x00 },    { 0.333333343F, 0x35, 0x55 },
        { 6.097555e-5F, 0x03, 0xFF },  { 2049.0F, 0x68, 0x00 },  { 2051.0F, 0x68, 0x02 },
    };
    for (size_t i = 0; i < TEST_COUNT(KNOWN); i++) {
        uint8_t bytes[EMBED_HALF_BYTES(1)];
        (void)embed_to_half(&KNOWN[i].value, 1, bytes);
        assert_int_equal(bytes[1], 1);
        assert_int_equal(bytes[4], KNOWN[i].high);
        assert_int_equal(bytes[5], KNOWN[i].low);
    }
    static const float VALUES[] = { 0.25F, -0.125F, 1.0F, 5.9604645e-8F, 0 };
    uint8_t bytes[EMBED_HALF_BYTES(5)];
    float back[5] = { 9, 9, 9, 9, 9 };
    assert_true(embed_to_half(VALUES, 5, bytes));
    assert_int_equal(embed_from_half(bytes, sizeof(bytes), back, 5), 5);
    assert_memory_equal(back, VALUES, sizeof(VALUES));
    assert_int_equal(embed_from_half(bytes, sizeof(bytes) - 1, back, 5), 0);
    assert_int_equal(embed_from_half(bytes, sizeof(bytes), back, 4), 0);
    static const float ZERO[2] = { 0, 1e-10F };
    assert_false(embed_to_half(ZERO, 2, bytes));
}

static void
configuration_must_fit(void **state)
{
    struct embedder *e = NULL;
    struct err err;
    struct embed_conf conf = { .provider = EMBED_BUILTIN, .dim = 100 };
    assert_int_equal(embed_new(&conf, &e, &err), RC_CONFIG);
    assert_null(e);
    conf =
        (struct embed_conf){ .provider = EMBED_OPENAI, .url = (char[]){ "http://127.0.0.1:9/" } };
    assert_int_equal(embed_new(&conf, &e, &err), RC_CONFIG);
    conf.model = (char[]){ "m" };
    assert_int_equal(embed_new(&conf, &e, &err), RC_CONFIG);
    conf.dim = 8;
    assert_int_equal(embed_new(&conf, &e, &err), RC_OK);
    assert_string_equal(embed_model(e), "openai:m:8");
    assert_int_equal(embed_dim(e), 8);
    assert_true(embed_is_remote(e));
    embed_free(e);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_do_not_change), cmocka_unit_test(length_is_one),
        cmocka_unit_test(meaning_of_overlap),    cmocka_unit_test(odd_bytes_are_safe),
        cmocka_unit_test(half_precision),        cmocka_unit_test(configuration_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
