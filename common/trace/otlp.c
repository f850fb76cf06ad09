/* SPDX-License-Identifier: MIT */
#include "trace/otlp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "base/version.h"
#include "json/json.h"

#define STATUS_ERROR 2 /* of opentelemetry.proto.trace.v1.Status */
#define FLAG_SAMPLED 1

/* --- lists of the environment ------------------------------------------------------------------------ */

static bool
decode(const char *text, size_t len, char out[OTLP_PAIR_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if ((unsigned char)c < 0x20 || n + 1 >= OTLP_PAIR_MAX)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return utf8_valid(out, n);
}

static size_t
trimmed(const char **text, size_t len)
{
    while (len && (**text == ' ' || **text == '\t')) {
        (*text)++;
        len--;
    }
    while (len && ((*text)[len - 1] == ' ' || (*text)[len - 1] == '\t'))
        len--;
    return len;
}

enum rc
otlp_pair_next(const char **list, struct otlp_pair *out, struct err *err)
{
    const char *at = *list + strspn(*list, ", \t");
    if (!*at)
        return RC_NOTFOUND;
    size_t len = strcspn(at, ",");
    const char *equals = memchr(at, '=', len);
    *list = at + len;
    if (!equals)
        return err_set(err, RC_CONFIG, "must be name=value, with commas between several");
    const char *name = at, *value = equals + 1;
    size_t name_len = trimmed(&name, (size_t)(equals - at));
    size_t value_len = trimmed(&value, (size_t)(at + len - value));
    if (name_len == 0 || !decode(name, name_len, out->name) ||
        !decode(value, value_len, out->value))
        return err_set(err, RC_CONFIG,
                       "holds a name or a value that is too long or not percent-encoded");
    return RC_OK;
}

/* --- objects ----------------------------------------------------------------------------------------- */

static void
put_attribute(struct json_writer *w, const struct span_attribute *attribute)
{
    char number[24];
    json_object(w, NULL);
    json_put_string(w, "key", attribute->name);
    json_object(w, "value");
    if (attribute->text) {
        json_put_string(w, "stringValue", attribute->text);
    } else {
        (void)snprintf(number, sizeof(number), "%" PRId64, attribute->number);
        json_put_string(w, "intValue", number);
    }
    json_close(w);
    json_close(w);
}

static void
put_text(struct json_writer *w, const char *name, const char *text)
{
    put_attribute(w, &(struct span_attribute){ .name = name, .text = text });
}

static enum rc
put_list(struct json_writer *w, const char *list, const char **name, char keep[OTLP_PAIR_MAX],
         struct err *err)
{
    struct otlp_pair pair;
    enum rc rc;
    while ((rc = otlp_pair_next(&list, &pair, err)) == RC_OK) {
        if (strcmp(pair.name, "service.name") != 0) {
            put_text(w, pair.name, pair.value);
        } else {
            memcpy(keep, pair.value, OTLP_PAIR_MAX);
            *name = keep;
        }
    }
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

enum rc
otlp_resource(const struct tracer_options *options, struct buf *out, struct err *err)
{
    struct json_writer w;
    struct err why = { 0 };
    char own[64], keep[OTLP_PAIR_MAX];
    const char *name = own;
    (void)snprintf(own, sizeof(own), "gantry-%s", options->program);
    json_begin(&w, out);
    json_object(&w, NULL);
    json_array(&w, "attributes");
    enum rc rc = put_list(&w, options->conf->resource_attributes, &name, keep, &why);
    if (rc != RC_OK)
        return err_set(err, rc, "OTEL_RESOURCE_ATTRIBUTES %s", why.text);
    put_text(&w, "service.name",
             options->conf->service_name[0] ? options->conf->service_name : name);
    put_text(&w, "service.version", GANTRY_VERSION);
    put_text(&w, "service.instance.id", options->instance);
    put_text(&w, "gantry.program", options->program);
    if (options->region && options->region[0])
        put_text(&w, "cloud.region", options->region);
    put_text(&w, "telemetry.sdk.name", "gantry");
    put_text(&w, "telemetry.sdk.language", "c");
    put_text(&w, "telemetry.sdk.version", GANTRY_VERSION);
    json_close(&w);
    json_close(&w);
    return json_end(&w) == RC_OK ? RC_OK
                                 : err_set(err, RC_CONFIG, "OTEL_RESOURCE_ATTRIBUTES is too long");
}

static void
put_span_id(struct json_writer *w, const char *name, uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof(text), "%016" PRIx64, id);
    json_put_string(w, name, text);
}

static void
put_nanoseconds(struct json_writer *w, const char *name, int64_t us)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRId64 "000", us);
    json_put_string(w, name, text);
}

enum rc
otlp_span(const struct span *span, int64_t wall_us, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "traceId", span->trace->id);
    put_span_id(&w, "spanId", span->id);
    if (span->parent)
        put_span_id(&w, "parentSpanId", span->parent);
    if (span->trace->state)
        json_put_string(&w, "traceState", span->trace->state);
    json_put_int(&w, "flags", FLAG_SAMPLED);
    json_put_string(&w, "name", span->name);
    json_put_int(&w, "kind", span->kind);
    put_nanoseconds(&w, "startTimeUnixNano", span->start_us + wall_us);
    put_nanoseconds(&w, "endTimeUnixNano", span->end_us + wall_us);
    json_array(&w, "attributes");
    for (size_t i = 0; i < span->n_attributes; i++)
        if (span->attributes[i].name)
            put_attribute(&w, &span->attributes[i]);
    if (span->error)
        put_text(&w, "error.type", span->error);
    json_close(&w);
    json_object(&w, "status");
    if (span->error)
        json_put_int(&w, "code", STATUS_ERROR);
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}

enum rc
otlp_request(const struct buf *resource, const struct buf *spans, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_array(&w, "resourceSpans");
    json_object(&w, NULL);
    json_put_raw(&w, "resource", buf_text(resource), resource->len);
    json_array(&w, "scopeSpans");
    json_object(&w, NULL);
    json_object(&w, "scope");
    json_put_string(&w, "name", "gantry");
    json_put_string(&w, "version", GANTRY_VERSION);
    json_close(&w);
    json_array(&w, "spans");
    json_put_raw(&w, NULL, buf_text(spans), spans->len);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}
