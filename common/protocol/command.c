/* SPDX-License-Identifier: MIT */
/*
 * command - the table of commands, and subjects put together and taken apart.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include "audit_event.h"

#define COMMAND_ROW(name, tail, stream, scope, schema, program, family, clients)                   \
    [name] = { name, tail, stream, scope, schema, program, family, clients },
static const struct command_info COMMANDS[CMD_COUNT] = { COMMAND_TABLE(COMMAND_ROW) };
#undef COMMAND_ROW

#define DONE_TAIL   ".done"
#define ANSWERS     "answers."
#define FAMILY_MAX  16 /* bytes with the NUL */
#define PROGRAM_MAX 16 /* bytes with the NUL */

const struct command_info *
command_info(enum command command)
{
    return command < CMD_COUNT ? &COMMANDS[command] : NULL;
}

const char *
stream_name(enum stream stream)
{
    switch (stream) {
    case STREAM_NONE:
        return NULL;
    case STREAM_MEMORY:
        return "MEMORY";
    case STREAM_TASKS:
        return "TASKS";
    case STREAM_AUDIT:
        return "AUDIT";
    case STREAM_CONNECTOR:
        return "CONNECTOR";
    }
    return NULL;
}

void
command_subject(char out[SUBJECT_MAX], const char *workspace, enum command command)
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "%s.%s", workspace, COMMANDS[command].tail);
}

void
done_subject(char out[SUBJECT_MAX], const char *workspace, const char *family, const char *id)
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "%s.%s.%s" DONE_TAIL, workspace, family, id);
}

void
told_subject(char out[SUBJECT_MAX], const char *workspace, const char *family, const char *id)
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "%s.%s.%s.told", workspace, family, id);
}

void
answers_subject(char out[SUBJECT_MAX], const char *workspace, const char *family)
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "%s." ANSWERS "%s", workspace, family);
}

/* A name of a program, to the end of the text. */
static bool
is_program(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
    return len > 0 && len < PROGRAM_MAX && text[len] == '\0';
}

static bool
is_no_workspace(const char *text, size_t len)
{
    return len == sizeof(AUDIT_NO_WORKSPACE) - 1 && memcmp(text, AUDIT_NO_WORKSPACE, len) == 0;
}

/* After the prefix: the workspace into out; returns what follows its dot, or NULL. */
static const char *
take_workspace(const char *subject, char out[WORKSPACE_TEXT_MAX])
{
    const size_t prefix = sizeof(SUBJECT_PREFIX) - 1;
    if (strncmp(subject, SUBJECT_PREFIX, prefix) != 0)
        return NULL;
    const char *name = subject + prefix;
    const char *dot = strchr(name, '.');
    size_t len = dot ? (size_t)(dot - name) : 0;
    if (!dot || (!workspace_valid(name, len) && !is_no_workspace(name, len)))
        return NULL;
    memcpy(out, name, len);
    out[len] = '\0';
    return dot + 1;
}

/* Which command a tail names. Only a request event may belong to no workspace, and only its subject
 * goes on, with the name of the program that settled. */
static bool
match_tail(const struct command_info *info, const char *workspace, const char *tail)
{
    if (info->command != CMD_AUDIT_REQUEST)
        return workspace[0] != '_' && strcmp(tail, info->tail) == 0;
    size_t len = strlen(info->tail);
    return strncmp(tail, info->tail, len) == 0 && tail[len] == '.' && is_program(tail + len + 1);
}

enum rc
command_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], enum command *out)
{
    char name[WORKSPACE_TEXT_MAX];
    const char *tail = take_workspace(subject, name);
    if (!tail)
        return RC_CORRUPT;
    for (unsigned i = 0; i < CMD_COUNT; i++) {
        if (match_tail(&COMMANDS[i], name, tail)) {
            memcpy(workspace, name, strlen(name) + 1);
            *out = COMMANDS[i].command;
            return RC_OK;
        }
    }
    return RC_CORRUPT;
}

static bool
is_family(const char *text, size_t len)
{
    for (unsigned i = 0; i < CMD_COUNT; i++) {
        const char *family = COMMANDS[i].family;
        if (family && strlen(family) == len && memcmp(family, text, len) == 0)
            return true;
    }
    return false;
}

enum rc
done_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], char family[FAMILY_MAX],
           char id[ID_TEXT_MAX])
{
    char name[WORKSPACE_TEXT_MAX];
    char parsed[ID_TEXT_MAX];
    const char *tail = take_workspace(subject, name);
    const char *dot = tail ? strchr(tail, '.') : NULL;
    if (!dot || name[0] == '_' || !is_family(tail, (size_t)(dot - tail)))
        return RC_CORRUPT;
    const char *end = strchr(dot + 1, '.');
    /* The exact text must come back: an id in upper case names another subject. */
    if (!end || strcmp(end, DONE_TAIL) != 0 ||
        id_parse(dot + 1, (size_t)(end - dot - 1), parsed) != RC_OK ||
        memcmp(parsed, dot + 1, strlen(parsed)) != 0)
        return RC_CORRUPT;
    memcpy(workspace, name, strlen(name) + 1);
    memcpy(family, tail, (size_t)(dot - tail));
    family[dot - tail] = '\0';
    memcpy(id, parsed, sizeof(parsed));
    return RC_OK;
}

enum rc
answers_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], char family[FAMILY_MAX])
{
    char name[WORKSPACE_TEXT_MAX];
    const size_t head = sizeof(ANSWERS) - 1;
    const char *tail = take_workspace(subject, name);
    if (!tail || name[0] == '_' || strncmp(tail, ANSWERS, head) != 0 ||
        !is_family(tail + head, strlen(tail + head)))
        return RC_CORRUPT;
    memcpy(workspace, name, strlen(name) + 1);
    memcpy(family, tail + head, strlen(tail + head) + 1);
    return RC_OK;
}
