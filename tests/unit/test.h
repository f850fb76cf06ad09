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

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
