/* SPDX-License-Identifier: MIT */
/*
 * query_own - within query: terms and needs while they are collected.
 */
#ifndef GANTRY_ANALYSIS_QUERY_OWN_H
#define GANTRY_ANALYSIS_QUERY_OWN_H

#include "analysis/query.h"
#include "analysis/scan.h"

#define QUERY_SLOTS 8192 /* of the table of terms: a power of two, twice QUERY_TERMS_MAX */

enum piece_kind { PIECE_WORDS, PIECE_PHRASE, PIECE_NOT };

/* A need of the operand that is being read. */
struct wanted {
    struct query_need need;
    uint8_t script; /* enum script; SCRIPT_COUNT: of every group */
    bool is_stop;
    bool is_not;
};

struct builder {
    struct query q; /* its arrays have their full size */
    uint16_t slots[QUERY_SLOTS];
    struct wanted *wanted;
    size_t wanted_count;
    uint16_t words; /* numbers given to words */
    bool full;      /* no room: what follows is left out */
};

struct builder *query_builder_new(void);
void builder_cleanup(struct builder **builder);

enum rc query_add_piece(struct builder *b, const struct scan *scan, enum piece_kind kind);
void query_end_operand(struct builder *b);
/* Moves the query out, its arrays cut to size. */
enum rc query_finish(struct builder *b, struct query *out);

#endif
