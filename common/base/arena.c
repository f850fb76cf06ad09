/* SPDX-License-Identifier: MIT */
/*
 * arena - chunks in a list; the newest is carved from.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/one_block.h"

#define CHUNK_BYTES 16384 /* of the ordinary chunk; one larger piece gets a chunk of its own */
#define ALIGNMENT   alignof(max_align_t)

struct arena_chunk {
    struct arena_chunk *next; /* owned; older */
    size_t used;
    size_t size;
    alignas(max_align_t) char data[];
};

void
arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){ .max_bytes = max_bytes };
}

/* One ordinary chunk is kept, so that a request that fits in it costs no malloc(). */
void
arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    struct arena_chunk *next;

    for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = next) {
        next = chunk->next;
        if (!kept && chunk->size == CHUNK_BYTES && !ONE_BLOCK_EACH) {
            kept = chunk;
            kept->next = NULL;
            kept->used = 0;
        } else {
            free(chunk);
        }
    }
    arena->chunks = kept;
    arena->used_bytes = 0;
}

void
arena_fini(struct arena *arena)
{
    arena_reset(arena);
    free(arena->chunks);
    arena->chunks = NULL;
}

static struct arena_chunk *
add_chunk(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);

    if (!chunk)
        return NULL;
    chunk->used = 0;
    chunk->size = size;
    /* A full-sized stranger goes behind the chunk that still has room. */
    if (size > CHUNK_BYTES && arena->chunks && !ONE_BLOCK_EACH) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded;
    struct arena_chunk *chunk = arena->chunks;
    char *piece;

    if (size > arena->max_bytes)
        return NULL;
    rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (rounded < size || rounded > arena->max_bytes - arena->used_bytes)
        return NULL;
    if (ONE_BLOCK_EACH)
        chunk = add_chunk(arena, size);
    else if (!chunk || rounded > chunk->size - chunk->used)
        chunk = add_chunk(arena, rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES);
    if (!chunk)
        return NULL;
    piece = chunk->data + chunk->used;
    chunk->used += ONE_BLOCK_EACH ? size : rounded;
    arena->used_bytes += rounded;
    memset(piece, 0, size);
    return piece;
}

void *
arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(arena, total);
}

char *
arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : arena_alloc(arena, len + 1);

    if (copy && len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return NULL;
    text = arena_alloc(arena, (size_t)len + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
