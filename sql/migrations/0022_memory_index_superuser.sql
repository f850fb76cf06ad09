-- role: superuser
-- What the full-text index needed of a superuser (0010, 0012).
ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) NOT LEAKPROOF;
ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) NOT LEAKPROOF;
DROP EXTENSION btree_gin;
