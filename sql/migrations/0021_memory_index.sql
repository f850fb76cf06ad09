-- takes away
-- Text and vectors are searched in the memory of gantry-search: what PostgreSQL needed for it goes.
-- What is left of the indexes answers gets and lists (the key, memory_newest, memory_scope), keeps a
-- text once in its scope (memory_same) and finds what has expired (memory_expired, memory_expiry).
DROP INDEX memory_words, memory_cells;
ALTER TABLE memory DROP COLUMN words, DROP COLUMN cell;
DROP TABLE memory_cell, memory_training;
DROP SEQUENCE IF EXISTS memory_cell_number;
DROP FUNCTION memory_sweep(integer);
-- No index-only scan asks for a fresh visibility map any more.
ALTER TABLE memory RESET (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor,
    autovacuum_vacuum_cost_delay);

-- The release before went on writing after 0020: what it stored has no terms and no line in the log,
-- what it forgot is not in memory_version. It is gone now, so one more pass finds all of it.
DELETE FROM memory_reindex;
UPDATE memory_version v SET forgotten_ns = f.newest
FROM (SELECT workspace, max(forgotten_ns) AS newest FROM memory_forget GROUP BY workspace) f
WHERE f.workspace = v.workspace AND f.newest > v.forgotten_ns;
