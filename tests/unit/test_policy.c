/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "policy/policy_own.h"
#include "test.h"

/* 2026-11-28 is a Saturday, 2026-11-27 a Friday, 2026-11-30 a Monday. */
#define FRIDAY_NOON   1795780800000LL
#define FRIDAY_0759   1795766340000LL
#define FRIDAY_0800   1795766400000LL
#define FRIDAY_1759   1795802340000LL
#define FRIDAY_1800   1795802400000LL
#define FRIDAY_2330   1795822200000LL
#define SATURDAY_0100 1795827600000LL
#define SATURDAY_0530 1795843800000LL
#define SATURDAY_0600 1795845600000LL
#define SATURDAY_NOON 1795867200000LL
#define MONDAY_NOON   1796040000000LL

static cJSON *
read_json(const char *text)
{
    cJSON *doc = NULL;
    struct err err = { 0 };
    enum rc rc = json_read(text, strlen(text), &doc, &err);
    if (rc != RC_OK)
        print_error("%s: %s\n", text, err.text);
    assert_int_equal(rc, RC_OK);
    assert_non_null(doc);
    return doc;
}

static const char POLICY[] =
    "{\"rules\":["
    "{\"name\":\"no shell\",\"when\":{\"action\":\"code.shell\"},\"then\":\"deny\"},"
    "{\"name\":\"trusted admin\",\"when\":{\"role\":\"admin\",\"action\":[\"ping\",\"code.*\"]},"
    "\"then\":\"allow\"},"
    "{\"name\":\"freeze\",\"when\":{\"kind\":\"connector\",\"time\":{\"days\":[\"sat\",\"sun\"]}},"
    "\"then\":\"deny\"},"
    "{\"name\":\"night\",\"when\":{\"action\":\"task.*\",\"time\":{\"days\":[\"fri\"],\"from\":"
    "\"22:00\","
    "\"to\":\"06:00\"}},\"then\":\"deny\"},"
    "{\"name\":\"office "
    "hours\",\"when\":{\"action\":\"task.create\",\"time\":{\"days\":[\"mon\",\"tue\","
    "\"wed\",\"thu\",\"fri\"],\"from\":\"08:00\",\"to\":\"18:00\",\"zone\":\"UTC\"}},\"then\":"
    "\"allow\"},"
    "{\"name\":\"inside\",\"when\":{\"action\":\"*.send\",\"parameters\":{\"/to\":{\"matches\":"
    "[\"*@example.com\",\"*@example.org\"]},\"/cc\":{\"exists\":false}}},\"then\":\"allow\"},"
    "{\"name\":\"outside\",\"when\":{\"action\":\"*.send\",\"parameters\":{\"/to\":{\"matches\":"
    "\"*@example.com\",\"not\":true}}},\"then\":\"requires_approval\"},"
    "{\"name\":\"blocked "
    "host\",\"when\":{\"host\":[\"*.internal\",\"evil.example\"]},\"then\":\"deny\"},"
    "{\"name\":\"own host\",\"when\":{\"kind\":\"connector\",\"host\":\"*.example.com\"},\"then\":"
    "\"allow\"},"
    "{\"name\":\"money\",\"when\":{\"action\":\"pay\",\"parameters\":{\"/amount\":{\"gt\":100},"
    "\"/currency\":{\"in\":[\"EUR\",\"CHF\"]}}},\"then\":\"requires_approval\"},"
    "{\"name\":\"small "
    "money\",\"when\":{\"action\":\"pay\",\"parameters\":{\"/amount\":{\"lt\":10},"
    "\"/test\":{\"equals\":true}}},\"then\":\"allow\"},"
    "{\"name\":\"deep\",\"when\":{\"action\":\"deep\",\"parameters\":{\"/a/b~1c/"
    "0\":{\"equals\":7}}},"
    "\"then\":\"deny\"},"
    "{\"name\":\"nobody\",\"when\":{\"role\":\"unknown\",\"scope\":\"secret:*\"},\"then\":\"deny\"}"
    "],\"risk\":{\"terms\":["
    "{\"name\":\"network\",\"when\":{\"kind\":\"connector\"},\"add\":40},"
    "{\"name\":\"unknown kind\",\"when\":{\"kind\":\"unknown\"},\"add\":35},"
    "{\"name\":\"administrative scope\",\"when\":{\"scope\":\"admin:*\"},\"add\":10},"
    "{\"name\":\"large\",\"when\":{\"payload_bytes\":{\"gt\":40}},\"add\":20},"
    "{\"name\":\"tiny\",\"when\":{\"payload_bytes\":{\"lt\":3}},\"add\":-5}"
    "],\"approval_from\":40,\"deny_from\":80},\"approval\":{\"expires_in_seconds\":600}}";

