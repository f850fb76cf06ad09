/* SPDX-License-Identifier: MIT */
/*
 * command - every command of the system, once: its subject, stream, scope, schema and program.
 *
 * Subject: gantry.v1.<workspace>.<name>. The workspace is taken from the subject, never from the
 *          payload. From this table come the gateway's publishing, the callout's permission lists,
 *          the workers' subscriptions and the tests that try everything else.
 * Events:  gantry.v1.<workspace>.<family>.<id>.done with the header "Gantry-Event: done" is the
 *          answer to a JetStream command; family is memory, audit or job; <id> the command's id.
 * Audit:   CMD_AUDIT_REQUEST is special: its subject ends in ".<program>" (who settled, which the
 *          server's permissions vouch for), its workspace may be AUDIT_NO_WORKSPACE, its body is an
 *          event or an array of them, its Nats-Msg-Id "<event id>.audit" or "<first event's
 *          id>.<count>.audit", and it is itself neither claimed, answered nor audited.
 * Source:  contract section 5
 */
#ifndef GANTRY_PROTOCOL_COMMAND_H
#define GANTRY_PROTOCOL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"
#include "base/rc.h"
#include "principal.h"

#define SUBJECT_MAX    200 /* bytes with the NUL */
#define SUBJECT_PREFIX "gantry.v1."
/* The connector tells the gateways that a webhook was disabled: gantry.sys.webhooks.<workspace>.<id>, a core message
 * {"state":…,"reason":…}. */
#define WEBHOOK_STATE_SUBJECT "gantry.sys.webhooks."
/* Of a core request with a claim: who asks records what comes of it, so the worker does not. */
#define UNRECORDED_HEADER "Gantry-Unrecorded"
#define EVENT_HEADER      "Gantry-Event"
#define ACTOR_HEADER      "Gantry-Actor"
#define MSG_ID_HEADER     "Nats-Msg-Id"
/* Of a .done event: the HTTP status; the payload is the body alone. Of an answer to a core request: a
 * good status that is not the usual one. */
#define STATUS_HEADER "Gantry-Status"
/* Of an answer about one job (the .done event of its command, a reply to jobs.get): the job's state. */
#define JOB_STATUS_HEADER "Gantry-Job-Status"
/* Of an error answer: the problem's code, and of a core reply the HTTP status (ADR-32). */
#define ERROR_HEADER        "Nats-Service-Error"
#define ERROR_STATUS_HEADER "Nats-Service-Error-Code"
/* Of a gateway's command: which form of .done it reads. 1, or absent: {"status":n,"body":...}. 2 (and
 * for every direct client): as STATUS_HEADER says. 3, of a list: as 2, and answer_list.h. */
#define PROTOCOL_HEADER "Gantry-Protocol"
/* Of a core request with a claim, "<bytes> <ms>": its answer is not larger, and is sent within that time
 * or not at all. A larger one is not sent, and not recorded: an empty answer tells its size, and the
 * request comes again. 0 bytes, of what changes something: any size. */
#define ANSWER_MAX_HEADER  "Gantry-Answer-Max"
#define ANSWER_SIZE_HEADER "Gantry-Answer-Size"
#define CUT_HEADER         "Gantry-Cut" /* of a dead letter: how long the payload was before it was cut */
#define MESSAGE_MAX        (1u << 20) /* bytes, headers and all; = max_msg_size in nats/streams */

enum stream { STREAM_NONE, STREAM_MEMORY, STREAM_TASKS, STREAM_AUDIT, STREAM_CONNECTOR };

/* STREAM_NONE = core request/reply with the queue group of the program's name.
 * program: the one that executes it. for_clients: also from a NATS client with an API key. */
