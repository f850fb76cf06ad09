-- Statements of `gantry audit`, run as the owner. Nothing of what they say is believed unproved.

-- name: deployment
SELECT id FROM deployment;

-- name: head
-- out:  1 row: number of leaves, note of the last checkpoint (NULL: none)
SELECT leaves, note FROM audit_head();

-- name: leaves
-- in:   1 from this leaf index on, 2 below this one, 3 at most
-- out:  leaf index, leaf hash, event, kind, workspace, event id, time and recording time in
--       milliseconds, actor, action, status
SELECT leaf_index, encode(leaf_hash, 'hex'), event, kind, workspace, event_id,
       (extract(epoch FROM time) * 1000)::bigint, (extract(epoch FROM recorded_at) * 1000)::bigint,
       actor, action, status
  FROM audit_log WHERE leaf_index >= $1::bigint AND leaf_index < $2::bigint
 ORDER BY leaf_index LIMIT $3::bigint;

-- name: hashes
-- in:   1 from this leaf index on, 2 below this one, 3 at most
-- out:  leaf index, leaf hash
SELECT leaf_index, encode(leaf_hash, 'hex')
  FROM audit_log WHERE leaf_index >= $1::bigint AND leaf_index < $2::bigint
 ORDER BY leaf_index LIMIT $3::bigint;

-- name: checkpoints
-- in:   1 above this size, 2 at most
-- out:  size, note, root
SELECT tree_size, note, encode(root_hash, 'hex') FROM audit_checkpoint WHERE tree_size > $1::bigint
 ORDER BY tree_size LIMIT $2::bigint;

-- name: tile
-- in:   1 level, 2 index
-- out:  0 or 1 row: hashes, root of the full tile
SELECT encode(hashes, 'hex'), encode(root, 'hex') FROM audit_tile
 WHERE level = $1::smallint AND tile_index = $2::bigint;

-- name: extra_tile
-- out:  0 or 1 row: level, index of a full tile that the log has too few leaves for
SELECT t.level, t.tile_index FROM audit_tile t, audit_head() h
 WHERE t.level > 6 OR t.tile_index >= h.leaves >> (8 * (t.level + 1))
 ORDER BY t.level, t.tile_index LIMIT 1;

-- name: tiles
-- in:   1 from this tile on, 2 at most
-- out:  index of the full tile of leaf hashes, its hashes
SELECT tile_index, encode(hashes, 'hex') FROM audit_tile
 WHERE level = 0 AND tile_index >= $1::bigint ORDER BY tile_index LIMIT $2::bigint;
