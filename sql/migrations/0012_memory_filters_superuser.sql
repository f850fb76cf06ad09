-- role: superuser
-- As for tsvector @@ tsquery (0010): "array contains array" over text has no error that depends on its
-- arguments and no side effect, and no role of ours may make a type whose equality had one. Without
-- the mark a search by tags reads the whole workspace.
ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) LEAKPROOF;
