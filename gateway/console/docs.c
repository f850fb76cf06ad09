/* SPDX-License-Identifier: MIT */
/*
 * GET /docs: the OpenAPI document as a page, made once at the start. No script; its style is a file
 * of the console.
 */
#include <string.h>

#include "base/cleanup.h"
#include "console/console.h"
#include "json/json.h"

#define DEPTH_MAX 6 /* of objects shown within objects */

static const cJSON *
at(const cJSON *doc, const char *one, const char *two)
{
    return json_member(json_member(doc, one), two);
}

static void
put_text(struct buf *out, const char *text)
{
    for (; text && *text; text++)
        switch (*text) {
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        case '"':
            buf_puts(out, "&quot;");
            break;
        default:
            buf_putc(out, *text);
        }
}

/* Markup around a text; nothing for none. */
static void
put(struct buf *out, const char *before, const char *text, const char *after)
{
    if (!text || !*text)
        return;
    buf_puts(out, before);
    put_text(out, text);
    buf_puts(out, after);
}

/* --- what a value may be ---------------------------------------------------------------------- */

static const char *
ref_name(const cJSON *schema)
{
    const char *ref = json_string(schema, "$ref");
    const char *slash = ref ? strrchr(ref, '/') : NULL;
    return slash ? slash + 1 : NULL;
}

static void
put_value(struct buf *out, const cJSON *value)
{
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 4096);
    if (json_canonical(value, NULL, &text) == RC_OK)
        put(out, "<code>", buf_text(&text), "</code>");
}

static void
put_types(struct buf *out, const cJSON *type)
{
    const cJSON *one;
    const char *between = "";
    if (cJSON_IsString(type))
        put_text(out, type->valuestring);
    cJSON_ArrayForEach (one, type) {
        put(out, between, one->valuestring, "");
        between = " or ";
    }
}

static void
put_bound(struct buf *out, const cJSON *schema, const char *name, const char *words)
{
    const cJSON *bound = json_member(schema, name);
    if (!bound)
        return;
    buf_puts(out, words);
    if (strcmp(name, "format") == 0)
        put_text(out, bound->valuestring);
    else
        put_value(out, bound);
}

/* "integer, from 1, to 50, default 5": one line. Recursion: as deep as lists in our schemas. */
static void
put_kind(struct buf *out, const cJSON *schema)
{
    static const char *const BOUNDS[][2] = {
        { "format", ", " },
        { "minimum", ", from " },
        { "maximum", ", to " },
        { "maxLength", ", length to " },
        { "minItems", ", items from " },
        { "maxItems", ", items to " },
        { "default", ", default " },
    };
    const char *name = ref_name(schema);
    const cJSON *one;
    const char *between = ": ";
    if (name) {
        put(out, "<a href=\"#schema-", name, "\">");
        put(out, "", name, "</a>");
        return;
    }
    put_types(out, json_member(schema, "type"));
    if (json_member(schema, "items")) {
        buf_puts(out, " of ");
        put_kind(out, json_member(schema, "items"));
    }
    for (size_t i = 0; i < ARRAY_LEN(BOUNDS); i++)
        put_bound(out, schema, BOUNDS[i][0], BOUNDS[i][1]);
    cJSON_ArrayForEach (one, json_member(schema, "enum")) {
        buf_puts(out, between);
        put_value(out, one);
        between = ", ";
    }
}

/* The members of an object as a table, with those of objects in it. Recursion: DEPTH_MAX. */
static void
put_members(struct buf *out, const cJSON *schema, unsigned depth)
{
    const cJSON *member;
    const cJSON *properties = json_member(schema, "properties");
    if (!properties || !properties->child || depth == DEPTH_MAX)
        return;
    buf_puts(out, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Member</th>"
                  "<th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>");
    cJSON_ArrayForEach (member, properties) {
        const cJSON *items = json_member(member, "items");
        put(out, "<tr><th scope=\"row\"><code>", member->string, "</code>");
        if (json_has_text(json_member(schema, "required"), member->string))
            buf_puts(out, " <span class=\"must\">required</span>");
        buf_puts(out, "</th><td>");
        put_kind(out, member);
        buf_puts(out, "</td><td>");
        put_text(out, json_string(member, "description"));
        put_members(out, member, depth + 1);
        put_members(out, items, depth + 1);
        buf_puts(out, "</td></tr>");
    }
    buf_puts(out, "</tbody></table></div>");
}

