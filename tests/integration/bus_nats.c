/* SPDX-License-Identifier: MIT */
/*
 * bus_nats - the bus against a real nats-server that this program starts, kills and starts again.
 *
 * BUS_SERVER and BUS_CONFIG name the server and its configuration, BUS_URL reaches it as a user who
 * may do everything, BUS_URL_SMALL as one who may publish nothing but its own inbox and "allowed".
 */
#include <dirent.h>

#include "bus/bus_own.h"
#include "tests/integration/bus_harness.h"

static int
set_up(void **state)
{
    (void)state;
    struct err err;
    struct bus_options options = { .url = getenv("BUS_URL"),
                                   .name = "test",
                                   .inbox_prefix = "_INBOX.t",
                                   .tls_ca_file = getenv("BUS_CA") };
    log_init("bus_nats", LOG_WARN, LOG_TEXT);
    start_server();
    assert_int_equal(loop_new(&loop, &err), RC_OK);
    assert_int_equal(bus_connect(loop, &options, LONG_MS, &bus, &err), RC_OK);
    js_api("$JS.API.STREAM.CREATE.WORK",
           "{\"name\":\"WORK\",\"subjects\":[\"work.*\"],\"retention\":\"workqueue\",\"storage\":"
           "\"file\",\"max_msgs_per_subject\":50,\"discard\":\"new\",\"discard_new_per_subject\":"
           "true}");
    js_api("$JS.API.CONSUMER.DURABLE.CREATE.WORK.main",
           "{\"stream_name\":\"WORK\",\"config\":{\"durable_name\":\"main\",\"ack_policy\":"
           "\"explicit\","
           "\"ack_wait\":4000000000,\"max_deliver\":-1}}");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    bus_free(bus);
    loop_free(loop);
    stop_server(SIGTERM);
    return 0;
}

/* --- core ------------------------------------------------------------------------------------- */

static void
echo(void *arg, const struct bus_msg *msg)
{
    const char *header = bus_msg_header(msg, "Colour");
    struct bus_header headers[] = { { "Colour", header ? header : "none" } };
    struct bus_out out = { .subject = msg->reply,
                           .headers = headers,
                           .n_headers = 1,
                           .data = header ? header : msg->data,
                           .len = header ? strlen(header) : msg->len };
    int *calls = arg;
    ++*calls;
    assert_null(bus_msg_header(msg, "Absent"));
    assert_int_equal(bus_publish(bus, &out, NULL), RC_OK);
}

static void
request_is_answered(void **state)
{
    (void)state;
    struct err err;
    struct bus_sub *sub = NULL;
    struct answer answer = { 0 };
    struct bus_header headers[] = { { "Colour", "green" } };
    struct bus_out out = { .subject = "echo.one", .data = "hello", .len = 5 };
    int calls = 0;
    assert_int_equal(bus_subscribe(bus, "echo.*", "group", echo, &calls, &sub, &err), RC_OK);
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &answer, &err), RC_OK);
    turn_until(&answer.done);
    assert_int_equal(answer.rc, RC_OK);
    assert_string_equal(answer.data, "hello");

    struct answer second = { 0 };
    out.headers = headers;
    out.n_headers = 1;
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &second, &err), RC_OK);
    turn_until(&second.done);
    assert_string_equal(second.data, "green");
    assert_int_equal(calls, 2);

    bus_unsubscribe(sub);
    struct answer third = { 0 };
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &third, &err), RC_OK);
    turn_until(&third.done);
    assert_int_equal(third.rc, RC_TEMP);
    assert_non_null(strstr(third.text, "nobody")); /* the server says so: no time is up */
}

/* What was sent and received may have held a secret, and waits to be destroyed. */
static void
what_waits_to_be_destroyed_is_wiped(void **state)
{
    (void)state;
    struct err err;
    struct bus_sub *sub = NULL;
    struct answer answer = { 0 };
    struct bus_header headers[] = { { "Other", "x" } };
    struct bus_out out = {
        .subject = "echo.canary", .headers = headers, .n_headers = 1, .data = "canary", .len = 6
    };
    int calls = 0;
    size_t looked_at = 0;
    assert_int_equal(bus_subscribe(bus, "echo.*", "group", echo, &calls, &sub, &err), RC_OK);
    bus_waste_burn(bus);
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &answer, &err), RC_OK);
    turn_until(&answer.done);
    assert_string_equal(answer.data, "canary");
    for (size_t i = 0; i < bus->n_waste; i++) {
        const char *data = natsMsg_GetData(bus->waste[i]);
        for (int k = 0; k < natsMsg_GetDataLength(bus->waste[i]); k++, looked_at++)
            assert_int_equal(data[k], 0);
    }
    assert_true(looked_at >= 3 * out.len); /* the question, sent and received, and an answer */
    bus_unsubscribe(sub);
}

