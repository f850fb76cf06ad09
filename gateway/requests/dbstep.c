/* SPDX-License-Identifier: MIT */
#include "requests/dbstep.h"

#include "gateway.h"
#include "requests/answer.h"

static bool
has_room(const struct request *r)
{
    return !r->load || r->load->changes < DBWORK_SHARE;
}

bool
dbstep_try(struct request *r, struct dbwork *work)
{
    if (!has_room(r) || !dbworker_add(r->gw->dbworker, work))
        return false;
    if (r->load)
        r->load->changes++;
    return true;
}

enum step
dbstep_begin(struct request *r, struct dbwork *work, const char *what)
{
    if (dbstep_try(r, work))
        return STEP_WAIT;
    full_note(r->gw, has_room(r) ? FULL_ALL_KEY_CHANGES : FULL_KEY_CHANGES, r->actor.workspace);
    answer_header(r, "Retry-After", "1");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "too many %s at once: ask again", what);
}

void
dbstep_end(struct request *r)
{
    if (r->load)
        r->load->changes--;
}

enum step
dbstep_failed(struct request *r, const struct dbwork *work, const char *why)
{
    if (work->rc != RC_TEMP)
        return answer_problem(r, PROBLEM_INTERNAL, "%s", why);
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "PostgreSQL is unavailable");
}
