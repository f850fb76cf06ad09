/* SPDX-License-Identifier: MIT */
/*
 * fuzz_analysis - texts of any bytes give a form that opens; bytes of any shape are read safely.
 */
#include <stdint.h>
#include <stdlib.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all of it; false if it does not open. */
static bool
read_row(const uint8_t *bytes, size_t len)
{
    struct analysis_reader reader;
    struct analysis_posting posting;
    uint32_t position;
    uint64_t before = 0;
    if (!analysis_open(&reader, bytes, len))
        return false;
    for (uint32_t i = 0; analysis_next(&reader, &posting); i++) {
        if ((i > 0 && posting.term <= before) || posting.term >= ANALYSIS_TERM_LIMIT)
            abort();
        before = posting.term;
        uint32_t seen = 0;
        for (; analysis_position(&posting, &position); seen++)
            if (position >= reader.words)
                abort();
        if (seen != posting.count)
            abort();
    }
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf) struct buf row = { 0 };
    buf_init(&row, ANALYSIS_ENCODED_MAX);
    (void)read_row(data, size);
    if (analysis_encode((const char *)data, size, &row) != RC_OK)
        return 0;
    if (!read_row((const uint8_t *)row.data, row.len))
        abort();
    return 0;
}
