/* SPDX-License-Identifier: MIT */
#include "trace/tracer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/gcra.h"
#include "crypto/crypto.h"
#include "trace/exporter.h"

#define RATIO_BITS 56 /* of a trace id: the lowest, which are random by W3C's level 2 */

const char *const TRACE_SAMPLERS[] = { "always_on",
                                       "always_off",
                                       "traceidratio",
                                       "parentbased_always_on",
                                       "parentbased_always_off",
                                       "parentbased_traceidratio",
                                       NULL };
const char *const TRACE_SCHEMES[] = { "http", "https", NULL };

struct tracer {
    struct exporter *exporter; /* owned; NULL: off */
    enum trace_sampler sampler;
    uint64_t below; /* of the ratio samplers: the lowest RATIO_BITS of a sampled id */
    struct gcra_bucket clients;
    int64_t clients_tat_us;
    uint64_t seed[4]; /* of the generator of ids */
    struct tracer_counts counts;
};

/* xoshiro256**: ids must be unlike each other, not secret; a system call for each would cost more than
 * all the rest. */
static uint64_t
draw(struct tracer *tracer)
{
    uint64_t *s = tracer->seed;
    uint64_t x = s[1] * 5;
    uint64_t out = (x << 7 | x >> 57) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return out;
}

uint64_t
trace_span_id(struct tracer *tracer)
{
    uint64_t id = draw(tracer);
    return id ? id : 1;
}

/* --- sampling -------------------------------------------------------------------------------------- */

static bool
ratio_takes(const struct tracer *tracer, uint64_t low)
{
    return (low & ((1ULL << RATIO_BITS) - 1)) < tracer->below;
}

static uint64_t
low_of(const char id[TRACE_ID_TEXT_MAX])
{
    uint64_t low = 0;
    for (const char *at = id + 16; *at; at++) /* digits and lower-case letters */
        low = low << 4 | (uint64_t)((*at & 15) + (*at >> 6) * 9);
    return low;
}

/* Of a trace that begins with this random number. */
static bool
root_takes(const struct tracer *tracer, uint64_t low)
{
    switch (tracer->sampler) {
    case SAMPLER_ALWAYS_ON:
    case SAMPLER_PARENT_ON:
        return true;
    case SAMPLER_ALWAYS_OFF:
    case SAMPLER_PARENT_OFF:
        return false;
    case SAMPLER_RATIO:
    case SAMPLER_PARENT_RATIO:
        break;
    }
    return ratio_takes(tracer, low);
}

static bool
takes_any(const struct tracer *tracer)
{
    return root_takes(tracer, (1ULL << RATIO_BITS) - 1);
}

static bool
child_takes(struct tracer *tracer, const struct trace_parent *parent, bool trusted)
{
    struct gcra_state state;
    bool by_parent = tracer->sampler >= SAMPLER_PARENT_ON;
    bool wish = by_parent ? parent->sampled : root_takes(tracer, low_of(parent->id));
    if (!wish || trusted || tracer->sampler == SAMPLER_ALWAYS_ON ||
        (takes_any(tracer) && tracer->sampler != SAMPLER_PARENT_OFF))
        return wish;
    if (tracer->clients.burst > 0 &&
        gcra_take(&tracer->clients_tat_us, clock_mono_us(), &tracer->clients, &state) == 0)
        return true;
    tracer->counts.bounded++;
    return root_takes(tracer, draw(tracer));
}

/* A trace begins here; it has an id already when the request implies it. */
static void
begin(struct tracer *tracer, struct trace *out)
{
    if (!out->implied) {
        trace_put_hex(trace_span_id(tracer), out->id); /* not zero, so the id is not all zeros */
        trace_put_hex(draw(tracer), out->id + 16);
    }
    out->sampled = tracer->exporter && root_takes(tracer, low_of(out->id));
}

void
trace_begin(struct tracer *tracer, const struct trace_headers *headers, struct trace *out)
{
    struct trace_parent parent = { 0 };
    *out = (struct trace){ .span = trace_span_id(tracer) };
    bool given = trace_parent_read(headers->parent, &parent);
    out->implied = !given && headers->request_id;
    if (out->implied)
        trace_id_imply(headers->request_id, parent.id);
    memcpy(out->id, parent.id, sizeof(out->id));
    if (!given && !(out->implied && headers->trusted)) {
        begin(tracer, out);
        return;
    }
    out->parent = parent.span;
    out->sampled = tracer->exporter && child_takes(tracer, &parent, headers->trusted);
    out->state = given && trace_state_valid(headers->state) ? headers->state : NULL;
}

void
trace_span(struct tracer *tracer, const struct span *span)
{
    if (span->trace->sampled && tracer->exporter)
        exporter_add(tracer->exporter, span);
}

/* --- life -------------------------------------------------------------------------------------------- */

enum rc
tracer_new(struct loop *loop, const struct tracer_options *options, struct tracer **out,
           struct err *err)
{
    const struct trace_conf *conf = options->conf;
    struct tracer *tracer = calloc(1, sizeof(*tracer));
    if (!tracer)
        return err_set(err, RC_TEMP, "no memory for traces");
    tracer->sampler = (enum trace_sampler)conf->sampler;
    tracer->below = (uint64_t)(conf->ratio * (double)(1ULL << RATIO_BITS));
    tracer->clients = gcra_bucket(conf->clients_per_minute);
    crypto_random(tracer->seed, sizeof(tracer->seed));
    if (conf->endpoint || conf->traces_endpoint) {
        enum rc rc = exporter_new(loop, options, &tracer->counts, &tracer->exporter, err);
        if (rc != RC_OK) {
            free(tracer);
            return rc;
        }
    }
    *out = tracer;
    return RC_OK;
}

void
tracer_flush(struct tracer *tracer)
{
    if (tracer && tracer->exporter)
        exporter_flush(tracer->exporter);
}

void
tracer_free(struct tracer *tracer)
{
    if (tracer)
        exporter_free(tracer->exporter);
    free(tracer);
}

bool
tracer_on(const struct tracer *tracer)
{
    return tracer->exporter != NULL;
}

const struct tracer_counts *
tracer_counts(const struct tracer *tracer)
{
    return &tracer->counts;
}
