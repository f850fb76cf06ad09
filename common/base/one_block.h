/* SPDX-License-Identifier: MIT */
/*
 * one_block - whether each piece of an allocator of ours is a block of malloc(): under AddressSanitizer,
 * which then sees where one ends.
 */
#ifndef GANTRY_BASE_ONE_BLOCK_H
#define GANTRY_BASE_ONE_BLOCK_H

#if defined(__SANITIZE_ADDRESS__)
#define ONE_BLOCK_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_BLOCK_EACH 1
#endif
#endif
#ifndef ONE_BLOCK_EACH
#define ONE_BLOCK_EACH 0
#endif

#endif
