/* SPDX-License-Identifier: MIT */
/*
 * gantry - the operator's command line. One row for each subcommand.
 */
#include "audit.h"
#include "base/cleanup.h"
#include "cli.h"
#include "dlq.h"
#include "jobs.h"
#include "key.h"
#include "memory.h"
#include "migrate.h"
#include "policy.h"
#include "provision.h"
#include "secret.h"
#include "status.h"
#include "webhook.h"
#include "workspace.h"

/* clang-format off */
static const struct cli_command COMMANDS[] = {
    { "migrate", NULL, NULL, "Bring the database's schema and roles up to date. With --additions, leave out migrations that remove what the previous release needs: for an upgrade while its programs run.",
      { "additions", NULL }, 0, 0, cmd_migrate },
    { "provision", NULL, NULL, "Create or update the NATS streams and consumers; replicas and places stay what they are. With --no-workspaces, which needs no database and leaves the shared consumers of an earlier release, it belongs after each start of the NATS server. With --repair-only, it only looks for what a server that was killed has left, and makes consumers that are missing, to be run now and then. Servers that elect a leader, or that their cluster has not heard of yet, are waited for, at most 60 s for each request. With --connector, also what gantry-connector needs; once made, it is kept up to date without the word.",
      { "replicas=N", "place=TAG[,TAG...]", "no-workspaces", "repair-only", "wait=SECONDS", "connector", NULL }, 0, 0, cmd_provision },
    { "workspace", "create", "NAME", "Create a workspace with its consumers; nothing happens if it exists.",
      { NULL }, 1, 1, cmd_workspace_create },
    { "workspace", "list", NULL, "All workspaces, and what they may run.",
      { NULL }, 0, 0, cmd_workspace_list },
    { "workspace", "allow", "NAME [ACTION...]", "Replace the default list of actions; with no action, nothing is allowed.",
      { NULL }, 1, -1, cmd_workspace_allow },
    { "workspace", "egress", "NAME [HOST...]", "Replace the list of hosts that connector actions of the workspace may reach (api.example.com, *.example.com, with :PORT); with no host, none.",
      { NULL }, 1, -1, cmd_workspace_egress },
    { "secret", "set", "WORKSPACE NAME", "Set a secret that connector actions use, from standard input; it is never shown again.",
      { NULL }, 2, 2, cmd_secret_set },
    { "secret", "list", "WORKSPACE", "The secrets of a workspace: names and times, no values.",
      { NULL }, 1, 1, cmd_secret_list },
    { "secret", "delete", "WORKSPACE NAME", "Delete a secret.",
      { NULL }, 2, 2, cmd_secret_delete },
    { "policy", "get", "WORKSPACE", "The policy of a workspace: which allowed actions run, which do not, which wait for an approval.",
      { "version=N", NULL }, 1, 1, cmd_policy_get },
    { "policy", "set", "WORKSPACE FILE", "Set the policy from a file (- is standard input; default is the one that comes with Gantry). Every version is kept.",
      { NULL }, 2, 2, cmd_policy_set },
    { "policy", "versions", "WORKSPACE", "The versions of a policy, newest first.",
      { NULL }, 1, 1, cmd_policy_versions },
    { "policy", "test", "ACTION [PARAMS]", "What the policy of the key's workspace decides about an action, and why (PARAMS is a JSON object); nothing runs.",
      { "scope=S", "role=R", NULL }, 1, 2, cmd_policy_test },
    { "approval", "list", NULL, "Actions that wait for an approval.",
      { "state=waiting|approved|denied|expired|cancelled|failed|all", NULL }, 0, 0, cmd_approval_list },
    { "approval", "show", "ID", "What exactly waits for an approval.",
      { NULL }, 1, 1, cmd_approval_show },
    { "approval", "approve", "ID", "Approve an action that somebody else has asked for.",
      { "comment=TEXT", "hash=HASH", NULL }, 1, 1, cmd_approval_approve },
    { "approval", "deny", "ID", "Refuse an action that somebody else has asked for.",
      { "comment=TEXT", "hash=HASH", NULL }, 1, 1, cmd_approval_deny },
    { "webhook", "create", "WORKSPACE URL EVENT...", "Have events delivered to a URL; the secret is printed once.",
      { NULL }, 3, 34, cmd_webhook_create },
    { "webhook", "list", "WORKSPACE", "The webhooks of a workspace, with their state and how many deliveries wait.",
      { NULL }, 1, 1, cmd_webhook_list },
    { "webhook", "deliveries", "WORKSPACE ID", "The newest deliveries of a webhook.",
      { NULL }, 2, 2, cmd_webhook_deliveries },
    { "webhook", "replay", "WORKSPACE ID DELIVERY", "Send a delivery again.",
      { NULL }, 3, 3, cmd_webhook_replay },
    { "webhook", "test", "WORKSPACE ID", "Send a delivery of the type webhook.test.",
      { NULL }, 2, 2, cmd_webhook_test },
    { "webhook", "enable", "WORKSPACE ID", "Let a webhook that was disabled go on where it stopped.",
      { NULL }, 2, 2, cmd_webhook_enable },
    { "webhook", "rotate", "WORKSPACE ID", "Another signing secret; the one before signs as well for a day.",
      { NULL }, 2, 2, cmd_webhook_rotate },
    { "webhook", "delete", "WORKSPACE ID", "Delete a webhook and its deliveries.",
      { NULL }, 2, 2, cmd_webhook_delete },
    { "hook", "create", "WORKSPACE FILE", "Make a hook of a JSON file (- is standard input); a secret made here is printed once.",
      { NULL }, 2, 2, cmd_hook_create },
    { "hook", "list", "WORKSPACE", "The hooks of a workspace, without secrets.",
      { NULL }, 1, 1, cmd_hook_list },
    { "hook", "rotate", "WORKSPACE ID", "Make a new secret for a hook; the previous one stays valid for a day.",
      { NULL }, 2, 2, cmd_hook_rotate },
    { "hook", "delete", "WORKSPACE ID", "Delete a hook.",
      { NULL }, 2, 2, cmd_hook_delete },
    { "key", "create", "--workspace=W --role=R", "Make an API key and print it, once. Keys of the same owner do not approve each other's actions.",
      { "workspace=W", "role=R", "name=N", "owner=PERSON", "expires=90d" }, 0, 0, cmd_key_create },
    { "key", "list", NULL, "The keys of a workspace, or of all; never their secrets.",
      { "workspace=W" }, 0, 0, cmd_key_list },
    { "key", "revoke", "KEY_ID", "Revoke a key, everywhere within a second.",
      { "workspace=W" }, 1, 1, cmd_key_revoke },
    { "key", "rotate", "KEY_ID", "Make a successor; the old key stays valid for the overlap (1d).",
      { "workspace=W", "overlap=1d" }, 1, 1, cmd_key_rotate },
    { "memory", "add", "TEXT --scope=S", "Store one memory (- reads its text from standard input).",
      { "scope=S", "tags=T[,T...]", "source=S", "ttl=30d", "metadata=JSON" }, 1, 1, cmd_memory_add },
    { "memory", "search", "QUERY", "Search the workspace's memories, best first.",
      { "scope=S", "k=5", "mode=hybrid|vector|text", "tags=T[,T...]", "source=S", "since=TIME", "until=TIME" }, 1, 1, cmd_memory_search },
    { "memory", "import", "FILE.jsonl", "Store a memory for each line (- is standard input); running it again after an interruption is safe.",
      { NULL }, 1, 1, cmd_memory_import },
    { "memory", "export", NULL, "Write all memories of the key's workspace, one a line.",
      { "scope=S", "output=FILE" }, 0, 0, cmd_memory_export },
    { "memory", "reindex", NULL, "Have gantry-ingest bring all memories to its analyser and embedding model, and wait for it; with --status, only say how far it is. Searches and commands go on; an interrupted pass goes on by itself.",
      { "status", NULL }, 0, 0, cmd_memory_reindex },
    { "dlq", "list", NULL, "The dead letters: messages that no worker could settle, with reasons.",
      { "workspace=W", "program=P", "limit=100" }, 0, 0, cmd_dlq_list },
    { "dlq", "show", "SEQ", "One dead letter with its payload.",
      { NULL }, 1, 1, cmd_dlq_show },
    { "dlq", "replay", "[SEQ...]", "Republish dead letters to their original subject.",
      { "all", "workspace=W", "program=P" }, 0, -1, cmd_dlq_replay },
    { "dlq", "discard", "[SEQ...]", "Delete dead letters.",
      { "all", "workspace=W", "program=P" }, 0, -1, cmd_dlq_discard },
    { "run", NULL, "ACTION [NAME=VALUE...]", "Run an action and print its output; exit code 1 unless its outcome is ok. NAME=@FILE takes a parameter from a file, or from standard input (-). With --async, only print the job's id.",
      { "async", "wait=SECONDS" }, 1, -1, cmd_run },
    { "jobs", "list", NULL, "The workspace's jobs, newest first.",
      { "status=pending|running|completed|failed|cancelled|dead", "limit=20", "cursor=C" }, 0, 0, cmd_jobs_list },
    { "jobs", "show", "ID", "One job with its output.",
      { NULL }, 1, 1, cmd_jobs_show },
    { "jobs", "cancel", "ID", "Cancel a job: its processes are gone within a second.",
      { NULL }, 1, 1, cmd_jobs_cancel },
    { "status", NULL, NULL, "The state of all parts, and the length of queues; exit code 1 if something is down. Ingest, search, audit and executor workers are waited for while none of a kind answers, at most 5 s.",
      { NULL }, 0, 0, cmd_status },
    { "top", NULL, NULL, "Queues, rates and workers, live on a terminal (q ends it); elsewhere, or with --once, one snapshot.",
      { "once", "interval=2" }, 0, 0, cmd_top },
    { "audit", "tail", NULL, "The newest events of the key's workspace, and each new one as it comes; with --json one a line.",
      { "lines=10", "once", "all", "action=A", "actor=KEY_ID", "status=success|failed|accepted" }, 0, 0, cmd_audit_tail },
    { "audit", "verify", NULL, "Check the whole audit log, from the database or an export, against a checkpoint.",
      { "checkpoint=FILE", "key=VKEY", "export=FILE" }, 0, 0, cmd_audit_verify },
    { "audit", "export", NULL, "The audit log as JSON lines with proofs, for verifying offline.",
      { "key=VKEY", "output=FILE" }, 0, 0, cmd_audit_export },
    { "audit", "checkpoint", NULL, "Print the last signed checkpoint: keep it where the database's operator cannot reach.",
      { "key=VKEY" }, 0, 0, cmd_audit_checkpoint },
};
/* clang-format on */

int
main(int argc, char **argv)
{
    return cli_main(argc, argv, COMMANDS, ARRAY_LEN(COMMANDS));
}
