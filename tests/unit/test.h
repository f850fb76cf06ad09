/* SPDX-License-Identifier: MIT */
/*
 * test - cmocka, with the headers that must come before it.
 */
#ifndef TEST_H
#define TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEST_PATH_MAX     256

/* The template of a temporary name where TMPDIR says: who runs a test that may die removes that folder. */
static inline void
test_temporary(const char *name, char path[TEST_PATH_MAX])
{
    const char *folder = getenv("TMPDIR");

    (void)snprintf(path, TEST_PATH_MAX, "%s/%s_XXXXXX", folder ? folder : "/tmp", name);
}

#endif
