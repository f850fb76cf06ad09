-- Text and vectors are searched in the memory of gantry-search: what PostgreSQL needed for it goes.
-- What is left of the indexes answers gets and lists (the key, memory_newest, memory_scope), keeps a
-- text once in its scope (memory_same) and finds what has expired (memory_expired, memory_expiry).
DROP INDEX memory_words, memory_cells;
ALTER TABLE memory DROP COLUMN words, DROP COLUMN cell;
DROP TABLE memory_cell, memory_training;
DROP SEQUENCE IF EXISTS memory_cell_number;
-- No index-only scan asks for a fresh visibility map any more.
ALTER TABLE memory RESET (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor,
    autovacuum_vacuum_cost_delay);
