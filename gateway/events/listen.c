/* SPDX-License-Identifier: MIT */
/*
 * listen - GET /ai/events: the shares of listeners, and how one begins and ends.
 *
 * A listener holds a connection and a little memory, no thread and no part of the share of requests.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "events/events_own.h"
#include "full.h"
#include "gateway.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define PERCENT_OF_ALL                                                                             \
    50 /* of the connections, for all listeners; half of these for one workspace */

static unsigned
smaller(int64_t own, unsigned all)
{
    return own < (int64_t)all ? (unsigned)own : all;
}

static unsigned
of_key(const struct channel *channel, const char *key_id)
{
    unsigned n = 0;
    const struct listener *one;
    TAILQ_FOREACH (one, &channel->listeners, channel_link)
        n += strcmp(one->r->actor.key_id, key_id) == 0;
    return n;
}

static enum step
refuse(struct request *r, const char *whose, unsigned share, const char *setting)
{
    full_note(r->gw, FULL_LISTENERS, r->actor.workspace);
    answer_header(r, "Retry-After", "5");
    return answer_problem(
        r, PROBLEM_UNAVAILABLE,
        "%s listens %u times already, its share (%s): end a stream before opening "
        "another",
        whose, share, setting);
}

/* --- the stream ----------------------------------------------------------------------------------- */

static void
on_gone(struct request *r)
{
    listener_leave(r->own);
}

static void
on_open(struct request *r)
{
    struct listener *one = r->own;
    if (!one->channel) { /* drained while its event was written */
        http_stream_end(r->exchange);
        return;
    }
    load_leave(r); /* it has a share of its own */
    one->open = true;
    if (strcmp(http_head(r->exchange)->method, "HEAD") == 0) {
        listener_end(one);
        return;
    }
    channel_greet(one->channel, one, http_header(r->exchange, "Last-Event-ID", NULL));
}

static struct listener *
enter(struct request *r, struct channel *channel, struct tally_row *share)
{
    struct events *events = r->gw->events;
    struct listener *one = calloc(1, sizeof(*one));
    if (!one)
        return NULL;
    *one = (struct listener){ .channel = channel, .r = r, .share = share };
    one->beat_ms = clock_mono_ms();
    TAILQ_INSERT_TAIL(&channel->listeners, one, channel_link);
    TAILQ_INSERT_TAIL(&events->beats, one, beat_link);
    events->n_listeners++;
    share->count++;
    channel->quiet_ms = 0;
    return one;
}

enum step
events_listen(struct request *r)
{
    struct gateway *gw = r->gw;
    struct events *events = gw->events;
    const struct settings *s = gw->settings;
    unsigned all = gw->max_connections * PERCENT_OF_ALL / 100;
    unsigned workspace_share = smaller(s->workspace_listeners, all / 2);

    if (events->draining) {
        answer_header(r, "Retry-After", "2");
        return answer_problem(r, PROBLEM_UNAVAILABLE, "this gateway is ending: connect again");
    }
    if (events->n_listeners >= all)
        return refuse(r, "everybody together", all, "half of MAX_CONNECTIONS");
    struct channel *channel = channel_get(events, r->actor.workspace);
    struct tally_row *share = tally_row(events->shares, r->actor.workspace);
    if (!channel || !share)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    if (share->count >= workspace_share)
        return refuse(r, "the workspace", workspace_share, "MAX_WORKSPACE_LISTENERS");
    unsigned mine = of_key(channel, r->actor.key_id);
    if (mine >= (unsigned)s->key_listeners)
        return refuse(r, "the key", mine, "MAX_KEY_LISTENERS");
    if (!(r->own = enter(r, channel, share)))
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    r->on_gone = on_gone;
    return answer_stream(r, EVENTS_UNREAD_MAX, on_open);
}
