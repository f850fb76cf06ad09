/* SPDX-License-Identifier: MIT */
/*
 * audit_export - the log as JSON lines with an inclusion proof for every leaf (audit_source.h).
 *
 * All proofs are for the last stored checkpoint, which is checked with the key first and stands in
 * the first line. The hashes of all nodes are held in memory: 64 bytes a leaf.
 */
#ifndef GANTRY_CLI_AUDIT_EXPORT_H
#define GANTRY_CLI_AUDIT_EXPORT_H

#include <stdio.h>

#include "audit_source.h"
#include "crypto/note.h"

struct audit_export {
    const struct note_key *key;
    FILE *out;
    void (*progress)(void *arg, uint64_t leaves);
    void *arg;
};

enum rc audit_export(const struct audit_export *export, struct audit_source *source,
                     uint64_t *leaves, struct err *err);

#endif
