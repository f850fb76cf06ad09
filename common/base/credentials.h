/* SPDX-License-Identifier: MIT */
/*
 * credentials - what API keys and tokens of well-known services begin with.
 *
 * Shape:  case counts. A word is taken for a credential if it begins with text and has min bytes; too
 *         eager is harmless where this is used (redaction, request ids). What memory refuses to store
 *         is judged by the whole form of a key instead (validate/secrets_form.c).
 */
#ifndef GANTRY_BASE_CREDENTIALS_H
#define GANTRY_BASE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether text[0..len) begins like a credential. */
bool credential_begins(const char *text, size_t len);

#endif
