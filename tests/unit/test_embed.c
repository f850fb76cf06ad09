/* SPDX-License-Identifier: MIT */
/*
 * test_embed - the builtin model gives the vectors that it came with; half precision.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "embed/embed.h"
#include "embed/embed_static.h"
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

/* Rows hold these vectors: another vector for the same text needs another model id. The six largest
 * numbers of some of the samples that came with the model. */
static void
vectors_do_not_change(void **state)
{
    static const struct {
        const char *text;
        struct {
            size_t place;
            double value;
        } known[6];
    } SAMPLES[] = {
        { "The deployment to production failed because the database migration timed out.",
          { { 2, 0.267069 },
            { 12, 0.27415 },
            { 19, 0.22628 },
            { 20, 0.220611 },
            { 23, 0.155152 },
            { 26, 0.217909 } } },
        { "getUserName returns null when the session has expired",
          { { 8, 0.199503 },
            { 9, 0.157997 },
            { 13, -0.169428 },
            { 19, -0.152272 },
            { 47, 0.181277 },
            { 77, 0.157436 } } },
        { "the the the the",
          { { 1, 0.419983 },
            { 5, -0.283588 },
            { 9, 0.306856 },
            { 11, -0.208054 },
            { 25, -0.175694 },
            { 36, -0.158456 } } },
        { "café naïve Zürich façade",
          { { 0, 0.166289 },
            { 5, 0.171213 },
            { 42, -0.229046 },
            { 60, -0.224589 },
            { 104, -0.155622 },
            { 127, 0.155611 } } },
        { "Straße und Größe",
          { { 0, 0.160483 },
            { 3, -0.198071 },
            { 47, 0.142206 },
            { 84, 0.158597 },
            { 107, -0.152035 },
            { 206, 0.191735 } } },
        { "Пользователь живёт в Москве и работает программистом.",
          { { 12, -0.278784 },
            { 62, 0.278784 },
            { 120, -0.278784 },
            { 124, -0.278784 },
            { 184, 0.278784 },
            { 209, -0.278784 } } },
        { "我喜欢喝绿茶",
          { { 0, -0.196116 },
            { 35, 0.392232 },
            { 126, -0.392232 },
            { 146, -0.392232 },
            { 150, -0.392232 },
            { 207, 0.392232 } } },
        { "東京に住んでいます",
          { { 18, -0.312348 },
            { 61, 0.312348 },
            { 106, -0.312348 },
            { 110, 0.312348 },
            { 136, 0.312348 },
            { 146, -0.312348 } } },
        { "HTTP_STATUS_404 in parseHTTPResponse()",
          { { 11, 0.25077 },
            { 14, 0.295406 },
            { 17, 0.289152 },
            { 25, 0.213314 },
            { 40, -0.162055 },
            { 49, -0.146482 } } },
        { "user@example.com called /api/v1/memories?limit=10",
          { { 0, 0.160613 },
            { 4, -0.159972 },
            { 34, -0.163599 },
            { 77, 0.152384 },
            { 191, -0.152994 },
            { 209, 0.15698 } } },
    };
    float v[EMBED_BUILTIN_DIM];
    assert_string_equal(EMBED_BUILTIN_MODEL, "builtin-static-en-256-v1");
    for (size_t i = 0; i < TEST_COUNT(SAMPLES); i++) {
        embed_builtin(SAMPLES[i].text, strlen(SAMPLES[i].text), v);
        for (size_t j = 0; j < 6; j++)
            assert_true(fabs((double)v[SAMPLES[i].known[j].place] - SAMPLES[i].known[j].value) <
                        2e-6);
    }
}

static void
length_is_one(void **state)
{
    assert_true(fabs(similarity("deploy on monday", "deploy on monday") - 1) < 1e-6);
    assert_true(fabs(similarity("", "deploy")) < 1e-12);
    assert_true(fabs(similarity("?! --- ...", "?! ---")) < 1e-12);
}

static void
meaning(void **state)
{
    assert_true(similarity("Deploy ON Monday", "deploy on monday") > 0.999);
    assert_true(similarity("ПРИВЕТ МИР", "привет мир") > 0.999);
    assert_true(similarity("ÄRGER ÜBER ÖL", "arger uber ol") > 0.999);
    /* No word in common. */
    double near = similarity("the deployment failed on friday", "release crashed");
    double far = similarity("the deployment failed on friday", "grandmother likes apple pie");
    assert_true(near > far + 0.1);
    assert_true(similarity("日本語の文章", "日本語") > 0.3);
}

/* As many bytes as a memory may have, without a blank and with one after each letter. */
static void
long_texts(void **state)
{
    static char text[65536];
    memset(text, 'a', sizeof(text));
    float v[EMBED_BUILTIN_DIM];
    embed_builtin(text, sizeof(text), v);
    assert_true(fabs((double)embed_builtin_unknown(text, sizeof(text)) - 1) < 1e-6);
    for (size_t i = 1; i < sizeof(text); i += 2)
        text[i] = ' ';
    assert_true(similarity("a", "a") > 0.999);
    embed_builtin(text, sizeof(text), v);
    assert_true(isfinite(v[0]));
}

static void
words_without_a_row(void **state)
{
    static const struct {
        const char *text;
        double share;
    } CASES[] = {
        { "the server failed", 0 },
        { "", 0 },
        { "?!", 0 },
        { "getUserName", 0 },
        { "привет мир", 1 },
        { "server привет", 0.5 },
        { "我喝", 1 },
        { "the zxqvjw", 0.5 },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        assert_true(fabs((double)embed_builtin_unknown(CASES[i].text, strlen(CASES[i].text)) -
                         CASES[i].share) < 1e-6);
}

/* A file with one number changed is refused before it is read. */
static void
damaged_models_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        bool seen_early;
    } DAMAGE[] = {
        { 0, 0, true },
        { 8, 0, true },
        { 8, 25160, true },
        { 12, 255, true },
        { 12, 0, true },
        { 16, 65535, true },
        { 16, 1, true },
        { 20, UINT32_MAX, true },
        { 64 + 1024 + 40, UINT32_MAX, false },
        { 64 + 1024 + 4 * 25160 + 4, UINT32_MAX, false },
    };
    size_t len;
    const uint8_t *file = static_model_builtin(&len);
    struct static_model model;
    assert_int_equal(len, 6970432);
    assert_true(static_model_view(file, len, &model) && static_model_check(&model));
    assert_false(static_model_view(file, len - 1, &model));
    assert_false(static_model_view(file, 63, &model));
    uint8_t *copy = aligned_alloc(64, (len + 63) / 64 * 64);
    assert_non_null(copy);
    for (size_t i = 0; i < TEST_COUNT(DAMAGE); i++) {
        memcpy(copy, file, len);
        memcpy(copy + DAMAGE[i].at, &DAMAGE[i].value, sizeof(DAMAGE[i].value));
        bool viewed = static_model_view(copy, len, &model);
        assert_int_equal(viewed, !DAMAGE[i].seen_early);
        assert_false(viewed && static_model_check(&model));
    }
    free(copy);
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
        cmocka_unit_test(vectors_do_not_change),
        cmocka_unit_test(length_is_one),
        cmocka_unit_test(meaning),
        cmocka_unit_test(odd_bytes_are_safe),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(words_without_a_row),
        cmocka_unit_test(damaged_models_are_refused),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(configuration_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
