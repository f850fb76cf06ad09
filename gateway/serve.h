/* SPDX-License-Identifier: MIT */
/*
 * serve - the gateway's life: connect, listen, run, drain.
 *
 * Errors: the exit code: 0 drained, 100 configuration, 111 temporary
 */
#ifndef GANTRY_GATEWAY_SERVE_H
#define GANTRY_GATEWAY_SERVE_H

#include "settings.h"

int serve(const struct settings *settings);

#endif
