/* SPDX-License-Identifier: MIT */
/*
 * start - the hooks that the program's table names.
 */
#ifndef GANTRY_INGEST_START_H
#define GANTRY_INGEST_START_H

#include "worker/worker.h"

enum rc ingest_start(struct worker *w, struct err *err);
enum rc ingest_ready(struct worker *w, struct err *err);
void ingest_tick(struct worker *w);
void ingest_stop(struct worker *w);
const char *ingest_failing(struct worker *w);

#endif
