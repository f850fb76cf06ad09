/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include "checks.h"

enum step
close_audit(struct request *r)
{
    (void)r;
    return STEP_NEXT;
}
