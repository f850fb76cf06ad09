/* SPDX-License-Identifier: MIT */
/*
 * log - one bounded line per event on standard error, as JSON or text.
 *
 * Shape:   {"ts":…,"level":…,"prog":…,"msg":…,<fields>}; control bytes are escaped, values cut
 * Levels:  debug (off by default) · info (normal) · warn (degraded; says what was done about it)
 *          error (needs a person) · fatal (the caller exits)
 * Never:   bodies, keys, tokens, connection strings, request paths (routes only)
 * Threads: any; each line is one write(2)
 */
#ifndef GANTRY_BASE_LOG_H
#define GANTRY_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };
enum log_format { LOG_JSON, LOG_TEXT };

#define LOG_LINE_MAX 4096 /* bytes */

/* program: borrowed for the life of the process. */
void log_init(const char *program, enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_msg(enum log_level level, const char *format, ...);

/* Fields after the sentence: pairs of name and value, ended by NULL.
 *     log_fields(LOG_INFO, "job settled", "workspace", ws, "id", id, NULL); */
__attribute__((sentinel)) void log_fields(enum log_level level, const char *message, ...);

#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_fatal(...) log_msg(LOG_FATAL, __VA_ARGS__)

/* Out of memory where no error can be returned (docs/style.md): log, exit with EXIT_TEMP. Unsettled
 * messages are redelivered after the restart. */
_Noreturn void log_no_memory(const char *what);

#endif
