/* SPDX-License-Identifier: MIT */
/*
 * nearest - the best rows by vector, of several searches at once: a row that was read serves all.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

#define SLACK    1.0001f /* bounds are sums of floats: a little more than they come to */
#define ROUNDING 1e-5f
#define MEAN     7.5f /* of a nibble */

bool
nearest_pack(struct finding *f)
{
    size_t stride = 2 * f->c->half;
    AUTO(free) float *turned = NULL;
    int32_t squares = 0;

    if (!f->search->vector)
        return true;
    turned = malloc(stride * sizeof(*turned));
    f->vector = aligned_alloc(64, stride);
    if (!turned || !f->vector)
        return false;
    f->scale = vector_pack(f->search->vector, f->c->dims, stride, turned, f->vector);
    if (!(f->scale > 0)) {
        free(f->vector);
        f->vector = NULL;
        return true;
    }
    for (size_t i = 0; i < stride; i++) {
        f->sum += f->vector[i];
        squares += f->vector[i] * f->vector[i];
    }
    f->bound = (struct dot_bound){ .factor = 16 * f->scale,
                                   .mean = (MEAN - 128) * (float)f->sum * f->scale,
                                   .length = f->scale * sqrtf((float)squares) * SLACK,
                                   .least = -FLT_MAX };
    return true;
}

