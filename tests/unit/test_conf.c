/* SPDX-License-Identifier: MIT */
/*
 * test_conf - the environment, by table.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/conf.h"
#include "test.h"

struct sample {
    char *name;
    char *secret;
    char *url;
    int64_t count;
    bool flag;
    int level;
    uint8_t key[32];
    char *optional;
};

static const char *const LEVELS[] = { "low", "high", NULL };
static const char *const SCHEMES[] = { "nats", "tls", NULL };

static const struct conf_item FIRST[] = {
    { .name = "T_NAME",
      .type = CONF_STRING,
      .offset = offsetof(struct sample, name),
      .default_text = "nobody",
      .max = 8,
      .help = "Who." },
    { .name = "T_SECRET",
      .type = CONF_SECRET,
      .offset = offsetof(struct sample, secret),
      .help = "Hush." },
    { .name = "T_URL",
      .type = CONF_URL,
      .offset = offsetof(struct sample, url),
      .default_text = "nats://127.0.0.1",
      .choices = SCHEMES,
      .help = "Where." },
    { .name = "T_COUNT",
      .type = CONF_INT,
      .offset = offsetof(struct sample, count),
      .default_text = "5",
      .min = -1,
      .max = 10,
      .help = "How many." },
};
static const struct conf_item SECOND[] = {
    { .name = "T_FLAG",
      .type = CONF_BOOL,
      .offset = offsetof(struct sample, flag),
      .default_text = "no",
      .help = "Whether." },
    { .name = "T_LEVEL",
      .type = CONF_CHOICE,
      .offset = offsetof(struct sample, level),
      .default_text = "low",
      .choices = LEVELS,
      .help = "How." },
    { .name = "GANTRY_T_KEY",
      .type = CONF_KEY32,
      .offset = offsetof(struct sample, key),
      .flags = CONF_OPTIONAL,
      .help = "Key." },
    { .name = "T_OPTIONAL",
      .type = CONF_STRING,
      .offset = offsetof(struct sample, optional),
      .flags = CONF_OPTIONAL,
      .help = "Perhaps." },
};
static const struct conf_table TABLES[] = { { FIRST, 4, NULL }, { SECOND, 4, NULL } };

static char output[4096];

/* Reads with standard error caught in output. */
static enum rc
read_conf(struct sample *conf, struct err *err)
{
    char path[TEST_PATH_MAX];
    test_temporary("test_conf", path);
    int fd = mkstemp(path);
    int saved = dup(STDERR_FILENO);

    assert_true(fd >= 0 && saved >= 0);
    unlink(path);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    enum rc rc = conf_read(TABLES, 2, conf, err);
    fflush(stderr);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    ssize_t n = pread(fd, output, sizeof(output) - 1, 0);
    assert_true(n >= 0);
    output[n] = '\0';
    close(fd);
    return rc;
}

static int
clear(void **unused)
{
    const char *format = getenv("CMOCKA_MESSAGE_OUTPUT");

    clearenv();
    if (format)
        setenv("CMOCKA_MESSAGE_OUTPUT", format, 1); /* the runner's */
    return 0;
}

static void
test_defaults(void **unused)
{
    struct sample conf = { .count = 77 };
    struct err err = { 0 };

    setenv("T_SECRET", "s", 1);
    setenv("T_NAME", "", 1); /* empty = unset */
    setenv("GANTRY_URL", "http://informational", 1);
    setenv("GANTRY_PIDS_DIR", "x", 1);
    setenv("UNRELATED", "CHANGE_ME", 1);
    assert_int_equal(read_conf(&conf, &err), RC_OK);
    assert_string_equal(output, "");
    assert_string_equal(conf.name, "nobody");
    assert_string_equal(conf.secret, "s");
    assert_string_equal(conf.url, "nats://127.0.0.1");
    assert_int_equal(conf.count, 5);
    assert_false(conf.flag);
    assert_int_equal(conf.level, 0);
    assert_null(conf.optional);
    for (int i = 0; i < 32; i++)
        assert_int_equal(conf.key[i], 0);
    free(conf.name);
}

static void
test_values(void **unused)
{
    struct sample conf = { 0 };
    struct err err = { 0 };
    char *secret = strdup("T_SECRET=the secret");

    assert_int_equal(putenv(secret), 0);
    setenv("T_NAME", "somebody", 1);
    setenv("T_URL", "tls://user:pass@host:1/path?password=x", 1);
    setenv("T_COUNT", "-1", 1);
    setenv("T_FLAG", "Yes", 1);
    setenv("T_LEVEL", "high", 1);
    setenv("T_OPTIONAL", "here", 1);
    setenv("GANTRY_T_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=", 1);
    assert_int_equal(read_conf(&conf, &err), RC_OK);
    assert_string_equal(conf.name, "somebody");
    assert_string_equal(conf.secret, "the secret");
    assert_int_equal(conf.count, -1);
    assert_true(conf.flag);
    assert_int_equal(conf.level, 1);
    assert_string_equal(conf.optional, "here");
    for (int i = 0; i < 31; i++)
        assert_int_equal(conf.key[i], i);
    assert_int_equal(conf.key[31], 255);

    /* Secrets are gone from the environment, and from its memory; the rest stays. */
    assert_null(getenv("T_SECRET"));
    assert_null(getenv("T_URL"));
    assert_null(getenv("GANTRY_T_KEY"));
    assert_string_equal(getenv("T_NAME"), "somebody");
    assert_memory_equal(secret, "T_SECRET=\0\0\0\0\0\0\0\0\0\0", 20);

    char *printed = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&printed, &len);
    conf_print(out, TABLES, 2, &conf);
    fclose(out);
    assert_string_equal(printed, "T_NAME=somebody\nT_SECRET=(set)\nT_URL=tls://host:1/path\n"
                                 "T_COUNT=-1\nT_FLAG=true\nT_LEVEL=high\nGANTRY_T_KEY=(set)\n"
                                 "T_OPTIONAL=here\n");
    free(printed);

    conf_wipe(TABLES, 2, &conf);
    assert_string_equal(conf.secret, "");
    assert_string_equal(conf.url, "");
    assert_int_equal(conf.key[31], 0);
    free(conf.name);
    free(conf.optional);
    free(secret);
}

