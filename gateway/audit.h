/* SPDX-License-Identifier: MIT */
/*
 * audit - the audit events of requests that never became a command.
 *
 * close_audit() is the last stage of every request, with its answer complete and held back. A
 * request whose command was published (r->acked) is audited by the worker that settles it.
 *
 * Source: architecture, decision 9; contract 7.3
 */
#ifndef GATEWAY_AUDIT_H
#define GATEWAY_AUDIT_H

#include "request.h"

#endif
