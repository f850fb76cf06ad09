/* SPDX-License-Identifier: MIT */
/*
 * policy_spot - where in a policy something is wrong, and what; objects with known members.
 *
 * Source: RFC 6901 for the path
 */
#ifndef GANTRY_POLICY_POLICY_SPOT_H
#define GANTRY_POLICY_POLICY_SPOT_H

#include "json/json.h"
#include "validate/schema.h"

/* Where in the document we are; each level writes its own end of the text. */
struct spot {
    struct field_errors *errors;
    char path[SCHEMA_FIELD_MAX];
    size_t len;
};

typedef void check_fn(struct spot *spot, const cJSON *value);
struct member {
    const char *name;
    check_fn *check;
    bool required;
};

/* An error here. */
__attribute__((format(printf, 2, 3))) void spot_say(struct spot *spot, const char *format, ...);
/* A value is not what the text says that it must be: ", not …" is added, without a text of the value. */
__attribute__((format(printf, 3, 4))) void spot_expect(struct spot *spot, const cJSON *value,
                                                       const char *format, ...);

/* Go to a member, or to an item; returns what spot_leave() goes back to. */
size_t spot_enter(struct spot *spot, const char *name);
size_t spot_enter_item(struct spot *spot, size_t number);
void spot_leave(struct spot *spot, size_t before);

/* Each member is checked by its function; an error for an unknown one, and for one that is required. */
void spot_check_object(struct spot *spot, const cJSON *object, const struct member *members,
                       size_t n);

#endif
