/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS 18 /* of a Content-Length: beyond any bound of ours, below 2^63 */

bool
http_is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool
http_is_text(char c)
{
    unsigned char byte = (unsigned char)c;
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* --- finding the end -------------------------------------------------------------------------- */

enum head_found
http_head_find(const char *data, size_t len, size_t *line, size_t *end)
{
    size_t most = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
    const char *stop;
    /* A client that does not speak HTTP, but TLS say, is known by its first byte. */
    if (len && !http_is_token(data[0]))
        return HEAD_MALFORMED;
    while ((stop = memchr(data + *line, '\n', most - *line)) != NULL) {
        const char *begin = data + *line;
        if (stop == begin || stop[-1] != '\r')
            return HEAD_MALFORMED;
        *line = (size_t)(stop - data) + 1;
        if (stop - begin == 1) {
            *end = *line;
            return HEAD_COMPLETE;
        }
    }
    return len >= HTTP_HEAD_MAX ? HEAD_TOO_LARGE : HEAD_MORE;
}

/* --- taking it apart -------------------------------------------------------------------------- */

static void
blame(struct http_head *head, enum http_fault fault, const char *why)
{
    if (head->fault != HTTP_FAULT_NONE)
        return;
    head->fault = fault;
    head->why = why;
}

/* method SP target SP HTTP/1.x, the line's end already a NUL. */
static void
read_request_line(struct http_head *head, char *line, size_t len)
{
    static const char VERSION[] = "HTTP/1.";
    size_t n = 0;
    while (n < len && http_is_token(line[n]))
        n++;
    if (n == 0 || n == len || line[n] != ' ') {
        blame(head, HTTP_FAULT_MALFORMED, "the request line does not begin with a method");
        return;
    }
    char *target = line + n + 1;
    size_t target_len = 0;
    while (n + 1 + target_len < len && (unsigned char)target[target_len] > ' ' &&
           target[target_len] != 0x7f)
        target_len++;
    char *version = target + target_len + 1;
    if (target_len == 0 || len - n - 1 - target_len != 1 + sizeof(VERSION) || version[-1] != ' ' ||
        memcmp(version, VERSION, sizeof(VERSION) - 1) != 0 || version[7] < '0' ||
        version[7] > '9') {
        blame(head, HTTP_FAULT_MALFORMED,
              "the request line is not \"METHOD TARGET HTTP/1.1\" with one blank between them");
        return;
    }
    line[n] = '\0';
    version[-1] = '\0';
    head->method = line;
    head->target = target;
    head->minor = version[7] == '0' ? 0 : 1;
}

static void
read_field(struct http_head *head, char *line, size_t len)
{
    size_t n = 0;
    while (n < len && http_is_token(line[n]))
        n++;
    if (n == 0 || n == len || line[n] != ':') {
        blame(head, HTTP_FAULT_MALFORMED,
              "a header line is not \"Name: value\": the name is empty, holds what no name may, or "
              "has no colon directly behind it");
        return;
    }
    size_t from = n + 1;
    size_t to = len;
    for (size_t i = from; i < to; i++) {
        if (!http_is_text(line[i])) {
            blame(head, HTTP_FAULT_MALFORMED, "the value of a header holds a control character");
            return;
        }
    }
    while (from < to && (line[from] == ' ' || line[from] == '\t'))
        from++;
    while (to > from && (line[to - 1] == ' ' || line[to - 1] == '\t'))
        to--;
    if (head->n_fields == HTTP_FIELDS_MAX) {
        blame(head, HTTP_FAULT_TOO_LARGE, "a request has at most 128 header lines");
        return;
    }
    line[n] = '\0';
    line[to] = '\0';
    head->fields[head->n_fields++] = (struct http_field){
        (uint16_t)(line - head->text),
        (uint16_t)((size_t)(line - head->text) + from),
    };
}

/* --- what it says about the body and the connection ------------------------------------------- */

static bool
is_host(const char *text)
{
    static const char HOST[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "-._~%!$&'()*+,;=:[]";
    return text[strspn(text, HOST)] == '\0';
}

static void
judge_host(struct http_head *head)
{
    unsigned hosts = 0;
    const char *host = http_head_field(head, "Host", &hosts);
    if (hosts > 1)
        blame(head, HTTP_FAULT_MALFORMED, "the header Host is there twice");
    else if (!host && head->minor > 0)
        blame(head, HTTP_FAULT_MALFORMED, "the header Host is missing");
    else if (host && !is_host(host))
        blame(head, HTTP_FAULT_MALFORMED, "the header Host is not a host, or a host and a port");
}

static void
judge_framing(struct http_head *head)
{
    unsigned lengths = 0;
    unsigned encodings = 0;
    const char *length = http_head_field(head, "Content-Length", &lengths);
    const char *encoding = http_head_field(head, "Transfer-Encoding", &encodings);
    if (lengths + encodings > 1) {
        blame(head, HTTP_FAULT_MALFORMED,
              "the length of the body is given twice: send one Content-Length, or chunked");
    } else if (encoding && head->minor == 0) {
        blame(head, HTTP_FAULT_MALFORMED, "HTTP/1.0 knows no Transfer-Encoding: send HTTP/1.1");
    } else if (encoding && strcasecmp(encoding, "chunked") != 0) {
        blame(head, HTTP_FAULT_MALFORMED, "Transfer-Encoding is not chunked");
    } else if (encoding) {
        head->chunked = true;
    } else if (length) {
        size_t digits = strspn(length, "0123456789");
        if (digits == 0 || length[digits] || digits > LENGTH_DIGITS) {
            blame(head, HTTP_FAULT_MALFORMED, "Content-Length is not a decimal number of bytes");
            return;
        }
        head->has_length = true;
        for (size_t i = 0; i < digits; i++)
            head->length = head->length * 10 + (uint64_t)(length[i] - '0');
    }
}

static bool
has_item(const char *list, const char *item)
{
    size_t want = strlen(item);
    while (*list) {
        list += strspn(list, " \t,");
        size_t len = strcspn(list, " \t,;");
        if (len == want && strncasecmp(list, item, len) == 0)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

static void
judge_connection(struct http_head *head)
{
    bool closes = false;
    bool stays = false;
    for (size_t i = 0; i < head->n_fields; i++) {
        const char *value = head->text + head->fields[i].value;
        if (strcasecmp(head->text + head->fields[i].name, "Connection") != 0)
            continue;
        closes = closes || has_item(value, "close");
        stays = stays || has_item(value, "keep-alive");
    }
    head->keep_alive = !closes && (head->minor > 0 || stays);
    const char *expect = http_head_field(head, "Expect", NULL);
    head->expects = expect && head->minor > 0 && strcasecmp(expect, "100-continue") == 0;
}

void
http_head_parse(struct http_head *head, char *text, size_t len)
{
    *head = (struct http_head){ .text = text, .method = "", .target = "" };
    text[len] = '\0';
    for (size_t at = 0; at < len && head->fault == HTTP_FAULT_NONE;) {
        char *line = text + at;
        char *stop = memchr(line, '\n', len - at);
        if (!stop || stop == line || stop[-1] != '\r') {
            blame(head, HTTP_FAULT_MALFORMED, "a line of the head does not end with CR LF");
            return;
        }
        size_t line_len = (size_t)(stop - 1 - line);
        line[line_len] = '\0';
        if (at == 0)
            read_request_line(head, line, line_len);
        else if (line_len)
            read_field(head, line, line_len);
        at += line_len + 2;
    }
    if (head->fault != HTTP_FAULT_NONE)
        return;
    judge_host(head);
    judge_framing(head);
    judge_connection(head);
}

const char *
http_head_field(const struct http_head *head, const char *name, unsigned *count)
{
    const char *first = NULL;
    unsigned found = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        if (strcasecmp(head->text + head->fields[i].name, name) != 0)
            continue;
        if (found++ == 0)
            first = head->text + head->fields[i].value;
        if (!count)
            return first;
    }
    if (count)
        *count = found;
    return first;
}

const char *
http_head_last(const struct http_head *head, const char *name)
{
    for (size_t i = head->n_fields; i > 0; i--)
        if (strcasecmp(head->text + head->fields[i - 1].name, name) == 0)
            return head->text + head->fields[i - 1].value;
    return NULL;
}
