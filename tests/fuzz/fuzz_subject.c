/* SPDX-License-Identifier: MIT */
/*
 * fuzz_subject - a subject that is taken apart is put together again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512], again[SUBJECT_MAX], workspace[WORKSPACE_TEXT_MAX], family[16], id[ID_TEXT_MAX];
    enum command command;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (command_parse(text, workspace, &command) == RC_OK) {
        /* A request event's subject goes on with the name of the program that settled. */
        bool longer = command == CMD_AUDIT_REQUEST;
        command_subject(again, workspace, command);
        if (longer ? strncmp(again, text, strlen(again)) != 0 : strcmp(again, text) != 0)
            abort();
    }
    if (done_parse(text, workspace, family, id) == RC_OK) {
        done_subject(again, workspace, family, id);
        if (strcmp(again, text) != 0)
            abort();
    }
    return 0;
}
