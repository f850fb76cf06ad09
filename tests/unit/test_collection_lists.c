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
        assert_int_equal(block->form == BLOCK_DENSE, dense);
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

/* A block, and what it should hold: for each row from FIRST on the count, 0: none. */
enum { BLOCK_FIRST = 70000, BLOCK_SPREAD = 80000 };
struct model {
    uint8_t counts[BLOCK_SPREAD];
    uint16_t row_words[BLOCK_FIRST + BLOCK_SPREAD];
};

static void
check_block(const struct block *block, const struct model *model)
{
    uint32_t wide[BLOCK_MAX], n = 0, most = 0, least_words = UINT16_MAX;
    struct block bound = *block;

    block_unpack(block, wide);
    for (uint32_t i = 0; i < BLOCK_SPREAD; i++) {
        uint32_t row = BLOCK_FIRST + i, count = model->counts[i];
        if (count == 0)
            continue;
        assert_int_equal(block_row(block, n), row);
        assert_int_equal(block_count(block, n), count);
        assert_int_equal(wide[n], row << 8 | count);
        assert_int_equal(block_place(block, row), n);
        assert_int_equal(block_has(block, row), count);
        if (i + 1 < BLOCK_SPREAD && model->counts[i + 1] == 0) {
            assert_int_equal(block_place(block, row + 1), n + 1);
            assert_int_equal(block_has(block, row + 1), 0);
        }
        most = count > most ? count : most;
        least_words = model->row_words[row] < least_words ? model->row_words[row] : least_words;
        n++;
    }
    assert_int_equal(block->n, n);
    assert_int_equal(block->first, wide[0] >> 8);
    assert_int_equal(block_has(block, BLOCK_FIRST - 1), 0);
    assert_int_equal(block_has(block, BLOCK_FIRST + BLOCK_SPREAD), 0);
    block_bound(&bound, model->row_words);
    assert_int_equal(bound.most, most);
    assert_int_equal(bound.least_words, least_words);
}

/* Rows of so many come and go, with counts up to most; whether the block was narrow at the end. */
static bool
try_block(struct model *model, uint32_t spread, uint32_t most, uint64_t *random)
{
    struct memory m = { 0 };
    struct block block = { 0 };
    bool narrow;

    memset(model->counts, 0, sizeof(model->counts));
    for (uint32_t round = 0; round < 400; round++) {
        uint32_t place = (uint32_t)(next_random(random) % spread), row = BLOCK_FIRST + place;
        uint8_t count = (uint8_t)(1 + next_random(random) % most);
        if (model->counts[place] == 0 && block.n < BLOCK_MAX) {
            assert_true(block_insert(&m, &block, row, count));
            model->counts[place] = count;
        } else if (block.n > 1) {
            row = block_row(&block, (uint32_t)(next_random(random) % block.n));
            block_remove(&block, block_place(&block, row));
            model->counts[row - BLOCK_FIRST] = 0;
        }
        if (round % 8 == 0)
            check_block(&block, model);
    }
    narrow = block.form == BLOCK_NARROW;
    memory_free(&m, block.at);
    assert_int_equal(m.bytes, 0);
    return narrow;
}

static void
test_a_block_is_narrow_while_that_is_enough(void **state)
{
    AUTO(free) struct model *model = calloc(1, sizeof(*model));
    uint64_t random = 11;

    assert_non_null(model);
    for (size_t i = 0; i < ARRAY_LEN(model->row_words); i++)
        model->row_words[i] = (uint16_t)(1 + next_random(&random) % 30000);
    assert_true(try_block(model, 2, 1, &random));
    assert_true(try_block(model, 300, 3, &random));
    assert_true(try_block(model, 65536, 1, &random));
    assert_true(try_block(model, 16384, 4, &random));
    assert_true(try_block(model, 256, 255, &random));
    assert_false(try_block(model, 1000, 255, &random));
    assert_false(try_block(model, 60000, 3, &random));
    assert_false(try_block(model, BLOCK_SPREAD, 1, &random));
}

/* The farthest row and the largest count of each number of bits. */
static void
test_the_last_that_fits_in_16_bits(void **state)
{
    for (unsigned bits = 0; bits <= 8; bits++) {
        uint32_t most = bits < 8 ? 1u << bits : 255, reach = (1u << (16 - bits)) - 1;
        for (uint32_t beyond = 0; beyond < 2; beyond++) {
            struct memory m = { 0 };
            struct block block = { 0 };
            assert_true(block_insert(&m, &block, 5, most));
            assert_int_equal(block_stays_narrow(&block, 5 + reach + beyond, 1), !beyond);
            assert_true(block_insert(&m, &block, 5 + reach + beyond, most));
            assert_int_equal(block.form, beyond ? BLOCK_WIDE : BLOCK_NARROW);
            assert_int_equal(block_has(&block, 5), most);
            assert_int_equal(block_has(&block, 5 + reach + beyond), most);
            assert_int_equal(block_has(&block, 4 + reach + beyond), 0);
            memory_free(&m, block.at);
        }
    }
}

