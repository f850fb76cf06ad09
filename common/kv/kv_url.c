/* SPDX-License-Identifier: MIT */
/*
 * kv_url - takes a redis://, rediss:// or unix:// URL apart. No error repeats a part of it: it holds a password.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "kv/kv_own.h"

#define DEFAULT_PORT 6379
#define DB_MAX       1023

/* The text up to a character, percent-decoded; false when it does not fit or is malformed. */
static bool
decode(const char *text, size_t len, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c == '%') {
            if (len - i < 3 || hex_decode(text + i + 1, 2, &c) != RC_OK || c == 0)
                return false;
            i += 2;
        }
        if (n + 1 >= cap)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool
number(const char *text, size_t len, int max, int *out)
{
    int value = 0;
    if (len == 0 || len > 6)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return value <= max;
}

static bool
take_user(const char *text, size_t len, struct kv_url *url)
{
    const char *colon = memchr(text, ':', len);
    size_t name = colon ? (size_t)(colon - text) : len;
    if (!decode(text, name, url->user, sizeof(url->user)))
        return false;
    return !colon || decode(colon + 1, len - name - 1, url->password, sizeof(url->password));
}

static bool
take_host(const char *text, size_t len, struct kv_url *url)
{
    const char *port = NULL;
    if (len && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close)
            return false;
        size_t host = (size_t)(close - text) - 1;
        if (host + 2 < len && close[1] == ':')
            port = close + 2;
        else if (host + 2 != len)
            return false;
        if (!decode(text + 1, host, url->host, sizeof(url->host)))
            return false;
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon)
            port = colon + 1;
        if (!decode(text, colon ? (size_t)(colon - text) : len, url->host, sizeof(url->host)))
            return false;
    }
    if (port && !number(port, len - (size_t)(port - text), 65535, &url->port))
        return false;
    return url->host[0] != '\0' && url->port > 0;
}

static bool
take_options(const char *text, struct kv_url *url)
{
    const struct {
        const char *name;
        char *out;
    } files[] = { { "cacert=", url->ca_file },
                  { "cert=", url->cert_file },
                  { "key=", url->key_file } };

    while (*text) {
        size_t len = strcspn(text, "&");
        bool known = false;
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            size_t n = strlen(files[i].name);
            if (len > n && strncmp(text, files[i].name, n) == 0)
                known = decode(text + n, len - n, files[i].out, KV_HOST_MAX);
        }
        if (!known)
            return false;
        text += len + (text[len] == '&');
    }
    return true;
}

/* What follows the authority of redis:// and rediss://. */
static enum rc
take_server(const char *host, size_t len, struct kv_url *url, struct err *err)
{
    const char *tail = host + len;
    if (!take_host(host, len, url))
        return err_set(err, RC_CONFIG, "the Redis URL's host or port is malformed");
    if (*tail == '/') {
        size_t digits = strcspn(++tail, "?");
        if (digits && !number(tail, digits, DB_MAX, &url->db))
            return err_set(err, RC_CONFIG, "the Redis URL's database is not a number");
        tail += digits;
    }
    if (*tail == '?' && !take_options(tail + 1, url))
        return err_set(err, RC_CONFIG,
                       "the Redis URL has an option other than cacert, cert and key");
    (void)snprintf(url->place, sizeof(url->place), "%s:%d", url->host, url->port);
    return RC_OK;
}

/* What follows the authority of unix://, which is empty but for the user. */
static enum rc
take_socket(const char *path, struct kv_url *url, struct err *err)
{
    size_t len = strcspn(path, "?");
    const char *option = path + len;
    if (*path != '/' || len < 2)
        return err_set(
            err, RC_CONFIG,
            "the Redis URL of a UNIX socket is unix:///PATH or unix://USER:PASSWORD@/PATH");
    if (!decode(path, len, url->path, sizeof(url->path)))
        return err_set(
            err, RC_CONFIG,
            "the Redis URL's path is malformed, or longer than the %d bytes of a socket's",
            KV_PATH_MAX - 1);
    if (*option && (strncmp(option, "?db=", 4) != 0 ||
                    !number(option + 4, strlen(option + 4), DB_MAX, &url->db)))
        return err_set(err, RC_CONFIG,
                       "the Redis URL of a UNIX socket has an option that is not db=NUMBER");
    (void)snprintf(url->place, sizeof(url->place), "%s", url->path);
    return RC_OK;
}

enum rc
kv_url_parse(const char *text, struct kv_url *out, struct err *err)
{
    struct kv_url url = { .port = DEFAULT_PORT };
    bool socket = strncmp(text, "unix://", 7) == 0;
    url.tls = strncmp(text, "rediss://", 9) == 0;
    if (!socket && !url.tls && strncmp(text, "redis://", 8) != 0)
        return err_set(err, RC_CONFIG,
                       "the Redis URL does not begin with redis://, rediss:// or unix://");
    const char *rest = strstr(text, "://") + 3;
    size_t authority = strcspn(rest, "/?");
    const char *at = memrchr(rest, '@', authority);
    const char *host = at ? at + 1 : rest;
    size_t len = authority - (size_t)(host - rest);
    if (at && !take_user(rest, (size_t)(at - rest), &url))
        return err_set(err, RC_CONFIG, "the Redis URL's user or password is malformed");
    enum rc rc = socket ? take_socket(host, &url, err) : take_server(host, len, &url, err);
    if (rc == RC_OK)
        *out = url;
    return rc;
}
