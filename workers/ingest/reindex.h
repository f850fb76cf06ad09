/* SPDX-License-Identifier: MIT */
/*
 * reindex - brings rows of an older analyser, or of another model, up to date in the background.
 *
 * One pass over all rows for each pair of analyser and model (table memory_reindex), by one replica
 * at a time, in steps on the loop's timer, each short, so that commands go on between them. The pass
 * remembers how far it is: who dies is succeeded after 30 seconds, and what was done is done. Until
 * then a search analyses such rows itself, and finds them by their words only.
 *
 * Source: docs/memory.md
 */
#ifndef GANTRY_INGEST_REINDEX_H
#define GANTRY_INGEST_REINDEX_H

#include "ingest.h"

struct reindex *reindex_new(struct ingest *in); /* NULL: no memory */
void reindex_free(struct reindex *reindex);

#endif
