/* SPDX-License-Identifier: MIT */
/*
 * recipe - the folders of connector actions: what is asked of the caller, what is sent, and what of the
 * answer becomes the result. Declared in manifest.json; docs/connectors.md describes it.
 *
 * Shape:   ACTIONS/NAME/manifest.json; of an action that several services offer the one that the operator
 *          chooses: manifest.SERVICE.json
 * Errors:  RC_CONFIG  a manifest is wrong: the text names folder and member
 * Threads: loaded once; then read by any
 */
#ifndef GANTRY_CONNECTOR_RECIPE_RECIPE_H
#define GANTRY_CONNECTOR_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "fetch/outbound.h"
#include "json/json.h"
#include "tasking/folder.h"
#include "validate/schema.h"

#define RECIPES_MAX        64
#define RECIPE_SECRETS_MAX 4
#define RECIPE_HEADERS_MAX 24
#define RECIPE_HOSTS_MAX   16
#define RECIPE_BODY_MAX    (8u << 20) /* bytes of a request's body */

enum recipe_grant { GRANT_NONE, GRANT_REFRESH_TOKEN, GRANT_CLIENT_CREDENTIALS };

/* Values in the manifest's own document. */
struct recipe_secret {
    const char *member; /* /secrets/MEMBER */
    const char *name;   /* under which a workspace keeps it */
    enum recipe_grant grant;
    const char *token_url; /* may hold {/secret/…} */
    const char *scope;     /* NULL = none */
};

struct recipe_limits {
    uint32_t connect_ms, head_ms, total_ms, total_max_ms;
    size_t answer_bytes;
    unsigned redirects, attempts;
};

struct recipe {
    char name[FOLDER_NAME_MAX];
    cJSON *doc; /* owned: the manifest; the rest points into it */
    const char *description, *summary;
    const cJSON *params_definition, *request, *success, *result, *risk, *hints;
    const char
        *key_header; /* where the service takes our command's id, a template; NULL = nowhere */
    struct schema *params; /* owned */
    struct recipe_secret secrets[RECIPE_SECRETS_MAX];
    size_t n_secrets;
    const char *hosts[RECIPE_HOSTS_MAX];
    size_t n_hosts;
    struct recipe_limits limits;
};

struct recipes {
    struct recipe *items; /* owned; sorted by name */
    size_t count;
};

/* service: "google" or "microsoft". On failure *out is untouched. */
enum rc recipes_load(const char *dir, const char *service, struct recipes *out, struct err *err);
void recipes_fini(struct recipes *recipes);
#define recipes_cleanup recipes_fini
const struct recipe *recipes_find(const struct recipes *recipes, const char *name);

/* The parameters of a task: checked against the schema, without "type". */
enum rc recipe_check(const struct recipe *recipe, cJSON *params, struct field_errors *errors);
/* Whether another access token can be had for one of its secrets. */
bool recipe_grants(const struct recipe *recipe);
/* Whether the action itself goes to this host; the workspace's list is another question. */
bool recipe_host(const struct recipe *recipe, const char *host, unsigned port);

/* --- what is sent ---------------------------------------------------------------------------------------- */

/* values: {"params":{…},"secrets":{…},"id":…}. Everything is owned; free it with built_fini(). */
struct built {
    char method[8];
    struct buf url, body;
    char *headers[RECIPE_HEADERS_MAX];
    size_t n_headers;
    bool safe;  /* GET or HEAD: sent again without a second effect */
    bool keyed; /* the service takes our id: sent again, it has one effect */
};
/* RC_INVALID: a parameter does not fit its place; RC_LIMIT: too long. */
enum rc recipe_build(const struct recipe *recipe, cJSON *values, int64_t now_ms, struct built *out,
                     struct err *err);
void built_fini(struct built *built); /* wipes */

/* --- what came back -------------------------------------------------------------------------------------- */

enum recipe_verdict {
    VERDICT_OK,        /* the service says that it is done */
    VERDICT_AGAIN,     /* not done, for certain or by its key: wait, then send it again */
    VERDICT_REFRESH,   /* the access token is not accepted: not done */
    VERDICT_FAILED,    /* the service says no */
    VERDICT_UNKNOWN,   /* it may have been done, and asking again could do it twice */
    VERDICT_CANCELLED, /* stopped before anything was sent */
};
struct recipe_judgement {
    enum recipe_verdict verdict;
    const char *outcome; /* static: "ok", "http_error", "unknown", … */
    uint32_t wait_ms;    /* AGAIN */
};
/* attempt: 1 for the first. */
struct recipe_judgement recipe_judge(const struct recipe *recipe, const struct built *built,
                                     const struct outbound_answer *answer, unsigned attempt);

/* {"http_status":…,"result":…,"message":…,"attempts":…}: answer NULL = none came. secrets: an array of
 * texts that must not be in it (mask.h). */
enum rc recipe_output(const struct recipe *recipe, const struct outbound_answer *answer,
                      const char *message, unsigned attempts, const cJSON *secrets,
                      struct buf *out);
#define RECIPE_OUTPUT_MAX (512u << 10)

#endif
