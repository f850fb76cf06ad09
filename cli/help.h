/* SPDX-License-Identifier: MIT */
/*
 * help - what is made of the table of commands: help, completion for shells, the manual page.
 */
#ifndef GANTRY_CLI_HELP_H
#define GANTRY_CLI_HELP_H

#include <stdio.h>

#include "cli.h"
#include "process/conf.h"

struct help {
    const struct cli_command *commands;
    size_t n_commands;
    const struct conf_item *items; /* of the environment */
    size_t n_items;
};

/* All commands, or those of one group. */
void help_print(FILE *out, const struct help *help, const char *group);

/* Whether the words ask for --completion SHELL or --man; then it is printed, and *code is the exit
 * code. */
bool help_generate(int argc, char **argv, const struct help *help, int *code);

#endif
