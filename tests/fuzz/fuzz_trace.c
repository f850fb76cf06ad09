/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trace/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written as version 00 and read again to the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_parent one, two;
    char written[TRACEPARENT_MAX];
    AUTO(free) char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    (void)trace_state_valid(text);
    if (!trace_parent_read(text, &one))
        return 0;
    struct trace trace = { .sampled = one.sampled };
    memcpy(trace.id, one.id, sizeof(trace.id));
    trace_parent_write(&trace, one.span, written);
    if (!trace_parent_read(written, &two) || one.span != two.span || one.sampled != two.sampled ||
        strcmp(one.id, two.id) != 0)
        abort();
    return 0;
}
