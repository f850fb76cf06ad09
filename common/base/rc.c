/* SPDX-License-Identifier: MIT */
/*
 * rc - the table of results, and errors that live on the caller's stack.
 */
#include "base/rc.h"

#include <stdio.h>
#include <string.h>

struct rc_row {
    const char *name;
    int http;
    enum verdict verdict;
    const char *meaning;
};

#define RC_ROW(name, http, verdict, meaning) { #name, http, verdict, meaning },
static const struct rc_row ROWS[] = { RC_TABLE(RC_ROW) };

/* A code from outside the enumeration is a bug of ours and is treated as one. */
static const struct rc_row *
row_of(enum rc rc)
{
    return (unsigned)rc < RC_COUNT ? &ROWS[rc] : &ROWS[RC_BUG];
}

const char *
rc_name(enum rc rc)
{
    return row_of(rc)->name;
}

const char *
rc_meaning(enum rc rc)
{
    return row_of(rc)->meaning;
}

int
rc_http(enum rc rc)
{
    return row_of(rc)->http;
}

const char *
server_name(enum server server)
{
    switch (server) {
    case SERVER_POSTGRESQL:
        return "PostgreSQL";
    case SERVER_REDIS:
        return "Redis";
    case SERVER_NATS:
        return "NATS";
    case SERVER_EMBEDDING:
        return "the embedding server";
    case SERVER_NONE:
        break;
    }
    return NULL;
}

enum verdict
rc_verdict(enum rc rc)
{
    return row_of(rc)->verdict;
}

enum rc
err_setv(struct err *err, enum rc rc, const char *format, va_list args)
{
    if (err) {
        err->rc = rc;
        err->server = SERVER_NONE;
        (void)vsnprintf(err->text, sizeof(err->text), format, args);
    }
    return rc;
}

#undef err_set
enum rc
err_set(struct err *err, enum rc rc, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)err_setv(err, rc, format, args);
    va_end(args);
    return rc;
}

#undef err_set_of
enum rc
err_set_of(struct err *err, enum server server, enum rc rc, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)err_setv(err, rc, format, args);
    va_end(args);
    if (err)
        err->server = server;
    return rc;
}

enum rc
err_copy(struct err *err, const struct err *from)
{
    if (err)
        *err = *from;
    return from->rc;
}

enum rc
err_wrap(struct err *err, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    size_t len;
    va_list args;

    if (!err)
        return RC_BUG;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    len = strlen(text);
    if (len < sizeof(text) - 3) {
        size_t kept = strnlen(err->text, sizeof(text) - 3 - len);
        memcpy(text + len, ": ", 2);
        memcpy(text + len + 2, err->text, kept);
        text[len + 2 + kept] = '\0';
    }
    memcpy(err->text, text, strlen(text) + 1);
    return err->rc;
}

int
rc_exit(enum rc rc)
{
    switch (rc) {
    case RC_OK:
        return EXIT_OK;
    case RC_INVALID:
    case RC_DENIED:
    case RC_NOTFOUND:
    case RC_CONFLICT:
    case RC_LIMIT:
    case RC_CORRUPT:
        return EXIT_NO;
    case RC_TEMP:
        return EXIT_TEMP;
    case RC_CONFIG:
        return EXIT_CONFIG;
    case RC_BUG:
    case RC_COUNT:
        break;
    }
    return EXIT_TEMP;
}
