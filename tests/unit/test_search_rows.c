/* SPDX-License-Identifier: MIT */
/* Where the database has a row, as the index keeps it. */
#include "base/cleanup.h"
#include "rows.h"
#include "test.h"

static void
write_tid(uint8_t out[PLACE_BYTES], uint32_t block, uint32_t line)
{
    out[0] = (uint8_t)(block >> 24);
    out[1] = (uint8_t)(block >> 16);
    out[2] = (uint8_t)(block >> 8);
    out[3] = (uint8_t)block;
    out[4] = (uint8_t)(line >> 8);
    out[5] = (uint8_t)line;
}

static void
test_every_place_comes_back(void **state)
{
    static const uint32_t BLOCKS[] = { 0, 1, 255, 256, 65536, (1u << 23) - 1 };
    static const uint32_t LINES[] = { 1, 2, 255, 256, 291, 511 };

    for (size_t b = 0; b < ARRAY_LEN(BLOCKS); b++)
        for (size_t l = 0; l < ARRAY_LEN(LINES); l++) {
            uint8_t tid[PLACE_BYTES], again[PLACE_BYTES];
            write_tid(tid, BLOCKS[b], LINES[l]);
            uint32_t place = place_read(tid);
            assert_int_not_equal(place, 0);
            place_write(place, again);
            assert_memory_equal(again, tid, PLACE_BYTES);
        }
}

static void
test_what_does_not_fit_is_not_known(void **state)
{
    uint8_t tid[PLACE_BYTES];

    write_tid(tid, 1u << 23, 1);
    assert_int_equal(place_read(tid), 0);
    write_tid(tid, UINT32_MAX, UINT16_MAX);
    assert_int_equal(place_read(tid), 0);
    write_tid(tid, 0, 512);
    assert_int_equal(place_read(tid), 0);
    write_tid(tid, 0, 0); /* no row has line 0 */
    assert_int_equal(place_read(tid), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_place_comes_back),
        cmocka_unit_test(test_what_does_not_fit_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
