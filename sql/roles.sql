-- The roles: one per program, none with more than its job needs.
-- Run as superuser by `gantry migrate`, before the migrations, each time; idempotent.
-- Passwords are set by `gantry migrate`, which sends them already hashed (SCRAM-SHA-256).
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['gantry_owner', 'gantry_gateway', 'gantry_ingest', 'gantry_search',
                                'gantry_audit', 'gantry_pruner', 'gantry_connector']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION'
                       ' NOBYPASSRLS INHERIT', role);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO gantry_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO gantry_gateway, gantry_ingest, gantry_search,'
                   ' gantry_audit, gantry_pruner, gantry_connector', current_database());
END
$$;

ALTER SCHEMA public OWNER TO gantry_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO gantry_gateway, gantry_ingest, gantry_search, gantry_audit, gantry_pruner, gantry_connector;

-- A program that hangs inside a transaction must not hold locks for ever.
ALTER ROLE gantry_gateway SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE gantry_ingest SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE gantry_search SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE gantry_audit SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE gantry_connector SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE gantry_search SET default_transaction_read_only = on;
-- No just-in-time compilation: it costs more than these short statements take.
ALTER ROLE gantry_gateway SET jit = off;
ALTER ROLE gantry_ingest SET jit = off;
ALTER ROLE gantry_search SET jit = off;
ALTER ROLE gantry_audit SET jit = off;
ALTER ROLE gantry_connector SET jit = off;
-- Planning a statement anew each time costs more than carrying it out. The one plan is
-- by index, also when it is made while the tables are empty: each is about one workspace.
ALTER ROLE gantry_search SET plan_cache_mode = force_generic_plan;
ALTER ROLE gantry_search SET enable_seqscan = off;
ALTER ROLE gantry_ingest SET plan_cache_mode = force_generic_plan;
ALTER ROLE gantry_ingest SET enable_seqscan = off;

-- What PostgreSQL gives to everybody and no program of ours needs. Large objects are storage for
-- whoever may read; advisory locks would let one program stop another that relies on them.
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS signature, p.proname AS name FROM pg_proc p
             WHERE p.pronamespace = 'pg_catalog'::regnamespace
               AND (p.proname LIKE 'lo\_%' OR p.proname IN ('lowrite', 'loread', 'pg_notify')
                    OR p.proname LIKE 'pg\_%advisory%')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.signature);
        IF f.name LIKE '%advisory%' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO gantry_owner, gantry_audit',
                           f.signature);
        END IF;
    END LOOP;
END
$$;
