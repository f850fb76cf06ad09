/* SPDX-License-Identifier: MIT */
/*
 * clock - wall and monotonic time, and RFC 3339 text.
 *
 * Units:   *_ms are milliseconds; wall times since the Unix epoch, UTC
 * Errors:  RC_INVALID  text that is not an RFC 3339 date-time
 * Source:  RFC 3339; contract section 4.3 ("Times are RFC 3339 UTC with milliseconds")
 */
#ifndef GANTRY_BASE_CLOCK_H
#define GANTRY_BASE_CLOCK_H

#include <stdint.h>

#include "base/rc.h"

#define CLOCK_TEXT_MAX 32 /* bytes with the NUL: "2026-01-02T03:04:05.678Z" is 25 */

int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Write "2026-01-02T03:04:05.678Z"; returns text. */
const char *clock_format(int64_t wall_ms, char text[CLOCK_TEXT_MAX]);

/* Read any RFC 3339 date-time with offset or Z; fractions beyond milliseconds are cut. */
enum rc clock_parse(const char *text, int64_t *wall_ms);

/* The same from people and other programs: what clock_parse() takes; without a zone, which means UTC;
 * without a time of day, which means its start; without seconds; with a blank for the T, an offset
 * without its colon, or a blank for its +, which is what a + in a URL means. */
enum rc clock_parse_loose(const char *text, int64_t *wall_ms);

#endif
