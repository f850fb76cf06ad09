/* SPDX-License-Identifier: MIT */
/*
 * arena - one growing, capped piece of memory for everything that lives as long as a request.
 *
 * The cap is the request's memory limit: past it arena_alloc() returns NULL and the caller answers
 * RC_LIMIT. Under AddressSanitizer each allocation is a malloc() block of its own, so that overflow
 * and use after reset stay visible. Nothing from an arena may be kept beyond arena_reset().
 *
 * Units: bytes
 */
#ifndef GANTRY_BASE_ARENA_H
#define GANTRY_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* owned */
    size_t used_bytes;
    size_t max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);

/* Zeroed memory aligned for any type; NULL beyond the cap. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A NUL-terminated copy; NULL beyond the cap. */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *format,
                                                         ...);

#define arena_cleanup arena_fini /* AUTO(arena) struct arena mem */

#endif
