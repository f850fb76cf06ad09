/* SPDX-License-Identifier: MIT */
/*
 * schema_builtin - the schemas that are compiled in: every body and query of the contract.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "embed_schemas.h"
#include "validate/schema.h"

#define DIRECTORY "common/validate/schemas/"
#define SUFFIX    ".json"

/* Filled once by schema_builtin_init(), before there are threads; never freed.
 * NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static struct schema *compiled[ARRAY_LEN(EMBED_SCHEMAS)];

/* The row of a name; that of the closing null pointers if there is none. */
static size_t
find_row(const char *name)
{
    size_t len = strlen(name);
    size_t i = 0;

    for (; EMBED_SCHEMAS[i].path; i++) {
        const char *file = EMBED_SCHEMAS[i].path + sizeof(DIRECTORY) - 1;
        if (strncmp(file, name, len) == 0 && strcmp(file + len, SUFFIX) == 0)
            break;
    }
    return i;
}

enum rc
schema_builtin_init(struct err *err)
{
    enum rc rc;

    for (size_t i = 0; EMBED_SCHEMAS[i].path; i++) {
        AUTO(json) cJSON *doc = NULL;
        if (compiled[i])
            continue;
        rc = json_read(EMBED_SCHEMAS[i].text, strlen(EMBED_SCHEMAS[i].text), &doc, err);
        if (rc == RC_OK)
            rc = schema_compile(doc, &compiled[i], err);
        if (rc != RC_OK) {
            (void)err_wrap(err, "%s", EMBED_SCHEMAS[i].path);
            return RC_CONFIG;
        }
    }
    return RC_OK;
}

const struct schema *
schema_builtin(const char *name)
{
    size_t row = find_row(name);

    if (EMBED_SCHEMAS[row].path && !compiled[row])
        (void)schema_builtin_init(NULL);
    return compiled[row];
}

const char *
schema_builtin_text(const char *name)
{
    return EMBED_SCHEMAS[find_row(name)].text;
}
