/* SPDX-License-Identifier: MIT */
/*
 * conf_value - one setting's text: is it right, and what does it mean. For conf*.c only.
 */
#ifndef GANTRY_PROCESS_CONF_VALUE_H
#define GANTRY_PROCESS_CONF_VALUE_H

#include "process/conf.h"

#define CONF_SECRET_MAX 16384 /* bytes */
#define CONF_STRING_MAX 1024  /* bytes, where the table does not say */
#define CONF_WHY_MAX    256

/* Whether the item's value is, or may hold, a secret: then it may come from NAME_FILE as well. */
bool conf_is_secret(const struct conf_item *item);

/* False: why says what is expected, without the text. */
bool conf_value_check(const struct conf_item *item, const char *text, char why[CONF_WHY_MAX]);

/* CONF_INT, CONF_BOOL, CONF_CHOICE, CONF_KEY32: a checked text (NULL = zero) into place. */
void conf_value_store(const struct conf_item *item, const char *text, void *place);

#endif
