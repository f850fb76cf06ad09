/* SPDX-License-Identifier: MIT */
/*
 * rc - what a caller should do about a result, and what a person should know about it.
 *
 * enum rc has one code for each reaction, joined in one table to its HTTP status and to the verdict
 * on a queue message. struct err carries the sentence; it lives on the caller's stack and never
 * allocates. Its text is for people and logs: bounded, without secrets, never compared by code.
 * Which server failed, where it was one, is a member of its own, set by that server's door.
 *
 * Source: the split of permanent and temporary failures follows qmail and Postfix.
 */
#ifndef GANTRY_BASE_RC_H
#define GANTRY_BASE_RC_H

#include <stdarg.h>

/*    name         http  verdict          meaning                                         */
/* clang-format off */
#define RC_TABLE(X)                                                                          \
    X(RC_OK,       200,  VERDICT_DONE,    "done")                                            \
    X(RC_INVALID,  422,  VERDICT_DONE,    "the request is invalid: an answer")               \
    X(RC_DENIED,   403,  VERDICT_DONE,    "not allowed: an answer")                          \
    X(RC_NOTFOUND, 404,  VERDICT_DONE,    "no such object: an answer")                       \
    X(RC_CONFLICT, 409,  VERDICT_DONE,    "already done, by us or by someone else")          \
    X(RC_LIMIT,    413,  VERDICT_DONE,    "beyond a bound: an answer")                       \
    X(RC_TEMP,     503,  VERDICT_RETRY,   "a dependency is down; may work later")            \
    X(RC_CORRUPT,  400,  VERDICT_REJECT,  "cannot be decoded or is forged: dead letter")     \
    X(RC_CONFIG,   500,  VERDICT_RETRY,   "our own configuration is wrong; an operator acts")\
    X(RC_BUG,      500,  VERDICT_REJECT,  "an invariant does not hold")
/* clang-format on */

/* The fate of a queue message: settled; redelivered later; moved to the dead letters. */
enum verdict { VERDICT_DONE, VERDICT_RETRY, VERDICT_REJECT };

#define RC_ENUM(name, http, verdict, meaning) name,
enum [[nodiscard]] rc{ RC_TABLE(RC_ENUM) RC_COUNT };
#undef RC_ENUM

#define ERR_TEXT_MAX 400 /* bytes with the NUL */

enum server { SERVER_NONE, SERVER_POSTGRESQL, SERVER_REDIS, SERVER_NATS, SERVER_EMBEDDING };

struct err {
    enum rc rc;
    enum server server;
    char text[ERR_TEXT_MAX];
};

const char *rc_name(enum rc rc);
const char *rc_meaning(enum rc rc);
int rc_http(enum rc rc);
const char *server_name(enum server server); /* for people; NULL for SERVER_NONE */
enum verdict rc_verdict(enum rc rc);

/* Record a failure; returns rc, so that a failure is one line. err may be NULL. */
__attribute__((format(printf, 3, 4))) enum rc err_set(struct err *err, enum rc rc,
                                                      const char *format, ...);
#ifdef __clang_analyzer__ /* which sees in no other file that the value is rc */
#define err_set(err, rc, ...) ((void)(err_set)(err, rc, __VA_ARGS__), (rc))
#endif
/* A failure of this server. */
__attribute__((format(printf, 4, 5))) enum rc err_set_of(struct err *err, enum server server,
                                                         enum rc rc, const char *format, ...);
#ifdef __clang_analyzer__
#define err_set_of(err, server, rc, ...) ((void)(err_set_of)(err, server, rc, __VA_ARGS__), (rc))
#endif
__attribute__((format(printf, 3, 0))) enum rc err_setv(struct err *err, enum rc rc,
                                                       const char *format, va_list args);

/* The same failure, which was kept; returns its rc. */
enum rc err_copy(struct err *err, const struct err *from);

/* Put "context: " before the text that is already there; returns err->rc (RC_BUG for NULL). */
__attribute__((format(printf, 2, 3))) enum rc err_wrap(struct err *err, const char *format, ...);

/* Exit codes of every program (contract, section 2). */
enum exit_code { EXIT_OK = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_CONFIG = 100, EXIT_TEMP = 111 };

/* The exit code that tells a supervisor what to do about rc. */
int rc_exit(enum rc rc);

#endif
