/* SPDX-License-Identifier: MIT */
/*
 * secrets - finds credentials in text that is about to be stored.
 *
 * Known by their form: private key blocks, bearer and basic authorization, JSON Web Tokens, URLs
 * with a password, the key formats of well-known services, and values assigned to a name that ends
 * like "api_key" and that look random; and passwords that a command line gives. A sentence about keys, a hash, a UUID or a placeholder passes: it
 * would rather miss one than refuse a memory (redact.h is the other way round).
 *
 * Shape:  the answer is the kind, as a constant text ("GitHub token"); never the credential
 * Source: contract 4.3 (secret_in_text), architecture decision 13; the services' own documents
 */
#ifndef GANTRY_VALIDATE_SECRETS_H
#define GANTRY_VALIDATE_SECRETS_H

#include <stddef.h>

#include "json/json.h"

#define SECRETS_FIELD_MAX 96 /* bytes with the NUL */

/* The kind of the first credential in text; NULL when there is none. */
const char *secrets_find(const char *text, size_t len);

/* {"name":"DB_PASSWORD","value":"…"}: the name of member, whose name is another member of parent. NULL:
 * it is no such member. */
const char *secrets_name_of_value(const cJSON *parent, const cJSON *member);

/* In any string of doc, member names included. field receives where ("metadata.notes[2]"), cut to
 * fit; it is left alone when there is none. */
const char *secrets_find_json(const cJSON *doc, char field[SECRETS_FIELD_MAX]);

#endif
