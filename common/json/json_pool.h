/* SPDX-License-Identifier: MIT */
/*
 * json_pool - memory for cJSON's many small pieces, which live and die together.
 *
 * Pieces are cut one after another from chunks; a chunk goes when its last piece is freed. So a
 * document costs a malloc() for every hundred of its pieces. Out of memory ends the process (json.h
 * says why). Under AddressSanitizer each piece is a malloc() block of its own.
 *
 * Threads: any; a piece may be freed by another thread. A thread that ends leaves one chunk behind,
 *          unless it calls json_pool_leave()
 */
#ifndef GANTRY_JSON_JSON_POOL_H
#define GANTRY_JSON_JSON_POOL_H

#include <stddef.h>

void *json_pool_alloc(size_t size);
void json_pool_free(void *piece); /* NULL allowed */

/* The thread ends soon: its chunk goes with the last piece of it. */
void json_pool_leave(void);

/* From malloc(), for free(); never NULL. */
void *json_alloc(size_t size);

#endif
