/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "fetch/guard.h"
#include "test.h"

static const char *
refusal(const char *text, const char *networks)
{
    struct sockaddr_storage address = { 0 };
    struct guard_networks listed = { 0 };
    struct err err = { 0 };
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    assert_int_equal(guard_networks_read(networks, &listed, &err), RC_OK);
    return guard_address_refusal((struct sockaddr *)&address, &listed);
}

static void
test_public_addresses_pass(void **state)
{
    static const char *const PUBLIC[] = {
        "1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.0",       "169.253.255.255", "169.255.0.0",    "172.15.255.255",
        "172.32.0.0",      "192.0.1.0",       "192.167.255.255", "192.169.0.0",    "198.17.255.255",
        "198.20.0.0",      "223.255.255.255", "2606:4700::1111", "2a00:1450::1",   "2003::1",
    };
    for (size_t i = 0; i < TEST_COUNT(PUBLIC); i++)
        assert_null(refusal(PUBLIC[i], ""));
}

static void
test_inner_addresses_are_refused(void **state)
{
    static const struct {
        const char *address, *why;
    } INNER[] = {
        { "0.0.0.0", "an address of this network" },
        { "10.0.0.0", "a private address" },
        { "10.255.255.255", "a private address" },
        { "100.64.0.0", "a shared address (CGNAT)" },
        { "100.100.100.200", "a shared address (CGNAT)" },
        { "100.127.255.255", "a shared address (CGNAT)" },
        { "127.0.0.1", "a loopback address" },
        { "127.255.255.255", "a loopback address" },
        { "168.63.129.16", "a metadata service" },
        { "169.254.169.254", "a link-local address" },
        { "172.16.0.0", "a private address" },
        { "172.31.255.255", "a private address" },
        { "192.0.0.192", "an address for protocols" },
        { "192.0.2.1", "an address for documentation" },
        { "192.88.99.1", "a 6to4 relay" },
        { "192.168.0.1", "a private address" },
        { "198.18.0.1", "an address for benchmarks" },
        { "198.19.255.255", "an address for benchmarks" },
        { "198.51.100.1", "an address for documentation" },
        { "203.0.113.1", "an address for documentation" },
        { "224.0.0.1", "a multicast address" },
        { "239.255.255.255", "a multicast address" },
        { "240.0.0.1", "a reserved address" },
        { "255.255.255.255", "a reserved address" },
        { "::", "the unspecified address" },
        { "::1", "a loopback address" },
        { "::8.8.8.8", "a reserved address" },
        { "::ffff:127.0.0.1", "an IPv4-mapped address" },
        { "::ffff:8.8.8.8", "an IPv4-mapped address" },
        { "64:ff9b::8.8.8.8", "a NAT64 address" },
        { "64:ff9b::169.254.169.254", "a NAT64 address" },
        { "64:ff9b:1::1", "a NAT64 address" },
        { "100::1", "a reserved address" },
        { "2001::1", "a Teredo address" },
        { "2001:20::1", "an address for protocols" },
        { "2001:db8::1", "an address for documentation" },
        { "2002:7f00:1::", "a 6to4 address" },
        { "3fff::1", "an address for documentation" },
        { "4000::1", "a reserved address" },
        { "fc00::1", "a private address" },
        { "fd00:ec2::254", "a private address" },
        { "fe80::1", "a link-local address" },
        { "febf::1", "a link-local address" },
        { "fec0::1", "a private address" },
        { "ff02::1", "a multicast address" },
    };
    for (size_t i = 0; i < TEST_COUNT(INNER); i++) {
        const char *why = refusal(INNER[i].address, "");
        assert_non_null(why);
        assert_string_equal(why, INNER[i].why);
    }
    struct sockaddr unix_socket = { .sa_family = AF_UNIX };
    assert_non_null(guard_address_refusal(&unix_socket, NULL));
}

static void
test_the_operator_lists_networks(void **state)
{
    assert_null(refusal("10.1.2.3", "10.1.0.0/16"));
    assert_non_null(refusal("10.2.0.0", "10.1.0.0/16"));
    assert_null(refusal("10.1.127.255", "10.1.0.0/17"));
    assert_non_null(refusal("10.1.128.0", "10.1.0.0/17"));
    assert_null(refusal("127.0.0.1", "192.168.0.0/16, 127.0.0.1"));
    assert_non_null(refusal("127.0.0.2", "192.168.0.0/16, 127.0.0.1"));
    assert_null(refusal("fd00:1::5", "fd00:1::/48"));
    assert_non_null(refusal("fd00:2::5", "fd00:1::/48"));
    /* a listed translator leads to public addresses, and to listed ones */
    assert_null(refusal("64:ff9b::8.8.8.8", "64:ff9b::/96"));
    assert_non_null(refusal("64:ff9b::10.0.0.1", "64:ff9b::/96"));
    assert_null(refusal("64:ff9b::10.0.0.1", "64:ff9b::/96 10.0.0.0/8"));
}

