-- Memories, their facts and history, what was done, what was forgotten, and the cells of the
-- vector index. Times are JetStream's receive time in nanoseconds: one clock for all replicas.

-- The embedding models that rows were made with; vectors of different models are never compared.
CREATE TABLE memory_model (
    model smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 191)
);
GRANT SELECT ON memory_model TO gantry_search;
GRANT SELECT, INSERT ON memory_model TO gantry_ingest;

-- created_ns: when the first command that made the row was accepted; touched_ns: the last one that
-- brought the same text again. expires_at: NULL = never. embedding: NULL = a text without a word.
-- cell: nearest centroid in memory_cell; 0 = none yet.
CREATE TABLE memory (
    workspace    text COLLATE "C" NOT NULL,
    id           uuid NOT NULL,
    scope        text COLLATE "C" NOT NULL CHECK (octet_length(scope) BETWEEN 1 AND 256),
    created_ns   bigint NOT NULL,
    touched_ns   bigint NOT NULL,
    expires_at   timestamptz,
    version      integer NOT NULL DEFAULT 1,
    cell         integer NOT NULL DEFAULT 0,
    model        smallint NOT NULL,
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    source       text COLLATE "C" NOT NULL CHECK (octet_length(source) <= 256),
    tags         text[] NOT NULL DEFAULT '{}',
    metadata     json NOT NULL DEFAULT '{}',
    text         text NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 65536),
    embedding    halfvec,
    words        tsvector GENERATED ALWAYS AS (to_tsvector('pg_catalog.english', text)) STORED,
    PRIMARY KEY (workspace, id)
);
-- Index-only scans of memory_cells depend on a fresh visibility map.
ALTER TABLE memory SET (autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE memory ALTER COLUMN embedding SET STORAGE MAIN;

CREATE UNIQUE INDEX memory_same ON memory (workspace, scope, content_hash);
CREATE INDEX memory_newest ON memory (workspace, created_ns DESC, id DESC);
CREATE INDEX memory_scope ON memory (workspace, scope, created_ns DESC, id DESC);
CREATE INDEX memory_expiry ON memory (workspace, expires_at) WHERE expires_at IS NOT NULL;
-- The vector index (docs/memory.md): everything that a scan of vectors needs, in key order. A
-- B-tree row holds at most 2.7 kB, so vectors above 1000 dimensions are scanned in the table.
CREATE INDEX memory_cells ON memory (workspace, model, cell)
    INCLUDE (embedding, id, expires_at, scope) WHERE (vector_dims(embedding) <= 1000);
CREATE INDEX memory_words ON memory USING gin (workspace, words);

CREATE TABLE memory_fact (
    workspace  text COLLATE "C" NOT NULL,
    memory_id  uuid NOT NULL,
    fact_hash  bytea NOT NULL,
    position   bigint NOT NULL, -- accepted ns + place in its command
    subject    text NOT NULL,
    predicate  text NOT NULL,
    object     text NOT NULL,
    confidence double precision,
    PRIMARY KEY (workspace, memory_id, fact_hash),
    FOREIGN KEY (workspace, memory_id) REFERENCES memory (workspace, id) ON DELETE CASCADE
);

-- The row as it was before each change.
CREATE TABLE memory_history (
    workspace  text COLLATE "C" NOT NULL,
    memory_id  uuid NOT NULL,
    version    integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by uuid NOT NULL, -- the command
    source     text NOT NULL,
    tags       text[] NOT NULL,
    metadata   json NOT NULL,
    text       text NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (workspace, memory_id, version),
    FOREIGN KEY (workspace, memory_id) REFERENCES memory (workspace, id) ON DELETE CASCADE
);

-- A forgotten scope, by hash: commands of that scope accepted before are dropped.
CREATE TABLE memory_forget (
    workspace    text COLLATE "C" NOT NULL,
    scope_hash   bytea NOT NULL,
    forgotten_ns bigint NOT NULL,
    done_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, scope_hash)
);

-- Commands that had their effect, with ids and counts of their answer, never content. A row
-- outlives what the command made, so that a redelivery cannot bring back what was deleted.
CREATE TABLE command_done (
    workspace text COLLATE "C" NOT NULL,
    id        uuid NOT NULL,
    command   text NOT NULL,
    memory_id uuid,
    answer    json NOT NULL,
    done_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, id)
);
CREATE INDEX command_done_age ON command_done (done_at);

-- Centroids of workspaces that outgrew an exact scan. rows: how many at the last count; mean and
-- deviation: of the cosine between the centroid and its rows; retired: rows are moving out.
CREATE SEQUENCE memory_cell_number AS integer;
CREATE TABLE memory_cell (
    workspace text COLLATE "C" NOT NULL,
    model     smallint NOT NULL,
    cell      integer NOT NULL DEFAULT nextval('memory_cell_number'),
    rows      bigint NOT NULL DEFAULT 0,
    mean      real NOT NULL DEFAULT 0,
    deviation real NOT NULL DEFAULT 0,
    retired   boolean NOT NULL DEFAULT false,
    centroid  halfvec NOT NULL,
    PRIMARY KEY (workspace, model, cell)
);

-- One row for each large workspace: who trains its cells, until when, and for how many rows they
-- were made.
CREATE TABLE memory_training (
    workspace     text COLLATE "C" NOT NULL,
    model         smallint NOT NULL,
    trained_rows  bigint NOT NULL DEFAULT 0,
    trainer       uuid,
    trainer_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (workspace, model)
);

-- Tenancy: no row of another workspace is visible or writable, whatever the statement says.
DO $$
DECLARE
    tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['memory', 'memory_fact', 'memory_history', 'memory_forget',
                                  'command_done', 'memory_cell', 'memory_training']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY tenant ON %I USING '
                       '(workspace = current_setting(''gantry.workspace'', true)) WITH CHECK '
                       '(workspace = current_setting(''gantry.workspace'', true))', tenant);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON memory, memory_fact, memory_history, memory_forget,
    command_done, memory_cell, memory_training TO gantry_ingest;
GRANT USAGE ON SEQUENCE memory_cell_number TO gantry_ingest;
GRANT SELECT ON memory, memory_fact, memory_cell TO gantry_search;
GRANT SELECT (workspace, id, memory_id) ON command_done TO gantry_search;

-- Housekeeping for all workspaces, which row-level security otherwise forbids: the functions say
-- only which workspaces have work, and delete what is past its time.
CREATE POLICY housekeeping ON memory TO gantry_owner USING (true);
CREATE POLICY housekeeping ON command_done TO gantry_owner USING (true);
CREATE POLICY housekeeping ON memory_forget TO gantry_owner USING (true);

CREATE FUNCTION memory_sweep(max_rows integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH old AS (
        SELECT m.workspace, m.id FROM public.memory m
        WHERE m.expires_at <= now() LIMIT max_rows FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM public.memory m USING old
        WHERE m.workspace = old.workspace AND m.id = old.id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION command_sweep(older_than interval, max_rows integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH forgotten AS (
        DELETE FROM public.memory_forget f WHERE f.done_at < now() - greatest(older_than, '2 days')
    ), old AS (
        SELECT c.workspace, c.id FROM public.command_done c
        WHERE c.done_at < now() - greatest(older_than, '2 days')
        ORDER BY c.done_at LIMIT max_rows FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM public.command_done c USING old
        WHERE c.workspace = old.workspace AND c.id = old.id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE INDEX memory_expired ON memory (expires_at) WHERE expires_at IS NOT NULL;

REVOKE ALL ON FUNCTION memory_sweep(integer), command_sweep(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memory_sweep(integer), command_sweep(interval, integer) TO gantry_ingest;