/* --- operations ------------------------------------------------------------------------------- */

static const cJSON *
resolve(const cJSON *doc, const cJSON *node, const char *kind)
{
    const char *name = ref_name(node);
    return name ? json_member(at(doc, "components", kind), name) : node;
}

static void
put_parameters(struct buf *out, const cJSON *doc, const cJSON *operation)
{
    const cJSON *one;
    const cJSON *all = json_member(operation, "parameters");
    if (!all || !all->child)
        return;
    buf_puts(out,
             "<h4>Parameters</h4><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Name"
             "</th><th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>");
    cJSON_ArrayForEach (one, all) {
        const cJSON *param = resolve(doc, one, "parameters");
        put(out, "<tr><th scope=\"row\"><code>", json_string(param, "name"), "</code>");
        put(out, " <span class=\"in\">", json_string(param, "in"), "</span>");
        if (json_bool(param, "required", false))
            buf_puts(out, " <span class=\"must\">required</span>");
        buf_puts(out, "</th><td>");
        put_kind(out, json_member(param, "schema"));
        put(out, "</td><td>", json_string(param, "description"), "");
        buf_puts(out, "</td></tr>");
    }
    buf_puts(out, "</tbody></table></div>");
}

/* Statuses whose answer is a problem document. */
static void
put_problems(struct buf *out, const cJSON *responses)
{
    const cJSON *one;
    const char *before = "<li><code>";
    cJSON_ArrayForEach (one, responses) {
        if (!ref_name(one) || strcmp(one->string, "default") == 0)
            continue;
        put(out, before, one->string, "</code>");
        before = ", <code>";
    }
    buf_puts(out, before[0] == '<' ? "<li>All else: " : " and all else: ");
    buf_puts(out, "<a href=\"#schema-Problem\">Problem</a> <span class=\"in\">"
                  "application/problem+json</span></li>");
}

static void
put_answers(struct buf *out, const cJSON *operation)
{
    const cJSON *one;
    const cJSON *responses = json_member(operation, "responses");
    buf_puts(out, "<h4>Answers</h4><ul>");
    cJSON_ArrayForEach (one, responses) {
        const cJSON *content = json_member(one, "content");
        if (ref_name(one))
            continue;
        put(out, "<li><code>", one->string, "</code> ");
        put_text(out, json_string(one, "description"));
        if (content && content->child) {
            buf_puts(out, ": ");
            put_kind(out, json_member(content->child, "schema"));
            put(out, " <span class=\"in\">", content->child->string, "</span>");
        }
        buf_puts(out, "</li>");
    }
    put_problems(out, responses);
    buf_puts(out, "</ul>");
}

static void
put_operation(struct buf *out, const cJSON *doc, const char *path, const char *method,
              const cJSON *operation)
{
    const cJSON *body = at(operation, "requestBody", "content");
    put(out, "<article id=\"", json_string(operation, "operationId"), "\">");
    put(out, "<h3><span class=\"method\">", method, "</span> ");
    put(out, "<code>", path, "</code></h3>");
    put(out, "<p>", json_string(operation, "summary"), ".</p>");
    if (json_string(operation, "x-scope"))
        put(out, "<p>Scope <code>", json_string(operation, "x-scope"), "</code></p>");
    else
        buf_puts(out, "<p>No key needed</p>");
    put_parameters(out, doc, operation);
    if (body && body->child) {
        buf_puts(out, "<h4>Body</h4>");
        put_members(out, json_member(body->child, "schema"), 0);
    }
    put_answers(out, operation);
    buf_puts(out, "</article>");
}

