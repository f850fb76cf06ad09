/* SPDX-License-Identifier: MIT */
/*
 * series - the histograms of a program: stages of commands, and jobs.
 *
 * Each is made when something is first recorded in it, and there are at most SERIES_MAX. Labels come
 * from our own tables (commands, stages, outcomes) and from the executor's catalog of actions, never
 * from a request.
 *
 * Errors:  NULL from series_find(): no memory, or the set is full; nothing is recorded then
 * Threads: one
 */
#ifndef GANTRY_PROTOCOL_SERIES_H
#define GANTRY_PROTOCOL_SERIES_H

#include <stddef.h>

#include "base/histogram.h"

#define SERIES_MAX       256
#define SERIES_LABEL_MAX 64 /* bytes with the NUL */

/* clang-format off */
/*    family         name of the metric                first label  second     help */
#define FAMILY_TABLE(X)                                                                              \
    X(FAMILY_STAGE, "gantry_command_stage_seconds",   "command",   "stage",   "what a command spent in each stage") \
    X(FAMILY_JOB,   "ai_job_duration_seconds",        "action",    "outcome", "jobs from their start to their end")
/* clang-format on */

enum family {
#define FAMILY_ENUM(family, ...) family,
    FAMILY_TABLE(FAMILY_ENUM)
#undef FAMILY_ENUM
        FAMILIES
};

/* What a command passes through, and who measures it. */
#define STAGE_TABLE(X)                                                                             \
    X(STAGE_QUEUE, "queue")       /* workers: from the server's receipt to the handler */          \
    X(STAGE_HANDLER, "handler")   /* workers: of the batch that it was in */                       \
    X(STAGE_DATABASE, "database") /* workers: of that, waiting for PostgreSQL or Redis */          \
    X(STAGE_AUDIT, "audit")       /* workers, gateway: until AUDIT has taken its event */          \
    X(STAGE_PUBLISH, "publish")   /* gateway: until JetStream has taken the command */             \
    X(STAGE_REPLY, "reply")       /* gateway: until a query is answered */

enum stage {
#define STAGE_ENUM(stage, name) stage,
    STAGE_TABLE(STAGE_ENUM)
#undef STAGE_ENUM
        STAGE_COUNT
};

const char *stage_name(enum stage stage);

struct series {
    enum family family;
    char labels[2][SERIES_LABEL_MAX];
    struct histogram histogram;
};

struct series_set {
    struct series *rows[SERIES_MAX]; /* owned */
    size_t count;
};

/* The histogram of these labels, which are cut at SERIES_LABEL_MAX; made when it is not there. */
struct histogram *series_find(struct series_set *set, enum family family, const char *first,
                              const char *second);
void series_free(struct series_set *set); /* what it holds */

#endif
