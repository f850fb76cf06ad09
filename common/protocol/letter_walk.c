/* SPDX-License-Identifier: MIT */
#include "protocol/letter_walk.h"

#include <stdio.h>
#include <string.h>

#define QUESTION_MAX 1024 /* bytes */

static void
write_filter(const struct letter_walk *walk, char out[SUBJECT_MAX])
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "%s.dead.%s",
                   walk->workspace[0] ? walk->workspace : "*",
                   walk->program[0] ? walk->program : "*");
}

enum rc
letter_walk_next(const struct letter_walk *walk, struct buf *body)
{
    char filter[SUBJECT_MAX] = ">";
    struct json_writer w;
    if (!walk->all)
        write_filter(walk, filter);
    buf_init(body, QUESTION_MAX);
    json_begin(&w, body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", walk->seq);
    json_put_string(&w, "next_by_subj", filter);
    json_close(&w);
    return json_end(&w);
}

bool
letter_walk_is_ours(const struct letter_walk *walk, const struct letter *letter)
{
    char workspace[LETTER_NAME_MAX], program[LETTER_NAME_MAX];
    letter_place(letter, workspace, program);
    return (!walk->workspace[0] || strcmp(workspace, walk->workspace) == 0) &&
           (!walk->program[0] || strcmp(program, walk->program) == 0);
}

enum rc
letter_walk_count(const struct letter_walk *walk, struct buf *body)
{
    char filter[SUBJECT_MAX];
    struct json_writer w;
    write_filter(walk, filter);
    buf_init(body, QUESTION_MAX);
    json_begin(&w, body);
    json_object(&w, NULL);
    json_put_string(&w, "subjects_filter", filter);
    json_close(&w);
    return json_end(&w);
}

bool
letter_walk_again(struct letter_walk *walk, const cJSON *info)
{
    const cJSON *one;
    int64_t counted = 0;
    cJSON_ArrayForEach (one, json_member(json_member(info, "state"), "subjects"))
        counted += cJSON_IsNumber(one) ? (int64_t)one->valuedouble : 0;
    if (walk->all || counted <= walk->found)
        return false;
    walk->all = true;
    walk->seq = 1;
    walk->found = 0;
    return true;
}
