/* SPDX-License-Identifier: MIT */
/* query_build - the forms of a piece to terms and needs; the needs of an operand to groups. */
#include <stdlib.h>
#include <string.h>

#include "analysis/query_own.h"
#include "base/cleanup.h"

#define WHOLES_MAX 5 /* that cover one position: one for each level */
#define NONE       UINT32_MAX

/* How much a form counts beside the word itself; by the sets of make quality, which they change by
 * a few thousandths. */
static const float WEIGHTS[] = {
    [FORM_BASE] = 1,      [FORM_LANGUAGE] = 0.2F, [FORM_SPELLING] = 0.8F, [FORM_WHOLE] = 0.6F,
    [FORM_ACCENT] = 0.1F, [FORM_CASE] = 1,        [FORM_GLUED] = 0.5F,    [FORM_CHAR] = 0.5F,
    [FORM_WORD] = 0.5F,   [FORM_PAIR] = 1,
};
#define WEIGHT_STOP    0.2F /* of all forms of a function word */
#define WEIGHT_ENGLISH 0.3F /* of the English stem in a query that is German, Spanish or French */

/* --- builder ----------------------------------------------------------------------------------- */

struct builder *
query_builder_new(void)
{
    AUTO(builder) struct builder *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->q.terms = malloc(QUERY_TERMS_MAX * sizeof(*b->q.terms));
    b->q.refs = malloc(QUERY_REFS_MAX * sizeof(*b->q.refs));
    b->q.needs = malloc(QUERY_NEEDS_MAX * sizeof(*b->q.needs));
    b->q.groups = malloc(QUERY_GROUPS_MAX * sizeof(*b->q.groups));
    b->wanted = malloc(QUERY_NEEDS_MAX * sizeof(*b->wanted));
    if (!b->q.terms || !b->q.refs || !b->q.needs || !b->q.groups || !b->wanted)
        return NULL;
    return TAKE(b);
}

void
builder_cleanup(struct builder **builder)
{
    struct builder *b = *builder;
    if (!b)
        return;
    query_free(&b->q);
    free(b->wanted);
    free(b);
}

static void
set_full(struct builder *b)
{
    b->full = b->q.cut = true;
}

/* The index of a term, which is added if it is new; QUERY_NONE if there is no room. */
static uint16_t
add_term(struct builder *b, uint64_t term, float weight, uint16_t word)
{
    size_t slot = (size_t)term % QUERY_SLOTS;
    while (b->slots[slot] && b->q.terms[b->slots[slot] - 1].term != term)
        slot = (slot + 1) % QUERY_SLOTS;
    if (b->slots[slot]) {
        uint16_t index = (uint16_t)(b->slots[slot] - 1);
        if (b->q.terms[index].weight < weight)
            b->q.terms[index].weight = weight;
        return index;
    }
    if (b->q.term_count == QUERY_TERMS_MAX) {
        set_full(b);
        return QUERY_NONE;
    }
    uint16_t index = b->q.term_count++;
    b->slots[slot] = b->q.term_count;
    b->q.terms[index] = (struct query_term){ term, weight, word };
    return index;
}

static bool
add_ref(struct builder *b, uint16_t term, size_t offset)
{
    if (term == QUERY_NONE || b->q.ref_count == QUERY_REFS_MAX) {
        set_full(b);
        return false;
    }
    b->q.refs[b->q.ref_count++] = (struct query_ref){ term, (uint16_t)offset };
    return true;
}

/* What was put behind `first` as one need. */
static void
add_need(struct builder *b, enum query_need_kind kind, uint16_t first, const struct wanted *like)
{
    if (b->q.ref_count == first)
        return;
    if (b->wanted_count == QUERY_NEEDS_MAX) {
        set_full(b);
        return;
    }
    struct wanted *wanted = &b->wanted[b->wanted_count++];
    *wanted = *like;
    wanted->need.kind = kind;
    wanted->need.first = first;
    wanted->need.n = (uint16_t)(b->q.ref_count - first);
}

/* --- words ------------------------------------------------------------------------------------- */