static void
keep_silent(void *arg, const struct bus_msg *msg)
{
    (void)arg;
    (void)msg;
}

/* Larger than any one record of TLS, and many at once: nothing may be left lying in a buffer. */
static void
large_messages_arrive(void **state)
{
    (void)state;
    enum { LARGE = 300000, COUNT = 20 };
    struct err err;
    struct bus_sub *sub = NULL;
    struct answer answers[COUNT] = { 0 };
    int calls = 0;
    char *data = calloc(1, LARGE);
    assert_non_null(data);
    memset(data, 'x', LARGE);
    struct bus_out out = { .subject = "echo.large", .data = data, .len = LARGE };
    assert_int_equal(bus_subscribe(bus, "echo.*", "group", echo, &calls, &sub, &err), RC_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &answers[i], &err), RC_OK);
    for (int i = 0; i < COUNT; i++) {
        turn_until(&answers[i].done);
        assert_int_equal(answers[i].rc, RC_OK);
    }
    assert_int_equal(calls, COUNT);
    bus_unsubscribe(sub);
    free(data);
}

static void
request_times_out(void **state)
{
    (void)state;
    struct err err;
    struct bus_sub *sub = NULL;
    struct answer answer = { 0 };
    struct bus_out out = { .subject = "silent.one" };
    assert_int_equal(bus_subscribe(bus, "silent.*", NULL, keep_silent, NULL, &sub, &err), RC_OK);
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(bus_request(bus, &out, 150, on_reply, &answer, &err), RC_OK);
    turn_until(&answer.done);
    assert_int_equal(answer.rc, RC_TEMP);
    assert_true(clock_mono_ms() - start_ms >= 140);
    turn_for(50);
    assert_int_equal(answer.calls, 1);
    bus_unsubscribe(sub);
}

/* --- JetStream -------------------------------------------------------------------------------- */

static void
publish_one(const char *subject, const char *text, const char *id, struct answer *answer)
{
    struct err err;
    struct bus_out out = { .subject = subject, .data = text, .len = strlen(text) };
    *answer = (struct answer){ 0 };
    assert_int_equal(bus_js_publish(bus, &out, id, LONG_MS, on_ack, answer, &err), RC_OK);
    turn_until(&answer->done);
}

static void
publish_is_acknowledged(void **state)
{
    (void)state;
    struct answer answer;
    js_api("$JS.API.STREAM.PURGE.WORK", "");
    publish_one("work.a", "1", "id-1", &answer);
    assert_int_equal(answer.rc, RC_OK);
    assert_false(answer.duplicate);
    publish_one("work.a", "1", "id-1", &answer);
    assert_int_equal(answer.rc, RC_OK);
    assert_true(answer.duplicate);
    struct err err;
    struct bus_out out = { .subject = "nowhere.a", .data = "1", .len = 1 };
    answer = (struct answer){ 0 };
    assert_int_equal(bus_js_publish(bus, &out, NULL, 500, on_ack, &answer, &err), RC_OK);
    turn_until(&answer.done); /* asked again until then */
    assert_int_equal(answer.rc, RC_TEMP);
    for (int i = 0; i < 49; i++)
        publish_one("work.a", "1", NULL, &answer);
    assert_int_equal(answer.rc, RC_OK);
    publish_one("work.a", "1", NULL, &answer);
    assert_int_equal(answer.rc, RC_LIMIT);
    publish_one("work.b", "1", NULL, &answer);
    assert_int_equal(answer.rc, RC_OK);
}

#define KEEP_MAX 64
struct pulled {
    struct bus_msg *kept[KEEP_MAX];
    size_t count;
    int ends;
};

static void
on_pulled(void *arg, const struct bus_msg *msg)
{
    struct pulled *pulled = arg;
    if (!msg) {
        pulled->ends++;
        return;
    }
    assert_true(pulled->count < KEEP_MAX);
    pulled->kept[pulled->count++] = bus_msg_keep(msg);
}

static void
release_all(struct pulled *pulled)
{
    for (size_t i = 0; i < pulled->count; i++)
        bus_msg_release(pulled->kept[i]);
    pulled->count = 0;
}

