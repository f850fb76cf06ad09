/* SPDX-License-Identifier: MIT */
/*
 * apikey - the text form of an API key.
 *
 * Shape:  "relay_sk_" + key id (12) + secret (32) + checksum (6), base62 (0-9A-Za-z), 59 characters.
 *         The checksum is CRC-32 (IEEE 802.3) of the first 53 characters as six base62 digits, most
 *         significant first. It turns typing errors and random probes away before any hash.
 * Errors: RC_INVALID  not of the shape, or the checksum does not fit
 * Source: contract 4.2
 */
#ifndef GANTRY_PROTOCOL_APIKEY_H
#define GANTRY_PROTOCOL_APIKEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "principal.h"

#define APIKEY_PREFIX     "relay_sk_"
#define APIKEY_SECRET_LEN 32
#define APIKEY_LEN        59

struct apikey {
    char id[KEY_ID_LEN + 1];
    char secret[APIKEY_SECRET_LEN + 1]; /* wipe after use */
};

enum rc apikey_parse(const char *text, size_t len, struct apikey *out);
/* A new random key; text has room for APIKEY_LEN + 1. What is kept of it is the id and
 * crypto_password_hash(secret, APIKEY_SECRET_LEN). */
void apikey_new(struct apikey *out, char text[APIKEY_LEN + 1]);
/* The same with an id that is given (12 base62 digits), so that making it can be repeated. */
void apikey_new_with_id(const char *id, struct apikey *out, char text[APIKEY_LEN + 1]);
void apikey_wipe(struct apikey *key);

#endif
