/* SPDX-License-Identifier: MIT */
/*
 * carry - commands and queries over NATS, and the answers that come back.
 *
 * Source: contract 4.1 (waiting) and 5
 */
#ifndef GATEWAY_CARRY_H
#define GATEWAY_CARRY_H

#include "bus.h"

struct gateway;

/* A .done event: whoever waits for that command is answered. */
void carry_done(struct gateway *gw, const struct bus_msg *msg);

#endif
