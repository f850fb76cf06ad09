/* SPDX-License-Identifier: MIT */
/*
 * form - the document of a verified request: JSON, or a form as GitHub and Slack send them.
 *
 * Shape:   of application/x-www-form-urlencoded an object of texts, the first of each name; if it has a
 *          member payload that is JSON, that document instead
 * Errors:  RC_INVALID  neither: the error says what is wrong, without the body
 * Threads: any
 */
#ifndef GANTRY_CONNECTOR_HOOKS_FORM_H
#define GANTRY_CONNECTOR_HOOKS_FORM_H

#include "base/rc.h"
#include "json/json.h"

/* type: the Content-Type, NULL = JSON. *out is the caller's. */
enum rc form_read(const char *type, const char *body, size_t len, cJSON **out, struct err *err);

#endif
