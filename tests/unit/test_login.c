/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gateway/logins/jwt.h"
#include "gateway/logins/login.h"
#include "test.h"

static const uint8_t SEED[CRYPTO_SEED_LEN] = "the issuer's seed for this test.";
static const uint8_t SERVER_SEED[CRYPTO_SEED_LEN] = "the server's seed for this test.";
static const uint8_t OTHER_SEED[CRYPTO_SEED_LEN] = "somebody else's seed, not known.";

struct words { /* of a request */
    const uint8_t *signer;
    enum nkey_kind signer_kind;
    const char *aud, *type, *token;
    int64_t exp;
    bool foreign_server, no_user;
};

static const struct words GOOD = { SERVER_SEED,
                                   NKEY_SERVER,
                                   "nats-authorization-request",
                                   "authorization_request",
                                   "relay_sk_x",
                                   0,
                                   false,
                                   false };

static void
nkey_of(const uint8_t *seed, enum nkey_kind kind, char text[NKEY_TEXT_MAX])
{
    struct crypto_signer signer;
    crypto_signer_init(&signer, seed);
    nkey_encode(kind, signer.public_key, text);
}

static void
make_request(const struct words *words, struct buf *out)
{
    AUTO(buf) struct buf claims = { 0 };
    struct json_writer w;
    struct crypto_signer signer;
    char name[NKEY_TEXT_MAX], server[NKEY_TEXT_MAX], user[NKEY_TEXT_MAX];
    crypto_signer_init(&signer, words->signer);
    nkey_of(words->signer, words->signer_kind, name);
    nkey_of(words->foreign_server ? OTHER_SEED : words->signer, NKEY_SERVER, server);
    nkey_of(OTHER_SEED, NKEY_USER, user);
    buf_init(&claims, 8192);
    json_begin(&w, &claims);
    json_object(&w, NULL);
    json_put_string(&w, "aud", words->aud);
    json_put_string(&w, "iss", name);
    if (words->exp)
        json_put_int(&w, "exp", words->exp);
    json_object(&w, "nats");
    json_put_string(&w, "type", words->type);
    json_object(&w, "server_id");
    json_put_string(&w, "id", server);
    json_close(&w);
    if (!words->no_user)
        json_put_string(&w, "user_nkey", user);
    json_object(&w, "client_info");
    json_put_string(&w, "host", "127.0.0.1");
    json_close(&w);
    json_object(&w, "connect_opts");
    if (words->token)
        json_put_string(&w, "auth_token", words->token);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    assert_int_equal(json_end(&w), RC_OK);
    assert_int_equal(jwt_sign(&signer, claims.data, claims.len, out), RC_OK);
}

static enum rc
read_request(const struct words *words, struct login_request *request)
{
    AUTO(buf) struct buf token = { 0 };
    struct err err;
    buf_init(&token, 16384);
    make_request(words, &token);
    return login_read(token.data, token.len, request, &err);
}

static void
only_servers_ask(void **state)
{
    struct login_request request = { 0 };
    struct words bad;
    (void)state;
    assert_int_equal(read_request(&GOOD, &request), RC_OK);
    assert_string_equal(request.key, "relay_sk_x");
    assert_string_equal(request.host, "127.0.0.1");
    login_request_wipe(&request);
    assert_null(request.key);

    bad = GOOD, bad.foreign_server = true;
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.signer_kind = NKEY_ACCOUNT;
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.aud = "nats-authorization-response";
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.type = "user";
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.no_user = true;
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.exp = 1000;
    assert_int_equal(read_request(&bad, &request), RC_CORRUPT);
    bad = GOOD, bad.token = NULL;
    assert_int_equal(read_request(&bad, &request), RC_OK);
    assert_null(request.key);
    login_request_wipe(&request);
}

static void
changed_requests_are_refused(void **state)
{
    AUTO(buf) struct buf token = { 0 };
    struct login_request request;
    struct err err;
    (void)state;
    buf_init(&token, 16384);
    make_request(&GOOD, &token);
    for (size_t i = 0; i < token.len; i += 7) {
        char kept = token.data[i];
        token.data[i] = kept == 'A' ? 'B' : 'A';
        if (kept != '.')
            assert_int_not_equal(login_read(token.data, token.len, &request, &err), RC_OK);
        token.data[i] = kept;
    }
    assert_int_equal(login_read(token.data, token.len - 1, &request, &err), RC_CORRUPT);
    assert_int_equal(login_read("", 0, &request, &err), RC_CORRUPT);
}

static bool
in_list(const cJSON *list, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        if (strcmp(item->valuestring, text) == 0)
            return true;
    }
    return false;
}

