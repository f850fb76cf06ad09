/* SPDX-License-Identifier: MIT */
/*
 * fuzz_apikey - keys and Redis URLs: two texts from outside, each with its own parser.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kv/kv_own.h"
#include "protocol/apikey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_key(const char *text, size_t len)
{
    struct apikey key;
    if (apikey_parse(text, len, &key) == RC_OK &&
        (len != APIKEY_LEN || strlen(key.id) != KEY_ID_LEN ||
         strlen(key.secret) != APIKEY_SECRET_LEN || memcmp(text + 9, key.id, KEY_ID_LEN) != 0))
        abort();
}

static void
try_url(const char *text)
{
    struct kv_url url = { .port = -1 };
    struct err err = { .rc = RC_OK };
    enum rc rc = kv_url_parse(text, &url, &err);
    if (rc != RC_OK ? rc != RC_CONFIG || url.port != -1 : url.port < 1 || url.port > 65535)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(free) char *text = calloc(1, size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    try_key(text, size);
    try_url(text);
    return 0;
}
