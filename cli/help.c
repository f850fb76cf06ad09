/* SPDX-License-Identifier: MIT */
#include "help.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"

#define OUTPUT_MAX (256u * 1024) /* bytes */

static const char EXITS[] =
    "Every command takes --json and --help. Exit codes: 0 done, 1 the answer is no,\n"
    "2 usage, 100 configuration, 111 try again later.\n";

/* --- the table's rows ------------------------------------------------------------------------- */

/* "role=R": the length of the name, and its value's name; NULL when it takes none. */
static int
name_length(const char *option, const char **value)
{
    size_t len = strcspn(option, "=");
    *value = option[len] == '=' ? option + len + 1 : NULL;
    return (int)len;
}

static void
put_usage(const struct cli_command *command, struct buf *out)
{
    buf_printf(out, "gantry %s%s%s", command->group, command->verb ? " " : "",
               command->verb ? command->verb : "");
    if (command->arguments)
        buf_printf(out, " %s", command->arguments);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++) {
        const char *value = NULL;
        int len = name_length(command->options[i], &value);
        if (command->arguments && strstr(command->arguments, command->options[i]))
            continue; /* it must be given */
        buf_printf(out, " [--%.*s%s%s]", len, command->options[i], value ? " " : "",
                   value ? value : "");
    }
}

/* Whether the row is the first of its group. */
static bool
opens_group(const struct help *help, size_t row)
{
    return row == 0 || strcmp(help->commands[row - 1].group, help->commands[row].group) != 0;
}

void
help_print(FILE *out, const struct help *help, const char *group)
{
    AUTO(buf) struct buf text = { 0 };

    buf_init(&text, OUTPUT_MAX);
    buf_puts(&text, "gantry - the operator's command line of Gantry\n\n");
    for (size_t i = 0; i < help->n_commands; i++) {
        if (group && strcmp(help->commands[i].group, group) != 0)
            continue;
        buf_puts(&text, "  ");
        put_usage(&help->commands[i], &text);
        buf_printf(&text, "\n      %s\n", help->commands[i].summary);
    }
    buf_printf(&text, "\n%s", EXITS);
    if (!group)
        buf_puts(&text,
                 "gantry --man prints the manual page, gantry --completion bash|zsh|fish what "
                 "completes words\nin that shell; make install installs both.\n");
    for (size_t i = 0; !group && i < help->n_items; i++)
        buf_printf(&text, "%s  %-26s %s\n", i == 0 ? "\nEnvironment:\n" : "", help->items[i].name,
                   help->items[i].help);
    (void)fputs(buf_text(&text), out);
}

/* --- completion ------------------------------------------------------------------------------- */

/* The first sentence of a summary between quotes that sh, zsh and fish understand. */
static void
put_quoted(const char *summary, struct buf *out)
{
    size_t len = strcspn(summary, ".;");

    buf_putc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (summary[i] == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, summary[i]);
    }
    buf_putc(out, '\'');
}

/* The words that an option's value can be: "hybrid|vector|text" with blanks between them; nothing
 * where the table only names it. */
static void
put_choices(const char *value, struct buf *out)
{
    for (const char *c = value && strchr(value, '|') ? value : ""; *c; c++)
        buf_putc(out, *c == '|' ? ' ' : *c);
}

static void
put_groups(const struct help *help, struct buf *out)
{
    for (size_t i = 0; i < help->n_commands; i++)
        if (opens_group(help, i))
            buf_printf(out, "%s ", help->commands[i].group);
}

static void
put_verbs(const struct help *help, const char *group, struct buf *out)
{
    for (size_t i = 0; i < help->n_commands; i++)
        if (strcmp(help->commands[i].group, group) == 0 && help->commands[i].verb)
            buf_printf(out, "%s ", help->commands[i].verb);
}

