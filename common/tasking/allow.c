/* SPDX-License-Identifier: MIT */
#include "tasking/allow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/id.h"
#include "base/log.h"

#define PLACES 256 /* cached workspaces; a newer one takes the place of another */

struct place {
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t asked_ms;
    cJSON *lists; /* owned */
};

struct allow {
    struct bus *bus; /* borrowed */
    struct place places[PLACES];
};

struct question {
    struct allow *allow;
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t asked_ms;
    allow_fn *fn; /* NULL: nobody asks any more */
    void *arg;
};

enum rc
allow_new(struct bus *bus, struct allow **out, struct err *err)
{
    struct allow *allow = calloc(1, sizeof(*allow));

    if (!allow)
        return err_set(err, RC_TEMP, "no memory");
    allow->bus = bus;
    *out = allow;
    return RC_OK;
}

void
allow_free(struct allow *allow)
{
    for (size_t i = 0; allow && i < PLACES; i++)
        json_cleanup(&allow->places[i].lists);
    free(allow);
}

bool
allow_has(const cJSON *lists, const char *action)
{
    return json_has_text(json_member(lists, "actions"), action);
}

static unsigned
place_of(const char *workspace)
{
    return fnv32_text(workspace) % PLACES;
}

static void
on_answer(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct question *question = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err why = { 0 };
    struct place *place;
    const char *workspace;

    if (rc == RC_OK && json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        rc = err_set(&why, RC_TEMP, "the gateway's answer about the allowlist is not JSON");
    else if (rc != RC_OK)
        rc = err_set(&why, RC_TEMP, "the gateway did not return the allowlist: %s",
                     err ? err->text : "");
    workspace = json_string(doc, "workspace");
    if (rc == RC_OK && (!workspace || strcmp(workspace, question->workspace) != 0 ||
                        !cJSON_IsArray(json_member(doc, "actions"))))
        rc = err_set(&why, RC_TEMP, "the gateway's answer about the allowlist is malformed");
    if (rc == RC_OK) {
        place = &question->allow->places[place_of(question->workspace)];
        json_cleanup(&place->lists);
        memcpy(place->workspace, question->workspace, sizeof(place->workspace));
        place->asked_ms = question->asked_ms;
        place->lists = TAKE(doc);
        if (question->fn)
            question->fn(question->arg, RC_OK, place->lists, NULL);
    } else if (question->fn) {
        question->fn(question->arg, rc, NULL, &why);
    }
    free(question);
}

const cJSON *
allow_known(const struct allow *allow, const char *workspace, const char *action)
{
    const struct place *place = &allow->places[place_of(workspace)];

    bool known = place->lists && strcmp(place->workspace, workspace) == 0 &&
                 clock_mono_ms() - place->asked_ms < ALLOW_FRESH_MS &&
                 allow_has(place->lists, action);
    return known ? place->lists : NULL;
}

enum rc
allow_ask(struct allow *allow, const char *workspace, allow_fn *fn, void *arg,
          struct question **out_question, struct err *err)
{
    struct question *question = calloc(1, sizeof(*question));
    char subject[sizeof(ALLOW_SUBJECT) + WORKSPACE_TEXT_MAX];
    struct bus_out out = { .subject = subject };
    enum rc rc;

    if (!question)
        log_no_memory("a question");
    *question =
        (struct question){ .allow = allow, .asked_ms = clock_mono_ms(), .fn = fn, .arg = arg };
    (void)snprintf(question->workspace, sizeof(question->workspace), "%s", workspace);
    (void)snprintf(subject, sizeof(subject), ALLOW_SUBJECT "%s", workspace);
    rc = bus_request(allow->bus, &out, ALLOW_TIMEOUT_MS, on_answer, question, err);
    if (rc != RC_OK)
        free(question);
    else if (out_question)
        *out_question = question;
    return rc;
}

void
allow_forget(struct question *question)
{
    if (question)
        question->fn = NULL;
}
