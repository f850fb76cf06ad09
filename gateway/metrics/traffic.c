/* SPDX-License-Identifier: MIT */
#include "metrics/traffic.h"

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fnv.h"

#define WAYS 4 /* rows in which a workspace may be: the one that asked longest ago makes room */

struct traffic {
    struct traffic_row rows[TRAFFIC_ROWS];
};

enum rc
traffic_new(struct traffic **out, struct err *err)
{
    *out = calloc(1, sizeof(**out));
    return *out ? RC_OK : err_set(err, RC_TEMP, "no memory for counts of requests");
}

void
traffic_free(struct traffic *traffic)
{
    free(traffic);
}

static size_t
first_way(const char *workspace)
{
    uint32_t hash = fnv32_text(workspace);
    return (hash ^ hash >> 16) % (TRAFFIC_ROWS / WAYS) * WAYS;
}

const struct traffic_row *
traffic_row(const struct traffic *traffic, const char *workspace)
{
    const struct traffic_row *row = &traffic->rows[first_way(workspace)];
    for (unsigned i = 0; i < WAYS; i++)
        if (strcmp(row[i].workspace, workspace) == 0)
            return &row[i];
    return NULL;
}

/* The workspace's row, or the one that it takes. */
static struct traffic_row *
take_row(struct traffic *traffic, const char *workspace)
{
    struct traffic_row *row = &traffic->rows[first_way(workspace)];
    struct traffic_row *oldest = row;
    for (unsigned i = 0; i < WAYS; i++) {
        if (strcmp(row[i].workspace, workspace) == 0)
            return &row[i];
        if (row[i].last_ms < oldest->last_ms)
            oldest = &row[i];
    }
    *oldest = (struct traffic_row){ .since_ms = clock_wall_ms() };
    (void)strlcpy(oldest->workspace, workspace, sizeof(oldest->workspace));
    return oldest;
}

void
traffic_count(struct traffic *traffic, const char *workspace, int status, int64_t duration_us)
{
    static const int64_t BOUNDS_MS[TRAFFIC_BOUNDS] = TRAFFIC_BOUNDS_MS;
    unsigned range = 0;
    if (!workspace[0])
        return;
    struct traffic_row *row = take_row(traffic, workspace);
    row->last_ms = clock_wall_ms();
    row->requests++;
    row->refused += status >= 400 && status < 500;
    row->failed += status >= 500;
    while (range < TRAFFIC_BOUNDS && duration_us > BOUNDS_MS[range] * 1000)
        range++;
    row->durations[range]++;
}
