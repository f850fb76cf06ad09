/* SPDX-License-Identifier: MIT */
/*
 * fuzz_query - queries of any bytes: every index in the result is within its array.
 */
#include <stdint.h>
#include <stdlib.h>

#include "analysis/query.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool good)
{
    if (!good)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(query) struct query q = { 0 };
    if (query_parse((const char *)data, size, &q) != RC_OK)
        return 0;
    for (size_t i = 0; i < q.term_count; i++)
        require(q.terms[i].weight >= 0 && q.terms[i].weight <= 1);
    for (size_t i = 0; i < q.ref_count; i++)
        require(q.refs[i].term < q.term_count);
    for (size_t i = 0; i < q.need_count; i++) {
        const struct query_need *need = &q.needs[i];
        require(need->n > 0 && need->first + need->n <= q.ref_count);
        require(need->unless == QUERY_NONE || need->unless < q.term_count);
        for (size_t j = 1; need->kind == QUERY_PHRASE && j < need->n; j++)
            require(q.refs[need->first + j].offset >= q.refs[need->first + j - 1].offset);
    }
    for (size_t i = 0; i < q.group_count; i++) {
        require(q.groups[i].needs > 0 &&
                q.groups[i].first_need + q.groups[i].needs <= q.need_count);
        require(q.groups[i].first_not + q.groups[i].nots <= q.need_count);
    }
    return 0;
}
