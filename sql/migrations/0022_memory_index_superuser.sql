-- role: superuser
-- takes away
-- What the full-text index needed of a superuser (0010, 0012).
ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) NOT LEAKPROOF;
ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) NOT LEAKPROOF;
DROP EXTENSION btree_gin;

-- gantry-ingest locked a workspace by an advisory lock before there was memory_version.
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
             WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE 'pg\_%advisory%'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM gantry_ingest', f.signature);
    END LOOP;
END
$$;
