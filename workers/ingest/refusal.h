/* SPDX-License-Identifier: MIT */
/*
 * refusal - commands that were refused (400, 403, 422, 429): remembered in command_done, so that their
 * publisher can ask what became of them, and so that a redelivery gets the same answer.
 *
 * Bounds: a document of REFUSAL_MAX bytes, about REFUSALS_KEPT of a workspace.
 */
#ifndef GANTRY_INGEST_REFUSAL_H
#define GANTRY_INGEST_REFUSAL_H

#include "ingest.h"

#define REFUSAL_MAX                                                                                \
    4096 /* bytes; a longer document, and one that names a credential, is kept without fields */
#define REFUSALS_KEPT 10000

/* Of these calls, those that were refused. One that cannot be remembered now fails for now. */
void refusal_remember(struct worker *w, struct call **calls, size_t n);

/* Answers with a remembered document; text NULL: does nothing. True: answered. */
bool refusal_answer(struct call *call, const char *text);
/* The same for what is remembered of this command. */
bool refusal_recall(struct ingest *in, struct call *call);

#endif
