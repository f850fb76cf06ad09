/* SPDX-License-Identifier: MIT */
/*
 * gantry - the operator's command line. One row for each subcommand.
 */
#include "cleanup.h"
#include "cli.h"
#include "migrate.h"

/* clang-format off */
static const struct cli_command COMMANDS[] = {
    { "migrate", NULL, NULL, "Bring the database's schema and roles up to date.",
      { NULL }, 0, 0, cmd_migrate },
};
/* clang-format on */

int
main(int argc, char **argv)
{
    return cli_main(argc, argv, COMMANDS, ARRAY_LEN(COMMANDS));
}
