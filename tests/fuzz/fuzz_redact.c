/* SPDX-License-Identifier: MIT */
/*
 * fuzz_redact - any text and any document can be redacted; a credential in the middle never
 * survives and is found, and a prefix is at most 64 characters.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "protocol/audit_event.h"
#include "validate/redact.h"
#include "validate/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char canary[] = " relay_"
                                 "sk_Ab1Cd2Ef3Gh4Ij5KAb1Cd2Ef3Gh4Ij5K ";
    AUTO(buf) struct buf text = { .max = 1 << 20 };
    AUTO(buf) struct buf out = { .max = 1 << 21 };
    AUTO(json) cJSON *doc = NULL;
    char prefix[AUDIT_PREFIX_MAX], field[SECRETS_FIELD_MAX];
    size_t characters = 0;

    buf_add(&text, data, size / 2);
    buf_add(&text, canary, sizeof(canary) - 1);
    buf_add(&text, data + size / 2, size - size / 2);
    redact_text(buf_text(&text), text.len, &out);
    if (memmem(buf_text(&out), out.len, canary + 1, sizeof(canary) - 3))
        abort();
    if (!secrets_find(buf_text(&text), text.len))
        abort();
    if (json_read((const char *)data, size, &doc, NULL) != RC_OK)
        return 0;
    (void)secrets_find_json(doc, field);
    if (audit_params_prefix(doc, prefix) != RC_OK)
        return 0;
    for (const char *c = prefix; *c; c++)
        characters += ((unsigned char)*c & 0xc0) != 0x80;
    if (characters > 64)
        abort();
    return 0;
}
