/* SPDX-License-Identifier: MIT */
/*
 * load - how many requests and bytes of bodies a workspace has in the gateway at once.
 *
 * A request holds its connection and its body until it is answered, and a client may let it wait a
 * minute. Without a share for each, one workspace's waiting requests would be all that there is.
 */
#include <string.h>

#include "base/fnv.h"
#include "full.h"
#include "gateway.h"
#include "requests/answer.h"
#include "requests/checks.h"

#define PERCENT_OF_ALL 50 /* of connections and bodies, for one workspace at the most */

static uint64_t
smaller(int64_t own, uint64_t all)
{
    uint64_t part = all * PERCENT_OF_ALL / 100;
    return (uint64_t)own < part ? (uint64_t)own : part;
}

static uint64_t
requests_share(const struct gateway *gw)
{
    return smaller(gw->settings->workspace_requests, gw->max_connections);
}

/* One body fits in any case. */
static uint64_t
bytes_share(const struct gateway *gw)
{
    uint64_t share =
        smaller(gw->settings->workspace_buffered_bytes, (uint64_t)gw->settings->max_buffered_bytes);
    uint64_t one = (uint64_t)gw->settings->max_body_bytes;
    return share > one ? share : one;
}

static enum step
refuse_bytes(struct request *r)
{
    full_note(r->gw, FULL_BODIES, r->actor.workspace);
    answer_header(r, "Retry-After", "1");
    return answer_problem(r, PROBLEM_UNAVAILABLE,
                          "the workspace has %llu bytes of request bodies under way, its share "
                          "(MAX_WORKSPACE_BUFFERED_BYTES): wait for answers before sending more",
                          (unsigned long long)bytes_share(r->gw));
}

enum step
load_enter(struct request *r)
{
    struct gateway *gw = r->gw;
    struct tally_row *row = tally_row(gw->tally, r->actor.workspace);
    http_belongs(r->exchange, (uint8_t)fnv32_text(r->actor.workspace));
    if (!row)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    if (row->count >= requests_share(gw)) {
        full_note(gw, FULL_REQUESTS, r->actor.workspace);
        answer_header(r, "Retry-After", "1");
        return answer_problem(r, PROBLEM_UNAVAILABLE,
                              "the workspace has %llu requests under way, its share "
                              "(MAX_WORKSPACE_REQUESTS): wait for answers before sending more",
                              (unsigned long long)row->count);
    }
    row->count++;
    r->load = row;
    if (row->bytes + r->body.len > bytes_share(gw))
        return refuse_bytes(r);
    row->bytes += r->body.len;
    r->load_bytes = r->body.len;
    return STEP_NEXT;
}

bool
load_body(struct request *r, size_t len)
{
    if (!r->load)
        return true;
    if (r->load->bytes + len > bytes_share(r->gw)) {
        (void)refuse_bytes(r);
        return false;
    }
    r->load->bytes += len;
    r->load_bytes += len;
    return true;
}

void
load_body_gone(struct request *r)
{
    if (r->load)
        r->load->bytes -= r->load_bytes;
    r->load_bytes = 0;
}

void
load_leave(struct request *r)
{
    if (!r->load)
        return;
    load_body_gone(r);
    r->load->count--;
    tally_drop_unused(r->gw->tally, r->load);
    r->load = NULL;
}