enum { A = POLICY_ALLOW, D = POLICY_DENY, R = POLICY_APPROVAL };

/* hosts and risk: those of the action; "" = none. */
struct request_case {
    const char *action, *kind, *scope, *role, *params, *hosts, *risk;
    int64_t time_ms;
    int outcome;
    const char *rule; /* "" = the score */
    int64_t score;
};

#define T    "task"
#define C    "connector"
#define U    "unknown"
#define DEV  "developer"
#define LONG "{\"text\":\"1234567890123456789012345678901234567890\"}"

/* clang-format off */
static const struct request_case CASES[] = {
    /* deny by name, before all others */
    { "code.shell", T, "", DEV, "{}", "", "", FRIDAY_NOON, D, "no shell", 0 },
    { "code.shell", T, "", "admin", "{}", "", "", FRIDAY_NOON, D, "no shell", 0 },
    { "code.shell", T, "", U, "{}", "", "", FRIDAY_NOON, D, "no shell", 0 },
    { "code.shellx", T, "", DEV, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "xcode.shell", T, "", DEV, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "Code.shell", T, "", DEV, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "code.shell", U, "admin:1", DEV, LONG, "", "", FRIDAY_NOON, D, "no shell", 65 },
    { "code.shell", T, "", DEV, NULL, "", "", FRIDAY_NOON, D, "no shell", 0 },
    /* role and a list of patterns */
    { "ping", T, "", "admin", "{}", "", "", FRIDAY_NOON, A, "trusted admin", 0 },
    { "ping", T, "admin:x", "admin", LONG, "", "", FRIDAY_NOON, A, "trusted admin", 30 },
    { "ping", U, "admin:x", "admin", LONG, "", "", FRIDAY_NOON, A, "trusted admin", 65 },
    { "code.python", T, "", "admin", "{}", "", "", FRIDAY_NOON, A, "trusted admin", 0 },
    { "code.", T, "", "admin", "{}", "", "", FRIDAY_NOON, A, "trusted admin", 0 },
    { "code", T, "", "admin", "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", T, "", DEV, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", T, "", "viewer", "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", U, "admin:x", DEV, "{}", "", "", FRIDAY_NOON, R, "", 40 },
    { "pingx", U, "admin:x", "admin", "{}", "", "", FRIDAY_NOON, R, "", 40 },
    /* days */
    { "slack.post", C, "", DEV, "{}", "[\"slack.com\"]", "", SATURDAY_NOON, D, "freeze", 35 },
    { "slack.post", C, "", "admin", "{}", "[\"slack.com\"]", "", SATURDAY_NOON, D, "freeze", 35 },
    { "slack.post", C, "", DEV, "{}", "[\"slack.com\"]", "", FRIDAY_NOON, A, "", 35 },
    { "slack.post", C, "", DEV, "{}", "[\"slack.com\"]", "", FRIDAY_2330, A, "", 35 },
    { "slack.post", C, "", DEV, "{}", "[\"slack.com\"]", "", SATURDAY_0100, D, "freeze", 35 },
    { "slack.post", C, "", DEV, "{}", "[\"slack.com\"]", "", MONDAY_NOON, A, "", 35 },
    { "ping", T, "", DEV, "{}", "", "", SATURDAY_NOON, A, "", 0 },
    /* over midnight: Friday's night lasts until Saturday's morning */
    { "task.create", T, "", DEV, "{}", "", "", FRIDAY_2330, D, "night", 0 },
    { "task.create", T, "", DEV, "{}", "", "", SATURDAY_0100, D, "night", 0 },
    { "task.create", T, "", DEV, "{}", "", "", SATURDAY_0530, D, "night", 0 },
    { "task.create", T, "", DEV, "{}", "", "", SATURDAY_0600, A, "", 0 },
    { "task.create", T, "", DEV, "{}", "", "", FRIDAY_1800, A, "", 0 },
    { "task.create", T, "", DEV, "{}", "", "", FRIDAY_2330 + 86400000, A, "", 0 },
    { "task.create", T, "", DEV, "{}", "", "", SATURDAY_0100 - 86400000, A, "", 0 },
    { "task.create", C, "", DEV, "{}", "", "", SATURDAY_0100, D, "freeze", 35 },
    { "task.create", C, "", DEV, "{}", "", "", FRIDAY_2330, D, "night", 35 },
    { "task.delete", T, "", DEV, "{}", "", "", FRIDAY_2330, D, "night", 0 },
    { "task", T, "", DEV, "{}", "", "", FRIDAY_2330, A, "", 0 },
    /* hours: from is in, to is out */
    { "task.create", C, "", DEV, LONG, "", "", FRIDAY_0759, R, "", 60 },
    { "task.create", C, "", DEV, LONG, "", "", FRIDAY_0800, A, "office hours", 60 },
    { "task.create", C, "", DEV, LONG, "", "", FRIDAY_NOON, A, "office hours", 60 },
    { "task.create", C, "", DEV, LONG, "", "", FRIDAY_1759, A, "office hours", 60 },
    { "task.create", C, "", DEV, LONG, "", "", FRIDAY_1800, R, "", 60 },
    { "task.create", C, "", DEV, LONG, "", "", MONDAY_NOON, A, "office hours", 60 },
    { "task.create", C, "admin:a", DEV, LONG, "", "", FRIDAY_1800, R, "", 70 },
    /* lists in parameters: to allow all must fit, else one is enough */
    { "gmail.send", C, "", DEV, "{\"to\":[\"a@example.com\"]}", "", "", FRIDAY_NOON, A, "inside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"a@example.com\",\"b@example.org\"]}", "", "", FRIDAY_NOON, A, "inside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"a@example.com\",\"b@evil.org\"]}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"b@evil.org\"]}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":\"a@example.com\"}", "", "", FRIDAY_NOON, A, "inside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":\"a@example.com.evil.org\"}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[]}", "", "", FRIDAY_NOON, R, "", 40 },
    { "gmail.send", C, "", DEV, "{}", "", "", FRIDAY_NOON, A, "", 35 },
    { "gmail.send", C, "", DEV, NULL, "", "", FRIDAY_NOON, A, "", 35 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"a@example.com\"],\"cc\":[\"x@y.z\"]}", "", "", FRIDAY_NOON, R, "", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"a@example.org\"],\"cc\":[\"x@y.z\"]}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[1]}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":{\"a\":1}}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":null}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "gmail.send", C, "", DEV, "{\"to\":[\"A@EXAMPLE.COM\"]}", "", "", FRIDAY_NOON, R, "outside", 40 },
    { "outlook.send", C, "", DEV, "{\"to\":[\"a@example.com\"]}", "", "", FRIDAY_NOON, A, "inside", 40 },
    { "outlook.send", C, "", DEV, "{\"to\":[\"a@example.com\"]}", "", "", SATURDAY_NOON, D, "freeze", 40 },
    { "send", C, "", DEV, "{\"to\":[\"b@evil.org\"]}", "", "", FRIDAY_NOON, R, "", 40 },
    /* hosts: one refused is enough to refuse, all must fit to allow */
    { "http.request", C, "", DEV, "{\"url\":\"https://db.internal/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://EVIL.example:8443/x\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://user@evil.example/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://evil.example?x@api.example.com\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "http.request", C, "", DEV, "{\"url\":\"https://evil.example#@api.example.com\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "http.request", C, "", DEV, "{\"url\":\"https://evil.example\\\\@api.example.com\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    /* what parsers of URLs read in several ways is on no list that allows */
    { "http.request", C, "", DEV, "{\"url\":\"https://ev%69l.example/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https:///evil.example\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https:/evil.example/?://a.example.com\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "http.request", C, "", DEV, "{\"url\":\"https://evil.example./\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://other.org:443@evil.example\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "http.request", C, "", DEV, "{\"url\":\"https://a.example.com:x@evil.example/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "http.request", C, "", DEV, "{\"url\":\"https://2130706433/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://127.1/\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://[::1\"}", "[\"*\"]", "", FRIDAY_NOON, D, "blocked host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://[0:0::1]:8443/\"}", "[\"*\"]", "", FRIDAY_NOON, R, "", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"HTTPS://api.example.com/\"}", "[\"*\"]", "", FRIDAY_NOON, A, "own host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://a.example.com:8443/x\"}", "[\"*\"]", "", FRIDAY_NOON, A, "own host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://api.example.com/v1\"}", "[\"*\"]", "", FRIDAY_NOON, A, "own host", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://api.example.com.evil/\"}", "[\"*\"]", "", FRIDAY_NOON, R, "", 40 },
    { "http.request", C, "", DEV, "{\"url\":\"https://example.com/\"}", "[\"*\"]", "", FRIDAY_NOON, R, "", 40 },
    { "http.request", C, "", DEV, "{}", "[\"*\"]", "", FRIDAY_NOON, A, "", 35 },
    { "two.hosts", C, "", DEV, "{}", "[\"a.example.com\",\"b.example.com\"]", "", FRIDAY_NOON, A, "own host", 35 },
    { "two.hosts", C, "", DEV, LONG, "[\"a.example.com\",\"other.org\"]", "", FRIDAY_NOON, R, "", 60 },
    { "two.hosts", C, "", DEV, LONG, "[\"a.example.com\",\"x.internal\"]", "", FRIDAY_NOON, D, "blocked host", 60 },
    { "two.hosts", T, "", DEV, LONG, "[\"a.example.com\"]", "", FRIDAY_NOON, A, "", 20 },
    /* numbers, lists, booleans, deep pointers */
    { "pay", T, "", DEV, "{\"amount\":101,\"currency\":\"EUR\"}", "", "", FRIDAY_NOON, R, "money", 0 },
    { "pay", T, "", DEV, "{\"amount\":100,\"currency\":\"EUR\"}", "", "", FRIDAY_NOON, A, "", 0 },
    { "pay", T, "", DEV, "{\"amount\":100.5,\"currency\":\"CHF\"}", "", "", FRIDAY_NOON, R, "money", 0 },
    { "pay", T, "", DEV, "{\"amount\":101,\"currency\":\"USD\"}", "", "", FRIDAY_NOON, A, "", 0 },
    { "pay", T, "", DEV, "{\"amount\":\"101\",\"currency\":\"EUR\"}", "", "", FRIDAY_NOON, A, "", 0 },
    { "pay", T, "", DEV, "{\"currency\":\"EUR\"}", "", "", FRIDAY_NOON, A, "", 0 },
    { "pay", U, "admin:1", DEV, "{\"amount\":9,\"test\":true}", "", "", FRIDAY_NOON, A, "small money", 45 },
    { "pay", U, "admin:1", DEV, "{\"amount\":9,\"test\":false}", "", "", FRIDAY_NOON, R, "", 45 },
    { "pay", U, "admin:1", DEV, "{\"amount\":9,\"test\":\"true\"}", "", "", FRIDAY_NOON, R, "", 45 },
    { "pay", U, "admin:1", DEV, "{\"amount\":9,\"test\":1}", "", "", FRIDAY_NOON, R, "", 45 },
    { "pay", U, "admin:1", DEV, "{\"amount\":10,\"test\":true}", "", "", FRIDAY_NOON, R, "", 45 },
    { "deep", T, "", DEV, "{\"a\":{\"b/c\":[7]}}", "", "", FRIDAY_NOON, D, "deep", 0 },
    { "deep", T, "", DEV, "{\"a\":{\"b/c\":[7.0]}}", "", "", FRIDAY_NOON, D, "deep", 0 },
    { "deep", T, "", DEV, "{\"a\":{\"b/c\":[8,7]}}", "", "", FRIDAY_NOON, A, "", 0 },
    { "deep", T, "", DEV, "{\"a\":{\"b\":{\"c\":[7]}}}", "", "", FRIDAY_NOON, A, "", 0 },
    { "deep", T, "", DEV, "{\"a\":{\"b/c\":\"7\"}}", "", "", FRIDAY_NOON, A, "", 0 },
    /* a scope that is not known fits no pattern */
    { "ping", T, "secret:1", U, "{}", "", "", FRIDAY_NOON, D, "nobody", 0 },
    { "ping", T, "secret:1", DEV, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", T, "", U, "{}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", T, "admin", DEV, LONG, "", "", FRIDAY_NOON, A, "", 20 },
    { "ping", T, "admin:", DEV, LONG, "", "", FRIDAY_NOON, A, "", 30 },
    { "ping", T, "xadmin:1", DEV, LONG, "", "", FRIDAY_NOON, A, "", 20 },
    /* the score: terms of the action that the policy does not name, bounds, never below 0 */
    { "risky", T, "", DEV, "{\"x\":1}", "", "{\"money\":39}", FRIDAY_NOON, A, "", 39 },
    { "risky", T, "", DEV, "{\"x\":1}", "", "{\"money\":40}", FRIDAY_NOON, R, "", 40 },
    { "risky", T, "", DEV, "{\"x\":1}", "", "{\"money\":79}", FRIDAY_NOON, R, "", 79 },
    { "risky", T, "", DEV, "{\"x\":1}", "", "{\"money\":80}", FRIDAY_NOON, D, "", 80 },
    { "risky", T, "", DEV, "{\"x\":1}", "", "{\"money\":40,\"fame\":40}", FRIDAY_NOON, D, "", 80 },
    { "slack.post", C, "", DEV, "{\"x\":1}", "[\"slack.com\"]", "{\"network\":40}", FRIDAY_NOON, R, "", 40 },
    { "slack.post", C, "", DEV, "{\"x\":1}", "[\"slack.com\"]", "{\"network\":99}", FRIDAY_NOON, R, "", 40 },
    { "slack.post", C, "", DEV, "{\"x\":1}", "[\"slack.com\"]", "{\"network\":40,\"money\":40}", FRIDAY_NOON, D, "", 80 },
    { "slack.post", C, "admin:1", DEV, LONG, "[\"slack.com\"]", "{\"money\":10}", FRIDAY_NOON, D, "", 80 },
    { "slack.post", C, "admin:1", DEV, LONG, "[\"slack.com\"]", "", FRIDAY_NOON, R, "", 70 },
    { "ping", T, "", DEV, "{}", "", "{\"money\":4}", FRIDAY_NOON, A, "", 0 },
    /* "type" is the action's name where task and parameters stand together */
    { "ping", T, "", DEV, "{\"type\":\"ping\"}", "", "", FRIDAY_NOON, A, "", 0 },
    { "ping", T, "", DEV, "{\"type\":\"a name of more than forty characters, indeed\"}", "", "", FRIDAY_NOON, A, "", 0 },
};
/* clang-format on */

static void
evaluate(const cJSON *policy, const struct request_case *one, struct policy_decision *out)
{
    AUTO(json) cJSON *params = one->params ? read_json(one->params) : NULL;
    AUTO(json) cJSON *hosts = one->hosts[0] ? read_json(one->hosts) : NULL;
    AUTO(json) cJSON *risk = one->risk[0] ? read_json(one->risk) : NULL;
    const struct policy_ask ask = {
        .action = one->action,
        .kind = one->kind,
        .scope = one->scope[0] ? one->scope : NULL,
        .role = one->role,
        .params = params,
        .hosts = hosts,
        .risk = risk,
        .time_ms = one->time_ms,
    };
    policy_evaluate(policy, 3, &ask, out);
}

static void
test_requests_are_decided_as_the_table_says(void **state)
{
    AUTO(json) cJSON *policy = read_json(POLICY);
    struct field_errors errors = { 0 };
    (void)state;
    assert_int_equal(policy_check(policy, &errors), RC_OK);
    assert_true(ARRAY_LEN(CASES) >= 100);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct policy_decision decision;
        evaluate(policy, &CASES[i], &decision);
        if ((int)decision.outcome != CASES[i].outcome ||
            strcmp(decision.rule, CASES[i].rule) != 0 || decision.score != CASES[i].score)
            print_error("row %zu (%s %s): %s by '%s', score %lld\n", i, CASES[i].action,
                        CASES[i].params, policy_outcome_name(decision.outcome), decision.rule,
                        (long long)decision.score);
        assert_int_equal(decision.outcome, CASES[i].outcome);
        assert_string_equal(decision.rule, CASES[i].rule);
        assert_int_equal(decision.score, CASES[i].score);
        assert_int_equal(decision.version, 3);
        assert_true(decision.applies);
    }
}

static void
test_no_policy_allows_and_says_that_it_does_not_apply(void **state)
{
    struct policy_decision decision;
    (void)state;
    evaluate(NULL, &CASES[0], &decision);
    assert_int_equal(decision.outcome, POLICY_ALLOW);
    assert_false(decision.applies);
}

static void
test_the_default_is_that_of_the_earlier_system(void **state)
{
    AUTO(json) cJSON *policy = NULL;
    struct field_errors errors = { 0 };
    struct err err = { 0 };
    struct policy_decision decision;
    const struct request_case network = { "slack.post", C,           "", DEV, "{}", "",
                                          "",           FRIDAY_NOON, 0,  "",  0 };
    const struct request_case task = { "ping", T, "", DEV, "{}", "", "", FRIDAY_NOON, 0, "", 0 };
    const struct request_case both = {
        "x", U, "admin:a", DEV, "{}", "", "", FRIDAY_NOON, 0, "", 0
    };
    (void)state;
    assert_int_equal(policy_default(&policy, &err), RC_OK);
    assert_non_null(policy);
    assert_int_equal(policy_check(policy, &errors), RC_OK);
    evaluate(policy, &network, &decision);
    assert_int_equal(decision.outcome, POLICY_APPROVAL);
    assert_int_equal(decision.score, 40);
    assert_string_equal(decision.reasons[0], "network +40");
    assert_string_equal(decision.reasons[1], "the score 40 reaches approval_from 40");
    assert_int_equal(decision.n_reasons, 2);
    evaluate(policy, &task, &decision);
    assert_int_equal(decision.outcome, POLICY_ALLOW);
    assert_int_equal(decision.score, 0);
    evaluate(policy, &both, &decision);
    assert_int_equal(decision.outcome, POLICY_APPROVAL);
    assert_int_equal(decision.score, 45);
    assert_int_equal(policy_expires_s(policy), 86400);
}

static void
test_a_payload_over_100000_bytes_adds_20(void **state)
{
    AUTO(json) cJSON *policy = NULL;
    AUTO(json) cJSON *params = cJSON_CreateObject();
    AUTO(free) char *text = calloc(1, 100001);
    struct err err = { 0 };
    struct policy_decision decision;
    (void)state;
    assert_int_equal(policy_default(&policy, &err), RC_OK);
    assert_non_null(params);
    assert_non_null(text);
    memset(text, 'x', 99992); /* {"a":"…"} has 8 more */
    assert_non_null(cJSON_AddStringToObject(params, "a", text));
    const struct policy_ask ask = { .action = "ping", .kind = T, .params = params };
    policy_evaluate(policy, 1, &ask, &decision);
    assert_int_equal(decision.score, 0);
    text[99992] = 'x';
    cJSON_DeleteItemFromObjectCaseSensitive(params, "a");
    assert_non_null(cJSON_AddStringToObject(params, "a", text));
    policy_evaluate(policy, 1, &ask, &decision);
    assert_int_equal(decision.score, 20);
}

static void
test_what_a_document_must_not_have_is_named_by_its_pointer(void **state)
{
    static const struct {
        const char *text, *field;
    } WRONG[] = {
        { "[]", "" },
        { "{}", "/rules" },
        { "{\"rules\":{}}", "/rules" },
        { "{\"rules\":[],\"x\":1}", "/x" },
        { "{\"rules\":[],\"a/b~\":1}", "/a~1b~0" },
        { "{\"rules\":[1]}", "/rules/0" },
        { "{\"rules\":[{\"when\":{},\"then\":\"deny\"}]}", "/rules/0/name" },
        { "{\"rules\":[{\"name\":\"\",\"when\":{},\"then\":\"deny\"}]}", "/rules/0/name" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{},\"then\":\"maybe\"}]}", "/rules/0/then" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"acton\":\"x\"},\"then\":\"deny\"}]}",
          "/rules/0/when/acton" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"action\":7},\"then\":\"deny\"}]}",
          "/rules/0/when/action" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"action\":[]},\"then\":\"deny\"}]}",
          "/rules/0/when/action" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"kind\":\"robot\"},\"then\":\"deny\"}]}",
          "/rules/0/when/kind" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"host\":[\"a.b\",\"a.b.\"]},\"then\":\"deny\"}]}",
          "/rules/0/when/host/1" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"payload_bytes\":{}},\"then\":\"deny\"}]}",
          "/rules/0/when/payload_bytes" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"parameters\":{\"to\":{\"exists\":true}}},"
          "\"then\":"
          "\"deny\"}]}",
          "/rules/0/when/parameters/to" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"parameters\":{\"/to\":{}}},\"then\":\"deny\"}]}",
          "/rules/0/when/parameters/~1to" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"parameters\":{\"/"
          "to\":{\"equals\":[1]}}},\"then\":"
          "\"deny\"}]}",
          "/rules/0/when/parameters/~1to/equals" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"from\":\"8:00\"}},\"then\":\"deny\"}]"
          "}",
          "/rules/0/when/time/from" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"to\":\"24:01\"}},\"then\":\"deny\"}]}",
          "/rules/0/when/time/to" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"days\":[\"xyz\"]}},\"then\":\"deny\"}]"
          "}",
          "/rules/0/when/time/days" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"days\":[\"on "
          "\"]}},\"then\":\"deny\"}]}",
          "/rules/0/when/time/days" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"from\":\"08:00\",\"zone\":\"CET\"}},"
          "\"then\":\"deny\"}]}",
          "/rules/0/when/time/zone" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{},\"then\":\"deny\"},{\"name\":\"a\",\"when\":{},"
          "\"then\":\"deny\"}]}",
          "/rules/1/name" },
        { "{\"rules\":[],\"risk\":{}}", "/risk/terms" },
        { "{\"rules\":[],\"risk\":{\"terms\":[{\"name\":\"a\",\"when\":{},\"add\":1001}]}}",
          "/risk/terms/0/add" },
        { "{\"rules\":[],\"risk\":{\"terms\":[],\"deny_from\":0}}", "/risk/deny_from" },
        { "{\"rules\":[],\"approval\":{\"expires_in_seconds\":59}}",
          "/approval/expires_in_seconds" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        AUTO(json) cJSON *doc = read_json(WRONG[i].text);
        struct field_errors errors = { 0 };
        assert_int_equal(policy_check(doc, &errors), RC_INVALID);
        if (errors.count != 1 || strcmp(errors.items[0].field, WRONG[i].field) != 0)
            print_error("%s: %s %s\n", WRONG[i].text, errors.items[0].field,
                        errors.items[0].detail);
        assert_string_equal(errors.items[0].field, WRONG[i].field);
    }
}

static void
test_a_refusal_says_what_was_found(void **state)
{
    static const struct {
        const char *text, *said;
    } WRONG[] = {
        { "[]", "must be an object, not a list of 0" },
        { "{\"rules\":1.5}", "must be a list of at most 200, not the number 1.5" },
        { "{\"rules\":[],\"more\":1}",
          "is not known here; known are: rules, risk, approval, note" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{},\"then\":\"maybe\"}]}",
          "must be allow, deny or requires_approval, not a text of 5 bytes" },
        { "{\"rules\":[{\"name\":\"a\\u0007\",\"when\":{},\"then\":\"deny\"}]}",
          "must hold no control character, but holds U+0007" },
        { "{\"rules\":[{\"name\":\"\",\"when\":{},\"then\":\"deny\"}]}",
          "must be a name of 1 to 64 bytes, not a text of 0 bytes" },
        { "{\"rules\":[{\"name\":\" \\u200b\",\"when\":{},\"then\":\"deny\"}]}",
          "must not be blank: something in it must be seen" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"kind\":null},\"then\":\"deny\"}]}",
          "must be task, connector or unknown, or a list of these, not null" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"payload_bytes\":true},\"then\":\"deny\"}]}",
          "must be an object, not true or false" },
        { "{\"rules\":[{\"name\":\"a\",\"when\":{\"time\":{\"days\":[\"mon\",\"tues\"]}},"
          "\"then\":\"deny\"}]}",
          "must hold only mon, tue, wed, thu, fri, sat and sun: item 1 is another" },
        { "{\"rules\":[],\"approval\":{\"expires_in_seconds\":59}}",
          "must be a whole number from 60 to 2592000, not the number 59" },
        { "{\"rules\":[],\"risk\":{\"terms\":{\"a\":1}}}",
          "must be a list of at most 50, not an object of 1 members" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        AUTO(json) cJSON *doc = read_json(WRONG[i].text);
        struct field_errors errors = { 0 };
        assert_int_equal(policy_check(doc, &errors), RC_INVALID);
        assert_int_equal(errors.count, 1);
        assert_string_equal(errors.items[0].detail, WRONG[i].said);
    }
}

static void
test_patterns_of_hosts(void **state)
{
    static const struct {
        const char *pattern, *said; /* NULL: it is one */
    } HOSTS[] = {
        { "api.example.com", NULL },
        { "API.Example.COM", NULL },
        { "*", NULL },
        { "*.example.com", NULL },
        { "api.*", NULL },
        { "192.0.2.1", NULL },
        { "[2001:db8::1]", NULL },
        { "[2001:DB8::1]", NULL },
        { "[2001:db8:*", NULL },
        { "*:1]", NULL },
        { "xn--bcher-kva.example", NULL },
        { "api.example.com:443", "fits no host: it has a port: send it without" },
        { "*:8443", "fits no host: it has a port: send it without" },
        { "[::1]:443", "fits no host: it has a port: send it without" },
        { "https://api.example.com",
          "fits no host: it has a scheme or a path: send the host alone, such as api.example.com" },
        { "api.example.com/v1",
          "fits no host: it has a scheme or a path: send the host alone, such as api.example.com" },
        { "api.example.com.", "fits no host: it ends with a dot: send it without" },
        { "*.", "fits no host: it ends with a dot: send it without" },
        { "b\xc3\xbc"
          "cher.example",
          "fits no host: it has letters beyond ASCII: send the name as URLs have it (xn--…)" },
        { "api example", "fits no host: it has characters that no host has: send letters, digits, "
                         "'-', '_', '.' and '*'" },
        { "u@api.example.com", "fits no host: it has characters that no host has: send letters, "
                               "digits, '-', '_', '.' and '*'" },
        { "127.1",
          "fits no host: it is not an IPv4 address: send four numbers, such as 192.0.2.1" },
        { "[2001:db8:0:0::1]",
          "fits no host: it is an address in another writing: send [2001:db8::1]" },
        { "[1]", "fits no host: it is not an IPv6 address: send one such as [2001:db8::1]" },
        { "[::1", "fits no host: it is not an IPv6 address: send one such as [2001:db8::1]" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(HOSTS); i++) {
        char text[512];
        struct field_errors errors = { 0 };
        (void)snprintf(
            text, sizeof(text),
            "{\"rules\":[{\"name\":\"a\",\"when\":{\"host\":\"%s\"},\"then\":\"deny\"}]}",
            HOSTS[i].pattern);
        AUTO(json) cJSON *doc = read_json(text);
        enum rc rc = policy_check(doc, &errors);
        if ((rc == RC_OK) != !HOSTS[i].said)
            print_error("%s: %s\n", HOSTS[i].pattern, errors.items[0].detail);
        assert_int_equal(rc, HOSTS[i].said ? RC_INVALID : RC_OK);
        if (HOSTS[i].said) {
            assert_int_equal(errors.count, 1);
            assert_string_equal(errors.items[0].field, "/rules/0/when/host");
            assert_string_equal(errors.items[0].detail, HOSTS[i].said);
        }
    }
}

/* The names of hosts have no upper and lower case; other patterns have. */
static void
test_hosts_in_capitals_fit(void **state)
{
    AUTO(json)
    cJSON *policy =
        read_json("{\"rules\":[{\"name\":\"a\",\"when\":{\"host\":[\"x\",\"*.Example.COM\"]},"
                  "\"then\":\"deny\"}]}");
    const struct request_case small = {
        "http.request", C, "", DEV, "{\"url\":\"https://api.example.com/\"}", "[\"*\"]", "",
        FRIDAY_NOON,    0, "", 0
    };
    const struct request_case other = {
        "http.request", C, "", DEV, "{\"url\":\"https://example.com/\"}", "[\"*\"]", "",
        FRIDAY_NOON,    0, "", 0
    };
    struct policy_decision decision;
    (void)state;
    evaluate(policy, &small, &decision);
    assert_int_equal(decision.outcome, POLICY_DENY);
    evaluate(policy, &other, &decision);
    assert_int_equal(decision.outcome, POLICY_ALLOW);
}

static void
test_bounds_of_a_document(void **state)
{
    AUTO(json) cJSON *doc = cJSON_CreateObject();
    struct field_errors errors = { 0 };
    char name[16];
    (void)state;
    assert_non_null(doc);
    cJSON *rules = cJSON_AddArrayToObject(doc, "rules");
    assert_non_null(rules);
    for (int i = 0; i < POLICY_RULES_MAX + 1; i++) {
        cJSON *rule = read_json("{\"when\":{},\"then\":\"deny\"}");
        assert_int_equal(policy_check(doc, &errors), RC_OK);
        (void)snprintf(name, sizeof(name), "rule %d", i);
        assert_non_null(cJSON_AddStringToObject(rule, "name", name));
        assert_true(cJSON_AddItemToArray(rules, rule));
    }
    assert_int_equal(policy_check(doc, &errors), RC_INVALID);
    assert_string_equal(errors.items[0].field, "/rules");
}

static void
test_stars_stand_for_anything_and_nothing_else_does(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool good;
    } ROWS[] = {
        { "a", "a", true },
        { "a", "ab", false },
        { "a", "", false },
        { "*", "", true },
        { "*", "anything", true },
        { "a*", "a", true },
        { "a*", "abc", true },
        { "*c", "abc", true },
        { "*c", "abcd", false },
        { "a*c", "abc", true },
        { "a*c", "ac", true },
        { "a*a", "a", false },
        { "a**c", "abc", true },
        { "*b*", "abc", true },
        { "*x*", "abc", false },
        { "a*b*c", "aXbYc", true },
        { "a*b*c", "acb", false },
        { "*ab*ab", "ab", false },
        { "*ab*ab", "abab", true },
        { "?", "a", false },
        { "[a]", "a", false },
        { ".*", "a", false },
        { "*aab", "aaab", true },
        { "ab*ab*ab", "ababab", true },
        { "ab*ab*ab", "abab", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(glob_matches(ROWS[i].pattern, ROWS[i].text), ROWS[i].good);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_decided_as_the_table_says),
        cmocka_unit_test(test_no_policy_allows_and_says_that_it_does_not_apply),
        cmocka_unit_test(test_the_default_is_that_of_the_earlier_system),
        cmocka_unit_test(test_a_payload_over_100000_bytes_adds_20),
        cmocka_unit_test(test_what_a_document_must_not_have_is_named_by_its_pointer),
        cmocka_unit_test(test_a_refusal_says_what_was_found),
        cmocka_unit_test(test_patterns_of_hosts),
        cmocka_unit_test(test_hosts_in_capitals_fit),
        cmocka_unit_test(test_bounds_of_a_document),
        cmocka_unit_test(test_stars_stand_for_anything_and_nothing_else_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
