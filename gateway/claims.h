/* SPDX-License-Identifier: MIT */
/*
 * claims - the keys that the gateway shares with the workers, one with each, for Gantry-Actor.
 */
#ifndef GANTRY_GATEWAY_CLAIMS_H
#define GANTRY_GATEWAY_CLAIMS_H

#include <stdint.h>

#include "crypto/crypto.h"
#include "protocol/command.h"

/* For each command the key of the program that executes it. */
void claims_make_keys(const uint8_t signing_key[CRYPTO_KEY_LEN],
                      uint8_t keys[CMD_COUNT][CRYPTO_KEY_LEN]);

/* --print-actor-key: ACTOR_KEY of one program, from ACTOR_SIGNING_KEY. An exit code. */
int claims_print_key(const char *program);

#endif
