/* SPDX-License-Identifier: MIT */
#include "recipe/recipe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "recipe/fill.h"

#define SHAPE "manifest.schema.json"

/* --- one manifest ---------------------------------------------------------------------------------------- */

static enum rc
read_secrets(const cJSON *doc, struct recipe *recipe, struct err *err)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, json_member(doc, "secrets")) {
        const cJSON *oauth = json_member(member, "oauth2");
        const char *grant = json_string(oauth, "grant");
        struct recipe_secret *secret = &recipe->secrets[recipe->n_secrets];

        if (recipe->n_secrets++ == RECIPE_SECRETS_MAX)
            return err_set(err, RC_CONFIG, "secrets: more than %d", RECIPE_SECRETS_MAX);
        *secret = (struct recipe_secret){
            .member = member->string,
            .name = json_string(member, "name"),
            .token_url = json_string(oauth, "token_url"),
            .scope = json_string(oauth, "scope"),
            .grant = !grant                                ? GRANT_NONE
                     : strcmp(grant, "refresh_token") == 0 ? GRANT_REFRESH_TOKEN
                                                           : GRANT_CLIENT_CREDENTIALS,
        };
    }
    return RC_OK;
}

static enum rc
read_hosts(const cJSON *doc, struct recipe *recipe, struct err *err)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, json_member(doc, "hosts")) {
        if (recipe->n_hosts == RECIPE_HOSTS_MAX || !guard_host_valid(item->valuestring))
            return err_set(err, RC_CONFIG, "hosts: '%.80s' is not a host, or there are too many",
                           item->valuestring);
        recipe->hosts[recipe->n_hosts++] = item->valuestring;
    }
    return RC_OK;
}

static void
read_limits(const cJSON *doc, struct recipe_limits *out)
{
    const cJSON *limits = json_member(doc, "limits");

    *out = (struct recipe_limits){
        .connect_ms = (uint32_t)json_int(limits, "connect_ms", 10000),
        .head_ms = (uint32_t)json_int(limits, "head_ms", 30000),
        .total_ms = (uint32_t)json_int(limits, "total_ms", 60000),
        .answer_bytes = (size_t)json_int(limits, "answer_bytes", 262144),
        .redirects = (unsigned)json_int(limits, "redirects", 0),
        .attempts = (unsigned)json_int(limits, "attempts", 3),
    };
    out->total_max_ms = (uint32_t)json_int(limits, "total_max_ms", 300000);
    if (out->total_max_ms < out->total_ms)
        out->total_max_ms = out->total_ms;
}

struct checking {
    const struct recipe *recipe;
    char wrong[80];
};

/* A placeholder names what there is to be named. */
static bool
check_placeholder(void *arg, const char *pointer, size_t len)
{
    static const char *const ROOTS[] = { "/params", "/id", "/message", "/item" };
    struct checking *checking = arg;
    char text[80];

    (void)snprintf(text, sizeof(text), "%.*s", (int)len, pointer);
    for (size_t i = 0; i < ARRAY_LEN(ROOTS); i++) {
        size_t n = strlen(ROOTS[i]);

        if (strncmp(text, ROOTS[i], n) == 0 && (text[n] == '\0' || text[n] == '/'))
            return true;
    }
    for (size_t i = 0; i < checking->recipe->n_secrets; i++)
        if (strncmp(text, "/secrets/", 9) == 0 &&
            strcmp(text + 9, checking->recipe->secrets[i].member) == 0)
            return true;
    memcpy(checking->wrong, text, sizeof(text));
    return false;
}

static enum rc
check_request(const struct recipe *recipe, struct err *err)
{
    struct checking checking = { .recipe = recipe };
    const cJSON *headers = json_member(recipe->request, "headers");
    const cJSON *member;

    if (!fill_each(recipe->request, check_placeholder, &checking))
        return err_set(err, RC_CONFIG, "request: {%s} is not defined", checking.wrong);
    if (cJSON_GetArraySize(headers) > RECIPE_HEADERS_MAX - 3)
        return err_set(err, RC_CONFIG, "request.headers: more than %d", RECIPE_HEADERS_MAX - 3);
    cJSON_ArrayForEach (member, headers) {
        if (!cJSON_IsString(member) || !member->string[0] ||
            member->string[strspn(member->string, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                  "abcdefghijklmnopqrstuvwxyz0123456789-")])
            return err_set(err, RC_CONFIG, "request.headers: '%.60s' is not a header name",
                           member->string);
    }
    for (size_t i = 0; i < recipe->n_secrets; i++)
        if (recipe->secrets[i].grant != GRANT_NONE && !recipe->secrets[i].token_url)
            return err_set(err, RC_CONFIG, "secrets.%s.oauth2.token_url is missing",
                           recipe->secrets[i].member);
    return RC_OK;
}

