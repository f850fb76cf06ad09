/* SPDX-License-Identifier: MIT */
#include "trace/context.h"

#include <endian.h>
#include <string.h>

#define ID_AT        3
#define SPAN_AT      36
#define FLAGS_AT     53
#define KNOWN_LEN    55
#define MEMBERS_MAX  32
#define FLAG_SAMPLED 1

static int
digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n lower-case digits; false when one is none. */
static bool
read_hex(const char *text, unsigned n, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        if (digit(text[i]) < 0)
            return false;
        *out = *out << 4 | (uint64_t)digit(text[i]);
    }
    return true;
}

bool
trace_parent_read(const char *text, struct trace_parent *out)
{
    struct trace_parent parent = { 0 };
    uint64_t version, high, low, flags;
    size_t len = text ? strnlen(text, KNOWN_LEN + 1) : 0;
    if (len < KNOWN_LEN || text[2] != '-' || text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
        return false;
    if (!read_hex(text, 2, &version) || version == 0xff)
        return false;
    if (len > KNOWN_LEN && (version == 0 || text[KNOWN_LEN] != '-'))
        return false;
    if (!read_hex(text + ID_AT, 16, &high) || !read_hex(text + ID_AT + 16, 16, &low) ||
        !read_hex(text + SPAN_AT, 16, &parent.span) || !read_hex(text + FLAGS_AT, 2, &flags))
        return false;
    if ((high | low) == 0 || parent.span == 0)
        return false;
    memcpy(parent.id, text + ID_AT, TRACE_ID_TEXT_MAX - 1);
    parent.sampled = flags & FLAG_SAMPLED;
    *out = parent;
    return true;
}

void
trace_id_imply(const char request_id[ID_TEXT_MAX], char out[TRACE_ID_TEXT_MAX])
{
    memcpy(out, request_id, 8); /* 8-4-4-4-12 */
    memcpy(out + 8, request_id + 9, 4);
    memcpy(out + 12, request_id + 14, 4);
    memcpy(out + 16, request_id + 19, 4);
    memcpy(out + 20, request_id + 24, 12);
    out[TRACE_ID_TEXT_MAX - 1] = '\0';
}

/* Eight digits at once: each request pays for several ids. */
static void
put_hex32(uint32_t value, char *out)
{
    uint64_t x = value;
    x = (x << 16 | x) & 0x0000ffff0000ffff;
    x = (x << 8 | x) & 0x00ff00ff00ff00ff;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
    x += 0x3030303030303030 + letters * ('a' - '0' - 10);
    x = htobe64(x);
    memcpy(out, &x, sizeof(x));
}

void
trace_put_hex(uint64_t value, char *out)
{
    put_hex32((uint32_t)(value >> 32), out);
    put_hex32((uint32_t)value, out + 8);
}

void
trace_parent_write(const struct trace *trace, uint64_t span, char out[TRACEPARENT_MAX])
{
    memcpy(out, "00-", ID_AT);
    memcpy(out + ID_AT, trace->id, TRACE_ID_TEXT_MAX - 1);
    out[SPAN_AT - 1] = '-';
    trace_put_hex(span, out + SPAN_AT);
    memcpy(out + FLAGS_AT - 1, trace->sampled ? "-01" : "-00", 4);
}

bool
trace_state_valid(const char *text)
{
    size_t len = text ? strnlen(text, TRACESTATE_MAX + 1) : 0;
    unsigned members = 1;
    if (len == 0 || len > TRACESTATE_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((text[i] < 0x20 && text[i] != '\t') || text[i] > 0x7e)
            return false;
        members += text[i] == ',';
    }
    return members <= MEMBERS_MAX && strchr(text, '=') != NULL;
}
