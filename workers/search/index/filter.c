/* SPDX-License-Identifier: MIT */
/*
 * filter - the rows that a search may answer.
 */
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

static const struct list *
find_facet(const struct collection *c, enum facet kind, const char *text)
{
    uint32_t name = name_find(c, kind, text);
    uint32_t number = name == NONE ? NONE : list_find(c, FACET_KEY + name);

    return number == NONE ? NULL : &c->lists[number];
}

/* Leaves the rows whose value lies in [from, to); 0 in `never` stands for the largest. */
static void
keep_between(struct rowset *set, const int64_t *values, int64_t from, int64_t to)
{
    for (size_t word = 0; word < set->words; word++) {
        const int64_t *at = values + word * SEGMENT_ROWS;
        uint64_t keep = 0;
        if (set->bits[word] == 0)
            continue;
        for (unsigned i = 0; i < SEGMENT_ROWS; i++)
            keep |= (uint64_t)(at[i] >= from && at[i] < to) << i;
        set->bits[word] &= keep;
    }
    rowset_recount(set);
}

static void
drop_expired(struct rowset *set, const int64_t *expires_ms, int64_t now_ms)
{
    for (size_t word = 0; word < set->words; word++) {
        const int64_t *at = expires_ms + word * SEGMENT_ROWS;
        uint64_t keep = 0;
        if (set->bits[word] == 0)
            continue;
        for (unsigned i = 0; i < SEGMENT_ROWS; i++)
            keep |= (uint64_t)(at[i] == 0 || at[i] > now_ms) << i;
        set->bits[word] &= keep;
    }
    rowset_recount(set);
}

/* Milliseconds of any size as nanoseconds. */
static int64_t
nanoseconds(int64_t ms)
{
    int64_t ns;

    if (__builtin_mul_overflow(ms, 1000000, &ns))
        return ms < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

enum rc
filter_rows(const struct collection *c, const struct collection_filter *filter, struct rowset *out)
{
    AUTO(rowset) struct rowset set = { 0 };
    AUTO(rowset) struct rowset other = { 0 };

    if (!rowset_new(c, &set) || !rowset_new(c, &other))
        return RC_TEMP;
    memcpy(set.bits, c->alive, set.words * sizeof(*set.bits));
    set.count = c->rows;
    if (filter->scope)
        rowset_and_list(&set, find_facet(c, FACET_SCOPE, filter->scope), &other);
    if (filter->source)
        rowset_and_list(&set, find_facet(c, FACET_SOURCE, filter->source), &other);
    for (size_t i = 0; i < filter->tag_count && set.count > 0; i++)
        rowset_and_list(&set, find_facet(c, FACET_TAG, filter->tags[i]), &other);
    if (filter->has_since || filter->has_until)
        keep_between(&set, c->created_ns,
                     filter->has_since ? nanoseconds(filter->since_ms) : INT64_MIN,
                     filter->has_until ? nanoseconds(filter->until_ms) : INT64_MAX);
    if (c->first_expiry_ms && c->first_expiry_ms <= filter->now_ms)
        drop_expired(&set, c->expires_ms, filter->now_ms);
    *out = set;
    set.bits = NULL;
    return RC_OK;
}
