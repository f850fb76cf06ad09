/* SPDX-License-Identifier: MIT */
/*
 * head - the head of a request: found in a byte stream, taken apart, judged.
 *
 * Strict where two readers could disagree: CR LF ends every line, one blank separates the parts of
 * the request line, names are tokens directly before their colon, no control characters, no folded
 * lines, one Host, and a length that can be read in one way only. What is refused names the reason;
 * the connection must then end, because nobody knows where the next request begins.
 *
 * Pure: no connection, no memory of its own.
 *
 * Units:   bytes
 * Threads: any
 * Source:  RFC 9112 (2.2, 3, 5, 6), RFC 9110 (5.5, 5.6.2)
 */
#ifndef GANTRY_GATEWAY_HTTP_HEAD_H
#define GANTRY_GATEWAY_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX   16384 /* request line, fields and the empty line */
#define HTTP_FIELDS_MAX 128

enum http_fault {
    HTTP_FAULT_NONE,
    HTTP_FAULT_MALFORMED, /* 400 */
    HTTP_FAULT_TOO_LARGE, /* 431 */
};

struct http_field {
    uint16_t name, value; /* offsets into the text; each ends with a NUL */
};

struct http_head {
    char *text;         /* borrowed, changed: NULs end the parts */
    const char *method; /* in text; "" when the request line is malformed */
    const char *target; /* in text; raw */
    unsigned minor;     /* of HTTP/1.minor, at most 1 */
    bool chunked;
    bool has_length;
    uint64_t length;
    bool keep_alive; /* the client wants the connection to stay */
    bool expects;    /* Expect: 100-continue */
    enum http_fault fault;
    const char *why; /* static sentence for the client; NULL without a fault */
    size_t n_fields;
    struct http_field fields[HTTP_FIELDS_MAX];
};

enum head_found { HEAD_MORE, HEAD_COMPLETE, HEAD_MALFORMED, HEAD_TOO_LARGE };

/* Look for the empty line that ends a head which begins at data[0]. *line is where the last look
 * stopped (0 at first) and is kept by the caller; *end is set with HEAD_COMPLETE. */
enum head_found http_head_find(const char *data, size_t len, size_t *line, size_t *end);

/* Take a complete head apart: text[0 .. len), len at most HTTP_HEAD_MAX, text[len] writable. A fault
 * is left in head; fields that were read before it stay readable. */
void http_head_parse(struct http_head *head, char *text, size_t len);

/* The first field of a name, NULL when absent; *count (may be NULL) of them. The value has no blanks
 * at its ends. */
const char *http_head_field(const struct http_head *head, const char *name, unsigned *count);
/* The last field of a name. */
const char *http_head_last(const struct http_head *head, const char *name);

/* RFC 9110 5.6.2: what a method or a field's name may hold. */
bool http_is_token(char c);
/* RFC 9110 5.5: what a field's value may hold. */
bool http_is_text(char c);

#endif
