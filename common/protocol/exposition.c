/* SPDX-License-Identifier: MIT */
#include "exposition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char TOTAL[] = "_total";

static size_t
family_len(const struct exposition *e, const char *name, enum metric_kind kind)
{
    size_t len = strlen(name);
    bool cut = e->openmetrics && kind == METRIC_COUNTER && len >= sizeof(TOTAL) &&
               strcmp(name + len + 1 - sizeof(TOTAL), TOTAL) == 0;
    return cut ? len + 1 - sizeof(TOTAL) : len;
}

void
exposition_family(const struct exposition *e, const char *name, enum metric_kind kind,
                  const char *help)
{
    static const char *const KINDS[] = { "counter", "gauge", "histogram", "untyped" };
    const char *word = e->openmetrics && kind == METRIC_UNKNOWN ? "unknown" : KINDS[kind];
    int len = (int)family_len(e, name, kind);
    buf_printf(e->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, name, help, len, name, word);
}

static void
put_name(const struct exposition *e, const char *name, const char *labels)
{
    buf_puts(e->out, name);
    if (*labels)
        buf_printf(e->out, "{%s}", labels);
    buf_putc(e->out, ' ');
}

static void
put_seconds(struct buf *out, uint64_t us)
{
    buf_printf(out, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

void
exposition_value(const struct exposition *e, const char *name, const char *labels, uint64_t value)
{
    put_name(e, name, labels);
    buf_printf(e->out, "%" PRIu64 "\n", value);
}

void
exposition_seconds(const struct exposition *e, const char *name, const char *labels, uint64_t us)
{
    put_name(e, name, labels);
    put_seconds(e->out, us);
    buf_putc(e->out, '\n');
}

static void
put_exemplar(const struct exposition *e, const struct histogram *histogram, unsigned bucket)
{
    if (!e->openmetrics || !histogram->exemplars || !histogram->exemplars[bucket].trace_id[0])
        return;
    const struct exemplar *exemplar = &histogram->exemplars[bucket];
    buf_printf(e->out, " # {trace_id=\"%s\"} ", exemplar->trace_id);
    put_seconds(e->out, exemplar->value_us);
    buf_printf(e->out, " %" PRId64 ".%03d", exemplar->at_ms / 1000, (int)(exemplar->at_ms % 1000));
}

void
exposition_histogram(const struct exposition *e, const char *name, const char *labels,
                     const struct histogram *histogram)
{
    uint64_t count = 0;
    const char *comma = *labels ? "," : "";
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
        buf_printf(e->out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64, name, labels, comma,
                   histogram_bound(i), count);
        put_exemplar(e, histogram, i);
        buf_putc(e->out, '\n');
    }
    buf_printf(e->out, "%s_sum%s%s%s ", name, *labels ? "{" : "", labels, *labels ? "}" : "");
    put_seconds(e->out, histogram->sum_us);
    buf_printf(e->out, "\n%s_count%s%s%s %" PRIu64 "\n", name, *labels ? "{" : "", labels,
               *labels ? "}" : "", count);
}

void
exposition_end(const struct exposition *e)
{
    if (e->openmetrics)
        buf_puts(e->out, "# EOF\n");
}

void
exposition_label(struct buf *labels, const char *name, const char *value)
{
    buf_printf(labels, "%s%s=\"", labels->len ? "," : "", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_putc(labels, '\\');
        if (*value == '\n')
            buf_puts(labels, "\\n");
        else
            buf_putc(labels, *value);
    }
    buf_putc(labels, '"');
}

/* --- what the reader of the page wants -------------------------------------------------------------- */

/* The value of a parameter of one media range in a thousandth: q=0.5 is 500; 1000 when absent. */
static int
quality(const char *range, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++) {
        if (range[i] != ';')
            continue;
        size_t at = i + 1;
        while (at < len && (range[at] == ' ' || range[at] == '\t'))
            at++;
        if (at + 2 < len && (range[at] | 0x20) == 'q' && range[at + 1] == '=')
            return (int)(strtod(range + at + 2, NULL) * 1000);
    }
    return 1000;
}

/* version=1.0.0 or none: what 0.0.1 was, nobody needs any more. */
static bool
is_version(const char *range, size_t len)
{
    static const char VERSION[] = "version=";
    const char *at = memmem(range, len, VERSION, sizeof(VERSION) - 1);
    if (!at)
        return true;
    at += sizeof(VERSION) - 1;
    at += *at == '"';
    return (size_t)(range + len - at) >= 5 && memcmp(at, "1.0.0", 5) == 0;
}

bool
exposition_wants_openmetrics(const char *accept)
{
    static const char OPENMETRICS[] = "application/openmetrics-text";
    static const char TEXT[] = "text/plain";
    int open = 0, text = 0;
    while (accept && *accept) {
        accept += strspn(accept, ", \t");
        size_t len = strcspn(accept, ",");
        size_t type = strcspn(accept, ",; \t");
        int q = quality(accept, len);
        if (type == sizeof(OPENMETRICS) - 1 && strncasecmp(accept, OPENMETRICS, type) == 0 &&
            is_version(accept, len) && q > open)
            open = q;
        else if (type == sizeof(TEXT) - 1 && strncasecmp(accept, TEXT, type) == 0 && q > text)
            text = q;
        accept += len;
    }
    return open > 0 && open >= text;
}
