/* SPDX-License-Identifier: MIT */
/*
 * Milliseconds of a search in the index, for 10,000, 100,000 and 1,000,000 memories of 24 words from a
 * Zipf vocabulary of 30,000 with clustered vectors of 256 dimensions; time to load, bytes a row, and
 * what int8 loses against float. With "own" the memories are those of docs/performance.md: 24 words of
 * 5,000, one that all have, and one that no other has; then also the memory that the load wrote, of
 * which the operating system knows, and no loss.
 *
 *     search_index [own] [ROWS ...]
 */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "index/collection_own.h"

#define DIMS       256
#define WORDS      24
#define WORDS_OWN  26
#define VOCABULARY 30000
#define OWN        5000 /* words of that vocabulary */
#define CENTRES    200
#define TERMS_MAX  4096

static double
seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static float
gauss(uint64_t *state)
{
    double u = ((double)next_random(state) + 1) / 9007199254740993.0;
    double v = (double)next_random(state) / 9007199254740992.0;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307 * v));
}

struct corpus {
    bool own;
    uint32_t vocabulary;
    double cdf[VOCABULARY];
    float centres[CENTRES][DIMS];
    uint64_t random;
};

static uint32_t
zipf(struct corpus *corpus)
{
    double u = (double)next_random(&corpus->random) / 9007199254740992.0 *
               corpus->cdf[corpus->vocabulary - 1];
    uint32_t low = 0, high = corpus->vocabulary - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (corpus->cdf[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t
term_of(uint32_t word)
{
    return (word * UINT64_C(0x9E3779B97F4A7C15)) >> 16;
}

static void
make_vector(struct corpus *corpus, float *vector)
{
    const float *centre = corpus->centres[next_random(&corpus->random) % CENTRES];
    double sum = 0;
    for (size_t i = 0; i < DIMS; i++) {
        vector[i] = centre[i] * .6f + gauss(&corpus->random);
        sum += (double)vector[i] * (double)vector[i];
    }
    for (size_t i = 0; i < DIMS; i++)
        vector[i] /= (float)sqrt(sum);
}

static size_t
make_terms(struct corpus *corpus, uint32_t row, uint8_t *out)
{
    uint64_t terms[WORDS_OWN];
    uint8_t places[WORDS_OWN], words = corpus->own ? WORDS_OWN : WORDS;
    size_t distinct = 0, n = 3;
    for (uint8_t i = 0; i < words; i++) {
        uint64_t term = term_of(i < WORDS ? zipf(corpus) : VOCABULARY + (i == WORDS ? 0 : 1 + row));
        size_t at = i;
        for (; at > 0 && terms[at - 1] > term; at--) {
            terms[at] = terms[at - 1];
            places[at] = places[at - 1];
        }
        terms[at] = term;
        places[at] = i;
    }
    for (size_t i = 0, j; i < words; i = j, distinct++) {
        for (int shift = 40; shift >= 0; shift -= 8)
            out[n++] = (uint8_t)(terms[i] >> shift);
        for (j = i; j < words && terms[j] == terms[i]; j++)
            continue;
        out[n++] = (uint8_t)(j - i);
        for (size_t p = i; p < j; p++)
            out[n++] = (uint8_t)(p == i ? places[p] : places[p] - places[p - 1]);
    }
    out[0] = 1, out[1] = words, out[2] = (uint8_t)distinct;
    return n;
}

struct asked {
    struct query query;
    struct query_term terms[TERMS_MAX];
    struct query_ref refs[TERMS_MAX];
    struct query_need needs[TERMS_MAX];
    struct query_group group;
};

enum words { WORDS_ZIPF, WORDS_COMMON, WORDS_RANKED };

static void
ask(struct corpus *corpus, struct asked *a, uint16_t count, enum words words)
{
    memset(a, 0, sizeof(*a));
    for (uint16_t i = 0; i < count; i++) {
        uint32_t word = words == WORDS_ZIPF     ? zipf(corpus)
                        : words == WORDS_COMMON ? (uint32_t)(next_random(&corpus->random) % 40)
                                                : i;
        a->terms[i] = (struct query_term){ term_of(word), 1, i };
        a->refs[i].term = i;
        a->needs[i] = (struct query_need){ QUERY_ANY, i, 1, QUERY_NONE };
    }
    a->group.needs = count;
    a->query =
        (struct query){ a->terms, a->refs, a->needs, &a->group, count, count, count, 1, false };
}

static struct collection_hit hits[COLLECTION_HITS_MAX];

static size_t
search(const struct collection *c, struct collection_search *search)
{
    AUTO(free) struct collection_legs *legs = calloc(1, sizeof(*legs));
    struct collection_stats stats = { 0 };
    struct collection_ranking ranking = { search->mode, search->k, .6, false, 0 };
    struct err err = { 0 };

    if (search->query && collection_count_terms(c, search->query, &stats, &err) != RC_OK)
        abort();
    search->stats = search->query ? &stats : NULL;
    if (!legs || collection_find(c, search, legs, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(EXIT_NO);
    }
    search->stats = NULL;
    collection_stats_fini(&stats);
    return collection_rank(&ranking, hits, collection_union(search->mode, search->k, legs, hits));
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void
measure(struct corpus *corpus, const struct collection *c, const char *what,
        enum collection_mode mode, uint16_t count, enum words words, const char *tag)
{
    static double took[200];
    static struct asked a;
    float vector[DIMS];
    size_t rounds = count > 100 ? 20 : 200;

    for (size_t i = 0; i < rounds; i++) {
        struct collection_search s = { .mode = mode, .k = 5, .filter.now_ms = 1 };
        if (count > 0) {
            ask(corpus, &a, count, words);
            s.query = &a.query;
        }
        make_vector(corpus, vector);
        if (mode != COLLECTION_TEXT)
            s.vector = vector;
        if (tag) {
            s.filter.tags = &tag;
            s.filter.tag_count = 1;
        }
        took[i] = seconds(CLOCK_THREAD_CPUTIME_ID);
        (void)search(c, &s);
        took[i] = (seconds(CLOCK_THREAD_CPUTIME_ID) - took[i]) * 1e3;
    }
    qsort(took, rounds, sizeof(*took), compare);
    printf("search index, %zu rows, %s\t%.3f\tms\tp99 %.3f\n", collection_rows(c), what,
           took[rounds / 2], took[rounds * 99 / 100]);
}

/* Recall of k + margin by int8 against the first ten by float. */
static void
measure_recall(struct corpus *corpus, const struct collection *c, const float *vectors, size_t rows)
{
    enum { QUERIES = 100 };
    static const size_t MARGINS[] = { 0, 4, 8, 16 };
    size_t found[ARRAY_LEN(MARGINS)] = { 0 };

    for (size_t q = 0; q < QUERIES; q++) {
        float vector[DIMS];
        double best[10];
        uint32_t ids[10];
        size_t n = 0;
        make_vector(corpus, vector);
        for (uint32_t r = 0; r < rows; r++) {
            double dot = 0;
            for (size_t i = 0; i < DIMS; i++)
                dot += (double)(vector[i] * vectors[r * DIMS + i]);
            if (n == 10 && dot <= best[9])
                continue;
            size_t at = n < 10 ? n++ : 9;
            for (; at > 0 && best[at - 1] < dot; at--) {
                best[at] = best[at - 1];
                ids[at] = ids[at - 1];
            }
            best[at] = dot;
            ids[at] = r;
        }
        struct collection_search s = { .mode = COLLECTION_VECTOR, .k = 26, .vector = vector };
        size_t have = search(c, &s);
        for (size_t m = 0; m < ARRAY_LEN(MARGINS); m++)
            for (size_t i = 0; i < n; i++)
                for (size_t h = 0; h < have && h < 10 + MARGINS[m]; h++)
                    found[m] += memcmp(hits[h].id, &ids[i], sizeof(ids[i])) == 0;
    }
    for (size_t m = 0; m < ARRAY_LEN(MARGINS); m++)
        printf("search index, %zu rows, recall@10 of int8 with %zu more\t%.4f\t\tfloat\n", rows,
               MARGINS[m], (double)found[m] / (10 * QUERIES));
}

#define BATCH 256

struct made {
    float vector[DIMS];
    uint8_t terms[512];
    size_t terms_len;
    char scope[16];
};

static void
put(struct collection *c, uint32_t i, const struct made *made)
{
    const char *tags[] = { i % 100 ? "usual" : "rare" };
    const uint32_t id[4] = { i, 0, i * 77, i * 2654435761u };
    struct collection_row row = {
        .id = (const uint8_t *)id,
        .created_ns = i,
        .scope = made->scope,
        .source = "unknown",
        .tags = tags,
        .tag_count = 1,
        .vector = made->vector,
        .terms = made->terms,
        .terms_len = made->terms_len,
    };
    if (collection_put(c, &row, NULL) != RC_OK)
        abort();
}

/* Megabytes that this process has written and shares with nobody, and the system still keeps. */
static double
written(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    double kib = 0;

    (void)malloc_trim(0);
    while (f && fgets(line, sizeof(line), f))
        (void)sscanf(line, "Private_Dirty: %lf", &kib);
    if (f)
        fclose(f);
    return kib * 1024 / 1e6;
}

static void
run(struct corpus *corpus, size_t rows)
{
    AUTO(collection) struct collection *c = NULL;
    AUTO(free)
    float *vectors = rows <= 100000 && !corpus->own ? malloc(rows * DIMS * sizeof(float)) : NULL;
    double load = 0, before_load = written();

    if (collection_new(DIMS, &c, NULL) != RC_OK)
        abort();
    for (uint32_t from = 0; from < rows; from += BATCH) {
        static struct made made[BATCH];
        double before;
        for (uint32_t i = 0; i < BATCH; i++) {
            make_vector(corpus, made[i].vector);
            made[i].terms_len = make_terms(corpus, from + i, made[i].terms);
            snprintf(made[i].scope, sizeof(made[i].scope), "user:%u", (from + i) % 1000);
            if (vectors && from + i < rows)
                memcpy(vectors + (size_t)(from + i) * DIMS, made[i].vector, sizeof(made[i].vector));
        }
        before = seconds(CLOCK_THREAD_CPUTIME_ID);
        for (uint32_t i = from; i < from + BATCH && i < rows; i++)
            put(c, i, &made[i - from]);
        load += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
    }
    printf("search index, %zu rows, load\t%.3f\ts\tof one processor\n", rows, load);
    printf("search index, %zu rows, memory\t%.0f\tbytes a row\t%.1f MB\n", rows,
           (double)collection_bytes(c) / (double)rows, (double)collection_bytes(c) / 1e6);
    if (corpus->own)
        printf("search index, %zu rows, written\t%.1f\tMB\n", rows, written() - before_load);
    measure(corpus, c, "vector", COLLECTION_VECTOR, 0, WORDS_ZIPF, NULL);
    measure(corpus, c, "text, 3 words", COLLECTION_TEXT, 3, WORDS_ZIPF, NULL);
    measure(corpus, c, "text, 3 very common words", COLLECTION_TEXT, 3, WORDS_COMMON, NULL);
    measure(corpus, c, "hybrid, 6 words", COLLECTION_HYBRID, 6, WORDS_ZIPF, NULL);
    measure(corpus, c, "hybrid, 6 very common words", COLLECTION_HYBRID, 6, WORDS_COMMON, NULL);
    measure(corpus, c, "hybrid, 6 words, a tag of 1 %", COLLECTION_HYBRID, 6, WORDS_ZIPF, "rare");
    measure(corpus, c, "hybrid, 6 words, a tag of 99 %", COLLECTION_HYBRID, 6, WORDS_ZIPF, "usual");
    measure(corpus, c, "hybrid, 256 common words", COLLECTION_HYBRID, 256, WORDS_RANKED, NULL);
    measure(corpus, c, "hybrid, 4096 words", COLLECTION_HYBRID, 4096, WORDS_RANKED, NULL);
    measure(corpus, c, "text, 4096 words", COLLECTION_TEXT, 4096, WORDS_RANKED, NULL);
    if (vectors)
        measure_recall(corpus, c, vectors, rows);
}

int
main(int argc, char **argv)
{
    static struct corpus corpus = { .random = 88172645463325252u, .vocabulary = VOCABULARY };
    double sum = 0;
    int first = 1;

    if (argc > 1 && strcmp(argv[1], "own") == 0) {
        corpus.own = true;
        corpus.vocabulary = OWN;
        first++;
    }

    for (size_t i = 0; i < VOCABULARY; i++)
        corpus.cdf[i] = sum += 1 / (double)(i + 1);
    for (size_t i = 0; i < CENTRES; i++)
        for (size_t j = 0; j < DIMS; j++)
            corpus.centres[i][j] = gauss(&corpus.random);
    for (int i = first; i < argc; i++)
        run(&corpus, strtoul(argv[i], NULL, 10));
    for (size_t rows = 10000; argc <= first && rows <= 1000000; rows *= 10)
        run(&corpus, rows);
    return EXIT_OK;
}
