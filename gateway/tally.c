/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

#define BUCKETS 1024

SLIST_HEAD(bucket, tally_row);

struct tally {
    struct bucket buckets[BUCKETS]; /* owned */
};

enum rc
tally_new(struct tally **out, struct err *err)
{
    *out = calloc(1, sizeof(**out));
    return *out ? RC_OK : err_set(err, RC_TEMP, "no memory for counts of workspaces");
}

static struct bucket *
bucket_of(struct tally *tally, const char *workspace)
{
    uint32_t h = fnv32_text(workspace);
    return &tally->buckets[(h ^ h >> 16) % BUCKETS];
}

struct tally_row *
tally_row(struct tally *tally, const char *workspace)
{
    struct bucket *bucket = bucket_of(tally, workspace);
    struct tally_row *row;
    SLIST_FOREACH(row, bucket, link)
    if (strcmp(row->workspace, workspace) == 0)
        return row;
    if (!(row = calloc(1, sizeof(*row))))
        return NULL;
    (void)strlcpy(row->workspace, workspace, sizeof(row->workspace));
    SLIST_INSERT_HEAD(bucket, row, link);
    return row;
}

void
tally_drop(struct tally *tally, struct tally_row *row)
{
    SLIST_REMOVE(bucket_of(tally, row->workspace), row, tally_row, link);
    free(row);
}

void
tally_drop_unused(struct tally *tally, struct tally_row *row)
{
    if (!row->count && !row->asking)
        tally_drop(tally, row);
}

void
tally_clear(struct tally *tally)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (!SLIST_EMPTY(&tally->buckets[i]))
            tally_drop(tally, SLIST_FIRST(&tally->buckets[i]));
}

void
tally_free(struct tally *tally)
{
    if (tally)
        tally_clear(tally);
    free(tally);
}
