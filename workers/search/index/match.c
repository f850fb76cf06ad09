/* SPDX-License-Identifier: MIT */
/*
 * match - the rows that satisfy a query in text mode.
 *
 * A group's needs are taken in steps, those that leave the fewest rows first: each of a need's one
 * of, each term of a phrase. What is left is looked at row by row for the places of phrases.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

#define PHRASE_MAX 64 /* terms of a phrase whose places are compared; those behind it only occur */

/* One condition: a row of any of these lists. */
struct step {
    uint32_t rows; /* at most */
    uint16_t first, n;
};

struct matcher {
    const struct collection *c;
    const struct collection_search *search;
    const struct query *query;
    const struct list **lists; /* owned: of each term, NULL: nowhere */
    struct step *steps;        /* owned; room for all refs */
    struct rowset other, any, group;
};

static void
matcher_cleanup(struct matcher *m)
{
    free(m->lists);
    free(m->steps);
    rowset_cleanup(&m->other);
    rowset_cleanup(&m->any);
    rowset_cleanup(&m->group);
}

static const struct list *
list_of(const struct matcher *m, size_t ref)
{
    return m->lists[m->query->refs[ref].term];
}

static int
compare_steps(const void *a, const void *b)
{
    const struct step *x = a, *y = b;

    if (x->rows != y->rows)
        return x->rows < y->rows ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void
add_step(const struct matcher *m, size_t first, size_t n, size_t *count)
{
    struct step step = { .first = (uint16_t)first, .n = (uint16_t)n };

    for (size_t i = first; i < first + n; i++)
        if (list_of(m, i) && list_of(m, i)->rows > UINT32_MAX - step.rows)
            step.rows = UINT32_MAX;
        else if (list_of(m, i))
            step.rows += list_of(m, i)->rows;
    m->steps[(*count)++] = step;
}

static void
add_need(const struct matcher *m, const struct query_need *need, size_t *count)
{
    if (need->kind == QUERY_ANY)
        add_step(m, need->first, need->n, count);
    else
        for (size_t i = 0; i < need->n; i++)
            add_step(m, need->first + i, 1, count);
}

static bool
has_any(const struct matcher *m, const struct step *step, uint32_t row)
{
    for (size_t i = step->first; i < (size_t)step->first + step->n; i++)
        if (list_of(m, i) && list_has(list_of(m, i), row))
            return true;
    return false;
}

/* Leaves the rows of set that the step allows. */
static void
take_step(struct matcher *m, const struct step *step, struct rowset *set)
{
    if (step->n == 1) {
        rowset_and_list(set, list_of(m, step->first), &m->other);
    } else if ((uint64_t)set->count * 16 < step->rows) {
        for (uint32_t row = 0; rowset_next(set, &row); row++)
            if (!has_any(m, step, row))
                set->bits[row / SEGMENT_ROWS] &= ~(UINT64_C(1) << row % SEGMENT_ROWS);
        rowset_recount(set);
    } else {
        rowset_clear(&m->other);
        for (size_t i = step->first; i < (size_t)step->first + step->n; i++)
            if (list_of(m, i))
                rowset_add_list(&m->other, list_of(m, i));
        rowset_and(set, &m->other);
    }
}

static enum rc
take_steps(struct matcher *m, size_t count, struct rowset *set)
{
    qsort(m->steps, count, sizeof(*m->steps), compare_steps);
    for (size_t i = 0; i < count && set->count > 0; i++) {
        take_step(m, &m->steps[i], set);
        if (search_is_late(m->search))
            return RC_LIMIT;
    }
    return RC_OK;
}

/* --- phrases ------------------------------------------------------------------------------------------- */

/* Where in a record the places of a term are; NULL: the row does not hold it. */
struct places {
    const uint8_t *at;
    uint32_t left, position;
};

static bool
places_next(struct places *p)
{
    if (p->left == 0)
        return false;
    p->left--;
    p->position += record_varint(&p->at);
    return true;
}

/* Fills places for the terms of the phrase from the row's record. */
static void
find_places(const struct matcher *m, const struct query_need *need, size_t n, uint32_t row,
            struct places *places)
{
    const uint8_t *at = record_of(m->c, row);
    uint32_t number, count;

    while (record_varint(&at) != 0)
        continue;
    while ((number = record_varint(&at)) != 0) {
        const struct list *list = &m->c->lists[(number >> 1) - 1];
        count = record_count(&at, number);
        for (size_t i = 0; i < n; i++)
            if (list_of(m, need->first + i) == list)
                places[i] = (struct places){ .at = at, .left = count };
        for (; count > 0; count--)
            while (*at++ & 0x80)
                continue;
    }
}

/* All terms' places are ascending: each is moved up to where the phrase would need it. */
static bool
row_has_phrase(const struct matcher *m, const struct query_need *need, uint32_t row)
{
    const struct query_ref *refs = &m->query->refs[need->first];
    size_t n = need->n < PHRASE_MAX ? need->n : PHRASE_MAX;
    struct places places[PHRASE_MAX] = { 0 };
    size_t agreed = 1;

    find_places(m, need, n, row, places);
    for (size_t i = 0; i < n; i++)
        if (!places_next(&places[i]))
            return false;
    while (agreed < n) {
        uint64_t wanted = (uint64_t)places[0].position + refs[agreed].offset;
        while (places[agreed].position < wanted)
            if (!places_next(&places[agreed]))
                return false;
        if (places[agreed].position == wanted) {
            agreed++;
            continue;
        }
        if (!places_next(&places[0]))
            return false;
        agreed = 1;
    }
    return true;
}

/* Leaves the rows of set that hold the phrase; they hold its terms. */
static enum rc
keep_phrase(const struct matcher *m, const struct query_need *need, struct rowset *set)
{
    size_t done = 0;

    for (uint32_t row = 0; rowset_next(set, &row); row++) {
        if (!row_has_phrase(m, need, row))
            set->bits[row / SEGMENT_ROWS] &= ~(UINT64_C(1) << row % SEGMENT_ROWS);
        if (++done % 1024 == 0 && search_is_late(m->search))
            return RC_LIMIT;
    }
    rowset_recount(set);
    return RC_OK;
}

/* --- groups -------------------------------------------------------------------------------------------- */

/* Takes the rows that satisfy the NOT out of the group. */
static enum rc
take_not(struct matcher *m, const struct query_need *need)
{
    const struct list *unless = need->unless == QUERY_NONE ? NULL : m->lists[need->unless];
    size_t count = 0;
    enum rc rc;

    rowset_copy(&m->any, &m->group);
    add_need(m, need, &count);
    if ((rc = take_steps(m, count, &m->any)) != RC_OK)
        return rc;
    if (need->kind == QUERY_PHRASE && (rc = keep_phrase(m, need, &m->any)) != RC_OK)
        return rc;
    for (uint32_t row = 0; rowset_next(&m->any, &row); row++)
        if (!unless || !list_has(unless, row))
            m->group.bits[row / SEGMENT_ROWS] &= ~(UINT64_C(1) << row % SEGMENT_ROWS);
    rowset_recount(&m->group);
    return RC_OK;
}

static enum rc
match_group(struct matcher *m, const struct query_group *group, const struct rowset *pass)
{
    const struct query_need *needs = &m->query->needs[group->first_need];
    const struct query_need *nots = &m->query->needs[group->first_not];
    size_t count = 0;
    enum rc rc;

    rowset_copy(&m->group, pass);
    for (size_t i = 0; i < group->needs; i++)
        add_need(m, &needs[i], &count);
    if (count == 0)
        rowset_clear(&m->group);
    if ((rc = take_steps(m, count, &m->group)) != RC_OK)
        return rc;
    for (size_t i = 0; i < group->needs && m->group.count > 0; i++)
        if (needs[i].kind == QUERY_PHRASE && (rc = keep_phrase(m, &needs[i], &m->group)) != RC_OK)
            return rc;
    for (size_t i = 0; i < group->nots && m->group.count > 0; i++)
        if ((rc = take_not(m, &nots[i])) != RC_OK)
            return rc;
    return RC_OK;
}

static enum rc
matcher_init(struct matcher *m)
{
    m->lists = calloc(m->query->term_count + 1u, sizeof(*m->lists));
    m->steps = calloc(m->query->ref_count + 1u, sizeof(*m->steps));
    if (!m->lists || !m->steps || !rowset_new(m->c, &m->other) || !rowset_new(m->c, &m->any) ||
        !rowset_new(m->c, &m->group))
        return RC_TEMP;
    for (size_t i = 0; i < m->query->term_count; i++) {
        uint32_t number = list_find(m->c, m->query->terms[i].term);
        m->lists[i] = number == NONE ? NULL : &m->c->lists[number];
    }
    return RC_OK;
}

enum rc
match_rows(const struct collection *c, const struct collection_search *search,
           const struct rowset *pass, struct rowset *out)
{
    AUTO(matcher) struct matcher m = { .c = c, .search = search, .query = search->query };
    AUTO(rowset) struct rowset found = { 0 };
    enum rc rc;

    if (!rowset_new(c, &found))
        return RC_TEMP;
    if (search->query && search->query->group_count > 0) {
        if ((rc = matcher_init(&m)) != RC_OK)
            return rc;
        for (size_t i = 0; i < search->query->group_count; i++) {
            if ((rc = match_group(&m, &search->query->groups[i], pass)) != RC_OK)
                return rc;
            for (size_t word = 0; word < found.words; word++)
                found.bits[word] |= m.group.bits[word];
        }
        rowset_recount(&found);
    }
    *out = found;
    found.bits = NULL;
    return RC_OK;
}
