-- Statements of gantry-ingest. Every one names the workspace, and row-level security checks it.
-- (SELECT coalesce(...)): see search.sql.

-- name: model
-- in:  1 name of an embedding model
-- out: its number; made on first sight
WITH new AS (
    INSERT INTO memory_model (name) SELECT $1
    WHERE NOT EXISTS (SELECT FROM memory_model WHERE name = $1)
    ON CONFLICT (name) DO NOTHING RETURNING model
)
SELECT model FROM new UNION ALL SELECT model FROM memory_model WHERE name = $1

-- name: share
-- in:  1 workspace
-- Keeps a forget of the workspace away until this transaction is over: neither could see the
-- other's rows. The statements behind it take a new snapshot.
SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 7163845002))

-- name: exclude
-- in:  1 workspace
SELECT pg_advisory_xact_lock(hashtextextended($1, 7163845002))

-- name: expire
-- in:  1 workspace
-- An expired row no longer exists, so the same text must not be merged with it.
DELETE FROM memory WHERE workspace = $1 AND expires_at <= now()

-- name: types
-- out: the type number of halfvec, for binary arrays
SELECT 'halfvec'::regtype::oid

-- name: ingest
-- in:  1 workspace, 2 model, then arrays with an element for each command, no two of the same scope
--      and hash: 3 commands, 4 scopes, 5 accepted ns, 6 ttl seconds or null, 7 cells, 8 hashes in
--      hexadecimal, 9 sources, 10 tags as JSON, 11 metadata, 12 texts, 13 embeddings or null,
--      14 facts as JSON [{hash, position, subject, predicate, object, confidence}] or null,
--      15 kept, 16 skipped
-- out: a row for each command: its id and the recorded answer, now or from an earlier delivery
WITH input AS MATERIALIZED (
    SELECT i.*, decode(i.hash, 'hex') AS content_hash
    FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::halfvec[], $14::text[],
                $15::integer[], $16::integer[])
         AS i (id, scope, accepted_ns, ttl, cell, hash, source, tags, metadata, text, embedding,
               facts, kept, skipped)
), done AS MATERIALIZED (
    SELECT id, answer FROM command_done WHERE workspace = $1 AND id = ANY ($3::uuid[])
), fresh AS MATERIALIZED (
    SELECT i.*, EXISTS (SELECT FROM memory_forget g
                        WHERE g.workspace = $1
                          AND g.scope_hash = sha256(convert_to(i.scope, 'UTF8'))
                          AND g.forgotten_ns >= i.accepted_ns) AS forgotten
    FROM input i WHERE NOT EXISTS (SELECT FROM done d WHERE d.id = i.id)
), put AS (
    INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, expires_at, model, cell,
                        content_hash, source, tags, metadata, text, embedding)
    SELECT $1, f.id, f.scope, f.accepted_ns, f.accepted_ns,
           to_timestamp(f.accepted_ns / 1000000000.0) + make_interval(secs => f.ttl),
           $2::smallint,
           -- A cell that is gone by now is not searched: then the row waits in cell 0.
           CASE WHEN f.cell <> 0 AND EXISTS (
                    SELECT FROM memory_cell c
                    WHERE c.workspace = $1 AND c.model = $2::smallint AND c.cell = f.cell)
                THEN f.cell ELSE 0 END,
           f.content_hash, f.source, ARRAY(SELECT json_array_elements_text(f.tags::json)),
           f.metadata::json, f.text, f.embedding
    FROM fresh f WHERE NOT f.forgotten
    ORDER BY f.content_hash, f.scope -- two replicas lock the same texts in the same order
    ON CONFLICT (workspace, scope, content_hash) DO UPDATE SET
        touched_ns = greatest(memory.touched_ns, excluded.touched_ns),
        expires_at = CASE WHEN memory.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                          ELSE greatest(memory.expires_at, excluded.expires_at) END,
        tags = memory.tags || ARRAY(SELECT tag FROM unnest(excluded.tags) tag
                                    WHERE NOT tag = ANY (memory.tags)
                                    LIMIT greatest(0, 256 - cardinality(memory.tags)))
    RETURNING id, scope, content_hash, xmax = 0 AS inserted
), facts AS (
    INSERT INTO memory_fact (workspace, memory_id, fact_hash, position, subject, predicate, object,
                             confidence)
    SELECT DISTINCT ON (put.id, fact.hash) $1, put.id, decode(fact.hash, 'hex'),
           f.accepted_ns + fact.position, fact.subject, fact.predicate, fact.object,
           fact.confidence
    FROM fresh f JOIN put ON put.scope = f.scope AND put.content_hash = f.content_hash
    CROSS JOIN LATERAL json_to_recordset(f.facts::json)
        AS fact (hash text, position bigint, subject text, predicate text, object text,
                 confidence double precision)
    WHERE f.facts IS NOT NULL
    ORDER BY put.id, fact.hash, fact.confidence DESC NULLS LAST
    ON CONFLICT (workspace, memory_id, fact_hash)
    DO UPDATE SET confidence = greatest(memory_fact.confidence, excluded.confidence)
), record AS (
    INSERT INTO command_done (workspace, id, command, memory_id, answer)
    SELECT $1, f.id, 'memory.ingest', put.id,
           json_build_object('id', coalesce(put.id, f.id),
                             'deduplicated', coalesce(NOT put.inserted, false),
                             'facts_stored', f.kept, 'facts_skipped', f.skipped)
    FROM fresh f LEFT JOIN put ON put.scope = f.scope AND put.content_hash = f.content_hash
    RETURNING id, answer
)
SELECT id, answer ->> 'id', answer ->> 'deduplicated', answer ->> 'facts_stored',
       answer ->> 'facts_skipped'