/* Nothing is changed by an insertion that there is no memory for. */
static void
test_a_block_that_there_is_no_memory_for(void **state)
{
    struct memory m = { 0 };
    struct block block = { 0 };

    for (uint32_t i = 0; i < 12; i++)
        assert_true(block_insert(&m, &block, i, 1));
    m.max = 1;
    assert_false(block_insert(&m, &block, 12, 1));
    assert_false(block_insert(&m, &block, 1000000, 1));
    assert_false(block_insert(&m, &block, 13, 200));
    assert_int_equal(block.n, 12);
    assert_int_equal(block.form, BLOCK_NARROW);
    for (uint32_t i = 0; i < 14; i++)
        assert_int_equal(block_has(&block, i), i < 12);
    memory_free(&m, block.at);
}

enum { SPREAD = 400000, FAR = 60 };

/* Every place of the list is the model's. */
static uint32_t
check_far(const struct collection *c, const uint8_t *model)
{
    uint32_t number = list_find(c, term_of(FAR)), n = 0, seen = 0, narrow = 0;
    struct few few;
    struct list_blocks blocks;

    for (uint32_t row = 0; row < SPREAD; row++)
        n += model[row] > 0;
    assert_int_equal(number == NONE, n == 0);
    if (n == 0)
        return 0;
    check_blocks(c, &c->lists[number], false);
    blocks = list_blocks(&c->lists[number], &few);
    for (uint32_t b = 0; b < blocks.n; b++) {
        narrow += blocks.at[b].form == BLOCK_NARROW ? blocks.at[b].n : 0;
        for (uint32_t i = 0; i < blocks.at[b].n; i++, seen++)
            assert_int_equal(model[block_row(&blocks.at[b], i)], block_count(&blocks.at[b], i));
    }
    assert_int_equal(seen, n);
    return narrow;
}

/* Rows of one word in ascending order, so many apart; whether most of it is narrow. */
static bool
add_far(struct collection *c, uint8_t *model, uint32_t apart, uint32_t most, uint64_t *random)
{
    uint32_t rows = 0, narrow;

    for (uint32_t row = 3; row < SPREAD; row += 1 + (uint32_t)(next_random(random) % (2 * apart))) {
        model[row] = (uint8_t)(next_random(random) % 20 ? 1 : 1 + next_random(random) % most);
        assert_int_not_equal(list_add(c, term_of(FAR), row, model[row]), NONE);
        rows++;
    }
    narrow = check_far(c, model);
    return narrow > rows / 2;
}

/* Rows come and go anywhere, and then all of them go. */
static void
change_far(struct collection *c, uint8_t *model, uint32_t most, uint64_t *random)
{
    for (uint32_t round = 0; round < 4000; round++) {
        uint32_t row = (uint32_t)(next_random(random) % SPREAD);
        for (uint32_t tries = 0; round % 2 && tries < 5000 && !model[row]; tries++)
            row = (row + 1) % SPREAD;
        if (model[row]) {
            list_remove(c, list_find(c, term_of(FAR)), row);
            model[row] = 0;
        } else {
            model[row] = (uint8_t)(1 + next_random(random) % most);
            assert_int_not_equal(list_add(c, term_of(FAR), row, model[row]), NONE);
        }
        if (round % 500 == 0)
            (void)check_far(c, model);
    }
    (void)check_far(c, model);
    for (uint32_t row = 0; row < SPREAD; row++)
        if (model[row]) {
            list_remove(c, list_find(c, term_of(FAR)), row);
            model[row] = 0;
        }
    assert_int_equal(list_find(c, term_of(FAR)), NONE);
}

static void
test_a_list_is_narrow_where_its_rows_are_near(void **state)
{
    AUTO(collection) struct collection *c = new_collection();
    AUTO(free) uint8_t *model = calloc(SPREAD, 1);
    uint64_t random = 5;

    assert_non_null(model);
    assert_null(c->row_words);
    c->row_words = memory_resize(&c->memory, NULL, SPREAD * sizeof(*c->row_words));
    assert_non_null(c->row_words);
    for (uint32_t row = 0; row < SPREAD; row++)
        c->row_words[row] = (uint16_t)(1 + next_random(&random) % 1000);
    assert_true(add_far(c, model, 300, 1, &random));
    change_far(c, model, 1, &random);
    assert_true(add_far(c, model, 100, 4, &random));
    change_far(c, model, 255, &random);
    assert_true(add_far(c, model, 1000, 1, &random)); /* 65 in the reach of 16 bits */
    change_far(c, model, 2, &random);
    assert_false(add_far(c, model, 5000, 1, &random)); /* 13: less than a narrow block is worth */
    change_far(c, model, 2, &random);
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
        cmocka_unit_test(test_a_block_is_narrow_while_that_is_enough),
        cmocka_unit_test(test_the_last_that_fits_in_16_bits),
        cmocka_unit_test(test_a_block_that_there_is_no_memory_for),
        cmocka_unit_test(test_a_list_is_narrow_where_its_rows_are_near),
        cmocka_unit_test(test_dense_counts),
        cmocka_unit_test(test_records_leave_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
