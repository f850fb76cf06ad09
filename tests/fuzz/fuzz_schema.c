/* SPDX-License-Identifier: MIT */
/*
 * fuzz_schema - any schema on any document: input is the schema, a NUL, and the document. Every
 * complaint is bounded text; without a NUL the document meets the schemas that are compiled in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "validate/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct schema *schema, const cJSON *doc)
{
    struct field_errors errors = { 0 };
    enum rc rc = schema_check(schema, doc, &errors);

    if ((rc == RC_OK) != (errors.count == 0) || errors.count > SCHEMA_ERRORS_MAX)
        abort();
    for (size_t i = 0; i < errors.count; i++)
        if (strlen(errors.items[i].field) >= SCHEMA_FIELD_MAX || !errors.items[i].detail[0])
            abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const NAMES[] = { "memory_ingest", "memory_search", "execute",
                                         "audit_append", "executor_run" };
    const char *text = (const char *)data;
    const char *nul = size ? memchr(text, 0, size) : NULL;
    const char *doc_text = nul ? nul + 1 : text;
    AUTO(json) cJSON *doc = NULL;
    AUTO(json) cJSON *definition = NULL;
    AUTO(schema) struct schema *schema = NULL;

    if (json_read(doc_text, size - (size_t)(doc_text - text), &doc, NULL) != RC_OK)
        return 0;
    for (size_t i = 0; !nul && i < ARRAY_LEN(NAMES); i++)
        check(schema_builtin(NAMES[i]), doc);
    if (nul && json_read(text, (size_t)(nul - text), &definition, NULL) == RC_OK &&
        schema_compile(definition, &schema, NULL) == RC_OK)
        check(schema, doc);
    return 0;
}
