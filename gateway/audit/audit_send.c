/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_own.h"
#include "base/log.h"
#include "gateway.h"
#include "protocol/command.h"

#define TAKE_MS    5000 /* how long a PubAck may take */
#define AGAIN_MS   1000 /* between attempts of what was not taken */
#define AGAIN_MANY 256  /* events sent again at once */

struct audit_out {
    struct audit *audit;
    STAILQ_ENTRY(audit_out) place; /* among those that wait to be sent again */
    audit_taken_fn *taken;         /* NULL once it was told */
    void *arg;
    struct buf text;
    char subject[SUBJECT_MAX];
    char msg_id[ID_TEXT_MAX + 16];
    bool kept;  /* it was not taken once and is sent again */
    bool late;  /* … because AUDIT takes nothing at all: this closes the routes */
    bool brief; /* an intent: not kept, since nothing was done yet */
    bool worth; /* something was done: it is kept also when only its workspace's share is full */
};

static void
out_free(struct audit_out *out)
{
    if (out->late)
        out->audit->n_late--;
    if (out->kept)
        out->audit->n_kept--;
    buf_fini(&out->text);
    free(out);
}

/* A full share stops its own workspace only (contract 5). */
static void
keep(struct audit_out *out, enum rc rc, const struct err *err)
{
    struct audit *audit = out->audit;

    if (!out->kept)
        audit->n_kept++;
    out->kept = true;
    if (rc != RC_LIMIT && !out->late) {
        out->late = true;
        if (audit->n_late++ == 0)
            log_fields(LOG_ERROR, "AUDIT accepts no events: routes with a key answer 503", "why",
                       err ? err->text : "", NULL);
    }
    STAILQ_INSERT_TAIL(&audit->again, out, place);
    loop_timer_set(audit->again_timer, AGAIN_MS, 0);
}

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct audit_out *out = arg;
    audit_taken_fn *taken = out->taken;
    void *who = out->arg;

    (void)duplicate;
    out->audit->n_out--;
    out->taken = NULL;
    if (rc == RC_OK) {
        struct audit *audit = out->audit;
        bool was_late = out->late;
        out_free(out);
        if (was_late && audit->n_late == 0)
            log_info("AUDIT takes events again");
    } else if (out->brief || (rc == RC_LIMIT && !out->worth && !out->kept)) {
        out_free(out); /* the caller counts it */
    } else {
        keep(out, rc, err);
    }
    if (taken)
        taken(who, rc);
}

static enum rc
publish(struct audit_out *out, struct err *err)
{
    const struct bus_out message = { .subject = out->subject,
                                     .data = buf_text(&out->text),
                                     .len = out->text.len };

    enum rc rc =
        bus_js_publish(out->audit->gw->bus, &message, out->msg_id, TAKE_MS, on_ack, out, err);
    if (rc == RC_OK)
        out->audit->n_out++;
    return rc;
}

void
audit_send_again(void *arg)
{
    struct audit *audit = arg;
    struct audit_out_list list = STAILQ_HEAD_INITIALIZER(list);
    struct audit_out *out;

    STAILQ_CONCAT(&list, &audit->again);
    for (unsigned n = 0; (out = STAILQ_FIRST(&list)) != NULL; n++) {
        STAILQ_REMOVE_HEAD(&list, place);
        if (n >= AGAIN_MANY || publish(out, NULL) != RC_OK)
            STAILQ_INSERT_TAIL(&audit->again, out, place);
    }
    if (!STAILQ_EMPTY(&audit->again))
        loop_timer_set(audit->again_timer, AGAIN_MS, 0);
}

enum rc
audit_send(struct audit *audit, const char *workspace, const struct audit_request_event *event,
           audit_taken_fn *taken, void *arg)
{
    struct audit_out *out;
    struct err err = { 0 };
    enum rc rc;

    if (audit->n_kept >= AUDIT_LATE_MAX)
        return RC_LIMIT;
    out = calloc(1, sizeof(*out));
    if (!out)
        return RC_LIMIT;
    out->audit = audit;
    out->taken = taken;
    out->brief = event->intent;
    out->worth = !taken || event->status == AUDIT_SUCCESS;
    out->arg = arg;
    buf_init(&out->text, AUDIT_EVENT_MAX);
    if ((rc = audit_event_write(event, &out->text)) != RC_OK) {
        out_free(out);
        return rc;
    }
    (void)snprintf(out->subject, sizeof(out->subject), SUBJECT_PREFIX "%s.audit.request.gateway",
                   workspace);
    (void)snprintf(out->msg_id, sizeof(out->msg_id), "%s.%s", event->event_id,
                   event->intent ? "intent" : "audit");
    if (publish(out, &err) == RC_OK)
        return RC_OK;
    out->taken = NULL;
    if (out->brief) {
        out_free(out);
        return RC_LIMIT;
    }
    keep(out, RC_TEMP, &err);
    return RC_TEMP;
}

void
audit_drop_kept(struct audit *audit)
{
    struct audit_out *out;

    while ((out = STAILQ_FIRST(&audit->again)) != NULL) {
        STAILQ_REMOVE_HEAD(&audit->again, place);
        out_free(out);
    }
}
