/* SPDX-License-Identifier: MIT */
/*
 * stop - function words: they weigh little, and they tell the language of a text.
 */
#ifndef GANTRY_STOP_H
#define GANTRY_STOP_H

#include <stddef.h>

#include "analysis/stem.h"

/* The languages (1 << enum language) in which this folded word, accents dropped, is one; 0: none. */
unsigned stop_languages(const char *word, size_t len);

#endif
