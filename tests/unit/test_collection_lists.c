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
remove_common(struct collection *c, uint32_t number)
{
    assert_true(collection_remove(c, (const uint8_t *)&(uint32_t[4]){ number + 1 }));
}

static const struct list *
common_list(const struct collection *c)
{
    uint32_t number = list_find(c, term_of(COMMON));
    assert_int_not_equal(number, NONE);
    return &c->lists[number];
}

/* All blocks have a form, and bounds that hold and are reached. */
static void
check_blocks(const struct collection *c, const struct list *list, bool dense)
{
    static uint32_t room[DENSE_ROWS];
    struct few few;
    struct list_blocks blocks = list_blocks(list, &few);
    uint32_t rows = 0, last = 0;

    for (uint32_t b = 0; b < blocks.n; b++) {
        const struct block *block = &blocks.at[b];
        const uint32_t *at = block_postings(block, room);
        uint32_t most = 0, least_words = UINT16_MAX;
        assert_int_equal(block->bits != 0, dense);
        for (uint32_t i = 0; i < block->n; i++) {
            uint32_t row = at[i] >> 8;
            assert_true(rows == 0 || row > last);
            assert_int_equal(list_has(list, row), at[i] & 0xFF);
            most = most < (at[i] & 0xFF) ? at[i] & 0xFF : most;
            least_words = least_words > c->row_words[row] ? c->row_words[row] : least_words;
            last = row;
            rows++;
        }
        assert_int_equal(block->most, most);
        assert_int_equal(block->least_words, list->blocks ? least_words : 0);
    }
    assert_int_equal(list->rows, rows);
}

static void
test_a_common_word_has_a_count_for_each_row(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    const struct list *list;

    for (uint32_t i = 0; i < ROWS; i++)
        put_common(c, i);
    list = common_list(c);
    check_blocks(c, list, true);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(list_has(list, i), 1 + i % TIMES);
    for (uint32_t i = 0; i < ROWS; i += 7)
        remove_common(c, i);
    check_blocks(c, list, true);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(list_has(list, i), i % 7 ? 1 + i % TIMES : 0);
    assert_int_equal(list_has(list, c->cap + DENSE_ROWS), 0);
}

static void
test_a_word_that_is_common_no_more_has_postings(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    uint32_t left = 1000;

    for (uint32_t i = 0; i < ROWS; i++)
        put_common(c, i);
    for (uint32_t i = ROWS; i > left; i--)
        remove_common(c, i - 1);
    check_blocks(c, common_list(c), false);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(list_has(common_list(c), i), i < left ? 1 + i % TIMES : 0);
    for (uint32_t i = left; i < ROWS; i++)
        put_common(c, i);
    check_blocks(c, common_list(c), true);
    for (uint32_t i = 0; i < ROWS; i++)
        remove_common(c, i);
    assert_int_equal(list_find(c, term_of(COMMON)), NONE);
}

static void
test_a_form_that_there_is_no_memory_for_waits(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    const struct list *list;

    for (uint32_t i = 0; i < ROWS; i++)
        put_common(c, i);
    c->memory.max = 1; /* all that is taken is kept */
    for (uint32_t i = ROWS; i > 1; i--)
        remove_common(c, i - 1);
    list = common_list(c);
    check_blocks(c, list, true);
    assert_int_equal(list_has(list, 0), 1);
    remove_common(c, 0);
    assert_int_equal(collection_rows(c), 0);
    c->memory.max = 0;
    for (uint32_t i = 0; i < 10; i++)
        put_common(c, i);
    check_blocks(c, common_list(c), false);
}

enum { FEW = 300, FREE = 50 };

/* Whether the word is in the rows that are alive, and its list in the form for so many. */
static void
check_few(const struct collection *c, const bool *alive)
{
    uint32_t number = list_find(c, term_of(FREE)), rows = 0;

    for (uint32_t i = 0; i < FEW; i++) {
        rows += alive[i];
        if (number != NONE)
            assert_int_equal(list_has(&c->lists[number], i), alive[i] ? 1 + i % 3 : 0);
    }
    assert_int_equal(number == NONE, rows == 0);
    if (rows == 0)
        return;
    check_blocks(c, &c->lists[number], false);
    if (rows == 1 || rows > LIST_INLINE)
        assert_int_equal(c->lists[number].blocks > 0, rows > 1);
}

/* Rows of one slot each come and go in any order: none, one, two and more of a word. */
static void
test_a_word_of_few_rows(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    bool alive[FEW] = { false };
    uint64_t random = 3;

    for (uint32_t i = 0; i < FEW; i++)
        put_common(c, i);
    for (uint32_t round = 0; round < 3000 + FEW; round++) {
        uint32_t row = (uint32_t)(next_random(&random) % (round < 1000 ? 4 : FEW));
        if (round >= 3000)
            row = round - 3000;
        if (alive[row])
            list_remove(c, list_find(c, term_of(FREE)), row);
        else if (round < 3000)
            assert_int_not_equal(list_add(c, term_of(FREE), row, 1 + row % 3), NONE);
        alive[row] = !alive[row] && round < 3000;
        check_few(c, alive);
    }
}

/* Four bits until a count needs eight. */
static void
test_dense_counts(void **state)
{
    struct memory m = { 0 };
    static uint8_t counts[DENSE_ROWS];
    static uint32_t postings[DENSE_ROWS];
    uint64_t random = 7;
    struct block block;

    if (!dense_init(&m, &block, 3 * DENSE_ROWS))
        fail();
    for (uint32_t round = 0; round < 3 * DENSE_ROWS; round++) {
        uint32_t place = (uint32_t)(next_random(&random) % DENSE_ROWS);
        uint8_t count = (uint8_t)(next_random(&random) % (round < 2 * DENSE_ROWS ? 16 : 256));
        count = next_random(&random) % 2 ? count : 0;
        block.n = (uint16_t)(block.n + (count > 0) - (counts[place] > 0));
        counts[place] = count;
        assert_true(dense_set(&m, &block, place, count));
        assert_true(block.bits == 4 || round >= 2 * DENSE_ROWS);
        if (round % 1000 != 0 && round != 3 * DENSE_ROWS - 1)
            continue;
        dense_unpack(&block, postings);
        for (uint32_t i = 0, n = 0; i < DENSE_ROWS; i++) {
            assert_int_equal(dense_count(&block, i), counts[i]);
            assert_int_equal(dense_rows(&block, i / SEGMENT_ROWS) >> i % SEGMENT_ROWS & 1,
                             counts[i] > 0);
            if (counts[i] > 0)
                assert_int_equal(postings[n++], (3 * DENSE_ROWS + i) << 8 | counts[i]);
            assert_true(i < DENSE_ROWS - 1 || n == block.n);
        }
    }
    assert_int_equal(block.bits, 8);
    memory_free(&m, block.counts);
    assert_int_equal(m.bytes, 0);
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
        cmocka_unit_test(test_a_common_word_has_a_count_for_each_row),
        cmocka_unit_test(test_a_word_that_is_common_no_more_has_postings),
        cmocka_unit_test(test_a_form_that_there_is_no_memory_for_waits),
        cmocka_unit_test(test_a_word_of_few_rows),
        cmocka_unit_test(test_dense_counts),
        cmocka_unit_test(test_records_leave_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
