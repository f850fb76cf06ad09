/* SPDX-License-Identifier: MIT */
/*
 * match - does a query match a text, and how well, by the stored form alone: what an index does,
 * for one row and without its speed.
 */
#ifndef GANTRY_MATCH_H
#define GANTRY_MATCH_H

#include <string.h>

#include "analysis/analysis.h"
#include "analysis/query.h"
#include "base/cleanup.h"
#include "test.h"

/* The posting of a term in a row; false if the row does not hold it. */
static inline bool
match_find(const struct buf *row, uint64_t term, struct analysis_posting *posting)
{
    struct analysis_reader reader;
    assert_true(analysis_open(&reader, (const uint8_t *)row->data, row->len));
    while (analysis_next(&reader, posting))
        if (posting->term == term)
            return true;
    return false;
}

static inline bool
match_has_at(const struct buf *row, uint64_t term, uint32_t position)
{
    struct analysis_posting posting;
    uint32_t at;
    if (!match_find(row, term, &posting))
        return false;
    while (analysis_position(&posting, &at))
        if (at == position)
            return true;
    return false;
}

static inline bool
match_phrase(const struct buf *row, const struct query *q, const struct query_need *need)
{
    struct analysis_posting posting;
    uint32_t start;
    const struct query_ref *refs = q->refs + need->first;
    if (!match_find(row, q->terms[refs[0].term].term, &posting))
        return false;
    while (analysis_position(&posting, &start)) {
        uint16_t i = 0;
        while (i < need->n &&
               match_has_at(row, q->terms[refs[i].term].term, start + refs[i].offset))
            i++;
        if (i == need->n)
            return true;
    }
    return false;
}

static inline bool
match_need(const struct buf *row, const struct query *q, const struct query_need *need)
{
    struct analysis_posting posting;
    if (need->unless != QUERY_NONE && match_find(row, q->terms[need->unless].term, &posting))
        return false;
    if (need->kind == QUERY_PHRASE)
        return match_phrase(row, q, need);
    for (uint16_t i = 0; i < need->n; i++)
        if (match_find(row, q->terms[q->refs[need->first + i].term].term, &posting))
            return true;
    return false;
}

static inline bool
match_group(const struct buf *row, const struct query *q, const struct query_group *group)
{
    for (uint16_t i = 0; i < group->needs; i++)
        if (!match_need(row, q, &q->needs[group->first_need + i]))
            return false;
    for (uint16_t i = 0; i < group->nots; i++)
        if (match_need(row, q, &q->needs[group->first_not + i]))
            return false;
    return true;
}

/* -1 if the text mode does not find the text, else the sum of the weights of the query's terms that
 * it holds. Texts are NUL-terminated. */
static inline double
match_score(const char *query, const char *text)
{
    AUTO(buf) struct buf row = { 0 };
    AUTO(query) struct query q = { 0 };
    struct analysis_posting posting;
    double score = 0;
    bool found = false;
    buf_init(&row, ANALYSIS_ENCODED_MAX);
    assert_int_equal(analysis_encode(text, strlen(text), &row), RC_OK);
    assert_int_equal(query_parse(query, strlen(query), &q), RC_OK);
    for (uint16_t i = 0; i < q.group_count && !found; i++)
        found = match_group(&row, &q, &q.groups[i]);
    for (uint16_t i = 0; i < q.term_count; i++)
        if (match_find(&row, q.terms[i].term, &posting))
            score += (double)q.terms[i].weight;
    return found ? score : -1;
}

struct match_case {
    const char *text;
    const char *query;
    bool found;
};

/* Names every case that fails, then fails. */
static inline void
match_all(const struct match_case *cases, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        bool found = match_score(cases[i].query, cases[i].text) >= 0;
        if (found != cases[i].found)
            print_error("\"%s\" %s \"%s\"\n", cases[i].query, found ? "finds" : "does not find",
                        cases[i].text);
        wrong += found != cases[i].found;
    }
    assert_int_equal(wrong, 0);
}

#endif
