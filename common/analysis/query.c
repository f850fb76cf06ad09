/* SPDX-License-Identifier: MIT */
/*
 * query - reads the operators, collects the needs of an operand of `or`, and sorts them into one
 * group for each script.
 */
#include "analysis/query.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/query_own.h"
#include "base/cleanup.h"

static bool
is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static enum rc
read_piece(struct builder *b, const char *from, const char *to, enum piece_kind kind)
{
    AUTO(scan) struct scan scan = { 0 };
    enum rc rc = RC_OK;
    while (from < to && is_blank(*from))
        from++;
    if (from == to || b->full)
        return RC_OK;
    rc = scan_text(&scan, SCAN_QUERY, from, (size_t)(to - from));
    if (rc == RC_OK)
        rc = query_add_piece(b, &scan, kind);
    return rc;
}

static bool
is_or(const char *from, const char *to)
{
    return to - from == 2 && (from[0] | 32) == 'o' && (from[1] | 32) == 'r';
}

/* "-word": the hyphen begins the query or follows a blank, and something other than a hyphen, a
 * blank or the end follows. */
static bool
is_not(const char *from, const char *to)
{
    return to - from > 1 && from[0] == '-' && from[1] != '-' && from[1] != '>';
}

/* Reads the words from `at` to the next operator. */
struct reader {
    const char *at;
    const char *end;
    const char *start;
    const char *words; /* where the words begin that are not yet added */
};

/* The end of "a phrase" that begins at `at`, or NULL: a lone quotation mark is none. */
static const char *
phrase_end(const struct reader *r, const char *at)
{
    if (r->end - at < 2 || *at != '"')
        return NULL;
    return memchr(at + 1, '"', (size_t)(r->end - at - 1));
}

static bool
is_all_blank(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    return from == to;
}

static enum rc
read_token(struct builder *b, struct reader *r)
{
    const char *from = r->at;
    bool negated = *from == '-';
    const char *quote = phrase_end(r, from + negated);
    enum rc rc = RC_OK;
    if (quote) {
        rc = read_piece(b, r->words, from, PIECE_WORDS);
        if (rc == RC_OK)
            rc = read_piece(b, from + negated + 1, quote, negated ? PIECE_NOT : PIECE_PHRASE);
        r->at = r->words = quote + 1;
        return rc;
    }
    while (r->at < r->end && !is_blank(*r->at))
        r->at++;
    /* At either end it is a word. */
    bool or = is_or(from, r->at) && from > r->start && !is_all_blank(r->at, r->end);
    bool not = is_not(from, r->at);
    if (! or &&!not )
        return RC_OK;
    rc = read_piece(b, r->words, from, PIECE_WORDS);
    if (rc == RC_OK && not )
        rc = read_piece(b, from, r->at, PIECE_NOT);
    if (or)
        query_end_operand(b);
    r->words = r->at;
    return rc;
}

enum rc
query_parse(const char *text, size_t len, struct query *out)
{
    AUTO(builder) struct builder *b = query_builder_new();
    if (!b)
        return RC_TEMP;
    struct reader r = { text, text + len, text, text };
    while (r.at < r.end) {
        if (is_blank(*r.at)) {
            r.at++;
            continue;
        }
        enum rc rc = read_token(b, &r);
        if (rc != RC_OK)
            return rc;
    }
    enum rc rc = read_piece(b, r.words, r.end, PIECE_WORDS);
    if (rc != RC_OK)
        return rc;
    query_end_operand(b);
    return query_finish(b, out);
}

void
query_free(struct query *q)
{
    free(q->terms);
    free(q->refs);
    free(q->needs);
    free(q->groups);
    *q = (struct query){ 0 };
}
