/* SPDX-License-Identifier: MIT */
/*
 * train - makes the cells of a workspace that outgrew exact scans, in the background.
 *
 * One workspace at a time, in steps on the loop's timer, each short, so that commands go on between
 * them; a lease in memory_training keeps other replicas away. A trainer that dies leaves a state
 * that is right and that the next one repairs: rows in old cells are still searched.
 *
 * Source: docs/memory.md
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "ingest.h"

#define TRAIN_MIN_ROWS   20000 /* below, every search is exact */
#define TRAIN_LOOK_EVERY 2000  /* inserted rows between two looks at a workspace's size */

struct trainer;

struct trainer *trainer_new(struct ingest *in); /* NULL: no memory */
void trainer_free(struct trainer *trainer);
/* Called after inserts: looks at the size when it is time, and starts what is needed. */
void trainer_look(struct trainer *trainer, struct cell_set *set);

#endif