static void
put_bash(const struct help *help, struct buf *out)
{
    buf_puts(out,
             "# gantry: completion for bash, made by gantry --completion bash\n"
             "_gantry() {\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
             "    if [ \"$cur\" = = ]; then cur=; "
             "elif [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
             "    COMPREPLY=()\n"
             "    case $COMP_CWORD,${COMP_WORDS[1]},${COMP_WORDS[2]-},$before in\n"
             "    1,*) words=\"--help --version ");
    put_groups(help, out);
    buf_puts(out, "\" ;;\n");
    for (size_t i = 0; i < help->n_commands; i++)
        if (opens_group(help, i) && help->commands[i].verb) {
            buf_printf(out, "    2,%s,*) words=\"--help ", help->commands[i].group);
            put_verbs(help, help->commands[i].group, out);
            buf_puts(out, "\" ;;\n");
        }
    for (size_t i = 0; i < help->n_commands; i++) {
        const struct cli_command *command = &help->commands[i];
        const char *verb = command->verb ? command->verb : "*";
        const char *value = NULL;
        for (size_t o = 0; o < CLI_OPTIONS_MAX && command->options[o]; o++) {
            int len = name_length(command->options[o], &value);
            if (!value)
                continue;
            buf_printf(out, "    *,%s,%s,--%.*s) words=\"", command->group, verb, len,
                       command->options[o]);
            put_choices(value, out);
            buf_puts(out, "\" ;;\n");
        }
        buf_printf(out, "    *,%s,%s,*) [[ $cur != -* ]] || words=\"--json --help ", command->group,
                   verb);
        for (size_t o = 0; o < CLI_OPTIONS_MAX && command->options[o]; o++)
            buf_printf(out, "--%.*s ", name_length(command->options[o], &value),
                       command->options[o]);
        buf_puts(out, "\" ;;\n");
    }
    buf_puts(out, "    esac\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                  "}\n"
                  "complete -o bashdefault -o default -F _gantry gantry\n");
}

static void
put_zsh_options(const struct cli_command *command, struct buf *out)
{
    buf_printf(out, "    %s,%s)\n        _arguments '--json[print JSON]' '--help[explain]'",
               command->group, command->verb ? command->verb : "*");
    for (size_t o = 0; o < CLI_OPTIONS_MAX && command->options[o]; o++) {
        const char *value = NULL;
        int len = name_length(command->options[o], &value);
        buf_printf(out, " '--%.*s%s", len, command->options[o], value ? "=:value:" : "");
        if (value && strchr(value, '|')) {
            buf_putc(out, '(');
            put_choices(value, out);
            buf_putc(out, ')');
        }
        buf_putc(out, '\'');
    }
    buf_puts(out, " '*:argument:_files' ;;\n");
}

static void
put_zsh(const struct help *help, struct buf *out)
{
    buf_puts(out, "#compdef gantry\n# gantry: completion for zsh, made by gantry --completion zsh\n"
                  "local -a words_of\nif (( CURRENT == 2 )); then\n    words_of=(");
    put_groups(help, out);
    buf_puts(out, ")\n    compadd -a words_of\n    return\nfi\nif (( CURRENT == 3 )); then\n"
                  "    case $words[2] in\n");
    for (size_t i = 0; i < help->n_commands; i++) {
        const struct cli_command *command = &help->commands[i];
        if (!command->verb)
            continue;
        if (opens_group(help, i))
            buf_printf(out, "    %s) words_of=(\n", command->group);
        buf_printf(out, "        %s:", command->verb);
        put_quoted(command->summary, out);
        buf_putc(out, '\n');
        if (i + 1 == help->n_commands || opens_group(help, i + 1))
            buf_puts(out, "        ) ;;\n");
    }
    buf_puts(out, "    esac\n    if (( $#words_of )); then\n        _describe command words_of\n"
                  "        return\n    fi\nfi\ncase $words[2],$words[3] in\n");
    for (size_t i = 0; i < help->n_commands; i++)
        put_zsh_options(&help->commands[i], out);
    buf_puts(out, "esac\n");
}

static void
put_fish(const struct help *help, struct buf *out)
{
    buf_puts(out, "# gantry: completion for fish, made by gantry --completion fish\n"
                  "complete -c gantry -l json -d 'print JSON'\n"
                  "complete -c gantry -l help -d 'explain'\n");
    for (size_t i = 0; i < help->n_commands; i++) {
        const struct cli_command *command = &help->commands[i];
        if (opens_group(help, i)) {
            buf_printf(out, "complete -c gantry -f -n __fish_use_subcommand -a %s -d ",
                       command->group);
            put_quoted(command->verb ? command->group : command->summary, out);
            buf_putc(out, '\n');
        }
        if (command->verb) {
            buf_printf(out,
                       "complete -c gantry -f -n '__fish_seen_subcommand_from %s; and not "
                       "__fish_seen_subcommand_from ",
                       command->group);
            put_verbs(help, command->group, out);
            buf_printf(out, "' -a %s -d ", command->verb);
            put_quoted(command->summary, out);
            buf_putc(out, '\n');
        }
        for (size_t o = 0; o < CLI_OPTIONS_MAX && command->options[o]; o++) {
            const char *value = NULL;
            int len = name_length(command->options[o], &value);
            buf_printf(out, "complete -c gantry -n '__fish_seen_subcommand_from %s%s%s' -l %.*s",
                       command->group, command->verb ? "; and __fish_seen_subcommand_from " : "",
                       command->verb ? command->verb : "", len, command->options[o]);
            if (value) {
                buf_puts(out, strcmp(value, "FILE") == 0 ? " -r -a '" : " -x -a '");
                put_choices(value, out);
                buf_putc(out, '\'');
            }
            buf_putc(out, '\n');
        }
    }
}

