/* SPDX-License-Identifier: MIT */
/*
 * query - what a person asked, as terms to score and conditions on the rows of a text search.
 *
 * Nothing in a query is an error. Syntax: all words; `or` between words; "a phrase"; -word, where
 * it stands alone between blanks.
 *
 * Terms:   each distinct term once, with a weight for its BM25 score (0: never scored, there for a
 *          condition only). Terms with the same `word` are forms of one word: all of them take the
 *          highest document frequency among them, so that a rare form does not outweigh the word.
 * Needs:   QUERY_ANY     the row holds one of the terms refs[first .. first + n)
 *          QUERY_PHRASE  positions p + refs[i].offset hold refs[i].term, for some p and every i
 * Groups:  a row satisfies a group if it satisfies all needs[first_need .. + needs) and none of
 *          needs[first_not .. + nots). A need of a NOT with `unless` set is not satisfied by a row
 *          that holds the term `unless`: "tar -xvf" finds a row with "-xvf" in it.
 * Use:     text mode: rows that satisfy any group (none: no row). Other modes: any term counts, the
 *          groups are ignored.
 * Bounds:  below; what is beyond them is left out and `cut` is set
 * Errors:  RC_TEMP no memory
 */
#ifndef GANTRY_ANALYSIS_QUERY_H
#define GANTRY_ANALYSIS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

#define QUERY_TERMS_MAX  4096 /* distinct; whoever searches may score only the rarest of them */
#define QUERY_REFS_MAX   8192
#define QUERY_NEEDS_MAX  4096
#define QUERY_GROUPS_MAX 64
#define QUERY_NONE       UINT16_MAX

enum query_need_kind { QUERY_ANY, QUERY_PHRASE };

struct query_term {
    uint64_t term;
    float weight;  /* 0..1 */
    uint16_t word; /* the same for all forms of one word of the query */
};

struct query_ref {
    uint16_t term;   /* index into terms */
    uint16_t offset; /* of a phrase: positions behind its start, ascending, the first is 0 */
};

struct query_need {
    enum query_need_kind kind;
    uint16_t first;  /* into refs */
    uint16_t n;      /* at least 1 */
    uint16_t unless; /* index into terms, or QUERY_NONE */
};

struct query_group {
    uint16_t first_need; /* into needs */
    uint16_t needs;      /* at least 1 */
    uint16_t first_not;
    uint16_t nots;
};

struct query {
    struct query_term *terms; /* owned, as all of these; NULL when empty */
    struct query_ref *refs;
    struct query_need *needs;
    struct query_group *groups;
    uint16_t term_count;
    uint16_t ref_count;
    uint16_t need_count;
    uint16_t group_count;
    bool cut; /* something was beyond a bound and left out */
};

/* out holds nothing before; on RC_OK it is for query_free(). */
enum rc query_parse(const char *text, size_t len, struct query *out);
void query_free(struct query *query);

#define query_cleanup query_free /* AUTO(query) struct query q = { 0 } */

#endif
