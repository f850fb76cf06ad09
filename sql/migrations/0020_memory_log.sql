-- What a search index in a worker's memory needs: the terms of a text, found once when it is stored,
-- and for each workspace a version with a log of what changed (docs/memory.md, "The change log").

-- NULL: stored by a release without them. The first byte is the analyser's version.
ALTER TABLE memory ADD COLUMN terms bytea;
-- Hashes do not compress.
ALTER TABLE memory ALTER COLUMN terms SET STORAGE EXTERNAL;

-- Every transaction that changes memories first raises the version, and so holds this row until it
-- commits: versions become visible in their order. stamp names the version, since a number alone may
-- come again after a restore; before is the stamp of the version before. forgotten_ns: the newest
-- moment that a scope of the workspace was forgotten at, so that what came later need not look.
CREATE TABLE memory_version (
    workspace    text COLLATE "C" PRIMARY KEY,
    version      bigint NOT NULL,
    stamp        uuid NOT NULL,
    before       uuid NOT NULL,
    forgotten_ns bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 30);

-- ids: the memories that were stored, changed or deleted; NULL: too many to name.
CREATE TABLE memory_log (
    workspace text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    before    uuid NOT NULL,
    stamp     uuid NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    ids       uuid[],
    PRIMARY KEY (workspace, version)
);

INSERT INTO memory_version (workspace, version, stamp, before, forgotten_ns)
SELECT w.workspace, 1, gen_random_uuid(), '00000000-0000-0000-0000-000000000000',
       (SELECT coalesce(max(forgotten_ns), 0) FROM memory_forget f WHERE f.workspace = w.workspace)
FROM (SELECT workspace FROM memory UNION SELECT workspace FROM memory_forget) w;

DO $$
DECLARE
    tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['memory_version', 'memory_log']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY tenant ON %I USING '
                       '(workspace = current_setting(''gantry.workspace'', true)) WITH CHECK '
                       '(workspace = current_setting(''gantry.workspace'', true))', tenant);
        EXECUTE format('CREATE POLICY housekeeping ON %I TO gantry_owner USING (true)', tenant);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON memory_version, memory_log TO gantry_ingest;
GRANT SELECT ON memory_version, memory_log TO gantry_search;

-- --- housekeeping ---------------------------------------------------------------------------------

-- The deletion of expired rows is logged like any other, by gantry-ingest within each workspace.
CREATE FUNCTION memory_expired(max_rows integer) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT workspace FROM (SELECT workspace FROM public.memory WHERE expires_at <= now()
                                    ORDER BY expires_at LIMIT max_rows) m
$$;

-- An index older than the log is loaded anew. The oldest rows of a workspace come first, so that no
-- more are read than go.
CREATE FUNCTION memory_log_sweep(older_than interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.memory_log l USING public.memory_version v
        WHERE l.workspace = v.workspace
          AND l.version < coalesce((SELECT k.version FROM public.memory_log k
                                    WHERE k.workspace = v.workspace AND k.at >= now() - older_than
                                    ORDER BY k.version LIMIT 1), v.version + 1)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- --- rows of an older analyser, or of another model -------------------------------------------------

-- One pass over all rows for each pair of analyser and model: how far it is, and whose it is.
CREATE TABLE memory_reindex (
    analyser      smallint NOT NULL,
    model         smallint NOT NULL,
    workspace     text COLLATE "C" NOT NULL DEFAULT '', -- the last row that was looked at
    id            uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    rows_total    bigint NOT NULL,
    rows_seen     bigint NOT NULL DEFAULT 0,
    rows_changed  bigint NOT NULL DEFAULT 0,
    started_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    worker        uuid,
    worker_until  timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (analyser, model)
);

-- The next rows that are not of this analyser and model, in all workspaces; only their names. No row:
-- the pass is over, or another worker is at it. What a dead worker began is taken up after 30 seconds.
CREATE FUNCTION memory_reindex_next(p_analyser integer, p_model integer, p_worker uuid,
                                    max_rows integer,
                                    OUT last_workspace text, OUT last_id uuid, OUT seen bigint,
                                    OUT workspaces text[], OUT ids uuid[])
    RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    pass public.memory_reindex;
BEGIN
    IF NOT EXISTS (SELECT FROM memory_reindex r WHERE r.analyser = p_analyser AND r.model = p_model)
    THEN
        INSERT INTO memory_reindex (analyser, model, rows_total)
        SELECT p_analyser, p_model, count(*) FROM memory ON CONFLICT DO NOTHING;
    END IF;
    UPDATE memory_reindex r SET worker = p_worker, worker_until = now() + interval '30 seconds'
    WHERE r.analyser = p_analyser AND r.model = p_model AND r.finished_at IS NULL
      AND (r.worker = p_worker OR r.worker_until < now())
    RETURNING * INTO pass;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH page AS MATERIALIZED (
        SELECT m.workspace, m.id,
               m.model <> p_model OR m.terms IS NULL
                   OR get_byte(substring(m.terms FOR 1), 0) <> p_analyser AS stale
        FROM memory m WHERE (m.workspace, m.id) > (pass.workspace, pass.id)
        ORDER BY m.workspace, m.id LIMIT max_rows
    )
    SELECT count(*), array_agg(p.workspace ORDER BY p.workspace, p.id) FILTER (WHERE p.stale),
           array_agg(p.id ORDER BY p.workspace, p.id) FILTER (WHERE p.stale),
           (SELECT l.workspace FROM page l ORDER BY l.workspace DESC, l.id DESC LIMIT 1),
           (SELECT l.id FROM page l ORDER BY l.workspace DESC, l.id DESC LIMIT 1)
    INTO seen, workspaces, ids, last_workspace, last_id
    FROM page p;
    IF seen = 0 THEN
        UPDATE memory_reindex r SET finished_at = now(), worker = NULL
        WHERE r.analyser = p_analyser AND r.model = p_model;
        RETURN;
    END IF;
    RETURN NEXT;
END
$$;

-- What was returned is done; false: another worker has taken over.
CREATE FUNCTION memory_reindex_done(p_analyser integer, p_model integer, p_worker uuid,
                                    p_workspace text, p_id uuid, p_seen bigint, p_changed bigint)
    RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH moved AS (
        UPDATE memory_reindex SET workspace = p_workspace, id = p_id, rows_seen = rows_seen + p_seen,
               rows_changed = rows_changed + p_changed
        WHERE analyser = p_analyser AND model = p_model AND worker = p_worker
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM moved)
$$;

REVOKE ALL ON FUNCTION memory_expired(integer), memory_log_sweep(interval),
    memory_reindex_next(integer, integer, uuid, integer),
    memory_reindex_done(integer, integer, uuid, text, uuid, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memory_expired(integer), memory_log_sweep(interval),
    memory_reindex_next(integer, integer, uuid, integer),
    memory_reindex_done(integer, integer, uuid, text, uuid, bigint, bigint) TO gantry_ingest;
