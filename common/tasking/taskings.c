/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "tasking/tasking_own.h"

/* --- cancelling --------------------------------------------------------------------------------------- */

void
tasking_cancel(struct taskings *all, const char *workspace, const char *id)
{
    struct tasking *t;

    LIST_FOREACH (t, &all->list, link) {
        if (strcmp(t->ref.id, id) != 0 || strcmp(t->ref.workspace, workspace) != 0)
            continue;
        t->cancelled = true;
        if (t->own)
            all->kind->cancel(t);
    }
}

/* "<workspace> <id>", from whichever replica was asked to cancel. */
static void
on_cancel(void *taskings, const struct bus_msg *msg)
{
    char text[WORKSPACE_TEXT_MAX + ID_TEXT_MAX + 1];
    char *space;

    if (msg->len >= sizeof(text))
        return;
    memcpy(text, msg->data, msg->len);
    text[msg->len] = '\0';
    space = strchr(text, ' ');
    if (!space)
        return;
    *space = '\0';
    tasking_cancel(taskings, text, space + 1);
}

/* --- the program's beginning and end ------------------------------------------------------------------ */

enum rc
taskings_open(struct taskings *all, const struct tasking_settings *settings, struct err *err)
{
    all->jobs.kv = worker_kv(all->w);
    all->jobs.retention_s = settings->job_retention_days * 86400;
    all->jobs.share_bytes = settings->redis_share_bytes;
    memcpy(all->jobs.data_key, settings->data_key, sizeof(all->jobs.data_key));
    enum rc rc = allow_new(worker_bus(all->w), &all->allow, err);
    return rc == RC_OK ? bus_subscribe(worker_bus(all->w), TASKING_CANCEL_SUBJECT, NULL, on_cancel,
                                       all, &all->cancels, err)
                       : rc;
}

unsigned
taskings_free_of(const struct taskings *all, int64_t slots)
{
    return all->count < slots ? (unsigned)slots - all->count : 0;
}

/* The program ends: what is not settled goes back to the server (worker.h). */
void
taskings_close(struct taskings *all)
{
    while (!LIST_EMPTY(&all->list))
        tasking_drop(LIST_FIRST(&all->list));
    allow_free(all->allow);
    crypto_wipe(all->jobs.data_key, sizeof(all->jobs.data_key));
}

/* --- a dead letter ------------------------------------------------------------------------------------ */

enum rc
taskings_dead(struct taskings *all, const struct call *call, const char *reason, struct err *err)
{
    struct job_ref ref;

    if (call->command != all->kind->command)
        return RC_OK;
    tasking_ref(call, &ref);
    enum rc rc = jobs_dead_sync(&all->jobs, &ref, reason, err);
    if (rc == RC_OK)
        tasking_tell_state(all, &ref, "dead");
    return rc;
}
