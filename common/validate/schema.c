/* SPDX-License-Identifier: MIT */
/*
 * schema - from a JSON Schema document to a tree of nodes.
 *
 * One function per keyword, found by table; a keyword that is not in the table is an error, and so is
 * a value of the wrong kind: a schema that silently checks less than it says is a hole.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json_pool.h"
#include "validate/schema_own.h"

#define PATTERN_MAX 512 /* bytes */

struct compiler {
    struct err *err;     /* borrowed; may be NULL */
    const char *keyword; /* borrowed */
};

typedef enum rc (*compile_fn)(struct compiler *c, struct schema *node, const cJSON *value);

/* Recursion: as deep as the document, which json_read() bounds. */
static enum rc build(struct compiler *c, const cJSON *definition, struct schema **out);

static enum rc
refuse(const struct compiler *c, const char *expected)
{
    return err_set(c->err, RC_CONFIG, "schema: %s must be %s", c->keyword, expected);
}

/* Zeroed memory; never NULL. */
static void *
allocate(size_t count, size_t size)
{
    void *memory = json_alloc(count * size + 1);

    memset(memory, 0, count * size + 1);
    return memory;
}

static char *
copy_text(const char *text)
{
    char *copy = allocate(1, strlen(text) + 1);

    memcpy(copy, text, strlen(text) + 1);
    return copy;
}

static unsigned
type_bit(const char *name)
{
    static const char *const NAMES[] = { "null",   "boolean", "integer", "number",
                                         "string", "array",   "object" };

    for (unsigned i = 0; name && i < ARRAY_LEN(NAMES); i++)
        if (strcmp(name, NAMES[i]) == 0)
            return 1U << i;
    return 0;
}

static enum rc
compile_type(struct compiler *c, struct schema *node, const cJSON *value)
{
    const cJSON *one = cJSON_IsArray(value) ? value->child : value;

    for (; one; one = cJSON_IsArray(value) ? one->next : NULL) {
        unsigned bit = type_bit(cJSON_GetStringValue(one));
        if (bit == 0)
            return refuse(c, "a type's name or an array of them");
        node->types |= bit;
    }
    return node->types ? RC_OK : refuse(c, "a type's name or an array of them");
}

static struct schema_property *
find_or_add(struct schema *node, const char *name)
{
    for (size_t i = 0; i < node->n_properties; i++)
        if (strcmp(node->properties[i].name, name) == 0)
            return &node->properties[i];

    struct schema_property *grown = allocate(node->n_properties + 1, sizeof(*grown));
    if (node->n_properties > 0)
        memcpy(grown, node->properties, node->n_properties * sizeof(*grown));
    free(node->properties);
    node->properties = grown;
    grown += node->n_properties++;
    grown->name = copy_text(name);
    return grown;
}

