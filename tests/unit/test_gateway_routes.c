/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "gateway/http/netaddr.h"
#include "gateway/requests/routes.h"
#include "test.h"

static void
find(enum http_method method, const char *path, struct route_match *match)
{
    route_find(method, path, strlen(path), match);
}

static void
test_literal_and_parameters(void **state)
{
    struct route_match m;
    find(METHOD_POST, "/webhook/memory/ingest", &m);
    assert_non_null(m.route);
    assert_int_equal(m.route->scope, SCOPE_MEMORY_WRITE);
    find(METHOD_GET, "/memory/0190A1B2-0000-7000-8000-00000000000A", &m);
    assert_non_null(m.route);
    assert_string_equal(m.params[0], "0190a1b2-0000-7000-8000-00000000000a");
    find(METHOD_POST, "/keys/0123456789ab/rotate", &m);
    assert_non_null(m.route);
    assert_string_equal(m.params[0], "0123456789ab");
}

static void
test_no_such_path(void **state)
{
    static const char *const PATHS[] = {
        "",
        "/",
        "memory",
        "/memory/",
        "//memory",
        "/memory//",
        "/Memory",
        "/keys/0123456789ab/rotate/",
        "/webhook/memory",
        "/healthz/",
        "/memory/0190a1b2-0000-7000-8000-00000000000a/x",
    };
    for (size_t i = 0; i < TEST_COUNT(PATHS); i++) {
        struct route_match m;
        find(METHOD_GET, PATHS[i], &m);
        assert_null(m.route);
        assert_int_equal(m.allowed, 0);
    }
}

/* The path is there, so its method and the key are looked at first; but nothing has such an id. */
static void
test_malformed_ids(void **state)
{
    static const char *const PATHS[] = {
        "/memory/..", "/memory/not-an-id", "/memory/%00", "/memory/%ff", "/memory/forgets",
    };
    struct route_match m;
    for (size_t i = 0; i < TEST_COUNT(PATHS); i++) {
        find(METHOD_GET, PATHS[i], &m);
        assert_non_null(m.route);
        assert_true(m.malformed);
        assert_string_equal(m.params[0], "");
        find(METHOD_POST, PATHS[i], &m);
        assert_null(m.route);
        assert_int_equal(m.allowed, 1u << METHOD_GET | 1u << METHOD_PATCH | 1u << METHOD_DELETE);
    }
    find(METHOD_POST, "/keys/0123456789a/rotate", &m);
    assert_true(m.route && m.malformed);
    find(METHOD_POST, "/keys/0123456789%2f/rotate", &m);
    assert_true(m.route && m.malformed);
    find(METHOD_GET, "/ai/audit/007/proof", &m);
    assert_true(m.route && m.malformed);
    /* a literal path is no id that is wrong */
    find(METHOD_GET, "/memory/forget", &m);
    assert_null(m.route);
    assert_false(m.malformed);
    assert_int_equal(m.allowed, 1u << METHOD_POST);
}

static void
test_other_method(void **state)
{
    struct route_match m;
    char text[64];
    find(METHOD_DELETE, "/keys", &m);
    assert_null(m.route);
    route_allowed_text(m.allowed, text);
    assert_string_equal(text, "GET, HEAD, POST");
    find(METHOD_COUNT, "/memory/0190a1b2-0000-7000-8000-00000000000a", &m);
    assert_null(m.route);
    route_allowed_text(m.allowed, text);
    assert_string_equal(text, "GET, HEAD, PATCH, DELETE");
}

/* The contract: three open routes and the one for services that sign, the pages that hold nothing of anybody, and no other; every other
 * row has a scope. */