static bool
has_tag(const cJSON *operation, const char *tag)
{
    const cJSON *one = cJSON_GetArrayItem(json_member(operation, "tags"), 0);
    return one && strcmp(one->valuestring, tag) == 0;
}

/* Each operation of a tag: in the list of contents, or itself. */
static void
put_tag(struct buf *out, const cJSON *doc, const char *tag, bool contents)
{
    const cJSON *path, *operation;
    cJSON_ArrayForEach (path, json_member(doc, "paths"))
        cJSON_ArrayForEach (operation, path) { /* our document has nothing else in a path */
            if (!has_tag(operation, tag))
                continue;
            if (!contents) {
                put_operation(out, doc, path->string, operation->string, operation);
                continue;
            }
            put(out, "<li><a href=\"#", json_string(operation, "operationId"), "\">");
            put(out, "<span class=\"method\">", operation->string, "</span> ");
            put(out, "", path->string, "</a></li>");
        }
}

static void
put_contents(struct buf *out, const cJSON *doc)
{
    const cJSON *tag;
    buf_puts(out, "<nav aria-label=\"Contents\"><ul>");
    cJSON_ArrayForEach (tag, json_member(doc, "tags")) {
        put(out, "<li>", json_string(tag, "name"), "<ul>");
        put_tag(out, doc, json_string(tag, "name"), true);
        buf_puts(out, "</ul></li>");
    }
    buf_puts(out, "<li><a href=\"#schemas\">Schemas</a></li></ul></nav>");
}

static void
put_schemas(struct buf *out, const cJSON *doc)
{
    const cJSON *schema;
    buf_puts(out, "<section><h2 id=\"schemas\">Schemas</h2>");
    cJSON_ArrayForEach (schema, at(doc, "components", "schemas")) {
        put(out, "<article id=\"schema-", schema->string, "\">");
        put(out, "<h3>", schema->string, "</h3>");
        put(out, "<p>", json_string(schema, "description"), "</p>");
        put_members(out, schema, 0);
        buf_puts(out, "</article>");
    }
    buf_puts(out, "</section>");
}

static void
put_page(struct buf *out, const cJSON *doc)
{
    const cJSON *tag;
    const cJSON *info = json_member(doc, "info");
    buf_puts(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                  "<meta name=\"color-scheme\" content=\"light dark\"><title>Gantry: the HTTP "
                  "interface</title><link rel=\"icon\" href=\"/console/icon.svg\">"
                  "<link rel=\"stylesheet\" href=\"/console/docs.css\"></head><body>"
                  "<a class=\"skip\" href=\"#main\">Skip to the routes</a>");
    put(out, "<header><p class=\"brand\">Gantry <span>", json_string(info, "version"),
        "</span></p><p><a href=\"/openapi.json\">openapi.json</a> "
        "<a href=\"/console/\">Console</a></p></header><div class=\"columns\">");
    put_contents(out, doc);
    buf_puts(out, "<main id=\"main\"><h1>The HTTP interface</h1>");
    put(out, "<p>", json_string(info, "summary"), "</p>");
    put(out, "<p>", json_string(info, "description"), "</p>");
    buf_puts(out, "<p>Send the API key as <code>X-API-Key: KEY</code> or <code>Authorization: "
                  "Bearer KEY</code>.</p>");
    cJSON_ArrayForEach (tag, json_member(doc, "tags")) {
        put(out, "<section><h2>", json_string(tag, "description"), "</h2>");
        put_tag(out, doc, json_string(tag, "name"), false);
        buf_puts(out, "</section>");
    }
    put_schemas(out, doc);
    buf_puts(out, "</main></div></body></html>\n");
}

enum rc
docs_write(const struct buf *openapi, struct buf *out, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    enum rc rc = json_read_foreign(buf_text(openapi), openapi->len, &doc, err);
    if (rc != RC_OK)
        return rc;
    put_page(out, doc);
    return buf_failed(out) ? err_set(err, RC_BUG, "the page of the OpenAPI document is too large")
                           : RC_OK;
}
