-- Statements of gantry-audit's second connection, with the role gantry_pruner.

-- name: prune
-- in:   1 at most so many rows
-- out:  1 row: how many events were set to NULL
SELECT audit_prune($1::int);