static void
test_networks_out_of_form(void **state)
{
    static const char *const WRONG[] = { "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/",
                                         "10.0.0.0/8x", "x",        "10.0.0.0/-1" };
    for (size_t i = 0; i < TEST_COUNT(WRONG); i++) {
        struct guard_networks out = { .count = 7 };
        struct err err = { 0 };
        assert_int_equal(guard_networks_read(WRONG[i], &out, &err), RC_CONFIG);
        assert_int_equal(out.count, 7);
        assert_non_null(strstr(err.text, WRONG[i]));
    }
}

static void
test_hosts(void **state)
{
    static const char *const VALID[] = { "a.example", "*.a.example",   "*",        "a-b.c:8443",
                                         "10.0.0.1",  "[2001:db8::1]", "[::1]:99", "localhost" };
    static const char *const INVALID[] = {
        "",     ".",   "a..b", "a.",      "-a",          "a-.b", "A.example", "https://a",
        "a/b",  "a:0", "a:",   "a:65536", "a:x",         "*.",   "*a",        "a.*.b",
        "*.*.", "::1", "[::1", "[::1]x",  "[fe80::1%1]", "a b",  "a@b",       "[a]",
    };
    for (size_t i = 0; i < TEST_COUNT(VALID); i++)
        assert_true(guard_host_valid(VALID[i]));
    for (size_t i = 0; i < TEST_COUNT(INVALID); i++)
        assert_false(guard_host_valid(INVALID[i]));
    assert_true(guard_host_matches("a.example", "a.example", 443));
    assert_false(guard_host_matches("a.example", "b.example", 443));
    assert_false(guard_host_matches("a.example", "xa.example", 443));
    assert_false(guard_host_matches("a.example", "a.example.evil", 443));
    assert_false(guard_host_matches("a.example", "a.example", 444));
    assert_true(guard_host_matches("a.example:444", "a.example", 444));
    assert_false(guard_host_matches("a.example:444", "a.example", 443));
    assert_true(guard_host_matches("*.a.example", "x.a.example", 443));
    assert_true(guard_host_matches("*.a.example", "x.y.a.example", 443));
    assert_false(guard_host_matches("*.a.example", "a.example", 443));
    assert_false(guard_host_matches("*.a.example", ".a.example", 443) &&
                 guard_host_valid(".a.example"));
    assert_false(guard_host_matches("*.a.example", "xa.example", 443));
    assert_true(guard_host_matches("*", "anything", 443));
    assert_false(guard_host_matches("*", "anything", 80));
    assert_true(guard_host_matches("[2001:db8::1]:8443", "2001:db8::1", 8443));
}

static void
test_urls(void **state)
{
    static const struct {
        const char *url, *host;
        unsigned port;
        bool literal;
    } GOOD[] = {
        { "https://API.Example.com/x?y#z", "api.example.com", 443, false },
        { "https://a:8443", "a", 8443, false },
        { "https://10.0.0.1/", "10.0.0.1", 443, true },
        { "https://0x7f.1/", "127.0.0.1", 443, true },
        { "https://2130706433/", "127.0.0.1", 443, true },
        { "https://[::1]:9/", "::1", 9, true },
    };
    static const char *const BAD[] = {
        "http://a/",
        "file:///etc/passwd",
        "https://u@a/",
        "https://u:p@a/",
        "https://",
        "https://a.:443/",
        "//a/",
        "no-scheme",
        "https://a b/",
        "https://a\n/",
        "https://\xc3\xa9/",
        "gopher://a/",
        "https://a:99999/",
        "https://[fe80::1%25eth0]/",
    };
    for (size_t i = 0; i < TEST_COUNT(GOOD); i++) {
        struct guard_url out = { 0 };
        struct err err = { 0 };
        assert_int_equal(guard_url_read(GOOD[i].url, &out, &err), RC_OK);
        assert_string_equal(out.host, GOOD[i].host);
        assert_int_equal(out.port, GOOD[i].port);
        assert_int_equal(out.literal, GOOD[i].literal);
    }
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        struct guard_url out = { .port = 7 };
        struct err err = { 0 };
        if (guard_url_read(BAD[i], &out, &err) != RC_INVALID)
            fail_msg("%s is taken: host %s", BAD[i], out.host);
        assert_int_equal(out.port, 7);
        assert_null(strstr(err.text, BAD[i]));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_addresses_pass),
        cmocka_unit_test(test_inner_addresses_are_refused),
        cmocka_unit_test(test_the_operator_lists_networks),
        cmocka_unit_test(test_networks_out_of_form),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