/* The forms at each position, as lists. */
struct places {
    uint32_t *head; /* by position */
    struct place {
        uint32_t form;
        uint32_t next;
    } * nodes;
    size_t count;
};

static void
places_cleanup(struct places *p)
{
    free(p->head);
    free(p->nodes);
}

static void
put_place(struct places *p, size_t position, size_t form)
{
    p->nodes[p->count] = (struct place){ (uint32_t)form, p->head[position] };
    p->head[position] = (uint32_t)p->count++;
}

/* Only what satisfies a need. */
static enum rc
find_places(const struct scan *scan, struct places *p)
{
    size_t words = scan->words;
    p->head = malloc((words + 1) * sizeof(*p->head));
    p->nodes = calloc(scan->count + WHOLES_MAX * words + 1, sizeof(*p->nodes));
    if (!p->head || !p->nodes)
        return RC_TEMP;
    for (size_t i = 0; i < words; i++)
        p->head[i] = NONE;
    for (size_t i = scan->count; i-- > 0;) {
        const struct form *form = &scan->forms[i];
        size_t span = form->kind == FORM_WHOLE ? form->span : 1;
        if (form->kind > FORM_WHOLE && form->kind != FORM_PAIR)
            continue;
        for (size_t j = 0; j < span && form->position + j < words; j++)
            put_place(p, form->position + j, i);
    }
    return RC_OK;
}

static uint16_t
add_form(struct builder *b, const struct scan *scan, const struct form *form, uint16_t word)
{
    float weight = WEIGHTS[form->kind];
    if (form->kind == FORM_LANGUAGE && form->language == (uint8_t)scan->language)
        weight = 1;
    else if (form->kind == FORM_BASE && form->script == SCRIPT_LATIN &&
             scan->language != LANGUAGE_ENGLISH)
        weight = WEIGHT_ENGLISH;
    if (form->is_stop)
        weight *= WEIGHT_STOP;
    return add_term(b, form->term, weight, word);
}

static bool
is_known(const struct builder *b, size_t first, uint16_t term)
{
    for (size_t i = first; i < b->q.ref_count; i++)
        if (b->q.refs[i].term == term)
            return true;
    return false;
}

/* A need for each word: any form that is as good as the word. */
static enum rc
add_words(struct builder *b, const struct scan *scan)
{
    AUTO(places) struct places p = { 0 };
    enum rc rc = find_places(scan, &p);
    for (size_t at = 0; rc == RC_OK && at < scan->words && !b->full; at++) {
        struct wanted like = { .need.unless = QUERY_NONE };
        uint16_t first = b->q.ref_count;
        uint16_t word = b->words++;
        for (uint32_t i = p.head[at]; i != NONE; i = p.nodes[i].next) {
            const struct form *form = &scan->forms[p.nodes[i].form];
            bool is_whole = form->kind == FORM_WHOLE;
            uint16_t term = add_form(b, scan, form, is_whole ? b->words++ : word);
            if (!is_whole)
                like.script = form->script;
            like.is_stop |= form->is_stop;
            if (!is_known(b, first, term) && !add_ref(b, term, 0))
                break;
        }
        add_need(b, QUERY_ANY, first, &like);
    }
    for (size_t i = 0; i < scan->count && !b->full; i++)
        if (scan->forms[i].kind > FORM_WHOLE && scan->forms[i].kind != FORM_PAIR)
            (void)add_form(b, scan, &scan->forms[i], b->words++);
    return rc;
}

/* A need for all words in their order. */
static void
add_phrase(struct builder *b, const struct scan *scan, bool is_not)
{
    struct wanted like = { .script = SCRIPT_COUNT, .is_not = is_not, .need.unless = QUERY_NONE };
    uint16_t first = b->q.ref_count;
    for (size_t i = 0; i < scan->count && !b->full; i++) {
        const struct form *form = &scan->forms[i];
        if (form->kind == FORM_GLUED && is_not) {
            like.need.unless = add_form(b, scan, form, b->words++);
        } else if (form->kind == FORM_BASE || form->kind == FORM_PAIR) {
            uint16_t term = is_not ? add_term(b, form->term, 0, b->words++)
                                   : add_form(b, scan, form, b->words++);
            if (!add_ref(b, term, form->position))
                b->q.ref_count = first;
        } else if (!is_not) {
            (void)add_form(b, scan, form, b->words++);
        }
    }
    for (size_t i = b->q.ref_count; i-- > first;)
        b->q.refs[i].offset = (uint16_t)(b->q.refs[i].offset - b->q.refs[first].offset);
    add_need(b, QUERY_PHRASE, first, &like);
}