/* clang-format off */
/*    name                 subject tail         stream         scope                  schema              program    family    for_clients */
#define COMMAND_TABLE(X)                                                                                                            \
    X(CMD_MEMORY_INGEST,     "memory.ingest",     STREAM_MEMORY, SCOPE_MEMORY_WRITE,    "memory_ingest",     "ingest",   "memory", true)  \
    X(CMD_MEMORY_PATCH,      "memory.patch",      STREAM_MEMORY, SCOPE_MEMORY_WRITE,    "memory_patch",      "ingest",   "memory", true)  \
    X(CMD_MEMORY_DELETE,     "memory.delete",     STREAM_MEMORY, SCOPE_MEMORY_DELETE,   "memory_delete",     "ingest",   "memory", true)  \
    X(CMD_MEMORY_FORGET,     "memory.forget",     STREAM_MEMORY, SCOPE_MEMORY_DELETE,   "memory_forget",     "ingest",   "memory", true)  \
    X(CMD_MEMORY_SEARCH,     "memory.search",     STREAM_NONE,   SCOPE_MEMORY_READ,     "memory_search",     "search",   NULL,     true)  \
    X(CMD_MEMORY_GET,        "memory.get",        STREAM_NONE,   SCOPE_MEMORY_READ,     "memory_get",        "search",   NULL,     true)  \
    X(CMD_MEMORY_LIST,       "memory.list",       STREAM_NONE,   SCOPE_MEMORY_READ,     "memory_list",       "search",   NULL,     true)  \
    X(CMD_AUDIT_APPEND,      "audit.append",      STREAM_AUDIT,  SCOPE_AUDIT_WRITE,     "audit_append",      "audit",    "audit",  true)  \
    X(CMD_AUDIT_LIST,        "audit.list",        STREAM_NONE,   SCOPE_AUDIT_READ,      "audit_list",        "audit",    NULL,     true)  \
    X(CMD_AUDIT_CHECKPOINT,  "audit.checkpoint",  STREAM_NONE,   SCOPE_AUDIT_READ,      "audit_checkpoint",  "audit",    NULL,     true)  \
    X(CMD_AUDIT_PROOF,       "audit.proof",       STREAM_NONE,   SCOPE_AUDIT_READ,      "audit_proof",       "audit",    NULL,     true)  \
    X(CMD_AUDIT_CONSISTENCY, "audit.consistency", STREAM_NONE,   SCOPE_AUDIT_READ,      "audit_consistency", "audit",    NULL,     true)  \
    X(CMD_AUDIT_EVENT,       "audit.event",       STREAM_NONE,   SCOPE_AUDIT_READ,      "audit_event",       "audit",    NULL,     false) \
    X(CMD_AUDIT_REQUEST,     "audit.request",     STREAM_AUDIT,  SCOPE_NONE,            "audit_request",     "audit",    NULL,     false) \
    X(CMD_EXECUTOR_RUN,      "executor.run",      STREAM_TASKS,  SCOPE_ACTIONS_EXECUTE, "executor_run",      "executor", "job",    true)  \
    X(CMD_JOBS_CANCEL,       "jobs.cancel",       STREAM_NONE,   SCOPE_ACTIONS_EXECUTE, "jobs_cancel",       "executor", NULL,     true)  \
    X(CMD_JOBS_LIST,         "jobs.list",         STREAM_NONE,   SCOPE_ACTIONS_PREVIEW, "jobs_list",         "executor", NULL,     true)  \
    X(CMD_JOBS_GET,          "jobs.get",          STREAM_NONE,   SCOPE_ACTIONS_PREVIEW, "jobs_get",          "executor", NULL,     true)  \
    X(CMD_ACTIONS_LIST,      "actions.list",      STREAM_NONE,   SCOPE_ACTIONS_PREVIEW, "actions_list",      "executor", NULL,     true)  \
    X(CMD_CONNECTOR_RUN,     "connector.run",     STREAM_CONNECTOR, SCOPE_ACTIONS_EXECUTE, "executor_run",   "connector", "job",   true)  \
    X(CMD_SECRETS_PUT,       "secrets.put",       STREAM_NONE,   SCOPE_SECRETS_MANAGE,  "secrets_put",       "connector", NULL,    false) \
    X(CMD_SECRETS_GET,       "secrets.get",       STREAM_NONE,   SCOPE_SECRETS_MANAGE,  "secrets_get",      "connector", NULL,    false) \
    X(CMD_SECRETS_LIST,      "secrets.list",      STREAM_NONE,   SCOPE_SECRETS_MANAGE,  "secrets_list",      "connector", NULL,    false) \
    X(CMD_SECRETS_DELETE,    "secrets.delete",    STREAM_NONE,   SCOPE_SECRETS_MANAGE,  "secrets_delete",      "connector", NULL,    false) \
    X(CMD_WEBHOOKS_CREATE, "webhooks.create", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_create", "connector", NULL, false) \
    X(CMD_WEBHOOKS_LIST, "webhooks.list", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_list", "connector", NULL, false) \
    X(CMD_WEBHOOKS_GET, "webhooks.get", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_get", "connector", NULL, false) \
    X(CMD_WEBHOOKS_CHANGE, "webhooks.change", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_change", "connector", NULL, false) \
    X(CMD_WEBHOOKS_DELETE, "webhooks.delete", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_delete", "connector", NULL, false) \
    X(CMD_WEBHOOKS_ROTATE, "webhooks.rotate", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_rotate", "connector", NULL, false) \
    X(CMD_WEBHOOKS_TEST, "webhooks.test", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_test", "connector", NULL, false) \
    X(CMD_WEBHOOKS_DELIVERIES, "webhooks.deliveries", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_deliveries", "connector", NULL, false) \
    X(CMD_WEBHOOKS_REPLAY, "webhooks.replay", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "webhooks_replay", "connector", NULL, false) \
    X(CMD_HOOKS_CREATE, "hooks.create", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "hooks_create", "connector", NULL, false) \
    X(CMD_HOOKS_LIST, "hooks.list", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "hooks_list", "connector", NULL, false) \
    X(CMD_HOOKS_DELETE, "hooks.delete", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "hooks_delete", "connector", NULL, false) \
    X(CMD_HOOKS_ROTATE, "hooks.rotate", STREAM_NONE, SCOPE_WEBHOOKS_MANAGE, "hooks_rotate", "connector", NULL, false)
