/* SPDX-License-Identifier: MIT */
/*
 * blank - text in which nobody sees anything.
 *
 * Blank is Unicode's White_Space, its Default_Ignorable_Code_Point (joiners, marks of byte order and of
 * direction, variation selectors, tags, Hangul fillers), and the empty Braille pattern. A terminal may do
 * something with other controls.
 *
 * Source: Unicode 15, PropList.txt and DerivedCoreProperties.txt
 */
#ifndef GANTRY_BASE_BLANK_H
#define GANTRY_BASE_BLANK_H

#include <stdbool.h>

/* An empty text is blank; one that is not UTF-8 is not. */
bool blank_text(const char *text);

#endif
