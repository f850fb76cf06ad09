/* SPDX-License-Identifier: MIT */
/*
 * test_command - subjects as literal text, both ways.
 */
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/test.h"

#define UUID "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071"

static void
subjects_are_written(void **state)
{
    char text[SUBJECT_MAX];
    command_subject(text, "acme", CMD_MEMORY_INGEST);
    assert_string_equal(text, "gantry.v1.acme.memory.ingest");
    command_subject(text, "a-b_9", CMD_AUDIT_CONSISTENCY);
    assert_string_equal(text, "gantry.v1.a-b_9.audit.consistency");
    done_subject(text, "acme", "job", UUID);
    assert_string_equal(text, "gantry.v1.acme.job." UUID ".done");
    told_subject(text, "acme", "memory", UUID);
    assert_string_equal(text, "gantry.v1.acme.memory." UUID ".told");
    answers_subject(text, "acme", "memory");
    assert_string_equal(text, "gantry.v1.acme.answers.memory");
}

static void
every_command_comes_back(void **state)
{
    char text[SUBJECT_MAX], workspace[WORKSPACE_TEXT_MAX];
    for (unsigned i = 0; i < CMD_COUNT; i++) {
        enum command out = CMD_COUNT;
        const struct command_info *info = command_info((enum command)i);
        assert_int_equal(info->command, i);
        command_subject(text, "w", (enum command)i);
        if (i == CMD_AUDIT_REQUEST)
            strcat(text, ".gateway");
        assert_int_equal(command_parse(text, workspace, &out), RC_OK);
        assert_int_equal(out, i);
        assert_string_equal(workspace, "w");
        /* A JetStream command has a family, a core request has none, nor has a request event. */
        assert_int_equal(info->stream != STREAM_NONE && i != CMD_AUDIT_REQUEST,
                         info->family != NULL);
        assert_int_equal(info->stream != STREAM_NONE, stream_name(info->stream) != NULL);
    }
    assert_null(command_info(CMD_COUNT));
    assert_string_equal(stream_name(STREAM_TASKS), "TASKS");
}

static void
answers_are_of_a_family(void **state)
{
    static const char *const WRONG[] = {
        "gantry.v1.acme.answers.keys",   "gantry.v1.acme.answers.memory.x",
        "gantry.v1.acme.answers",        "gantry.v1._none.answers.memory",
        "gantry.v1.acme.memory.answers", "gantry.v1.acme.answers.",
    };
    char workspace[WORKSPACE_TEXT_MAX], family[16];
    assert_int_equal(answers_parse("gantry.v1.acme.answers.audit", workspace, family), RC_OK);
    assert_string_equal(workspace, "acme");
    assert_string_equal(family, "audit");
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_int_equal(answers_parse(WRONG[i], workspace, family), RC_CORRUPT);
}

static void
request_events_name_their_program(void **state)
{
    char workspace[WORKSPACE_TEXT_MAX];
    enum command out = CMD_COUNT;
    assert_int_equal(command_parse("gantry.v1._none.audit.request.gateway", workspace, &out),
                     RC_OK);
    assert_string_equal(workspace, "_none");
    assert_int_equal(out, CMD_AUDIT_REQUEST);
}

static void
longest_subjects_fit(void **state)
{
    char text[SUBJECT_MAX], workspace[WORKSPACE_TEXT_MAX], out[WORKSPACE_TEXT_MAX];
    char family[16], id[ID_TEXT_MAX];
    memset(workspace, 'w', 63);
    workspace[63] = '\0';
    done_subject(text, workspace, "memory", UUID);
    assert_int_equal(done_parse(text, out, family, id), RC_OK);
    assert_string_equal(out, workspace);
    assert_string_equal(family, "memory");
    assert_string_equal(id, UUID);
}

static void
foreign_subjects_are_corrupt(void **state)
{
    const char *bad[] = {
        "",
        "gantry.v1.",
        "gantry.v1.acme",
        "gantry.v1.acme.",
        "gantry.v2.acme.memory.ingest",
        "gantry.v1..memory.ingest",
        "gantry.v1.ACME.memory.ingest",
        "gantry.v1.-a.memory.ingest",
        "gantry.v1.acme.memory.ingest.x",
        "gantry.v1.acme.memory",
        "gantry.v1.acme.memory.ingestx",
        "gantry.v1.*.memory.ingest",
        "gantry.v1.acme.memory." UUID ".done",
        "gantry.sys.allowlist.acme",
        "gantry.v1.acme.audit.request",
        "gantry.v1.acme.audit.request.",
        "gantry.v1.acme.audit.request.gateway.x",
        "gantry.v1.acme.audit.requestx.gateway",
        "gantry.v1.acme.audit.request.Gateway",
        "gantry.v1._none.memory.ingest",
        "gantry.v1._other.audit.request.gateway",
    };
    char workspace[WORKSPACE_TEXT_MAX] = "kept";
    enum command out = CMD_COUNT;
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(command_parse(bad[i], workspace, &out), RC_CORRUPT);
    assert_string_equal(workspace, "kept");
    assert_int_equal(out, CMD_COUNT);
}

static void
foreign_events_are_corrupt(void **state)
{
    const char *bad[] = {
        "gantry.v1.acme.job." UUID,
        "gantry.v1.acme.job." UUID ".done.x",
        "gantry.v1.acme.job." UUID ".don",
        "gantry.v1.acme.jobs." UUID ".done",
        "gantry.v1.acme.job.0190A5B2-7C3E-7D4F-8A1B-2C3D4E5F6071.done",
        "gantry.v1.acme.job.0190a5b2.done",
        "gantry.v1.acme.job..done",
        "gantry.v1.acme.memory.ingest",
        "gantry.v1._none.job." UUID ".done",
        "",
    };
    char workspace[WORKSPACE_TEXT_MAX], family[16] = "kept", id[ID_TEXT_MAX];
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(done_parse(bad[i], workspace, family, id), RC_CORRUPT);
    assert_string_equal(family, "kept");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_are_written),
        cmocka_unit_test(every_command_comes_back),
        cmocka_unit_test(answers_are_of_a_family),
        cmocka_unit_test(request_events_name_their_program),
        cmocka_unit_test(longest_subjects_fit),
        cmocka_unit_test(foreign_subjects_are_corrupt),
        cmocka_unit_test(foreign_events_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
