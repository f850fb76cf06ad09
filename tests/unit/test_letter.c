/* SPDX-License-Identifier: MIT */
/* A dead letter as the server gives it: its headers, its place, how it is sent again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto_encode.h"
#include "protocol/letter.h"
#include "test.h"

#define INGEST "gantry.v1.w1.memory.ingest"

/* headers: the lines after the first, without the last CRLF. */
static enum rc
read(const char *headers, const char *data, struct letter *out)
{
    char block[2048], hdrs[4096], payload[256], text[8192];
    struct err err;
    cJSON *doc = NULL;
    (void)snprintf(block, sizeof(block), "NATS/1.0\r\n%s\r\n\r\n", headers);
    base64_encode((const uint8_t *)block, strlen(block), hdrs);
    base64_encode((const uint8_t *)data, strlen(data), payload);
    (void)snprintf(
        text, sizeof(text),
        "{\"seq\":7,\"subject\":\"gantry.v1.w1.dead.ingest\",\"time\":\"2026-11-28T12:00:00Z\","
        "\"hdrs\":\"%s\",\"data\":\"%s\"}",
        hdrs, payload);
    assert_int_equal(json_read(text, strlen(text), &doc, &err), RC_OK);
    assert_non_null(doc);
    enum rc rc = letter_read(doc, out, &err);
    json_cleanup(&doc);
    return rc;
}

static void
test_headers(void **state)
{
    struct letter letter = { .seq = 0 };
    char value[LETTER_HEADER_MAX], workspace[LETTER_NAME_MAX], program[LETTER_NAME_MAX];
    assert_int_equal(
        read("Gantry-Reason: no room\r\nGantry-Reason-Two:  x\r\nEmpty:", "{}", &letter), RC_OK);
    assert_non_null(letter.data);
    assert_int_equal(letter.seq, 7);
    assert_string_equal(letter_header(&letter, "gantry-reason", value), "no room");
    assert_string_equal(letter_header(&letter, "Gantry-Reason-Two", value), "x");
    assert_string_equal(letter_header(&letter, "Gantry", value), "");
    assert_string_equal(letter_header(&letter, "Empty", value), "");
    letter_place(&letter, workspace, program);
    assert_string_equal(workspace, "w1");
    assert_string_equal(program, "ingest");
    letter_fini(&letter);
    letter_place(&letter, workspace, program);
    assert_string_equal(workspace, "");
    assert_string_equal(letter_header(&letter, "Any", value), "");
}

static enum rc
again(const char *headers, struct letter_again *out)
{
    struct letter letter = { .seq = 0 };
    struct err err;
    assert_int_equal(read(headers, "{\"a\":1}", &letter), RC_OK);
    enum rc rc = letter_again(&letter, out, &err);
    letter_fini(&letter);
    return rc;
}

static void
test_again(void **state)
{
    struct letter_again out;
    assert_int_equal(again("Gantry-Subject: " INGEST "\r\nGantry-Msg-Id: id1", &out), RC_OK);
    assert_string_equal(out.subject, INGEST);
    assert_string_equal(out.workspace, "w1");
    assert_int_equal(out.command, CMD_MEMORY_INGEST);
    assert_string_equal(out.msg_id, "id1"); /* a direct client's id is this one */
    assert_string_equal(out.actor, "");
    /* the claim holds the id: the message's must be new, or the stream would drop it */
    assert_int_equal(
        again("Gantry-Subject: " INGEST "\r\nGantry-Msg-Id: id1\r\nGantry-Actor: claim", &out),
        RC_OK);
    assert_string_equal(out.msg_id, "id1.replay.7");
    assert_string_equal(out.actor, "claim");
    assert_string_equal(out.list, "");
    /* a list stays one: told by its header, or by the id that the gateway gives lists */
    assert_int_equal(
        again("Gantry-Subject: " INGEST "\r\nGantry-Msg-Id: id1\r\nGantry-List: 3", &out), RC_OK);
    assert_string_equal(out.list, "3");
    assert_int_equal(again("Gantry-Subject: " INGEST "\r\nGantry-Msg-Id: id1.1.l64", &out), RC_OK);
    assert_string_equal(out.list, "64");
    assert_int_equal(again("Gantry-Subject: " INGEST "\r\nGantry-Msg-Id: id1.1.l6x", &out), RC_OK);
    assert_string_equal(out.list, "");
    assert_int_equal(again("Gantry-Subject: " INGEST, &out), RC_OK);
    assert_string_equal(out.msg_id, "");
    assert_int_equal(again("Gantry-Msg-Id: id1", &out), RC_INVALID);
    assert_int_equal(again("Gantry-Subject: gantry.v1.w1.memory.search", &out), RC_INVALID);
    assert_int_equal(again("Gantry-Subject: " INGEST "\r\nGantry-Cut: 2000000", &out), RC_INVALID);
}

static void
test_what_the_server_never_sends(void **state)
{
    static const char TEXT[] = "{\"seq\":1,\"data\":\"?\"}";
    struct letter letter = { .seq = 0 };
    struct err err;
    cJSON *doc = NULL;
    assert_int_equal(json_read(TEXT, strlen(TEXT), &doc, &err), RC_OK);
    assert_non_null(doc);
    assert_int_equal(letter_read(doc, &letter, &err), RC_BUG);
    assert_null(letter.data);
    json_cleanup(&doc);
    assert_int_equal(letter_read(NULL, &letter, &err), RC_OK); /* nothing said: an empty letter */
    assert_int_equal(letter.len, 0);
    letter_fini(&letter);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_what_the_server_never_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
