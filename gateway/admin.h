/* SPDX-License-Identifier: MIT */
/*
 * admin - the listener for operators: /metrics and /debug/status. No keys; never expose it.
 *
 * Source: contract 3 (ADMIN_LISTEN_ADDR)
 */
#ifndef GANTRY_GATEWAY_ADMIN_H
#define GANTRY_GATEWAY_ADMIN_H

#include "requests/request.h"

enum step admin_answer(struct request *r, const char *path, size_t len);

#endif
