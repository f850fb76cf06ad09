/* SPDX-License-Identifier: MIT */
/*
 * schema_own - a compiled schema, for schema*.c only.
 */
#ifndef GANTRY_VALIDATE_SCHEMA_OWN_H
#define GANTRY_VALIDATE_SCHEMA_OWN_H

#include <regex.h>

#include "validate/schema.h"

enum schema_type {
    SCHEMA_NULL = 1,
    SCHEMA_BOOLEAN = 2,
    SCHEMA_INTEGER = 4,
    SCHEMA_NUMBER = 8,
    SCHEMA_STRING = 16,
    SCHEMA_ARRAY = 32,
    SCHEMA_OBJECT = 64,
};

enum schema_format {
    FORMAT_NONE,
    FORMAT_UUID,
    FORMAT_DATE_TIME,
    FORMAT_ACTION_NAME,
    FORMAT_TEXT, /* for people: any code point, but not blanks alone */
    FORMAT_NAME, /* no control characters */
    FORMAT_LABEL /* a name that is given: nor blanks alone */
};

enum schema_additional { ADDITIONAL_UNSAID, ADDITIONAL_ALLOWED, ADDITIONAL_REFUSED };

struct schema_property {
    char *name;          /* owned */
    struct schema *node; /* owned; NULL = anything */
    bool required;
};

#define SCHEMA_NO_LIMIT (-1)
#define FORM_MAX        150

struct schema {
    unsigned types;                     /* bit set of enum schema_type; 0 = any */
    struct schema_property *properties; /* owned */
    size_t n_properties;
    enum schema_additional additional;
    struct schema *additional_node; /* owned; NULL = anything, if allowed */
    struct schema *items;           /* owned; NULL = anything */
    int64_t min_items, max_items, max_properties;
    int64_t min_length, max_length; /* characters */
    int64_t max_bytes;
    bool has_minimum, has_maximum;
    double minimum, maximum;
    cJSON *values;  /* owned; array; NULL = any */
    cJSON *some_of; /* owned; array of names; NULL = none needed */
    bool only_one;  /* of some_of */
    bool has_pattern;
    regex_t pattern;
    char *pattern_text; /* owned */
    char *form;         /* owned; what it means, in words; NULL = nobody says */
    enum schema_format format;
};

#endif
