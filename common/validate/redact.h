/* SPDX-License-Identifier: MIT */
/*
 * redact - takes out of a text everything that could be a credential, before it is kept for good.
 *
 * It would rather take too much than too little (common/validate/secrets.h, which refuses requests, is the
 * other way round). Taken are: private key blocks; what follows "Bearer", "Basic" or "password=";
 * passwords that a command line gives;
 * the user part of URLs; tokens of well-known formats; long tokens that look random; and, in JSON,
 * whatever stands under a member named like a credential, and names that look like one.
 *
 * Shape:  each piece becomes [redacted]
 * Source: contract 7.4
 */
#ifndef GANTRY_VALIDATE_REDACT_H
#define GANTRY_VALIDATE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "json/json.h"

#define REDACT_MARK "[redacted]"

void redact_text(const char *text, size_t len, struct buf *out);

/* Is a member of this name likely to hold a credential? */
bool redact_named(const char *name, size_t len);

/* The compact JSON of doc, redacted; stops early once out holds enough bytes. */
void redact_json(const cJSON *doc, size_t enough, struct buf *out);

#endif
