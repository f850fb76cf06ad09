/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "protocol/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read again to the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metrics_snapshot one, two;
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 1 << 20);
    if (metrics_read((const char *)data, size, &one, NULL) != RC_OK)
        return 0;
    metrics_write(&one, &text);
    if (metrics_read(text.data, text.len, &two, NULL) != RC_OK ||
        one.values.calls != two.values.calls || one.series.count != two.series.count)
        abort();
    const struct metrics_snapshot *all[] = { &one, &two };
    const struct exposition e = { &text, true };
    metrics_expose(all, 2, &e);
    metrics_fini(&one);
    metrics_fini(&two);
    return 0;
}
