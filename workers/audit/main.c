/* SPDX-License-Identifier: MIT */
/* gantry-audit - the audit log (audit.h). */
#include "audit.h"

int
main(int argc, char **argv)
{
    return worker_main(argc, argv, &AUDIT_SPEC);
}
