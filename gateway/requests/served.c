/* SPDX-License-Identifier: MIT */
#include "requests/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX                                                                                  \
    64 /* of one route: methods times statuses; what is beyond has the status "other" */

static const char OTHER[] = "other";
static const char REQUESTS[] = "http_requests_total";
static const char DURATION[] = "http_request_duration_seconds";

struct cell {
    enum http_method method;
    int status; /* 0 = other */
    uint64_t count;
};

struct row {
    struct cell cells[CELLS_MAX];
    size_t n;
    struct histogram duration;
};

struct served {
    struct row *rows; /* owned: one for each route, and the last for what has none */
};

enum rc
served_new(struct served **out, struct err *err)
{
    struct served *served = calloc(1, sizeof(*served));
    if (served)
        served->rows = calloc(N_ROUTES + 1, sizeof(*served->rows));
    if (!served || !served->rows) {
        free(served);
        return err_set(err, RC_TEMP, "no memory for counts of requests");
    }
    *out = served;
    return RC_OK;
}

void
served_free(struct served *served)
{
    if (!served)
        return;
    for (size_t i = 0; i <= N_ROUTES; i++)
        histogram_fini(&served->rows[i].duration);
    free(served->rows);
    free(served);
}

static struct cell *
cell_of(struct row *row, enum http_method method, int status)
{
    for (size_t i = 0; i < row->n; i++)
        if (row->cells[i].method == method && row->cells[i].status == status)
            return &row->cells[i];
    if (row->n == CELLS_MAX - 1 && (method != METHOD_COUNT || status != 0))
        return cell_of(row, METHOD_COUNT, 0);
    row->cells[row->n] = (struct cell){ .method = method, .status = status };
    return &row->cells[row->n++];
}

void
served_count(struct served *served, const struct request *r, uint64_t us, const char *trace_id)
{
    struct row *row = &served->rows[r->route ? (size_t)(r->route - ROUTES) : N_ROUTES];
    cell_of(row, r->route ? r->route->method : r->method, r->answer.status)->count++;
    histogram_add(&row->duration, us, trace_id);
}

const char *
served_route(const struct request *r)
{
    return r->route ? r->route->path : OTHER;
}

static void
put_labels(struct buf *labels, size_t route, enum http_method method)
{
    buf_reset(labels);
    exposition_label(labels, "route", route < N_ROUTES ? ROUTES[route].path : OTHER);
    exposition_label(labels, "method", method_name(method));
}

static void
expose_row(const struct served *served, size_t route, struct buf *labels,
           const struct exposition *e)
{
    const struct row *row = &served->rows[route];
    for (size_t i = 0; i < row->n; i++) {
        char status[12];
        (void)snprintf(status, sizeof(status), "%d", row->cells[i].status);
        put_labels(labels, route, row->cells[i].method);
        exposition_label(labels, "status", row->cells[i].status ? status : OTHER);
        exposition_value(e, REQUESTS, buf_text(labels), row->cells[i].count);
    }
}

/* What was never asked for has no row, but the names are there from the start. */
void
served_expose(const struct served *served, const struct exposition *e)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 512);
    exposition_family(e, REQUESTS, METRIC_COUNTER, "requests answered");
    for (size_t i = 0; i <= N_ROUTES; i++)
        expose_row(served, i, &labels, e);
    exposition_family(e, DURATION, METRIC_HISTOGRAM, "from a request's head to its answer");
    for (size_t i = 0; i <= N_ROUTES; i++) {
        if (served->rows[i].n == 0)
            continue;
        put_labels(&labels, i, i < N_ROUTES ? ROUTES[i].method : METHOD_COUNT);
        exposition_histogram(e, DURATION, buf_text(&labels), &served->rows[i].duration);
    }
}