/* The user token inside the answer for a key of that role. *out is the caller's. */
static void
user_of(enum role role, uint32_t scopes, int64_t expires_ms, cJSON **out)
{
    AUTO(buf) struct buf token = { 0 };
    AUTO(json) cJSON *answer = NULL;
    struct login_request request;
    struct login_issuer issuer;
    struct err err;
    enum nkey_kind kind;
    struct principal who = {
        .workspace = "w1", .key_id = "abcDEF012345", .role = role, .scopes = scopes
    };
    buf_init(&token, LOGIN_TOKEN_MAX);
    assert_int_equal(read_request(&GOOD, &request), RC_OK);
    login_issuer_init(&issuer, SEED);
    assert_int_equal(login_accept(&issuer, &request, &who, expires_ms, &token), RC_OK);
    assert_int_equal(jwt_verify(token.data, token.len, &answer, &kind, &err), RC_OK);
    assert_int_equal(kind, NKEY_ACCOUNT);
    assert_string_equal(json_string(answer, "aud"), request.server_id);
    assert_string_equal(json_string(answer, "sub"), request.user_nkey);
    assert_string_equal(json_string(answer, "iss"), issuer.nkey);
    const char *user = json_string(json_member(answer, "nats"), "jwt");
    assert_non_null(user);
    assert_int_equal(jwt_verify(user, strlen(user), out, &kind, &err), RC_OK);
    assert_string_equal(json_string(*out, "aud"), "CLIENTS");
    assert_string_equal(json_string(*out, "name"), "abcDEF012345");
    login_request_wipe(&request);
}

static void
scopes_become_subjects(void **state)
{
    static const int PUBLISHES[ROLE_COUNT] = { 6, 12, 18 }; /* contract, section 5 */
    (void)state;
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        AUTO(json) cJSON *user = NULL;
        user_of((enum role)role, role_scopes((enum role)role), 0, &user);
        const cJSON *nats = json_member(user, "nats");
        const cJSON *pub = json_member(json_member(nats, "pub"), "allow");
        const cJSON *sub = json_member(json_member(nats, "sub"), "allow");
        assert_int_equal(cJSON_GetArraySize(pub), PUBLISHES[role]);
        assert_true(in_list(pub, "gantry.v1.w1.memory.search"));
        assert_int_equal(in_list(pub, "gantry.v1.w1.memory.ingest"), role >= ROLE_DEVELOPER);
        assert_int_equal(in_list(pub, "gantry.v1.w1.audit.list"), role == ROLE_ADMIN);
        assert_int_equal(in_list(pub, "gantry.v1.w1.memory.forget"), role == ROLE_ADMIN);
        assert_int_equal(in_list(pub, "gantry.v1.w1.connector.run"), role >= ROLE_DEVELOPER);
        assert_false(in_list(pub, "gantry.v1.w1.secrets.put"));
        assert_false(in_list(pub, "gantry.v1.w1.audit.request"));
        assert_false(in_list(pub, "gantry.v1.w1.audit.event"));
        assert_int_equal(cJSON_GetArraySize(sub), role >= ROLE_DEVELOPER ? 4 : 2);
        assert_int_equal(in_list(sub, "gantry.v1.w1.memory.*.done"), role >= ROLE_DEVELOPER);
        assert_int_equal(in_list(sub, "gantry.v1.w1.audit.*.done"), role >= ROLE_DEVELOPER);
        assert_true(in_list(sub, "_INBOX.abcDEF012345.>"));
        assert_true(in_list(sub, "gantry.v1.w1.job.*.done"));
        assert_null(json_member(user, "exp"));
    }
}

static void
no_scope_is_nothing(void **state)
{
    AUTO(json) cJSON *user = NULL;
    (void)state;
    user_of(ROLE_VIEWER, 0, 1234567, &user);
    const cJSON *nats = json_member(user, "nats");
    assert_null(json_member(json_member(nats, "pub"), "allow"));
    assert_true(in_list(json_member(json_member(nats, "pub"), "deny"), ">"));
    assert_int_equal(cJSON_GetArraySize(json_member(json_member(nats, "sub"), "allow")), 1);
    assert_int_equal(json_int(user, "exp", 0), 1235);
}

static void
refusals_hold_no_user(void **state)
{
    AUTO(buf) struct buf token = { 0 };
    AUTO(json) cJSON *answer = NULL;
    struct login_request request;
    struct login_issuer issuer;
    struct err err;
    enum nkey_kind kind;
    (void)state;
    buf_init(&token, LOGIN_TOKEN_MAX);
    assert_int_equal(read_request(&GOOD, &request), RC_OK);
    login_issuer_init(&issuer, SEED);
    assert_int_equal(login_refuse(&issuer, &request, "no valid key", &token), RC_OK);
    assert_int_equal(jwt_verify(token.data, token.len, &answer, &kind, &err), RC_OK);
    assert_string_equal(json_string(json_member(answer, "nats"), "error"), "no valid key");
    assert_null(json_member(json_member(answer, "nats"), "jwt"));
    login_request_wipe(&request);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_servers_ask),       cmocka_unit_test(changed_requests_are_refused),
        cmocka_unit_test(scopes_become_subjects), cmocka_unit_test(no_scope_is_nothing),
        cmocka_unit_test(refusals_hold_no_user),
    };
    struct err err;
    return crypto_init(&err) == RC_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
