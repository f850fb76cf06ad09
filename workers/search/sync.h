/* SPDX-License-Identifier: MIT */
/*
 * sync - a workspace's index as new as the database.
 *
 * The version of the workspace is asked first; what changed since the index's own version is read by
 * the log. A log that does not begin where the index ends belongs to another past of the database (it
 * was restored, or an older standby has taken over), or the index is too old: it is loaded anew.
 *
 * Errors: those of the database · RC_TEMP no memory, or the program ends
 * Source: docs/memory.md, "The change log"
 */
#ifndef GANTRY_SEARCH_SYNC_H
#define GANTRY_SEARCH_SYNC_H

#include "search.h"
#include "shelf.h"

/* Called between two pages: it tells those that wait when it takes too long. */
typedef void sync_page_fn(void *arg);

/* *streamed: there is no room for the index; it has to be read in slices. */
enum rc sync_entry(struct searcher *t, struct shelf_entry *entry, sync_page_fn *page, void *arg,
                   bool *streamed, struct err *err);

/* An index that was the newest when it was last asked, and is taken for it again: the same statement
 * that reads the items says whether it is, which saves a round trip. True: the entry is locked for
 * reading, and version says what must be the newest still. */
bool sync_guess(struct searcher *t, struct shelf_entry *entry,
                char version[SHELF_VERSION_TEXT_MAX]);

/* The whole workspace in collections of at most SHELF_SLICE_BYTES, one after another. */
typedef enum rc sync_slice_fn(void *arg, const struct collection *slice, struct err *err);
enum rc sync_slices(struct searcher *t, const char *workspace, sync_slice_fn *fn, void *arg,
                    struct err *err);

#endif
