/* SPDX-License-Identifier: MIT */
/*
 * memory_item - a memory as it is answered: one writer for search, get, list and patch.
 *
 * Shape:  {id, scope, content, tags, source, metadata, created_at} and, of get, list and patch,
 *         {facts, expires_at, version}
 * Source: contract 4.3; columns of "get" in sql/statements/search.sql
 */
#ifndef GANTRY_PROTOCOL_MEMORY_ITEM_H
#define GANTRY_PROTOCOL_MEMORY_ITEM_H

#include "db/db.h"
#include "json/json.h"

#define MEMORY_ANSWER_MAX (8u * 1024 * 1024) /* bytes of one answer: the programs' max_payload */
#define MEMORY_PAGE_MAX   (4u * 1024 * 1024) /* bytes after which a page ends */

/* Columns from first on: id, scope, text, tags, source, metadata, created ms. */
void memory_item_fields(struct json_writer *w, const PGresult *result, int row, int first);
/* The members of columns 0..9: those, then expires ms, version, facts. */
void memory_item_members(struct json_writer *w, const PGresult *result, int row);
/* The object of them; name may be NULL. */
void memory_item_write(struct json_writer *w, const char *name, const PGresult *result, int row);

#endif