static void
test_table(void **state)
{
    unsigned open = 0;
    unsigned pages = 0;
    for (size_t i = 0; i < N_ROUTES; i++) {
        const struct route *route = &ROUTES[i];
        if (route->flags & ROUTE_OPEN) {
            open++;
            if (route->flags & ROUTE_PAGE)
                pages++;
            else
                assert_true(strcmp(route->path, "/healthz") == 0 ||
                            strcmp(route->path, "/readyz") == 0 ||
                            strcmp(route->path, "/openapi.json") == 0 ||
                            strcmp(route->path, "/hooks/{id}") == 0); /* has a signature */
            assert_int_equal(route->scope, SCOPE_NONE);
        } else {
            assert_true(route->scope < SCOPE_COUNT);
        }
        assert_non_null(route->summary);
        assert_true(route->success >= 200 && route->success < 300);
        if (route->kind == ROUTE_LOCAL)
            assert_non_null(route->local);
        else
            assert_int_equal(route->scope, command_info(route->command)->scope);
        if (route->kind == ROUTE_COMMAND) {
            assert_non_null(route->location);
            assert_non_null(route->id_name);
            assert_non_null(command_info(route->command)->family);
        }
        for (size_t j = 0; j < i; j++)
            assert_false(ROUTES[j].method == route->method &&
                         strcmp(ROUTES[j].path, route->path) == 0);
    }
    assert_int_equal(open - pages, 4);
    assert_int_equal(pages, 3);
}

static void
test_percent_decode(void **state)
{
    char out[8];
    assert_int_equal(percent_decode("a%20b", 5, false, out, sizeof(out)), RC_OK);
    assert_string_equal(out, "a b");
    assert_int_equal(percent_decode("a+b%2B", 6, true, out, sizeof(out)), RC_OK);
    assert_string_equal(out, "a b+");
    assert_int_equal(percent_decode("a+b", 3, false, out, sizeof(out)), RC_OK);
    assert_string_equal(out, "a+b");
    assert_int_equal(percent_decode("%0a", 3, false, out, sizeof(out)),
                     RC_OK); /* the schema's word */
    memcpy(out, "same", 5);
    assert_int_equal(percent_decode("%", 1, false, out, sizeof(out)), RC_INVALID);
    assert_int_equal(percent_decode("%2", 2, false, out, sizeof(out)), RC_INVALID);
    assert_int_equal(percent_decode("%zz", 3, false, out, sizeof(out)), RC_INVALID);
    assert_int_equal(percent_decode("%00", 3, false, out, sizeof(out)), RC_INVALID);
    assert_int_equal(percent_decode("12345678", 8, false, out, sizeof(out)), RC_INVALID);
}

static void
client_of(const char *nets_text, const char *peer_text, const char *forwarded, char text[48])
{
    struct netaddr_nets nets;
    uint8_t peer[16];
    uint8_t client[16];
    assert_int_equal(netaddr_nets_parse(nets_text, &nets, NULL), RC_OK);
    assert_true(netaddr_from_text(peer_text, strlen(peer_text), peer));
    (void)netaddr_client(&nets, peer, forwarded, client);
    netaddr_text(client, text, 48);
}

static void
test_client_address(void **state)
{
    char text[48];
    client_of("127.0.0.0/8", "127.0.0.1", "203.0.113.9, 198.51.100.7", text);
    assert_string_equal(text, "198.51.100.7");
    client_of("127.0.0.0/8,198.51.100.0/24", "127.0.0.1", "203.0.113.9, 198.51.100.7", text);
    assert_string_equal(text, "203.0.113.9");
    client_of("127.0.0.0/8", "192.0.2.1", "203.0.113.9", text);
    assert_string_equal(text,
                        "192.0.2.1"); /* not a trusted peer: what it says counts for nothing */
    client_of("127.0.0.0/8", "127.0.0.1", "nonsense", text);
    assert_string_equal(text, "127.0.0.1");
    client_of("::1/128", "::1", "2001:db8::5", text);
    assert_string_equal(text, "2001:db8::5");
    client_of("", "127.0.0.1", "203.0.113.9", text);
    assert_string_equal(text, "127.0.0.1");
}

static void
test_bad_networks(void **state)
{
    static const char *const BAD[] = { "x", "127.0.0.1/33", "127.0.0.1/", "::1/129", "1.2.3.4/a" };
    struct netaddr_nets nets = { .count = 7 };
    struct err err;
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        assert_int_equal(netaddr_nets_parse(BAD[i], &nets, &err), RC_CONFIG);
        assert_int_equal(nets.count, 7);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal_and_parameters),
        cmocka_unit_test(test_no_such_path),
        cmocka_unit_test(test_malformed_ids),
        cmocka_unit_test(test_other_method),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_percent_decode),
        cmocka_unit_test(test_client_address),
        cmocka_unit_test(test_bad_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
