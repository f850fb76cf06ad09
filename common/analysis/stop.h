/* SPDX-License-Identifier: MIT */
/*
 * stop - function words: they weigh little, and they tell the language of a text.
 */
#ifndef GANTRY_ANALYSIS_STOP_H
#define GANTRY_ANALYSIS_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "analysis/stem.h"

/* The languages (1 << enum language) in which this folded word, accents dropped, is one; 0: none. */
unsigned stop_languages(const char *word, size_t len);

/* Are the tables sorted, as the search in them needs? For the unit test. */
bool stop_is_sorted(void);

#endif