enum rc
query_add_piece(struct builder *b, const struct scan *scan, enum piece_kind kind)
{
    if (kind == PIECE_WORDS)
        return add_words(b, scan);
    add_phrase(b, scan, kind == PIECE_NOT);
    return RC_OK;
}

/* --- groups ------------------------------------------------------------------------------------ */

/* Puts those needs into the query that a group of this script has. Returns how many. */
static uint16_t
put_needs(struct builder *b, uint8_t script, bool with_stops, bool nots)
{
    uint16_t count = 0;
    for (size_t i = 0; i < b->wanted_count; i++) {
        const struct wanted *w = &b->wanted[i];
        bool ours =
            nots ? w->is_not : !w->is_not && (w->script == script || w->script == SCRIPT_COUNT);
        if (!ours || (w->is_stop && !with_stops))
            continue;
        if (b->q.need_count == QUERY_NEEDS_MAX) {
            b->q.cut = true;
            break;
        }
        b->q.needs[b->q.need_count++] = w->need;
        count++;
    }
    return count;
}

static void
add_group(struct builder *b, uint8_t script, bool with_stops)
{
    struct query_group group = { .first_need = b->q.need_count };
    if (b->q.group_count == QUERY_GROUPS_MAX) {
        set_full(b);
        return;
    }
    group.needs = put_needs(b, script, with_stops, false);
    if (group.needs == 0)
        return;
    group.first_not = b->q.need_count;
    group.nots = put_needs(b, script, true, true);
    b->q.groups[b->q.group_count++] = group;
}

void
query_end_operand(struct builder *b)
{
    bool scripts[SCRIPT_COUNT + 1] = { false };
    bool with_stops = true;
    for (size_t i = 0; i < b->wanted_count; i++)
        if (!b->wanted[i].is_not && !b->wanted[i].is_stop)
            with_stops = false;
    bool phrase_only = true;
    for (size_t i = 0; i < b->wanted_count; i++) {
        const struct wanted *w = &b->wanted[i];
        if (w->is_not || (w->is_stop && !with_stops))
            continue;
        scripts[w->script] = true;
        phrase_only &= w->script == SCRIPT_COUNT;
    }
    for (unsigned script = 0; script < SCRIPT_COUNT; script++)
        if (scripts[script])
            add_group(b, (uint8_t)script, with_stops);
    if (phrase_only && scripts[SCRIPT_COUNT])
        add_group(b, SCRIPT_COUNT, with_stops);
    b->wanted_count = 0;
}

static enum rc
cut_to_size(void **items, size_t count, size_t size)
{
    if (count == 0) {
        free(*items);
        *items = NULL;
        return RC_OK;
    }
    void *cut = realloc(*items, count * size);
    if (!cut)
        return RC_TEMP;
    *items = cut;
    return RC_OK;
}

enum rc
query_finish(struct builder *b, struct query *out)
{
    struct query q = b->q;
    b->q = (struct query){ 0 };
    void *arrays[] = { q.terms, q.refs, q.needs, q.groups };
    const size_t counts[] = { q.term_count, q.ref_count, q.need_count, q.group_count };
    const size_t sizes[] = { sizeof(*q.terms), sizeof(*q.refs), sizeof(*q.needs),
                             sizeof(*q.groups) };
    enum rc rc = RC_OK;
    for (size_t i = 0; i < 4 && rc == RC_OK; i++)
        rc = cut_to_size(&arrays[i], counts[i], sizes[i]);
    q.terms = arrays[0];
    q.refs = arrays[1];
    q.needs = arrays[2];
    q.groups = arrays[3];
    if (rc != RC_OK)
        query_free(&q);
    else
        *out = q;
    return rc;
}