/* clang-format on */

#define COMMAND_ENUM(name, ...) name,
enum command { COMMAND_TABLE(COMMAND_ENUM) CMD_COUNT };
#undef COMMAND_ENUM

struct command_info {
    enum command command;
    const char *tail;
    enum stream stream;
    enum scope scope;
    const char *schema;
    const char *program;
    const char *family; /* NULL: answered by reply, no .done event */
    bool for_clients;
};

const struct command_info *command_info(enum command command);
const char *stream_name(enum stream stream); /* "MEMORY"; NULL for STREAM_NONE */

/* "gantry.v1.<workspace>.<tail>" */
void command_subject(char out[SUBJECT_MAX], const char *workspace, enum command command);
/* "gantry.v1.<workspace>.<family>.<id>.done" */
void done_subject(char out[SUBJECT_MAX], const char *workspace, const char *family, const char *id);

/* "gantry.v1.<workspace>.<family>.<id>.told": the .done event of a command whose gateway was answered
 * with those of its list. Clients hear it under its usual subject, by the server's configuration. */
void told_subject(char out[SUBJECT_MAX], const char *workspace, const char *family, const char *id);
/* "gantry.v1.<workspace>.answers.<family>" */
void answers_subject(char out[SUBJECT_MAX], const char *workspace, const char *family);

/* Takes a subject apart. RC_CORRUPT when it is not a subject of ours. */
enum rc command_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], enum command *out);
enum rc done_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], char family[16],
                   char id[ID_TEXT_MAX]);
enum rc answers_parse(const char *subject, char workspace[WORKSPACE_TEXT_MAX], char family[16]);

#endif
