/* SPDX-License-Identifier: MIT */
/*
 * failing_malloc - preloaded, it fails the n-th allocation that the program itself asks for.
 *
 * FAIL_AT=n counts calls from the main program's own code, not those of libraries (whose reaction is
 * not ours to judge). FAIL_ON=1 fails every later one too. A line on standard error says that it
 * happened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uintptr_t code_start, code_end;
static _Atomic long calls;
static long fail_at;
static int fail_on;

static int
take_main_program(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            code_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            code_end = code_start + info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the first object is the program */
}

__attribute__((constructor)) static void
start(void)
{
    const char *at = getenv("FAIL_AT");

    fail_at = at ? strtol(at, NULL, 10) : 0;
    fail_on = getenv("FAIL_ON") != NULL;
    dl_iterate_phdr(take_main_program, NULL);
}

static int
must_fail(void *caller)
{
    static const char SAID[] = "failing_malloc: failed\n";
    long n;

    if (fail_at == 0 || (uintptr_t)caller < code_start || (uintptr_t)caller >= code_end)
        return 0;
    n = atomic_fetch_add(&calls, 1) + 1;
    if (n != fail_at && !(fail_on && n > fail_at))
        return 0;
    if (n == fail_at && write(STDERR_FILENO, SAID, sizeof(SAID) - 1) < 0)
        _exit(99);
    errno = ENOMEM;
    return 1;
}

#define CALLER __builtin_return_address(0)

void *
malloc(size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_realloc(old, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_memalign(alignment, size);
}

static char *
copy(const char *text, size_t len)
{
    char *out = __libc_malloc(len + 1);

    if (out) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    return out;
}

char *
strdup(const char *text)
{
    return must_fail(CALLER) ? NULL : copy(text, strlen(text));
}

char *
strndup(const char *text, size_t len)
{
    return must_fail(CALLER) ? NULL : copy(text, strnlen(text, len));
}