/* --- manual page ------------------------------------------------------------------------------ */

/* Text for troff: nothing in it is a request or an escape. */
static void
put_roff(const char *text, struct buf *out)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            buf_puts(out, "\\e");
        else if (*c == '-')
            buf_puts(out, "\\-");
        else if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
            buf_printf(out, "\\&%c", *c);
        else
            buf_putc(out, *c);
    }
    buf_putc(out, '\n');
}

static void
put_man(const struct help *help, struct buf *out)
{
    AUTO(buf) struct buf line = { 0 };

    buf_init(&line, OUTPUT_MAX);
    buf_printf(
        out,
        ".TH GANTRY 1 \"\" \"gantry %s\" \"Gantry\"\n.SH NAME\n"
        "gantry \\- the operator's command line of Gantry\n.SH SYNOPSIS\n"
        ".B gantry\nCOMMAND [ARGUMENT...] [\\-\\-json] [\\-\\-help]\n.SH DESCRIPTION\n"
        "Gantry hands memories, searches, audit events and tasks of agents to workers over "
        "NATS. gantry looks after it, and does by hand what agents do over HTTP. Options may "
        "stand anywhere behind the command; \\-\\- ends them. Results go to standard output, "
        "as text or, with \\-\\-json, as JSON; everything else goes to standard error.\n"
        ".SH COMMANDS\n",
        GANTRY_VERSION);
    for (size_t i = 0; i < help->n_commands; i++) {
        buf_reset(&line);
        put_usage(&help->commands[i], &line);
        buf_puts(out, ".TP\n.B ");
        put_roff(buf_text(&line), out);
        put_roff(help->commands[i].summary, out);
    }
    buf_puts(out, ".SH EXIT STATUS\n");
    put_roff(EXITS, out);
    buf_puts(out, ".SH ENVIRONMENT\nA secret can also be given as a file, with _FILE behind the "
                  "variable's name.\n");
    for (size_t i = 0; i < help->n_items; i++) {
        buf_printf(out, ".TP\n.B %s\n", help->items[i].name);
        put_roff(help->items[i].help, out);
    }
    buf_puts(out, ".SH EXAMPLES\n.nf\n\\&. var/env\ngantry status\ngantry memory add \"Alice likes "
                  "green tea.\" "
                  "\\-\\-scope user:1\ngantry memory search \"what does Alice drink?\"\n"
                  "gantry run json.query query=.a input='{\"a\": 1}'\n"
                  "gantry audit verify \\-\\-checkpoint held.txt\n.fi\n");
}

/* --- asked for -------------------------------------------------------------------------------- */

bool
help_generate(int argc, char **argv, const struct help *help, int *code)
{
    static const struct {
        const char *shell;
        void (*put)(const struct help *help, struct buf *out);
    } SHELLS[] = { { "bash", put_bash }, { "zsh", put_zsh }, { "fish", put_fish } };
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, OUTPUT_MAX);
    if (strcmp(argv[1], "--man") == 0) {
        put_man(help, &out);
    } else if (strcmp(argv[1], "--completion") == 0) {
        for (size_t i = 0; argc == 3 && i < ARRAY_LEN(SHELLS); i++)
            if (strcmp(argv[2], SHELLS[i].shell) == 0)
                SHELLS[i].put(help, &out);
        if (out.len == 0) {
            *code = cli_usage("--completion must be bash, zsh or fish");
            return true;
        }
    } else {
        return false;
    }
    *code = !buf_failed(&out) && fputs(buf_text(&out), stdout) >= 0 && fflush(stdout) == 0
                ? EXIT_OK
                : EXIT_TEMP;
    return true;
}
