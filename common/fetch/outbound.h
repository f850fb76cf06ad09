/* SPDX-License-Identifier: MIT */
/*
 * outbound - one HTTPS request to a server that somebody else has named, under guard.h.
 *
 * The name is resolved here, for no longer than a connection may take, each of its addresses is checked, and only a checked address is connected to
 * (checked once more on the socket). Redirects are followed by us: each goes through all checks again,
 * keeps the method only with 307 and 308, and carries body and headers only within the same host. TLS 1.2
 * or later with a verified certificate; no proxy, no cookies, no netrc, no connection that is used twice.
 * The answer is bounded after decompression, its head by size and time, everything by time.
 *
 * Threads: blocks; each call is its own. stop(), go() and follow() are called on the caller's thread.
 */
#ifndef GANTRY_FETCH_OUTBOUND_H
#define GANTRY_FETCH_OUTBOUND_H

#include "base/buf.h"
#include "fetch/guard.h"

#define OUTBOUND_ADDRESSES_MAX 16
#define OUTBOUND_LOOKUPS_MAX   64    /* names that are resolved at once, … */
#define OUTBOUND_LOOKUPS_SHARE 16    /* … and for one share */
#define OUTBOUND_SHARE_MAX     64    /* bytes of a share's name, with the NUL */
#define OUTBOUND_HEAD_MAX      65536 /* bytes of an answer's head */
#define OUTBOUND_WHY_MAX       200
#define OUTBOUND_TYPE_MAX      128

struct outbound_addresses {
    size_t count;
    struct sockaddr_storage items[OUTBOUND_ADDRESSES_MAX];
};
/* RC_NOTFOUND: there is no such name. RC_TEMP: nobody can say now. It runs on a thread of its own, which the
 * request does not wait for when it takes too long: arg must live until it has returned. */
typedef enum rc outbound_resolve_fn(void *arg, const char *host, struct outbound_addresses *out,
                                    struct err *err);

/* A host's address as the operator has it, instead of what its name resolves to: checked like any. */
struct outbound_pin {
    char host[GUARD_HOST_MAX];
    struct sockaddr_storage address;
    unsigned port; /* connect there; 0 = the URL's */
};
#define OUTBOUND_PINS_MAX 32

/* The operator's settings; shared by all requests. */
struct outbound_options {
    const char *ca_file; /* NULL or "" = the system's */
    struct guard_networks networks;
    struct outbound_pin pins[OUTBOUND_PINS_MAX];
    size_t n_pins;
    outbound_resolve_fn *resolve; /* NULL = the system's resolver */
    void *resolve_arg;
    struct outbound_lookups *lookups; /* owned: outbound_init(), outbound_fini() */
};
enum rc outbound_init(struct outbound_options *options, struct err *err); /* before threads */
void outbound_fini(struct outbound_options *options);                     /* after all requests */
/* "host=address[:port]" separated by blanks or commas, an IPv6 address in brackets. */
enum rc outbound_pins_read(const char *text, struct outbound_options *options, struct err *err);

struct outbound_request {
    const char *method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
    const char *url;
    const char *const *headers; /* "Name: value" without line breaks */
    size_t n_headers;
    const void *body;
    size_t len;
    uint32_t connect_ms, head_ms, total_ms;
    size_t answer_max; /* bytes */
    unsigned redirects_max;
    const char *share; /* whose request this is: lookups are bounded for each; NULL = nobody's */
    bool (*allowed)(void *arg, const char *host, unsigned port);
    /* asked about the target of each redirect that is allowed: false = the caller's rules are against
     * it, and why says so; NULL = follow */
    bool (*follow)(void *arg, const char *url, char why[OUTBOUND_WHY_MAX]);
    bool (*go)(
        void *arg); /* asked when connected, before the first byte: false = do not; NULL = yes */
    bool (*stop)(void *arg); /* asked a few times a second; NULL = never */
    void *arg;
};

enum outbound_end {
    OUTBOUND_ANSWERED,
    OUTBOUND_REFUSED,     /* the guard does not let it: why has the reason */
    OUTBOUND_UNFOLLOWED,  /* follow() said so, with the reason that why has */
    OUTBOUND_UNREACHABLE, /* no name, no route, no connection */
    OUTBOUND_UNTRUSTED,   /* the server's certificate or TLS version */
    OUTBOUND_BROKEN, /* the connection ended before the answer did, or the answer is out of form */
    OUTBOUND_TIMEOUT,
    OUTBOUND_TOO_LARGE, /* the answer */
    OUTBOUND_STOPPED,   /* stop() or go() said so */
};

struct outbound_answer {
    enum outbound_end end;
    bool sent; /* bytes of the request may have reached a server: it may have had its effect */
    int status;
    int64_t retry_after_s; /* 0 = not said */
    unsigned redirects;
    char type[OUTBOUND_TYPE_MAX]; /* Content-Type */
    char why[OUTBOUND_WHY_MAX];   /* when end is not ANSWERED: without URL, headers or body */
    struct buf body;              /* owned by the caller: buf_fini() */
};

void outbound_send(const struct outbound_options *options, const struct outbound_request *request,
                   struct outbound_answer *answer);

#endif
