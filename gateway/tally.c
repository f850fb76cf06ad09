/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct tally {
    struct tally_row *buckets[BUCKETS]; /* owned */
};

enum rc
tally_new(struct tally **out, struct err *err)
{
    *out = calloc(1, sizeof(**out));
    return *out ? RC_OK : err_set(err, RC_TEMP, "no memory for counts of workspaces");
}

static struct tally_row **
bucket_of(struct tally *tally, const char *workspace)
{
    uint32_t h = 2166136261u;
    for (const char *c = workspace; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    return &tally->buckets[(h ^ h >> 16) % BUCKETS];
}

struct tally_row *
tally_row(struct tally *tally, const char *workspace)
{
    struct tally_row **at = bucket_of(tally, workspace);
    struct tally_row *row = *at;
    while (row && strcmp(row->workspace, workspace) != 0)
        row = row->next;
    if (row || !(row = calloc(1, sizeof(*row))))
        return row;
    (void)strlcpy(row->workspace, workspace, sizeof(row->workspace));
    row->next = *at;
    *at = row;
    return row;
}

void
tally_drop(struct tally *tally, struct tally_row *row)
{
    struct tally_row **at = bucket_of(tally, row->workspace);
    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
    free(row);
}

void
tally_clear(struct tally *tally)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (tally->buckets[i])
            tally_drop(tally, tally->buckets[i]);
}

void
tally_free(struct tally *tally)
{
    if (tally)
        tally_clear(tally);
    free(tally);
}
