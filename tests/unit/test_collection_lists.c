/* SPDX-License-Identifier: MIT */
/* What a collection keeps of its rows' keys, compared with the rows. */
#include "base/cleanup.h"
#include "collection_rows.h"

enum { ROWS = 6000, COMMON = 1, TIMES = 40 };

static void
set_id(struct sample *s, uint32_t number)
{
    memcpy(s->id, &(uint32_t[4]){ number + 1 }, sizeof(s->id));
}

static struct collection *
new_collection(void)
{
    struct collection *c = NULL;
    assert_int_equal(collection_new(DIMS, &c, NULL), RC_OK);
    return c;
}

/* Each row has a common word once to 40 times, and a word of its own. */
static void
put_common(struct collection *c, uint32_t number)
{
    struct sample s = { .scope = "s", .source = "u", .word_count = 2 + number % TIMES };

    set_id(&s, number);
    for (size_t i = 0; i < s.word_count; i++)
        s.words[i] = COMMON;
    s.words[s.word_count / 2] = 100 + number;
    assert_int_equal(put_sample(c, &s), RC_OK);
}

static void
test_a_common_word_knows_its_times(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    const struct list *list;
    uint32_t number;

    for (uint32_t i = 0; i < ROWS; i++)
        put_common(c, i);
    number = list_find(c, term_of(COMMON));
    assert_int_not_equal(number, NONE);
    list = &c->lists[number];
    assert_true(list->blocks > 1 && list->many.times);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(list_has(list, i), 1 + i % TIMES);
    for (uint32_t i = 0; i < ROWS; i += 7)
        assert_true(collection_remove(c, (const uint8_t *)&(uint32_t[4]){ i + 1 }));
    assert_true(list->many.times);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(list_has(list, i), i % 7 ? 1 + i % TIMES : 0);
    assert_int_equal(list_has(list, c->cap + 1), 0);
}

/* Where a record ends. */
static const uint8_t *
skip_record(const uint8_t *at)
{
    uint32_t number;

    while (record_varint(&at) != 0)
        continue;
    while ((number = record_varint(&at)) != 0)
        for (uint32_t left = record_count(&at, number); left > 0; left--)
            (void)record_varint(&at);
    return at;
}

/* The records of all rows lie in their segments without a gap, and nothing else does. */
static void
check_records(const struct collection *c)
{
    for (uint32_t segment = 0; segment < c->cap / SEGMENT_ROWS; segment++) {
        const struct records *records = &c->records[segment];
        size_t len = 0;
        for (uint32_t i = 0; i < SEGMENT_ROWS; i++) {
            const uint8_t *record;
            if (!(c->alive[segment] >> i & 1))
                continue;
            record = record_of(c, segment * SEGMENT_ROWS + i);
            len += (size_t)(skip_record(record) - record);
        }
        assert_int_equal(records->len, len);
        assert_true(records->len <= records->cap);
        assert_int_equal(len == 0, records->at == NULL);
        /* What is held beyond it is bounded. */
        assert_true(records->cap <= 2 * records->len + 16);
    }
}

static void
test_records_leave_no_gap(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    uint64_t random = 31;
    struct sample s = { .scope = "s", .source = "u", .words = { 1, 2, 3, 2, 1 } };

    for (int i = 0; i < 3000; i++) {
        set_id(&s, (uint32_t)(next_random(&random) % 200));
        s.word_count = next_random(&random) % WORDS_MAX;
        for (size_t w = 5; w < s.word_count; w++)
            s.words[w] = (uint32_t)(next_random(&random) % 300);
        if (next_random(&random) % 3 == 0)
            (void)collection_remove(c, s.id);
        else
            assert_int_equal(put_sample(c, &s), RC_OK);
        if (i % 50 == 0)
            check_records(c);
    }
    check_records(c);
    for (uint32_t i = 0; i < 200; i++) {
        set_id(&s, i);
        (void)collection_remove(c, s.id);
    }
    assert_int_equal(collection_rows(c), 0);
    check_records(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_common_word_knows_its_times),
        cmocka_unit_test(test_records_leave_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
