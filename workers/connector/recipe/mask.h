/* SPDX-License-Identifier: MIT */
/*
 * mask - what a service gives back of the secrets that it was sent is taken out again.
 *
 * A secret is looked for as it is, percent-encoded, escaped as in a JSON string, and within base64 and
 * base64url at each of the three places it can begin at; letters of either case. Longer forms go first,
 * so that no secret leaves the rest of another that begins with it.
 *
 * Threads: any
 */
#ifndef GANTRY_CONNECTOR_RECIPE_MASK_H
#define GANTRY_CONNECTOR_RECIPE_MASK_H

#include "json/json.h"

#define MASK_MIN   6 /* characters of a secret that is looked for */
#define MASK_SHOWN "(secret)"

/* Names and texts of doc, which may be NULL. secrets: an array of texts; NULL = none. */
void mask_doc(cJSON *doc, const cJSON *secrets);

#endif