static float
cosine_of(const struct finding *f, uint32_t row, int32_t high)
{
    const struct collection *c = f->c;
    const uint8_t *low = c->lows[row / SEGMENT_ROWS] + row % SEGMENT_ROWS * c->half;
    int32_t dot = 16 * high - 128 * f->sum + c->dot.low(f->vector, low, c->half);
    float cosine = (float)dot * f->scale * c->scale[row];

    return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

void
nearest_want(struct finding *f, uint32_t row)
{
    size_t at = f->wanted_count;

    if (!f->vector || !(f->c->scale[row] > 0))
        return;
    for (; at > 0 && f->wanted[at - 1].row > row; at--)
        f->wanted[at] = f->wanted[at - 1];
    f->wanted[at] = (struct wanted){ .row = row };
    f->wanted_count++;
}

float
nearest_cosine(const struct finding *f, uint32_t row)
{
    size_t low = 0, high = f->wanted_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->wanted[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->wanted_count && f->wanted[low].row == row ? f->wanted[low].cosine : 0;
}

/* The rows of the segment that are wanted whatever they are like. */
static uint64_t
take_wanted(struct finding *f, size_t segment)
{
    uint64_t rows = 0;

    for (; f->wanted_asked < f->wanted_count &&
           f->wanted[f->wanted_asked].row / SEGMENT_ROWS == segment;
         f->wanted_asked++)
        rows |= UINT64_C(1) << f->wanted[f->wanted_asked].row % SEGMENT_ROWS;
    return rows;
}

/* A bit for each group that has one of the rows. */
static unsigned
groups_of(uint64_t rows)
{
    unsigned groups = 0;

    for (unsigned g = 0; g < SEGMENT_ROWS / GROUP_ROWS; g++)
        groups |= (rows >> g * GROUP_ROWS & ((1u << GROUP_ROWS) - 1) ? 1u : 0) << g;
    return groups;
}

/* A segment that was multiplied. Its low nibbles are asked for at once, and read when the next segment
 * has been multiplied: they come from far. */
struct scanned {
    size_t segment, n;
    struct finding *of[DOT_QUERIES];
    uint64_t near[DOT_QUERIES];
    int32_t highs[DOT_QUERIES][SEGMENT_ROWS];
};

static void
multiply(struct scanned *s)
{
    const struct collection *c = s->of[0]->c;
    const size_t first = s->segment * SEGMENT_ROWS;
    const int8_t *queries[DOT_QUERIES];
    uint64_t rows = 0;

    for (size_t i = 0; i < s->n; i++) {
        queries[i] = s->of[i]->vector;
        rows |= s->of[i]->pass.bits[s->segment];
    }
    c->dot.high(queries, s->n, c->segments[s->segment], c->half, groups_of(rows), s->highs);
    for (size_t i = 0; i < s->n; i++) {
        s->near[i] = s->of[i]->pass.bits[s->segment] &
                     c->dot.near(&s->of[i]->bound, s->highs[i], c->scale + first, c->slack + first);
        s->near[i] |= take_wanted(s->of[i], s->segment);
        for (uint64_t near = s->near[i]; near; near &= near - 1)
            for (size_t at = 0; at < c->half; at += 64)
                __builtin_prefetch(c->lows[s->segment] + (size_t)__builtin_ctzll(near) * c->half +
                                   at);
    }
}

static void
push_near(struct finding *f, size_t segment, uint64_t near, const int32_t highs[SEGMENT_ROWS])
{
    for (; near; near &= near - 1) {
        unsigned i = (unsigned)__builtin_ctzll(near);
        uint32_t row = (uint32_t)(segment * SEGMENT_ROWS) + i;
        if (!(f->c->scale[row] > 0))
            continue;
        float cosine = cosine_of(f, row, highs[i]);
        best_push(f->c, &f->vectors, (double)cosine, row);
        while (f->wanted_known < f->wanted_asked && f->wanted[f->wanted_known].row <= row)
            f->wanted[f->wanted_known++].cosine = cosine;
    }
    if (f->vectors.n > 0 && best_is_full(&f->vectors))
        f->bound.least = (float)f->vectors.at[f->vectors.n - 1].value - ROUNDING;
}

static void
push(struct scanned *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->near[i])
            push_near(s->of[i], s->segment, s->near[i], s->highs[i]);
    s->n = 0;
}

static bool
wants(struct finding *f, size_t segment)
{
    if (segment % 64 == 0)
        f->late = f->late || search_is_late(f->search);
    if (!f->vector || f->late || segment >= f->pass.words || !f->pass.bits[segment])
        return false;
    return f->vectors.depth > 0 || (f->wanted_asked < f->wanted_count &&
                                    f->wanted[f->wanted_asked].row / SEGMENT_ROWS == segment);
}

static void
scan(struct finding *findings, size_t n, size_t segment, size_t end)
{
    const struct collection *c = findings[0].c;
    struct scanned two[2], *s = &two[0], *before = &two[1];

    s->n = before->n = 0;
    for (; segment < end; segment++)
        for (size_t i = 0; i < n && c->segments[segment]; i++) {
            if (wants(&findings[i], segment))
                s->of[s->n++] = &findings[i];
            if (s->n == 0 || (s->n < DOT_QUERIES && i + 1 < n))
                continue;
            s->segment = segment;
            multiply(s);
            push(before);
            struct scanned *done = s;
            s = before;
            before = done;
        }
    push(before);
}

static size_t
count_segments(const struct collection *c)
{
    return (c->used + SEGMENT_ROWS - 1) / SEGMENT_ROWS;
}

void
nearest_find(struct finding *findings, size_t n)
{
    scan(findings, n, 0, count_segments(findings[0].c));
}

/* --- by two threads ------------------------------------------------------------------------------------ */

#define SHARE 64 /* segments that are taken at once */

void
nearest_pair_init(struct nearest_pair *pair, struct finding *f)
{
    pair->mine = f;
    pair->theirs = *f;
    pair->theirs.wanted_count = 0;
    atomic_init(&pair->next, 0);
}

static void
scan_shares(struct nearest_pair *pair, struct finding *f)
{
    size_t count = count_segments(f->c), from;

    while (!f->late && (from = atomic_fetch_add(&pair->next, 1) * (size_t)SHARE) < count)
        scan(f, 1, from, from + SHARE < count ? from + SHARE : count);
}

void
nearest_pair_theirs(void *arg)
{
    struct nearest_pair *pair = arg;
    scan_shares(pair, &pair->theirs);
}

/* What is wanted may lie in the other's share: it is multiplied at the end. */
void
nearest_pair_mine(struct nearest_pair *pair)
{
    size_t wanted = pair->mine->wanted_count;

    pair->mine->wanted_count = 0;
    scan_shares(pair, pair->mine);
    pair->mine->wanted_count = wanted;
}

static float
multiply_row(const struct finding *f, uint32_t row)
{
    const int8_t *query = f->vector;
    int32_t highs[1][SEGMENT_ROWS];

    f->c->dot.high(&query, 1, f->c->segments[row / SEGMENT_ROWS], f->c->half,
                   1u << row % SEGMENT_ROWS / GROUP_ROWS, highs);
    return cosine_of(f, row, highs[0][row % SEGMENT_ROWS]);
}

void
nearest_pair_join(struct nearest_pair *pair)
{
    struct finding *f = pair->mine;

    f->late = f->late || pair->theirs.late;
    for (size_t i = 0; i < pair->theirs.vectors.n; i++)
        best_push(f->c, &f->vectors, pair->theirs.vectors.at[i].value,
                  pair->theirs.vectors.at[i].row);
    for (size_t i = 0; i < f->wanted_count; i++)
        f->wanted[i].cosine = multiply_row(f, f->wanted[i].row);
}