static enum rc
compile_properties(struct compiler *c, struct schema *node, const cJSON *value)
{
    enum rc rc;

    if (!cJSON_IsObject(value))
        return refuse(c, "an object");
    if (node->additional == ADDITIONAL_UNSAID)
        node->additional = ADDITIONAL_REFUSED;
    for (const cJSON *one = value->child; one; one = one->next) {
        struct schema_property *property = find_or_add(node, one->string);
        if ((rc = build(c, one, &property->node)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc
compile_required(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (!cJSON_IsArray(value))
        return refuse(c, "an array of names");
    for (const cJSON *one = value->child; one; one = one->next) {
        if (!cJSON_IsString(one))
            return refuse(c, "an array of names");
        find_or_add(node, one->valuestring)->required = true;
    }
    return RC_OK;
}

static enum rc
compile_additional(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (cJSON_IsBool(value)) {
        node->additional = cJSON_IsTrue(value) ? ADDITIONAL_ALLOWED : ADDITIONAL_REFUSED;
        return RC_OK;
    }
    node->additional = ADDITIONAL_ALLOWED;
    return build(c, value, &node->additional_node);
}

static enum rc
compile_items(struct compiler *c, struct schema *node, const cJSON *value)
{
    return build(c, value, &node->items);
}

static enum rc
take_count(struct compiler *c, const cJSON *value, int64_t *out)
{
    if (!cJSON_IsNumber(value) || !json_is_int(value->valuedouble) || value->valuedouble < 0)
        return refuse(c, "a whole number, not negative");
    *out = (int64_t)value->valuedouble;
    return RC_OK;
}

static enum rc
compile_minimum(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (!cJSON_IsNumber(value))
        return refuse(c, "a number");
    node->has_minimum = true;
    node->minimum = value->valuedouble;
    return RC_OK;
}

static enum rc
compile_maximum(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (!cJSON_IsNumber(value))
        return refuse(c, "a number");
    node->has_maximum = true;
    node->maximum = value->valuedouble;
    return RC_OK;
}

static enum rc
compile_enum(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (!cJSON_IsArray(value) || !value->child || node->values)
        return refuse(c, "an array of values (and no const beside it)");
    node->values = cJSON_Duplicate(value, true);
    return RC_OK;
}

static enum rc
compile_const(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (node->values)
        return refuse(c, "without an enum beside it");
    node->values = cJSON_CreateArray();
    (void)cJSON_AddItemToArray(node->values, cJSON_Duplicate(value, true));
    return RC_OK;
}

/* The whole value: a pattern of JSON Schema may match anywhere, one of ours may not. */
static enum rc
compile_pattern(struct compiler *c, struct schema *node, const cJSON *value)
{
    char whole[PATTERN_MAX];

    if (!cJSON_IsString(value) || strlen(value->valuestring) + 5 > sizeof(whole))
        return refuse(c, "a string of at most 500 bytes");
    (void)snprintf(whole, sizeof(whole), "^(%s)$", value->valuestring);
    if (regcomp(&node->pattern, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return refuse(c, "an extended regular expression");
    node->has_pattern = true;
    node->pattern_text = copy_text(value->valuestring);
    return RC_OK;
}

/* What the pattern means, in words that follow "must be". */
static enum rc
compile_form(struct compiler *c, struct schema *node, const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) > FORM_MAX)
        return refuse(c, "a string of at most 150 bytes");
    node->form = copy_text(value->valuestring);
    return RC_OK;
}

static enum rc
compile_format(struct compiler *c, struct schema *node, const cJSON *value)
{
    static const char *const NAMES[] = { [FORMAT_UUID] = "uuid",
                                         [FORMAT_DATE_TIME] = "date-time",
                                         [FORMAT_ACTION_NAME] = "action-name",
                                         [FORMAT_TEXT] = "text",
                                         [FORMAT_NAME] = "name",
                                         [FORMAT_LABEL] = "label" };

    for (unsigned i = FORMAT_UUID; cJSON_IsString(value) && i < ARRAY_LEN(NAMES); i++)
        if (strcmp(value->valuestring, NAMES[i]) == 0) {
            node->format = (enum schema_format)i;
            return RC_OK;
        }
    return refuse(c, "uuid, date-time, action-name, text, name or label");
}

static enum rc
compile_some_of(struct compiler *c, struct schema *node, const cJSON *value)
{
    const cJSON *one;

    if (!cJSON_IsArray(value) || !value->child)
        return refuse(c, "an array of names");
    cJSON_ArrayForEach (one, value)
        if (!cJSON_IsString(one))
            return refuse(c, "an array of names");
    node->some_of = cJSON_Duplicate(value, true);
    return RC_OK;
}

static enum rc
compile_one_of(struct compiler *c, struct schema *node, const cJSON *value)
{
    node->only_one = true;
    return compile_some_of(c, node, value);
}

/* For people and for OpenAPI: nothing to check. */
static enum rc
compile_note(struct compiler *c, struct schema *node, const cJSON *value)
{
    (void)c;
    (void)node;
    (void)value;
    return RC_OK;
}

#define COUNT(member) NULL, offsetof(struct schema, member)

static const struct {
    const char *name;
    compile_fn compile; /* NULL: a count, stored at offset */
    size_t offset;
} KEYWORDS[] = {
    { "type", compile_type, 0 },         { "properties", compile_properties, 0 },
    { "required", compile_required, 0 }, { "additionalProperties", compile_additional, 0 },
    { "items", compile_items, 0 },       { "minItems", COUNT(min_items) },
    { "maxItems", COUNT(max_items) },    { "maxProperties", COUNT(max_properties) },
    { "enum", compile_enum, 0 },         { "const", compile_const, 0 },
    { "minimum", compile_minimum, 0 },   { "maximum", compile_maximum, 0 },
    { "minLength", COUNT(min_length) },  { "maxLength", COUNT(max_length) },
    { "x-maxBytes", COUNT(max_bytes) },  { "pattern", compile_pattern, 0 },
    { "format", compile_format, 0 },     { "default", compile_note, 0 },
    { "description", compile_note, 0 },  { "title", compile_note, 0 },
    { "examples", compile_note, 0 },     { "$comment", compile_note, 0 },
    { "x-someOf", compile_some_of, 0 },  { "x-oneOf", compile_one_of, 0 },
    { "x-form", compile_form, 0 },
};

static enum rc
build_keyword(struct compiler *c, struct schema *node, const cJSON *value)
{
    enum rc rc;

    for (size_t i = 0; i < ARRAY_LEN(KEYWORDS); i++)
        if (strcmp(KEYWORDS[i].name, value->string) == 0) {
            const char *outer = c->keyword;
            c->keyword = KEYWORDS[i].name;
            if (KEYWORDS[i].compile)
                rc = KEYWORDS[i].compile(c, node, value);
            else
                rc = take_count(c, value, (int64_t *)(void *)((char *)node + KEYWORDS[i].offset));
            c->keyword = outer;
            return rc;
        }
    return err_set(c->err, RC_CONFIG, "schema: unknown keyword \"%.40s\"", value->string);
}

static enum rc
build(struct compiler *c, const cJSON *definition, struct schema **out)
{
    AUTO(schema) struct schema *node = NULL;
    enum rc rc;

    if (!cJSON_IsObject(definition))
        return err_set(c->err, RC_CONFIG, "schema: a schema must be an object");
    node = allocate(1, sizeof(*node));
    node->max_items = SCHEMA_NO_LIMIT;
    node->max_properties = SCHEMA_NO_LIMIT;
    node->max_length = SCHEMA_NO_LIMIT;
    node->max_bytes = SCHEMA_NO_LIMIT;
    for (const cJSON *one = definition->child; one; one = one->next)
        if ((rc = build_keyword(c, node, one)) != RC_OK)
            return rc;
    *out = TAKE(node);
    return RC_OK;
}

enum rc
schema_compile(const cJSON *definition, struct schema **out, struct err *err)
{
    struct compiler c = { .err = err, .keyword = "schema" };

    return build(&c, definition, out);
}

void
schema_free(struct schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < schema->n_properties; i++) {
        free(schema->properties[i].name);
        schema_free(schema->properties[i].node);
    }
    free(schema->properties);
    schema_free(schema->additional_node);
    schema_free(schema->items);
    cJSON_Delete(schema->values);
    cJSON_Delete(schema->some_of);
    free(schema->pattern_text);
    free(schema->form);
    if (schema->has_pattern)
        regfree(&schema->pattern);
    free(schema);
}

void
schema_cleanup(struct schema **schema)
{
    schema_free(*schema);
    *schema = NULL;
}