static void
pull_and_settle(void **state)
{
    (void)state;
    struct err err;
    struct answer answer;
    struct pulled pulled = { 0 };
    struct bus_pull *pull = NULL;
    js_api("$JS.API.STREAM.PURGE.WORK", "");
    assert_int_equal(bus_pull_new(bus, "WORK", "main", on_pulled, &pulled, &pull, &err), RC_OK);
    assert_int_equal(bus_pull_more(pull, 3, 200, &err), RC_OK);
    assert_int_equal(bus_pull_credit(pull), 3);
    TURN_UNTIL(pulled.ends == 1);
    assert_int_equal(pulled.count, 0);
    assert_int_equal(bus_pull_credit(pull), 0);

    assert_int_equal(bus_pull_more(pull, 2, LONG_MS, &err), RC_OK);
    publish_one("work.x", "one", NULL, &answer);
    publish_one("work.y", "two", NULL, &answer);
    TURN_UNTIL(pulled.ends == 2);
    assert_int_equal(pulled.count, 2);
    assert_string_equal(pulled.kept[0]->subject, "work.x");
    assert_memory_equal(pulled.kept[1]->data, "two", 3);
    assert_int_equal(pulled.kept[1]->deliveries, 1);
    assert_true(pulled.kept[1]->stream_seq == pulled.kept[0]->stream_seq + 1);
    assert_in_range(pulled.kept[0]->stream_ns / 1000000, clock_wall_ms() - LONG_MS,
                    clock_wall_ms() + 5);

    answer = (struct answer){ 0 };
    assert_int_equal(bus_settle(bus, pulled.kept[0], BUS_ACK, 0, on_ack, &answer, &err), RC_OK);
    turn_until(&answer.done);
    assert_int_equal(answer.rc, RC_OK);
    assert_int_equal(bus_settle(bus, pulled.kept[1], BUS_NAK, 300, NULL, NULL, &err), RC_OK);
    release_all(&pulled);

    int64_t start_ms = clock_mono_ms();
    assert_int_equal(bus_pull_more(pull, 2, LONG_MS, &err), RC_OK);
    TURN_UNTIL(pulled.count == 1);
    assert_true(clock_mono_ms() - start_ms >= 250);
    assert_int_equal(pulled.kept[0]->deliveries, 2);
    /* ack_wait is four seconds: progress keeps the message, silence gives it back */
    for (int i = 0; i < 6; i++) {
        assert_int_equal(bus_settle(bus, pulled.kept[0], BUS_PROGRESS, 0, NULL, NULL, &err), RC_OK);
        turn_for(800);
    }
    assert_int_equal(pulled.count, 1);
    assert_int_equal(bus_pull_more(pull, 2, LONG_MS, &err), RC_OK);
    TURN_UNTIL(pulled.count >= 2);
    assert_int_equal(pulled.kept[1]->deliveries, 3);
    assert_int_equal(bus_settle(bus, pulled.kept[1], BUS_TERM, 0, NULL, NULL, &err), RC_OK);
    turn_for(50);
    release_all(&pulled);
    bus_pull_free(pull);
}

/* --- servers and rights ----------------------------------------------------------------------- */

static int
open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void
survives_a_restart(void **state)
{
    (void)state;
    struct err err;
    struct bus_sub *sub = NULL;
    struct answer lost = { 0 }, answer = { 0 };
    struct pulled pulled = { 0 };
    struct bus_pull *pull = NULL;
    struct bus_out out = { .subject = "silent.two" };
    int calls = 0;
    js_api("$JS.API.STREAM.PURGE.WORK", "");
    assert_int_equal(bus_subscribe(bus, "echo.*", "group", echo, &calls, NULL, &err), RC_OK);
    assert_int_equal(bus_subscribe(bus, "silent.*", NULL, keep_silent, NULL, &sub, &err), RC_OK);
    assert_int_equal(bus_pull_new(bus, "WORK", "main", on_pulled, &pulled, &pull, &err), RC_OK);
    publish_one("work.r", "kept", NULL, &answer);
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &lost, &err), RC_OK);
    assert_int_equal(bus_pull_more(pull, 5, LONG_MS, &err), RC_OK);
    TURN_UNTIL(pulled.count == 1);
    release_all(&pulled);

    int files = open_files();
    stop_server(SIGKILL);
    turn_until(&lost.done);
    assert_int_equal(lost.rc, RC_TEMP);
    assert_int_equal(lost.server, SERVER_NATS);
    assert_int_equal(pulled.ends, 1);
    assert_false(bus_connected(bus));
    assert_int_equal(bus_publish(bus, &out, &err), RC_TEMP);
    assert_int_equal(err.server, SERVER_NATS);
    start_server();
    TURN_UNTIL(bus_connected(bus));
    TURN_UNTIL(open_files() == files);

    out.subject = "echo.again";
    out.data = "back";
    out.len = 4;
    answer = (struct answer){ 0 };
    assert_int_equal(bus_request(bus, &out, LONG_MS, on_reply, &answer, &err), RC_OK);
    turn_until(&answer.done);
    assert_string_equal(answer.data, "back");
    assert_int_equal(bus_pull_more(pull, 5, LONG_MS, &err), RC_OK);
    TURN_UNTIL(pulled.count == 1);
    release_all(&pulled);
    bus_unsubscribe(sub);
    bus_pull_free(pull);
    assert_int_equal(bus_flush(bus, LONG_MS, &err), RC_OK);
}

struct violation {
    bool done;
    char text[256];
};

