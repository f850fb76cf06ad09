/* SPDX-License-Identifier: MIT */
/*
 * log - one bounded line per event.
 *
 * A line is built on the stack and written at once. Every text goes through put_text(), which is the
 * only place that decides what a byte from outside may look like in a log: control characters
 * (C0, DEL, C1) and invalid UTF-8 are escaped, API keys and the user part of a URL are blotted out.
 * Nobody should log those; this is the last net, not the first.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define VALUE_MAX 1024 /* bytes of a field's value or of the message, before escaping */
#define TAIL_MAX  32   /* kept free for what ends a line */

struct log_state {
    const char *program; /* borrowed: process */
    enum log_level level;
    enum log_format format;
};

/* Set once by log_init(), before there are threads.
 * NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static struct log_state state = { "gantry", LOG_INFO, LOG_JSON };

struct line {
    size_t len;
    bool cut;
    char data[LOG_LINE_MAX];
};

static const char *const LEVELS[] = { "debug", "info", "warn", "error", "fatal" };

void
log_init(const char *program, enum log_level level, enum log_format format)
{
    state = (struct log_state){ program, level, format };
}

bool
log_enabled(enum log_level level)
{
    return level >= state.level;
}

static bool
put(struct line *line, const char *text, size_t len)
{
    if (line->cut || len > sizeof(line->data) - TAIL_MAX - line->len) {
        line->cut = true;
        return false;
    }
    memcpy(line->data + line->len, text, len);
    line->len += len;
    return true;
}

static bool
puts_line(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

static bool
is_base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The length of a secret that starts at text and what to write in its place; 0 if none does. */
static size_t
secret_at(const char *text, size_t len, const char **instead)
{
    static const char KEY[] = "relay_sk_";
    static const char SCHEME[] = "://";
    size_t end;

    if (len > sizeof(KEY) - 1 && memcmp(text, KEY, sizeof(KEY) - 1) == 0) {
        for (end = sizeof(KEY) - 1; end < len && is_base62(text[end]); end++)
            continue;
        *instead = "relay_sk_[redacted]";
        return end;
    }
    if (len > sizeof(SCHEME) - 1 && memcmp(text, SCHEME, sizeof(SCHEME) - 1) == 0) {
        for (end = sizeof(SCHEME) - 1; end < len && !strchr("/?# \"'\n", text[end]); end++)
            if (text[end] == '@') {
                *instead = "://[redacted]@";
                return end + 1;
            }
    }
    return 0;
}

static bool
put_escaped(struct line *line, const char *text, size_t len, uint32_t code)
{
    char escaped[16];
    bool json = state.format == LOG_JSON;

    if (code == '"' || code == '\\')
        (void)snprintf(escaped, sizeof(escaped), "\\%c", (int)code);
    else if (code == '\n' || code == '\t' || code == '\r')
        (void)snprintf(escaped, sizeof(escaped), "\\%c",
                       code == '\n'   ? 'n'
                       : code == '\t' ? 't'
                                      : 'r');
    else if (code < 0x20 || (code >= 0x7F && code < 0xA0))
        (void)snprintf(escaped, sizeof(escaped), json ? "\\u%04x" : "\\x%02x", code);
    else
        return put(line, text, len);
    return puts_line(line, escaped);
}

/* The inside of a quoted text. */
static void
put_text(struct line *line, const char *text)
{
    size_t len = strnlen(text, VALUE_MAX + 1);
    size_t step;
    const char *instead;
    uint32_t code;

    for (size_t at = 0; at < len && at < VALUE_MAX; at += step) {
        step = secret_at(text + at, len - at, &instead);
        if (step > 0) {
            if (!puts_line(line, instead))
                return;
            continue;
        }
        step = utf8_decode(text + at, len - at, &code);
        if (step == 0) {
            step = 1;
            char escaped[8] = "\\ufffd";
            if (state.format == LOG_TEXT)
                (void)snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)text[at]);
            if (!puts_line(line, escaped))
                return;
        } else if (!put_escaped(line, text + at, step, code)) {
            return;
        }
    }
    if (len > VALUE_MAX)
        (void)puts_line(line, "...");
}

/* A field whose name does not fit is left out. */
static void
put_field(struct line *line, const char *name, const char *value)
{
    bool json = state.format == LOG_JSON;
    size_t before = line->len;

    if (line->cut)
        return;
    (void)puts_line(line, json ? ",\"" : " ");
    put_text(line, name);
    (void)puts_line(line, json ? "\":\"" : "=\"");
    if (line->cut) {
        line->len = before;
        return;
    }
    put_text(line, value);
    /* The tail is always free: a value that was cut is closed all the same. */
    line->data[line->len++] = '"';
}

static void
begin(struct line *line, enum log_level level, const char *message)
{
    char time[CLOCK_TEXT_MAX];
    const char *name = level >= LOG_DEBUG && level <= LOG_FATAL ? LEVELS[level] : "error";

    line->len = 0;
    line->cut = false;
    (void)clock_format(clock_wall_ms(), time);
    if (state.format == LOG_JSON) {
        line->len =
            (size_t)snprintf(line->data, 128, "{\"ts\":\"%s\",\"level\":\"%s\"", time, name);
        put_field(line, "prog", state.program);
    } else {
        line->len = (size_t)snprintf(line->data, 128, "%s %-5s", time, name);
        (void)puts_line(line, " ");
        put_text(line, state.program);
    }
    put_field(line, "msg", message);
}

static void
finish(struct line *line)
{
    bool json = state.format == LOG_JSON;
    const char *tail = line->cut ? (json ? ",\"cut\":true}\n" : " cut=true\n")
                       : json    ? "}\n"
                                 : "\n";
    size_t len = strlen(tail);
    ssize_t n;

    memcpy(line->data + line->len, tail, len);
    line->len += len;
    do {
        n = write(STDERR_FILENO, line->data, line->len);
    } while (n < 0 && errno == EINTR);
}

void
log_msg(enum log_level level, const char *format, ...)
{
    int saved = errno;
    char message[VALUE_MAX + 2];
    struct line line;
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    begin(&line, level, message);
    finish(&line);
    errno = saved;
}

void
log_fields(enum log_level level, const char *message, ...)
{
    int saved = errno;
    struct line line;
    va_list args;

    if (!log_enabled(level))
        return;
    begin(&line, level, message);
    va_start(args, message);
    for (;;) {
        const char *name = va_arg(args, const char *);
        const char *value = name ? va_arg(args, const char *) : NULL;
        if (!value)
            break;
        put_field(&line, name, value);
    }
    va_end(args);
    finish(&line);
    errno = saved;
}

void
log_no_memory(const char *what)
{
    log_fatal("out of memory for %s", what);
    _exit(EXIT_TEMP);
}
