/* SPDX-License-Identifier: MIT */
/*
 * fuse - reciprocal rank fusion (Cormack, Clarke, Büttcher 2009).
 */
#include <stdlib.h>
#include <string.h>

#include "search.h"

static double
share(size_t place)
{
    double maximum = 2 / (FUSE_CONSTANT + 1);
    return 1 / (FUSE_CONSTANT + (double)place + 1) / maximum;
}

/* What is equal keeps the order of the vector leg, then of the text leg. */
static void
sort(struct leg *leg)
{
    for (size_t i = 1; i < leg->n; i++) {
        struct hit hit = leg->hits[i];
        size_t at = i;
        for (; at > 0 && leg->hits[at - 1].value < hit.value; at--)
            leg->hits[at] = leg->hits[at - 1];
        leg->hits[at] = hit;
    }
}

void
fuse(const struct leg *vector, const struct leg *text, struct leg *out)
{
    out->n = 0;
    for (size_t i = 0; vector && i < vector->n && out->n < LEG_MAX; i++) {
        out->hits[out->n] = vector->hits[i];
        out->hits[out->n++].value = share(i);
    }
    size_t from_vector = out->n;
    for (size_t i = 0; text && i < text->n; i++) {
        size_t at = 0;
        while (at < from_vector && strcmp(out->hits[at].id, text->hits[i].id) != 0)
            at++;
        if (at < from_vector) {
            out->hits[at].value += share(i);
        } else if (out->n < LEG_MAX) {
            out->hits[out->n] = text->hits[i];
            out->hits[out->n++].value = share(i);
        }
    }
    sort(out);
}
