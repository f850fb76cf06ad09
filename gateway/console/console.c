/* SPDX-License-Identifier: MIT */
#include "console/console.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "console_files.h"
#include "gateway.h"
#include "http/http.h"
#include "requests/answer.h"
#include "requests/handlers.h"

/* Found by the -I of generated files, as console_files.h is. */
__asm__(".pushsection .rodata.console_packed, \"a\", %progbits\n"
        ".balign 64\n"
        ".hidden console_packed\n"
        ".globl console_packed\n"
        "console_packed:\n"
        ".incbin \"" CONSOLE_PACKED "\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const uint8_t console_packed[];

/* Nothing from anywhere else, nothing inline, no markup made of text by scripts. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "                \
    "require-trusted-types-for 'script'; trusted-types 'none'"
#define CACHE "no-cache" /* kept, but asked for with its ETag each time */

const struct console_file *
console_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(CONSOLE_FILES); i++)
        if (strcmp(CONSOLE_FILES[i].name, name) == 0)
            return &CONSOLE_FILES[i];
    return NULL;
}

const uint8_t *
console_bytes(size_t at)
{
    return console_packed + at;
}

/* RFC 9110 12.5.3: "gzip" or "*" in the list, not with q=0. */
bool
console_takes_gzip(const char *accept)
{
    while (accept && *accept) {
        accept += strspn(accept, " \t,");
        size_t len = strcspn(accept, ",");
        size_t name = strcspn(accept, ",; \t");
        bool it =
            (name == 4 && strncasecmp(accept, "gzip", 4) == 0) || (name == 1 && accept[0] == '*');
        const char *q = it ? memchr(accept, '=', len) : NULL;
        if (it)
            return !q || strcspn(q, "123456789") < len - (size_t)(q - accept);
        accept += len;
    }
    return false;
}

static enum step
answer_page(struct request *r, int status, const char *type, const void *bytes, size_t len)
{
    enum step step =
        status == 304 ? answer_empty(r, status) : answer_raw(r, status, type, bytes, len);
    r->answer.cache = CACHE;
    r->answer.policy = POLICY;
    return step;
}

static enum step
answer_file(struct request *r, const struct console_file *file)
{
    bool gzip = console_takes_gzip(http_header(r->exchange, "Accept-Encoding", NULL));
    const char *held = http_header(r->exchange, "If-None-Match", NULL);
    answer_header(r, "ETag", "\"%s%s\"", file->digest, gzip ? "-gz" : "");
    answer_header(r, "Vary", "Accept-Encoding");
    if (held && strstr(held, file->digest))
        return answer_page(r, 304, NULL, NULL, 0);
    if (!gzip)
        return answer_page(r, 200, file->type, console_bytes(file->at), file->len);
    answer_header(r, "Content-Encoding", "gzip");
    return answer_page(r, 200, file->type, console_bytes(file->gzip_at), file->gzip_len);
}

enum step
console_get(struct request *r)
{
    const char *name = r->route->n_params ? r->match.params[0] : "index.html";
    const struct console_file *file = console_find(name);
    if (!file)
        return answer_problem(r, PROBLEM_NOT_FOUND, "the console has no such file");
    return answer_file(r, file);
}

enum step
docs_get(struct request *r)
{
    const struct buf *page = &r->gw->docs;
    return answer_page(r, 200, "text/html; charset=utf-8", buf_text(page), page->len);
}