static void
test_all_problems_at_once(void **unused)
{
    struct sample conf = { .count = 77 };
    struct err err = { 0 };

    setenv("T_NAME", "ninechars", 1);
    setenv("T_URL", "http://user:hunter2@host", 1);
    setenv("T_COUNT", "11", 1);
    setenv("T_FLAG", "maybe", 1);
    setenv("T_LEVEL", "middle", 1);
    setenv("GANTRY_T_KEY", "beef", 1);
    setenv("T_OPTIONAL", "a\tb", 1);
    setenv("GANTRY_TYPO", "hunter2", 1);
    setenv("GANTRY_T_KEY_FILES", "x", 1);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(err.text, "10 problems in the configuration");
    assert_string_equal(
        output, "configuration: T_SECRET: must be set (or T_SECRET_FILE)\n"
                "configuration: T_NAME: is too long\n"
                "configuration: T_URL: must be a URL with the scheme nats, tls\n"
                "configuration: T_COUNT: must be from -1 to 10\n"
                "configuration: T_FLAG: must be true or false\n"
                "configuration: T_LEVEL: must be one of low, high\n"
                "configuration: GANTRY_T_KEY: must be 32 bytes as 64 hexadecimal digits or base64\n"
                "configuration: T_OPTIONAL: holds a control character\n"
                "configuration: GANTRY_TYPO: no such setting\n"
                "configuration: GANTRY_T_KEY_FILES: no such setting\n");
    assert_int_equal(conf.count, 77);
    assert_null(conf.name);
    assert_string_equal(getenv("T_URL"), "http://user:hunter2@host");
}

static void
test_change_me(void **unused)
{
    struct sample conf = { 0 };
    struct err err = { 0 };

    setenv("T_SECRET", "CHANGE_ME", 1);
    setenv("T_URL", "nats://u:CHANGE_ME@host", 1);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(output, "configuration: T_SECRET: still holds CHANGE_ME\n"
                                "configuration: T_URL: still holds CHANGE_ME\n");
}

static void
test_integers(void **unused)
{
    static const char *const REFUSED[] = {
        "1x", "", " 1", "0x1", "1.0", "99999999999999999999", "-"
    };
    struct sample conf = { 0 };
    struct err err = { 0 };

    for (size_t i = 0; i < TEST_COUNT(REFUSED); i++) {
        setenv("T_SECRET", "s", 1);
        setenv("T_COUNT", REFUSED[i], 1);
        assert_int_equal(read_conf(&conf, &err), *REFUSED[i] ? RC_CONFIG : RC_OK);
        free(conf.name);
        conf.name = NULL;
    }
}

static void
write_file(const char *path, const void *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

static void
test_files(void **unused)
{
    struct sample conf = { 0 };
    struct err err = { 0 };
    char path[TEST_PATH_MAX];
    test_temporary("test_conf", path);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    setenv("T_SECRET_FILE", path, 1);
    write_file(path, "line one\nline two\n\n", 19);
    assert_int_equal(read_conf(&conf, &err), RC_OK);
    assert_string_equal(conf.secret, "line one\nline two\n");
    free(conf.name);

    setenv("T_SECRET", "both", 1);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(output, "configuration: T_SECRET: is set, and T_SECRET_FILE too\n");
    unsetenv("T_SECRET");
    write_file(path, "\n", 1);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(output, "configuration: T_SECRET_FILE: the file is empty\n");
    write_file(path, "a\0b\n", 4);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    write_file(path, "CHANGE_ME\n", 10);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(output, "configuration: T_SECRET: still holds CHANGE_ME\n");
    static char large[20000];
    memset(large, 'x', sizeof(large));
    write_file(path, large, 16384);
    assert_int_equal(read_conf(&conf, &err), RC_OK);
    free(conf.name);
    write_file(path, large, 16385);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    unlink(path);
    assert_int_equal(read_conf(&conf, &err), RC_CONFIG);
    assert_string_equal(output,
                        "configuration: T_SECRET_FILE: cannot read the file: No such file or "
                        "directory\n");
}

static void
test_document(void **unused)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    conf_document(out, TABLES, 2);
    fclose(out);
    assert_string_equal(text, "| `T_NAME` | `nobody` | Who. |\n"
                              "| `T_SECRET` | required | Hush. Also `T_SECRET_FILE`. |\n"
                              "| `T_URL` | `nats://127.0.0.1` | Where. Scheme: `nats`, `tls`. Also "
                              "`T_URL_FILE`. |\n"
                              "| `T_COUNT` | `5` | How many. From -1 to 10. |\n"
                              "| `T_FLAG` | `no` | Whether. |\n"
                              "| `T_LEVEL` | `low` | How. One of: `low`, `high`. |\n"
                              "| `GANTRY_T_KEY` | (none) | Key. Also `GANTRY_T_KEY_FILE`. |\n"
                              "| `T_OPTIONAL` | (none) | Perhaps. |\n");
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear),
        cmocka_unit_test_setup(test_values, clear),
        cmocka_unit_test_setup(test_all_problems_at_once, clear),
        cmocka_unit_test_setup(test_change_me, clear),
        cmocka_unit_test_setup(test_integers, clear),
        cmocka_unit_test_setup(test_files, clear),
        cmocka_unit_test_setup(test_document, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
