/* SPDX-License-Identifier: MIT */
/*
 * json_pool - a piece finds its chunk by its address: chunks lie at multiples of their size.
 */
#include "json/json_pool.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/one_block.h"
#include "base/rc.h"

#define CHUNK_BYTES 32768u
#define PIECE_MAX   4096u /* larger ones get a chunk of their own */
#define ALIGNMENT   alignof(max_align_t)

struct chunk {
    _Atomic size_t live; /* pieces, and the thread that still cuts from it */
    size_t used;         /* bytes, with this head */
};

#define HEAD_BYTES ((sizeof(struct chunk) + ALIGNMENT - 1) & ~(ALIGNMENT - 1))

static _Thread_local struct chunk *current; /* NOLINT: one for each thread, for its whole life */

static void *
or_exit(void *memory)
{
    if (memory)
        return memory;
    log_no_memory("JSON");
}

void *
json_alloc(size_t size)
{
    return or_exit(malloc(size));
}

static struct chunk *
chunk_new(size_t size)
{
    size_t whole = (size + CHUNK_BYTES - 1) & ~((size_t)CHUNK_BYTES - 1);
    struct chunk *chunk = or_exit(aligned_alloc(CHUNK_BYTES, whole));

    atomic_init(&chunk->live, 1);
    chunk->used = HEAD_BYTES;
    return chunk;
}

static void
release(struct chunk *chunk)
{
    if (chunk && atomic_fetch_sub(&chunk->live, 1) == 1)
        free(chunk);
}

void *
json_pool_alloc(size_t size)
{
    size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);

    if (ONE_BLOCK_EACH || rounded < size)
        return json_alloc(size);
    if (rounded > PIECE_MAX)
        return (char *)chunk_new(HEAD_BYTES + rounded) + HEAD_BYTES;
    if (!current || current->used + rounded > CHUNK_BYTES) {
        release(current);
        current = chunk_new(CHUNK_BYTES);
    }
    char *piece = (char *)current + current->used;
    current->used += rounded;
    atomic_fetch_add_explicit(&current->live, 1, memory_order_relaxed);
    return piece;
}

void
json_pool_free(void *piece)
{
    if (ONE_BLOCK_EACH || !piece)
        free(piece);
    else
        release((struct chunk *)((uintptr_t)piece & ~((uintptr_t)CHUNK_BYTES - 1)));
}

void
json_pool_leave(void)
{
    release(current);
    current = NULL;
}
