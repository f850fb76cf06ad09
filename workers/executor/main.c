/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "rc.h"
#include "run_one.h"

int
main(int argc, char **argv)
{
    int code = run_one_command(argc, argv);

    if (code < 0)
        (void)fputs("usage: gantry-executor --run-one [--timeout SECONDS] < TASK\n", stderr);
    return code < 0 ? EXIT_USAGE : code;
}
