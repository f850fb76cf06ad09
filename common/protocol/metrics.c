/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json.h"

enum kind { COUNTER, SECONDS, GAUGE }; /* SECONDS: a counter, kept in microseconds */

static const struct {
    const char *field; /* of a snapshot */
    const char *name;  /* of the exposition: base units, counters end in _total */
    const char *help;
    enum kind kind;
    size_t offset;
} TABLE[] = {
#define METRICS_ROW(field, name, kind, help)                                                       \
    { #field, name, help, kind, offsetof(struct metrics, field) },
    METRICS_TABLE(METRICS_ROW)
#undef METRICS_ROW
};

static uint64_t
value_of(const struct metrics *metrics, size_t row)
{
    uint64_t value;
    memcpy(&value, (const char *)metrics + TABLE[row].offset, sizeof(value));
    return value;
}

void
metrics_write(const struct metrics_snapshot *snapshot, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "program", snapshot->program);
    json_put_string(&w, "instance", snapshot->instance);
    json_object(&w, "values");
    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        uint64_t value = value_of(&snapshot->values, i);
        json_put_int(&w, TABLE[i].field, value > JSON_INT_MAX ? JSON_INT_MAX : (int64_t)value);
    }
    json_close(&w);
    json_close(&w);
    (void)json_end(&w); /* a buffer that is too small shows in buf_failed() */
}

/* Names become labels and tokens of subjects: letters, digits and hyphens. */
static enum rc
read_name(const cJSON *doc, const char *member, char out[METRICS_NAME_MAX], struct err *err)
{
    const char *text = json_string(doc, member);
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len >= METRICS_NAME_MAX ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != len)
        return err_set(err, RC_INVALID, "a snapshot without a proper %s", member);
    memcpy(out, text, len + 1);
    return RC_OK;
}

enum rc
metrics_read(const char *text, size_t len, struct metrics_snapshot *out, struct err *err)
{
    struct metrics_snapshot snapshot = { 0 };
    AUTO(json) cJSON *doc = NULL;
    if (json_read(text, len, &doc, err) != RC_OK)
        return err_set(err, RC_INVALID, "a snapshot that is no JSON");
    enum rc rc = read_name(doc, "program", snapshot.program, err);
    if (rc == RC_OK)
        rc = read_name(doc, "instance", snapshot.instance, err);
    if (rc != RC_OK)
        return rc;
    const cJSON *values = json_member(doc, "values");
    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        int64_t number = json_int(values, TABLE[i].field, 0);
        uint64_t value = number < 0 ? 0 : (uint64_t)number;
        memcpy((char *)&snapshot.values + TABLE[i].offset, &value, sizeof(value));
    }
    *out = snapshot;
    return RC_OK;
}

static void
put_value(struct buf *out, size_t row, const struct metrics_snapshot *snapshot)
{
    uint64_t value = value_of(&snapshot->values, row);

    buf_printf(out, "gantry_worker_%s{program=\"%s\",instance=\"%s\"} ", TABLE[row].name,
               snapshot->program, snapshot->instance);
    if (TABLE[row].kind == SECONDS)
        buf_printf(out, "%" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    else
        buf_printf(out, "%" PRIu64 "\n", value);
}

void
metrics_expose(const struct metrics_snapshot *snapshots, size_t count, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(TABLE) && count; i++) {
        buf_printf(out, "# HELP gantry_worker_%s %s\n# TYPE gantry_worker_%s %s\n", TABLE[i].name,
                   TABLE[i].help, TABLE[i].name, TABLE[i].kind == GAUGE ? "gauge" : "counter");
        for (size_t j = 0; j < count; j++)
            put_value(out, i, &snapshots[j]);
    }
}
