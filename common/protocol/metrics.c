/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "json/json.h"

enum kind { COUNTER, SECONDS, GAUGE }; /* SECONDS: a counter, kept in microseconds */

struct row {
    const char *field; /* of a snapshot */
    const char *name;  /* of the exposition: base units, counters end in _total */
    const char *help;
    enum kind kind;
    size_t offset; /* in a snapshot */
};

static const struct row VALUES[] = {
#define VALUES_ROW(field, name, kind, help)                                                        \
    { #field, "gantry_worker_" name, help, kind, offsetof(struct metrics_snapshot, values.field) },
    METRICS_TABLE(VALUES_ROW)
#undef VALUES_ROW
};
static const struct row USAGE[] = {
#define USAGE_ROW(field, name, kind, help)                                                         \
    { #field, name, help, kind, offsetof(struct metrics_snapshot, usage.field) },
    USAGE_TABLE(USAGE_ROW)
#undef USAGE_ROW
};
static const struct {
    const char *name, *labels[2], *help;
} FAMILY[FAMILIES] = {
#define FAMILY_ROW(family, name, first, second, help) [family] = { name, { first, second }, help },
    FAMILY_TABLE(FAMILY_ROW)
#undef FAMILY_ROW
};

static uint64_t
value_of(const struct metrics_snapshot *snapshot, const struct row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)snapshot + row->offset, sizeof(value));
    return value;
}

/* --- a snapshot on its way ------------------------------------------------------------------------- */

static void
put_int(struct json_writer *w, const char *name, uint64_t value)
{
    json_put_int(w, name, value > JSON_INT_MAX ? JSON_INT_MAX : (int64_t)value);
}

static void
put_rows(struct json_writer *w, const char *name, const struct row *rows, size_t n,
         const struct metrics_snapshot *snapshot)
{
    json_object(w, name);
    for (size_t i = 0; i < n; i++)
        put_int(w, rows[i].field, value_of(snapshot, &rows[i]));
    json_close(w);
}

static void
put_exemplars(struct json_writer *w, const struct histogram *histogram)
{
    json_array(w, "exemplars");
    for (unsigned i = 0; histogram->exemplars && i < HISTOGRAM_BUCKETS; i++) {
        const struct exemplar *exemplar = &histogram->exemplars[i];
        if (!exemplar->trace_id[0])
            continue;
        json_array(w, NULL);
        json_put_int(w, NULL, i);
        json_put_string(w, NULL, exemplar->trace_id);
        put_int(w, NULL, exemplar->value_us);
        json_put_int(w, NULL, exemplar->at_ms);
        json_close(w);
    }
    json_close(w);
}

static void
put_series(struct json_writer *w, const struct series *series)
{
    json_object(w, NULL);
    json_put_string(w, "family", FAMILY[series->family].name);
    json_array(w, "labels");
    json_put_string(w, NULL, series->labels[0]);
    json_put_string(w, NULL, series->labels[1]);
    json_close(w);
    put_int(w, "sum_us", series->histogram.sum_us);
    json_array(w, "counts");
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        put_int(w, NULL, series->histogram.counts[i]);
    json_close(w);
    put_exemplars(w, &series->histogram);
    json_close(w);
}

void
metrics_write(const struct metrics_snapshot *snapshot, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "program", snapshot->program);
    json_put_string(&w, "instance", snapshot->instance);
    json_put_string(&w, "version", snapshot->version);
    json_put_int(&w, "started_ms", snapshot->started_ms);
    put_rows(&w, "values", VALUES, ARRAY_LEN(VALUES), snapshot);
    put_rows(&w, "usage", USAGE, ARRAY_LEN(USAGE), snapshot);
    json_array(&w, "series");
    for (size_t i = 0; i < snapshot->series.count; i++)
        put_series(&w, snapshot->series.rows[i]);
    json_close(&w);
    bounds_write(&snapshot->bounds, clock_mono_ms(), &w);
    json_close(&w);
    (void)json_end(&w); /* a buffer that is too small shows in buf_failed() */
}

