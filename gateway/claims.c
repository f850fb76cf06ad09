/* SPDX-License-Identifier: MIT */
#include "claims.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "process/conf.h"
#include "protocol/actor.h"

void
claims_make_keys(const uint8_t signing_key[CRYPTO_KEY_LEN], uint8_t keys[CMD_COUNT][CRYPTO_KEY_LEN])
{
    for (enum command command = 0; command < CMD_COUNT; command++)
        actor_key(signing_key, command_info(command)->program, keys[command]);
}

static bool
carries_out_commands(const char *program)
{
    for (enum command command = 0; command < CMD_COUNT; command++)
        if (strcmp(command_info(command)->program, program) == 0)
            return true;
    return false;
}

int
claims_print_key(const char *program)
{
    static const struct conf_item ITEM[] = {
        { .name = "ACTOR_SIGNING_KEY", .type = CONF_KEY32, .offset = 0, .help = "" },
    };
    const struct conf_table table = { ITEM, ARRAY_LEN(ITEM), NULL };
    uint8_t signing_key[CRYPTO_KEY_LEN], key[CRYPTO_KEY_LEN];
    char text[HEX_LEN(CRYPTO_KEY_LEN)];
    struct err err = { 0 };
    if (!carries_out_commands(program)) {
        (void)fprintf(stderr,
                      "gantry-gateway: \"%s\" takes no commands: name ingest, search, audit, "
                      "executor or connector\n",
                      program);
        return EXIT_USAGE;
    }
    if (crypto_init(&err) != RC_OK || conf_read(&table, 1, signing_key, &err) != RC_OK) {
        (void)fprintf(stderr, "gantry-gateway: %s\n", err.text);
        return EXIT_CONFIG;
    }
    actor_key(signing_key, program, key);
    hex_encode(key, sizeof(key), text);
    int written = puts(text);
    crypto_wipe(signing_key, sizeof(signing_key));
    crypto_wipe(key, sizeof(key));
    crypto_wipe(text, sizeof(text));
    return written < 0 ? EXIT_TEMP : EXIT_OK;
}
