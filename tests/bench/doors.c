/* SPDX-License-Identifier: MIT */
/*
 * Rates of the doors to Redis and PostgreSQL, for comparison with the servers' own benchmarks.
 *
 *     doors redis URL COMMANDS IN_FLIGHT     SET of 3 bytes on the loop
 *     doors postgres URL GROUPS STATEMENTS   groups of single-row inserts, one transaction each
 *     doors select URL QUERIES               SELECT 1, one after the other
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "db/db.h"
#include "kv/kv.h"

static int
die(const struct err *err)
{
    fprintf(stderr, "%s\n", err->text);
    return EXIT_NO;
}

static int
say(long count, int64_t start_us)
{
    return printf("%.0f\n", (double)count * 1e6 / (double)(clock_mono_us() - start_us)) > 0 ? 0 : 1;
}

struct flood {
    struct kv *kv;
    struct kv_command set;
    long left, waiting, failed;
};

static void
on_set(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct flood *flood = arg;
    (void)reply;
    (void)err;
    flood->failed += rc != RC_OK;
    flood->waiting--;
    if (flood->left > 0) {
        flood->left--;
        flood->waiting++;
        kv_call(flood->kv, &flood->set, 10000, on_set, flood);
    }
}

static int
redis(const char *url, long count, long in_flight)
{
    struct loop *loop = NULL;
    struct flood flood = { .left = count };
    struct err err;
    if (loop_new(&loop, &err) != RC_OK || kv_open(loop, url, NULL, 0, &flood.kv, &err) != RC_OK)
        return die(&err);
    for (int i = 0; i < 1000 && !kv_connected(flood.kv); i++)
        loop_turn(loop, 10);
    kv_add(&flood.set, "SET");
    kv_add(&flood.set, "key:__rand_int__");
    kv_add(&flood.set, "xxx");
    int64_t start_us = clock_mono_us();
    for (long i = 0; i < in_flight; i++) {
        flood.left--;
        flood.waiting++;
        kv_call(flood.kv, &flood.set, 10000, on_set, &flood);
    }
    while (flood.waiting)
        loop_turn(loop, 100);
    if (flood.failed)
        return EXIT_NO;
    int code = say(count, start_us);
    kv_free(flood.kv);
    loop_free(loop);
    return code;
}

static int
postgres(const char *url, long groups, long statements)
{
    static const struct db_statement INSERT[] = { { "insert", "INSERT INTO bench VALUES ($1)" } };
    AUTO(db) struct db *db = NULL;
    struct err err;
    if (db_open(url, "bench", INSERT, 1, &db, &err) != RC_OK)
        return die(&err);
    int64_t start_us = clock_mono_us();
    for (long i = 0; i < groups; i++) {
        if (db_begin(db, "w", &err) != RC_OK)
            return die(&err);
        for (long j = 0; j < statements; j++) {
            struct db_params params = { .count = 0 };
            db_param_int(&params, j);
            if (db_send(db, 0, &params, NULL, &err) != RC_OK)
                return die(&err);
        }
        if (db_commit(db, &err) != RC_OK)
            return die(&err);
    }
    return say(groups * statements, start_us);
}

static int
queries(const char *url, long count)
{
    static const struct db_statement SELECT[] = { { "one", "SELECT 1" } };
    AUTO(db) struct db *db = NULL;
    struct err err;
    if (db_open(url, "bench", SELECT, 1, &db, &err) != RC_OK)
        return die(&err);
    int64_t start_us = clock_mono_us();
    for (long i = 0; i < count; i++) {
        AUTO(pgresult) PGresult *result = NULL;
        if (db_query(db, NULL, 0, NULL, &result, &err) != RC_OK)
            return die(&err);
    }
    return say(count, start_us);
}

int
main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "redis") == 0)
        return redis(argv[2], strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
    if (argc == 5 && strcmp(argv[1], "postgres") == 0)
        return postgres(argv[2], strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "select") == 0)
        return queries(argv[2], strtol(argv[3], NULL, 10));
    return EXIT_USAGE;
}