/* Names become labels and tokens of subjects. */
static bool
is_name(const char *text, size_t max, const char *more)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len >= max)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(more, c)))
            return false;
    }
    return true;
}

static enum rc
read_name(const cJSON *doc, const char *member, char out[METRICS_NAME_MAX], struct err *err)
{
    const char *text = json_string(doc, member);
    if (!is_name(text, METRICS_NAME_MAX, "-"))
        return err_set(err, RC_INVALID, "a snapshot without a proper %s", member);
    memcpy(out, text, strlen(text) + 1);
    return RC_OK;
}

static uint64_t
natural(const cJSON *item)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return value > 0 && value < 9007199254740992.0 ? (uint64_t)value : 0;
}

static void
read_rows(const cJSON *doc, const struct row *rows, size_t n, struct metrics_snapshot *out)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = natural(json_member(doc, rows[i].field));
        memcpy((char *)out + rows[i].offset, &value, sizeof(value));
    }
}

static void
read_exemplar(const cJSON *item, struct histogram *histogram)
{
    struct exemplar exemplar = { 0 };
    uint64_t bucket = natural(cJSON_GetArrayItem(item, 0));
    const char *id = cJSON_GetStringValue(cJSON_GetArrayItem(item, 1));
    if (!cJSON_IsArray(item) || bucket >= HISTOGRAM_BUCKETS || !id ||
        strlen(id) != TRACE_ID_TEXT_MAX - 1 || strspn(id, "0123456789abcdef") != strlen(id))
        return;
    memcpy(exemplar.trace_id, id, sizeof(exemplar.trace_id));
    exemplar.value_us = natural(cJSON_GetArrayItem(item, 2));
    exemplar.at_ms = (int64_t)natural(cJSON_GetArrayItem(item, 3));
    histogram_set_exemplar(histogram, (unsigned)bucket, &exemplar);
}

/* One that is not of its form is left out. */
static void
read_series(const cJSON *item, struct series_set *set)
{
    const char *name = json_string(item, "family");
    const cJSON *labels = json_member(item, "labels");
    const char *first = cJSON_GetStringValue(cJSON_GetArrayItem(labels, 0));
    const char *second = cJSON_GetStringValue(cJSON_GetArrayItem(labels, 1));
    unsigned family = 0, bucket = 0;
    const cJSON *one;
    while (family < FAMILIES && name && strcmp(FAMILY[family].name, name) != 0)
        family++;
    if (!name || family == FAMILIES || !is_name(first, SERIES_LABEL_MAX, "-._") ||
        !is_name(second, SERIES_LABEL_MAX, "-._"))
        return;
    struct histogram *histogram = series_find(set, (enum family)family, first, second);
    if (!histogram)
        return;
    histogram->sum_us = natural(json_member(item, "sum_us"));
    cJSON_ArrayForEach (one, json_member(item, "counts"))
        if (bucket < HISTOGRAM_BUCKETS)
            histogram->counts[bucket++] = natural(one);
    cJSON_ArrayForEach (one, json_member(item, "exemplars"))
        read_exemplar(one, histogram);
}

