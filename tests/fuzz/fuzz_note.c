/* SPDX-License-Identifier: MIT */
/*
 * fuzz_note - notes and verifier keys of any shape: what is not signed by us is not believed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[CRYPTO_SEED_LEN] = { 1 };
    static const char ours[] = "gantry/fuzz";
    AUTO(free) char *text = malloc(size + 1);
    struct crypto_signer signer;
    struct note_key key, other;
    struct merkle_head head;
    char again[NOTE_KEY_MAX];
    size_t body;

    if (!text || crypto_init(NULL) != RC_OK)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    crypto_signer_init(&signer, seed);
    if (note_key_init(&key, ours + 7, signer.public_key) != RC_OK)
        abort();
    /* Nobody makes our signature by chance; a note that opens was made with the seed. */
    if (note_open(&key, text, size, &head, NULL) == RC_OK &&
        (note_verify(&key, text, size, &body, NULL) != RC_OK || head.size >> MERKLE_LEVELS))
        abort();
    if (note_peek(text, size, &head) == RC_OK && head.size >> MERKLE_LEVELS)
        abort();
    if (note_key_parse(text, &other, NULL) == RC_OK) {
        note_key_text(&other, again);
        if (strcmp(again, text) != 0)
            abort();
    }
    return 0;
}