static enum rc
read_manifest(const struct schema *shape, const char *name, struct recipe *recipe, struct err *err)
{
    struct field_errors errors = { 0 };
    const cJSON *doc = recipe->doc;
    const char *own = json_string(doc, "name");
    enum rc rc;

    if (schema_check(shape, doc, &errors) != RC_OK)
        return err_set(err, RC_CONFIG, "manifest: %s: %s", errors.items[0].field,
                       errors.items[0].detail);
    if (!own || !folder_name_valid(own) || strcmp(own, name) != 0)
        return err_set(err, RC_CONFIG, "manifest: name must be that of its folder, \"%s\"", name);
    (void)snprintf(recipe->name, sizeof(recipe->name), "%s", name);
    recipe->description = json_string(doc, "description");
    recipe->summary = json_string(doc, "summary");
    recipe->params_definition = json_member(doc, "params");
    recipe->request = json_member(doc, "request");
    recipe->success = json_member(doc, "success");
    recipe->result = json_member(doc, "result");
    recipe->risk = json_member(doc, "risk");
    recipe->hints = json_member(doc, "hints");
    recipe->key_header = json_string(json_member(doc, "idempotency"), "header");
    read_limits(doc, &recipe->limits);
    if ((rc = read_secrets(doc, recipe, err)) != RC_OK ||
        (rc = read_hosts(doc, recipe, err)) != RC_OK || (rc = check_request(recipe, err)) != RC_OK)
        return rc;
    if (schema_compile(recipe->params_definition, &recipe->params, err) != RC_OK) {
        (void)err_wrap(err, "params");
        return err->rc = RC_CONFIG;
    }
    return RC_OK;
}

/* --- all of them ----------------------------------------------------------------------------------------- */

struct loading {
    struct recipes *recipes;
    const struct schema *shape;
    const char *service;
};

static enum rc
load_folder(void *arg, int folder, const char *name, struct err *err)
{
    struct loading *loading = arg;
    struct recipes *recipes = loading->recipes;
    struct recipe *recipe = &recipes->items[recipes->count];
    char file[64];
    enum rc rc;

    if (recipes->count == RECIPES_MAX)
        return err_set(err, RC_CONFIG, "more than %d folders", RECIPES_MAX);
    (void)snprintf(file, sizeof(file), "manifest.%s.json", loading->service);
    if (faccessat(folder, file, F_OK, 0) != 0)
        (void)snprintf(file, sizeof(file), "manifest.json");
    if ((rc = folder_read_json(folder, file, &recipe->doc, err)) != RC_OK)
        return err_wrap(err, "%s", name);
    recipes->count++; /* also on failure: recipes_fini() releases what was made */
    rc = read_manifest(loading->shape, name, recipe, err);
    return rc == RC_OK ? rc : err_wrap(err, "%s", name);
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct recipe *)a)->name, ((const struct recipe *)b)->name);
}

static enum rc
load_shape(const char *dir, struct schema **shape, struct err *err)
{
    AUTO(json) cJSON *definition = NULL;
    AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_set(err, RC_CONFIG, "%s cannot be opened", dir);
    if (folder_read_json(fd, SHAPE, &definition, err) != RC_OK ||
        schema_compile(definition, shape, err) != RC_OK)
        return err_wrap(err, "%s", dir);
    return RC_OK;
}

enum rc
recipes_load(const char *dir, const char *service, struct recipes *out, struct err *err)
{
    AUTO(recipes) struct recipes recipes = { 0 };
    AUTO(schema) struct schema *shape = NULL;
    struct loading loading = { .recipes = &recipes, .service = service };
    enum rc rc;

    if ((rc = load_shape(dir, &shape, err)) != RC_OK)
        return rc;
    loading.shape = shape;
    recipes.items = calloc(RECIPES_MAX, sizeof(*recipes.items));
    if (!recipes.items)
        return err_set(err, RC_TEMP, "no memory");
    if ((rc = folder_each(dir, load_folder, &loading, err)) != RC_OK)
        return rc;
    if (recipes.count == 0)
        return err_set(err, RC_CONFIG, "%s: no folder with a manifest.json", dir);
    qsort(recipes.items, recipes.count, sizeof(*recipes.items), compare);
    *out = recipes;
    recipes = (struct recipes){ 0 };
    return RC_OK;
}

void
recipes_fini(struct recipes *recipes)
{
    for (size_t i = 0; i < recipes->count; i++) {
        schema_free(recipes->items[i].params);
        json_cleanup(&recipes->items[i].doc);
    }
    free(recipes->items);
    *recipes = (struct recipes){ 0 };
}

const struct recipe *
recipes_find(const struct recipes *recipes, const char *name)
{
    for (size_t i = 0; name && i < recipes->count; i++)
        if (strcmp(recipes->items[i].name, name) == 0)
            return &recipes->items[i];
    return NULL;
}

enum rc
recipe_check(const struct recipe *recipe, cJSON *params, struct field_errors *errors)
{
    schema_drop_nulls(recipe->params, params);
    return schema_check(recipe->params, params, errors);
}

bool
recipe_grants(const struct recipe *recipe)
{
    for (size_t i = 0; i < recipe->n_secrets; i++)
        if (recipe->secrets[i].grant != GRANT_NONE)
            return true;
    return false;
}

bool
recipe_host(const struct recipe *recipe, const char *host, unsigned port)
{
    for (size_t i = 0; i < recipe->n_hosts; i++)
        if (guard_host_matches(recipe->hosts[i], host, port) ||
            strcmp(recipe->hosts[i], "*") == 0) /* of any port: the workspace's list decides */
            return true;
    return false;
}
