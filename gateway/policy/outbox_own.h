/* SPDX-License-Identifier: MIT */
/*
 * outbox_own - one row of the outbox, between the files that deal with it.
 */
#ifndef GANTRY_GATEWAY_POLICY_OUTBOX_OWN_H
#define GANTRY_GATEWAY_POLICY_OUTBOX_OWN_H

#include "policy/hold.h"
#include "protocol/actor.h"
#include "protocol/jobs.h"

#define ROWS_MAX 32

struct errand {
    struct dbwork work; /* first: settling */
    struct outbox *outbox;
    size_t step;
    char workspace[WORKSPACE_TEXT_MAX];
    char state[16], command[32];
    struct job_ref ref;
    struct actor_claim claim;
    char decided_by[KEY_ID_LEN + 1];
    char decision[8192]; /* JSON */
    char hash[65];
    int64_t version;
    uint8_t *sealed; /* owned */
    size_t len;
    int64_t expires_ms;
    struct buf payload; /* owned; what is published */
    char asked_event[ID_TEXT_MAX], decided_event[ID_TEXT_MAX];
    bool asked_told, carried_out, decided_told;
};

struct outbox {
    struct dbwork work; /* first: taking */
    struct gateway *gw;
    struct loop_timer *timer;
    bool asking, again;
    unsigned errands;
    size_t n;
    struct errand *taken[ROWS_MAX]; /* between the thread and the loop */
};

/* outbox.c. It stays as it is until its lease is over. */
void errand_give_up(struct errand *e, const char *why);
/* The next step, or settle it. */
void errand_go_on(struct errand *e);

/* outbox_tell.c: events. false: nothing is awaited; else errand_go_on() is called later. */
bool errand_tell_asked(struct errand *e);
bool errand_tell_decided(struct errand *e);
/* The end of a job that was cancelled after its approval. */
void errand_tell_cancelled(struct errand *e);

#endif
