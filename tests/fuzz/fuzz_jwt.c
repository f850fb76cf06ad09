/* SPDX-License-Identifier: MIT */
/*
 * fuzz_jwt - no bytes from a NATS server's request make the token reader overrun or lie.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "gateway/logins/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) cJSON *claims = NULL;
    enum nkey_kind kind = NKEY_KIND_COUNT;
    if (crypto_init(NULL) != RC_OK)
        abort();
    enum rc rc = jwt_verify((const char *)data, size, &claims, &kind, NULL);
    if ((rc == RC_OK) != (claims != NULL) || (rc == RC_OK) != (kind != NKEY_KIND_COUNT))
        abort();
    return 0;
}