enum rc
metrics_read(const char *text, size_t len, struct metrics_snapshot *out, struct err *err)
{
    struct metrics_snapshot snapshot = { 0 };
    AUTO(json) cJSON *doc = NULL;
    const cJSON *item;
    if (json_read(text, len, &doc, err) != RC_OK)
        return err_set(err, RC_INVALID, "a snapshot that is not JSON");
    enum rc rc = read_name(doc, "program", snapshot.program, err);
    if (rc == RC_OK)
        rc = read_name(doc, "instance", snapshot.instance, err);
    if (rc != RC_OK)
        return rc;
    const char *version = json_string(doc, "version");
    if (is_name(version, METRICS_NAME_MAX, "-.+~"))
        memcpy(snapshot.version, version, strlen(version) + 1);
    snapshot.started_ms = (int64_t)natural(json_member(doc, "started_ms"));
    read_rows(json_member(doc, "values"), VALUES, ARRAY_LEN(VALUES), &snapshot);
    read_rows(json_member(doc, "usage"), USAGE, ARRAY_LEN(USAGE), &snapshot);
    cJSON_ArrayForEach (item, json_member(doc, "series"))
        read_series(item, &snapshot.series);
    bounds_read(json_member(doc, "bounds"), &snapshot.bounds);
    *out = snapshot;
    return RC_OK;
}

void
metrics_fini(struct metrics_snapshot *snapshot)
{
    series_free(&snapshot->series);
}

/* --- what Prometheus reads -------------------------------------------------------------------------- */

static const char *
who(const struct metrics_snapshot *snapshot, struct buf *labels)
{
    buf_reset(labels);
    exposition_label(labels, "program", snapshot->program);
    exposition_label(labels, "replica", snapshot->instance);
    return buf_text(labels);
}

static void
expose_rows(const struct row *rows, size_t n, const struct metrics_snapshot *const *snapshots,
            size_t count, const struct exposition *e)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 512);
    for (size_t i = 0; i < n && count; i++) {
        exposition_family(e, rows[i].name, rows[i].kind == GAUGE ? METRIC_GAUGE : METRIC_COUNTER,
                          rows[i].help);
        for (size_t j = 0; j < count; j++) {
            const char *text = who(snapshots[j], &labels);
            if (rows[i].kind == SECONDS)
                exposition_seconds(e, rows[i].name, text, value_of(snapshots[j], &rows[i]));
            else
                exposition_value(e, rows[i].name, text, value_of(snapshots[j], &rows[i]));
        }
    }
}

static void
expose_build(const struct metrics_snapshot *const *snapshots, size_t count,
             const struct exposition *e)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 512);
    exposition_family(e, "gantry_build_info", METRIC_GAUGE, "1, with what was built as labels");
    for (size_t i = 0; i < count; i++) {
        (void)who(snapshots[i], &labels);
        exposition_label(&labels, "version", snapshots[i]->version);
        exposition_value(e, "gantry_build_info", buf_text(&labels), 1);
    }
    exposition_family(e, "process_start_time_seconds", METRIC_GAUGE, "since the Unix epoch");
    for (size_t i = 0; i < count; i++)
        exposition_seconds(e, "process_start_time_seconds", who(snapshots[i], &labels),
                           (uint64_t)snapshots[i]->started_ms * 1000);
}

static void
expose_family(enum family family, const struct metrics_snapshot *const *snapshots, size_t count,
              const struct exposition *e)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 512);
    exposition_family(e, FAMILY[family].name, METRIC_HISTOGRAM, FAMILY[family].help);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < snapshots[i]->series.count; j++) {
            const struct series *series = snapshots[i]->series.rows[j];
            if (series->family != family)
                continue;
            (void)who(snapshots[i], &labels);
            exposition_label(&labels, FAMILY[family].labels[0], series->labels[0]);
            exposition_label(&labels, FAMILY[family].labels[1], series->labels[1]);
            exposition_histogram(e, FAMILY[family].name, buf_text(&labels), &series->histogram);
        }
}

void
metrics_expose(const struct metrics_snapshot *const *snapshots, size_t count,
               const struct exposition *e)
{
    if (count == 0)
        return;
    expose_rows(VALUES, ARRAY_LEN(VALUES), snapshots + 1, count - 1, e);
    expose_rows(USAGE, ARRAY_LEN(USAGE), snapshots, count, e);
    expose_build(snapshots, count, e);
    for (unsigned family = 0; family < FAMILIES; family++)
        expose_family((enum family)family, snapshots, count, e);
}
