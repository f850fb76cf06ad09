/* SPDX-License-Identifier: MIT */
/*
 * fuzz_json - what is accepted has a canonical form, which reads back as itself, and is written
 * as something that is accepted again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(json) cJSON *again = NULL;
    AUTO(json) cJSON *third = NULL;
    AUTO(json) cJSON *exact = NULL;
    AUTO(buf) struct buf plain = { .max = 1 << 24 };
    struct json_writer w;
    AUTO(buf) struct buf first = { .max = 1 << 24 };
    AUTO(buf) struct buf second = { .max = 1 << 24 };
    struct err err = { 0 };
    enum rc loose = json_read_exact((const char *)data, size, &exact, &err);
    enum rc rc = json_read((const char *)data, size, &doc, &err);

    /* Read exactly, it is held to fewer bounds (but takes no byte order mark). */
    if (loose == RC_BUG || (loose != RC_OK && rc == RC_OK && data[0] != 0xEF))
        abort();
    if (rc != RC_OK) {
        if ((rc != RC_CORRUPT && rc != RC_INVALID) || err.rc != rc)
            abort();
        return 0;
    }
    if (json_canonical(doc, NULL, &first) != RC_OK)
        abort();
    rc = json_read_canonical(first.data, first.len, &again, &err);
    if (rc != RC_OK || json_canonical(again, NULL, &second) != RC_OK || first.len != second.len ||
        memcmp(first.data, second.data, first.len) != 0)
        abort();
    json_begin(&w, &plain);
    json_put_doc(&w, NULL, doc);
    if (json_end(&w) != RC_OK || json_read(plain.data, plain.len, &third, &err) != RC_OK ||
        !cJSON_Compare(doc, third, true))
        abort();
    return 0;
}