FROM (SELECT id, answer FROM record UNION ALL SELECT id, answer FROM done) answers

-- name: patch
-- in:  1 workspace, 2 command, 3 memory, 4 text or null, 5 hash, 6 model, 7 cell,
--      8 embedding or null, 9 tags as JSON or null, 10 source or null, 11 metadata or null,
--      12 ttl seconds, 0 = no end, or null = as it was, 13 accepted ns
-- out: 0 rows: no such memory; 1 row: the memory as it is now (columns as in search's get)
WITH done AS MATERIALIZED (
    SELECT memory_id FROM command_done WHERE workspace = $1 AND id = $2::uuid
), target AS MATERIALIZED (
    SELECT coalesce((SELECT memory_id FROM done),
                    (SELECT memory_id FROM command_done WHERE workspace = $1 AND id = $3::uuid),
                    $3::uuid) AS id
), old AS MATERIALIZED (
    SELECT m.* FROM memory m
    WHERE m.workspace = $1 AND m.id = (SELECT id FROM target)
      AND (m.expires_at IS NULL OR m.expires_at > now()) AND NOT EXISTS (SELECT FROM done)
    FOR UPDATE
), history AS (
    INSERT INTO memory_history (workspace, memory_id, version, changed_by, source, tags, metadata,
                                text, expires_at)
    SELECT workspace, id, version, $2::uuid, source, tags, metadata, text, expires_at FROM old
), changed AS (
    UPDATE memory m SET
        version = m.version + 1,
        touched_ns = greatest(m.touched_ns, $13::bigint),
        text = coalesce($4::text, m.text),
        content_hash = CASE WHEN $4::text IS NULL THEN m.content_hash ELSE $5::bytea END,
        model = CASE WHEN $4::text IS NULL THEN m.model ELSE $6::smallint END,
        cell = CASE WHEN $4::text IS NULL THEN m.cell
                    WHEN EXISTS (SELECT FROM memory_cell c WHERE c.workspace = $1
                                 AND c.model = $6::smallint AND c.cell = $7::integer) THEN $7
                    ELSE 0 END,
        embedding = CASE WHEN $4::text IS NULL THEN m.embedding ELSE $8::halfvec END,
        tags = CASE WHEN $9::json IS NULL THEN m.tags
                    ELSE ARRAY(SELECT json_array_elements_text($9::json)) END,
        source = coalesce($10::text, m.source),
        metadata = coalesce($11::json, m.metadata),
        expires_at = CASE WHEN $12::bigint IS NULL THEN m.expires_at
                          WHEN $12::bigint = 0 THEN NULL
                          ELSE to_timestamp($13::bigint / 1000000000.0)
                               + make_interval(secs => $12::double precision) END
    FROM old WHERE m.workspace = $1 AND m.id = old.id
    RETURNING m.id, m.scope, m.text, m.tags, m.source, m.metadata, m.created_ns, m.expires_at,
              m.version
), record AS (
    INSERT INTO command_done (workspace, id, command, memory_id, answer)
    SELECT $1, $2::uuid, 'memory.patch', id, json_build_object('id', id) FROM changed
), now_is AS (
    SELECT * FROM changed
    UNION ALL
    SELECT m.id, m.scope, m.text, m.tags, m.source, m.metadata, m.created_ns, m.expires_at,
           m.version
    FROM memory m WHERE m.workspace = $1 AND m.id = (SELECT memory_id FROM done)
)
SELECT n.id, n.scope, n.text, to_json(n.tags), n.source, n.metadata, n.created_ns / 1000000,
       (extract(epoch FROM n.expires_at) * 1000)::bigint, n.version,
       (SELECT coalesce(json_agg(json_build_object('subject', f.subject, 'predicate', f.predicate,
                                                   'object', f.object, 'confidence', f.confidence)
                                 ORDER BY f.position, f.fact_hash), '[]')
        FROM memory_fact f WHERE f.workspace = $1 AND f.memory_id = n.id)
FROM now_is n

-- name: delete
-- in:  1 workspace, 2 command, 3 memory
-- out: 0 rows: no such memory; 1 row: deleted, now or by an earlier delivery
WITH done AS MATERIALIZED (
    SELECT memory_id FROM command_done WHERE workspace = $1 AND id = $2::uuid
), gone AS (
    DELETE FROM memory m
    WHERE m.workspace = $1 AND NOT EXISTS (SELECT FROM done)
      AND m.id = (SELECT coalesce((SELECT memory_id FROM command_done
                                   WHERE workspace = $1 AND id = $3::uuid), $3::uuid))
      AND (m.expires_at IS NULL OR m.expires_at > now())
    RETURNING m.id
), record AS (
    INSERT INTO command_done (workspace, id, command, memory_id, answer)
    SELECT $1, $2::uuid, 'memory.delete', id, json_build_object('id', id) FROM gone
)
SELECT id FROM gone UNION ALL SELECT memory_id FROM done

-- name: forget
-- in:  1 workspace, 2 command, 3 scope, 4 accepted ns (after "exclude")
-- out: number of rows deleted, now or by an earlier delivery
WITH done AS MATERIALIZED (
    SELECT answer FROM command_done WHERE workspace = $1 AND id = $2::uuid
), mark AS (
    INSERT INTO memory_forget (workspace, scope_hash, forgotten_ns)
    SELECT $1, sha256(convert_to($3::text, 'UTF8')), $4::bigint WHERE NOT EXISTS (SELECT FROM done)
    ON CONFLICT (workspace, scope_hash) DO UPDATE SET
        forgotten_ns = greatest(memory_forget.forgotten_ns, excluded.forgotten_ns), done_at = now()
), gone AS (
    DELETE FROM memory
    WHERE workspace = $1 AND scope = $3 AND touched_ns <= $4 AND NOT EXISTS (SELECT FROM done)
    RETURNING expires_at
), record AS (
    INSERT INTO command_done (workspace, id, command, answer)
    SELECT $1, $2::uuid, 'memory.forget', json_build_object('deleted',
           (SELECT count(*) FROM gone WHERE expires_at IS NULL OR expires_at > now()))
    WHERE NOT EXISTS (SELECT FROM done)
    RETURNING answer
)
SELECT answer ->> 'deleted' FROM record UNION ALL SELECT answer ->> 'deleted' FROM done

-- name: exists
-- in:  1 workspace, 2 memory
-- out: whether it is there
SELECT EXISTS (SELECT FROM memory WHERE workspace = $1 AND id = $2::uuid)

-- name: sweep
-- in:  1 rows at most
-- out: expired memories and old command_done rows that were deleted, in all workspaces
SELECT memory_sweep($1::integer), command_sweep('2 days', $1::integer)

-- name: cell_newest
-- in:  1 workspace, 2 model
-- out: number of the newest cell; 0 = the workspace has none
SELECT coalesce(max(cell), 0) FROM memory_cell
WHERE workspace = $1 AND model = $2::smallint AND NOT retired

-- name: cell_load
-- in:  1 workspace, 2 model
-- out: cell, centroid in binary
SELECT cell, halfvec_send(centroid) FROM memory_cell
WHERE workspace = $1 AND model = $2::smallint AND NOT retired ORDER BY cell

-- name: cell_sizes
-- in:  1 workspace, 2 model, 3 limit
-- out: rows in no cell (counted up to the limit), rows in cells by the last count, rows when the
--      cells were made (0: never finished), whether rows are to be moved out of older cells
SELECT (SELECT count(*) FROM (SELECT FROM memory
                              WHERE workspace = $1 AND model = $2::smallint AND cell = 0
                                AND vector_dims(embedding) <= 1000 LIMIT $3::bigint) loose),
       (SELECT coalesce(sum(rows), 0) FROM memory_cell
        WHERE workspace = $1 AND model = $2::smallint),
       (SELECT coalesce(max(trained_rows), 0) FROM memory_training
        WHERE workspace = $1 AND model = $2::smallint),
       EXISTS (SELECT FROM memory_cell WHERE workspace = $1 AND model = $2::smallint AND retired)

-- name: train_begin
-- in:  1 workspace, 2 model, 3 this trainer
-- out: 0 rows: another trainer is at it
INSERT INTO memory_training (workspace, model, trainer, trainer_until)
VALUES ($1, $2::smallint, $3::uuid, now() + interval '30 seconds')
ON CONFLICT (workspace, model) DO UPDATE SET
    trainer = excluded.trainer, trainer_until = excluded.trainer_until
WHERE memory_training.trainer = excluded.trainer OR memory_training.trainer_until < now()
RETURNING trained_rows

-- name: train_end
-- in:  1 workspace, 2 model, 3 this trainer, 4 rows that the cells were made for, or null
UPDATE memory_training SET trainer_until = '-infinity',
       trained_rows = coalesce($4::bigint, trained_rows)
WHERE workspace = $1 AND model = $2::smallint AND trainer = $3::uuid

-- name: train_size
-- in:  1 workspace, 2 model
SELECT count(*) FROM memory
WHERE workspace = $1 AND model = $2::smallint AND vector_dims(embedding) <= 1000

-- name: train_sample
-- in:  1 workspace, 2 model, 3 share of the rows (0..1), 4 rows at most
SELECT halfvec_send(embedding) FROM memory
WHERE workspace = $1 AND model = $2::smallint AND vector_dims(embedding) <= 1000
  AND random() < $3::float8
LIMIT $4::bigint

-- name: train_retire
-- in:  1 workspace, 2 model
UPDATE memory_cell SET retired = true WHERE workspace = $1 AND model = $2::smallint AND NOT retired

-- name: train_add
-- in:  1 workspace, 2 model, 3 centroid
-- out: its number
INSERT INTO memory_cell (workspace, model, centroid) VALUES ($1, $2::smallint, $3::halfvec)
RETURNING cell

-- name: train_moving
-- in:  1 workspace, 2 model, 3 first of the new cells, 4 rows at most
-- out: rows that lie in older cells: id, vector
SELECT id, halfvec_send(embedding) FROM memory
WHERE workspace = $1 AND model = $2::smallint AND cell < $3::integer
  AND vector_dims(embedding) <= 1000
LIMIT $4::bigint

-- name: train_move
-- in:  1 workspace, 2 model, 3 ids, 4 their cells, 5 first of the new cells
UPDATE memory m SET cell = moved.cell
FROM unnest($3::uuid[], $4::integer[]) AS moved (id, cell)
WHERE m.workspace = $1 AND m.id = moved.id AND m.model = $2::smallint AND m.cell < $5::integer

-- name: train_count
-- in:  1 workspace, 2 model, 3 cells greater than, 4 cells at most
-- out: the cells counted: number, rows
UPDATE memory_cell c SET rows = s.rows, mean = s.mean, deviation = s.deviation
FROM (SELECT cell FROM memory_cell
      WHERE workspace = $1 AND model = $2::smallint AND NOT retired AND cell > $3::integer
      ORDER BY cell LIMIT $4::bigint) next
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, coalesce(avg(1 - (m.embedding <=> own.centroid)), 0) AS mean,
           coalesce(stddev(1 - (m.embedding <=> own.centroid)), 0) AS deviation
    FROM memory m, memory_cell own
    WHERE own.workspace = $1 AND own.model = $2::smallint AND own.cell = next.cell
      AND m.workspace = $1 AND m.model = $2::smallint AND m.cell = next.cell
      AND vector_dims(m.embedding) <= 1000
) s
WHERE c.workspace = $1 AND c.model = $2::smallint AND c.cell = next.cell
RETURNING c.cell, c.rows

-- name: train_drop
-- in:  1 workspace, 2 model (after "exclude", so that no insert is under way)
-- Retired cells without rows.
DELETE FROM memory_cell c
WHERE c.workspace = $1 AND c.model = $2::smallint AND c.retired
  AND NOT EXISTS (SELECT FROM memory m
                  WHERE m.workspace = $1 AND m.model = $2::smallint AND m.cell = c.cell)
