/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http - what the gateway reads besides JSON: the request target, escapes, forwarded addresses.
 * Input: a byte for the method, then text. What is found is of its shape, and nothing is written
 * where decoding failed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http/netaddr.h"
#include "gateway/requests/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_route_of(enum http_method method, const char *path, size_t len)
{
    struct route_match match;

    route_find(method, path, len, &match);
    if (match.route && match.route->method != method)
        abort();
    if (match.route && !(match.allowed & 1u << method))
        abort();
    for (size_t i = 0; match.route && i < match.route->n_params; i++) {
        char id[ID_TEXT_MAX];
        size_t n = strnlen(match.params[i], PATH_PARAM_MAX);
        if (n == 0 || n == PATH_PARAM_MAX || strchr(match.params[i], '\n'))
            abort();
        if (match.route->params[i].type == MEMBER_UUID &&
            (id_parse(match.params[i], n, id) != RC_OK || strcmp(id, match.params[i]) != 0))
            abort();
    }
}

static void
check_decode(const char *text, size_t len)
{
    char out[64];

    memset(out, 'x', sizeof(out));
    if (percent_decode(text, len, true, out, sizeof(out)) != RC_OK)
        return;
    size_t n = strnlen(out, sizeof(out));
    if (n == sizeof(out) || n > len)
        abort();
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20)
            abort();
}

static void
check_address(const char *text)
{
    struct netaddr_nets nets = { 0 };
    uint8_t peer[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
    uint8_t client[16];
    char shown[48];

    (void)netaddr_nets_parse("127.0.0.0/8,::1/128", &nets, NULL);
    netaddr_client(&nets, peer, text, client);
    netaddr_text(client, shown, sizeof(shown));
    if (!shown[0])
        abort();
    (void)netaddr_nets_parse(text, &nets, NULL);
    if (nets.count > NETADDR_NETS_MAX)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    size_t len = strlen(text);
    check_route_of((enum http_method)(data[0] % (METHOD_COUNT + 1)), text, len);
    check_decode(text, len);
    check_address(text);
    free(text);
    return 0;
}