static void
on_violation(void *arg, const char *text)
{
    struct violation *violation = arg;
    violation->done = true;
    snprintf(violation->text, sizeof(violation->text), "%s", text);
}

/* on_state tells of changes only: what bus_connect() reached, its caller sees. */
static void
note_state(void *arg, bool connected)
{
    int *changes = arg;
    changes[connected]++;
}

static void
callbacks_wait_for_the_return(void **state)
{
    (void)state;
    struct err err;
    struct bus *own = NULL;
    struct answer answer = { 0 };
    int changes[2] = { 0, 0 };
    struct bus_out out = { .subject = "nobody.there" };
    struct bus_options options = { .url = getenv("BUS_URL"),
                                   .name = "promise",
                                   .inbox_prefix = "_INBOX.promise",
                                   .tls_ca_file = getenv("BUS_CA"),
                                   .on_state = note_state,
                                   .arg = changes };
    assert_int_equal(bus_connect(loop, &options, LONG_MS, &own, &err), RC_OK);
    assert_true(bus_connected(own));
    assert_int_equal(changes[true] + changes[false], 0);
    assert_int_equal(bus_request(own, &out, LONG_MS, on_reply, &answer, &err), RC_OK);
    assert_false(answer.done);
    turn_until(&answer.done);
    assert_int_equal(changes[true] + changes[false], 0);
    bus_free(own);
    assert_int_equal(changes[true] + changes[false], 0);
}

static void
violations_are_told(void **state)
{
    (void)state;
    struct err err;
    struct bus *small = NULL;
    struct violation violation = { 0 };
    struct bus_options options = { .url = getenv("BUS_URL_SMALL"),
                                   .name = "small",
                                   .inbox_prefix = "_INBOX.small",
                                   .tls_ca_file = getenv("BUS_CA"),
                                   .on_violation = on_violation,
                                   .arg = &violation };
    struct bus_out out = { .subject = "allowed" };
    assert_int_equal(bus_connect(loop, &options, LONG_MS, &small, &err), RC_OK);
    assert_int_equal(bus_publish(small, &out, &err), RC_OK);
    assert_int_equal(bus_flush(small, LONG_MS, &err), RC_OK);
    assert_false(violation.done);
    out.subject = "answers.forbidden"; /* an asker's wish, not this program's need */
    assert_int_equal(bus_publish(small, &out, &err), RC_OK);
    out.subject = "gantry.forbidden.fruit";
    assert_int_equal(bus_publish(small, &out, &err), RC_OK);
    turn_until(&violation.done);
    assert_non_null(strstr(violation.text, "gantry.forbidden.fruit"));
    bus_free(small);
}

static void
wrong_password_is_a_configuration_error(void **state)
{
    (void)state;
    struct err err;
    struct bus *other = NULL;
    char url[128];
    const char *given = getenv("BUS_URL");
    snprintf(url, sizeof(url), "%.*s://everything:wrong@%s", (int)strcspn(given, ":"), given,
             strchr(given, '@') + 1);
    struct bus_options options = { .url = url, .name = "wrong", .tls_ca_file = getenv("BUS_CA") };
    assert_int_equal(bus_connect(loop, &options, LONG_MS, &other, &err), RC_CONFIG);
    assert_null(other);
    assert_null(strstr(err.text, "wrong@"));
    options.url = "nats://everything:x@127.0.0.1:1";
    assert_int_equal(bus_connect(loop, &options, 300, &other, &err), RC_TEMP);
}

/* BUS_OTHER_CA signed nothing of this server; BUS_OTHER_URL reaches it under a name that its
 * certificate does not have. */
static void
foreign_certificates_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct bus *other = NULL;
    if (!getenv("BUS_CA"))
        return;
    struct bus_options options = { .url = getenv("BUS_URL"),
                                   .name = "wrong",
                                   .tls_ca_file = getenv("BUS_OTHER_CA") };
    assert_int_not_equal(bus_connect(loop, &options, 3000, &other, &err), RC_OK);
    options.tls_ca_file = getenv("BUS_CA");
    options.url = getenv("BUS_OTHER_URL");
    assert_int_not_equal(bus_connect(loop, &options, 3000, &other, &err), RC_OK);
    assert_null(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered),
        cmocka_unit_test(what_waits_to_be_destroyed_is_wiped),
        cmocka_unit_test(request_times_out),
        cmocka_unit_test(large_messages_arrive),
        cmocka_unit_test(publish_is_acknowledged),
        cmocka_unit_test(pull_and_settle),
        cmocka_unit_test(survives_a_restart),
        cmocka_unit_test(callbacks_wait_for_the_return),
        cmocka_unit_test(violations_are_told),
        cmocka_unit_test(wrong_password_is_a_configuration_error),
        cmocka_unit_test(foreign_certificates_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
