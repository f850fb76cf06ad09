-- Statements of gantry-audit.

-- name: deployment
-- out:  1 row: the deployment's id
SELECT id FROM deployment;

-- name: lock
-- One sequencer at a time, over all replicas; released with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('gantry.audit_log', 0));

-- name: head
-- out:  1 row: tree size and note of the last checkpoint (NULL: none), number of leaves, last time
SELECT tree_size, note, leaves, recorded_ms FROM audit_head();

-- name: continue
-- in:   1 size and 2 note of the last checkpoint, 3 recording time of what follows, in milliseconds
-- An error (RC_NOTFOUND) if the log does not end there (after "lock").
SELECT audit_continue($1::bigint, $2::text, $3::bigint);

-- name: known
-- in:   1 text[] workspaces, 2 uuid[] event ids, 3 text[] kinds
-- out:  for those in the log: position from 1, leaf index, leaf hash as hexadecimal digits
SELECT n, leaf_index, encode(leaf_hash, 'hex') FROM audit_known($1, $2, $3);

-- name: leaves
-- in:   1 first leaf index, 2 all leaf hashes in one piece, 3 all events in one piece,
--       4 int[] lengths of the events, 5 kinds, 6 workspaces, 7 event ids, 8 times,
--       9 recording time, 10 actors, 11 actions, 12 statuses, 13 int[] starts
INSERT INTO audit_log (leaf_index, leaf_hash, event, kind, workspace, event_id, time, recorded_at,
                       actor, action, status)
SELECT $1::bigint + q.n - 1, substring($2::bytea FROM q.n::int * 32 - 31 FOR 32),
       substring($3::bytea FROM q.start + 1 FOR q.len), q.kind, q.workspace, q.event_id,
       q.time, $9::timestamptz, q.actor, q.action, q.status
  FROM unnest($4::int[], $13::int[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[],
              $10::text[], $11::text[], $12::text[])
       WITH ORDINALITY AS q(len, start, kind, workspace, event_id, time, actor, action, status, n);

-- name: tiles
-- in:   1 smallint[] levels, 2 bigint[] indexes, 3 all hashes in one piece, 4 all roots in one
INSERT INTO audit_tile (level, tile_index, hashes, root)
SELECT q.level, q.tile_index, substring($3::bytea FROM q.n::int * 8192 - 8191 FOR 8192),
       substring($4::bytea FROM q.n::int * 32 - 31 FOR 32)
  FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS q(level, tile_index, n);

-- name: checkpoint
-- in:   1 tree size, 2 root, 3 signed note
INSERT INTO audit_checkpoint (tree_size, root_hash, note) VALUES ($1::bigint, $2::bytea, $3::text);

-- name: announce
-- in:   1 workspaces, 2 event ids, 3 times, 4 programs, 5 sealed events
SELECT audit_announce($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::bytea[]);

-- name: ended
-- in:   1 workspaces, 2 event ids
SELECT audit_ended($1::text[], $2::uuid[]);

-- name: overdue
-- in:   1 milliseconds, 2 at most
-- out:  announcements from before that time, the oldest first: workspace, event id, milliseconds,
--       program, sealed event
SELECT workspace, event_id, announced_ms, program, sealed
  FROM audit_overdue(to_timestamp($1::bigint / 1000.0), $2::int);

-- name: unknown
-- in:   1 workspaces, 2 event ids
-- out:  for those that are in the log as unknown: position from 1, leaf index
SELECT n, leaf_index FROM audit_unknown($1::text[], $2::uuid[]);

-- name: tile_hashes
-- in:   1 smallint[] levels, 2 bigint[] indexes
-- out:  position from 1, hashes as hexadecimal digits (NULL: none there)
SELECT n, encode(hashes, 'hex') FROM audit_tile_hashes($1, $2) ORDER BY n;

-- name: last_before
-- in:   1 milliseconds
-- out:  0 or 1 row: leaf index, event
SELECT leaf_index, event FROM audit_last_before(to_timestamp($1::bigint / 1000.0));

-- name: prune_bound
-- out:  1 row: the bound of the newest prune leaf and its time, NULL when there is none
SELECT up_to, (extract(epoch FROM before) * 1000)::bigint FROM audit_prune_bound();

-- name: list
-- in:   1 only below this leaf index, 2 action, 3 status, 4 actor, 5 from and 6 to in milliseconds,
--       7 at most; the filters may be NULL
-- out:  leaf index, leaf hash, event; newest first; this workspace only (policy)
SELECT leaf_index, encode(leaf_hash, 'hex'), convert_from(event, 'UTF8')
  FROM audit_log
 WHERE workspace = current_setting('gantry.workspace')
   AND leaf_index < $1::bigint
   AND ($2::text IS NULL OR action = $2)
   AND ($3::text IS NULL OR status = $3)
   AND ($4::text IS NULL OR actor = $4)
   AND ($5::bigint IS NULL OR time >= to_timestamp($5 / 1000.0))
   AND ($6::bigint IS NULL OR time < to_timestamp($6 / 1000.0))
 ORDER BY leaf_index DESC
 LIMIT $7::bigint;

-- name: event
-- in:   1 event id
-- out:  as audit_list; what a client appended before the request that appended it
SELECT leaf_index, encode(leaf_hash, 'hex'), convert_from(event, 'UTF8')
  FROM audit_log
 WHERE workspace = current_setting('gantry.workspace') AND event_id = $1::uuid
 ORDER BY kind
 LIMIT 1;
