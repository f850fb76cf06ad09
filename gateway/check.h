/* SPDX-License-Identifier: MIT */
/*
 * check - what the table of settings cannot say about them: --check-config reports it without a start.
 */
#ifndef GANTRY_GATEWAY_CHECK_H
#define GANTRY_GATEWAY_CHECK_H

#include "settings.h"

/* How many problems there are; each is a line on standard error. */
unsigned check_settings(const struct settings *settings);

#endif
