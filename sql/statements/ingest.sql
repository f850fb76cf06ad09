-- Statements of gantry-ingest. Every one names the workspace, and row-level security checks it.
-- Whatever changes memories begins with "version" and writes its ids into the log.

-- name: model
-- in:  1 name of an embedding model
-- out: its number; made on first sight
WITH new AS (
    INSERT INTO memory_model (name) SELECT $1
    WHERE NOT EXISTS (SELECT FROM memory_model WHERE name = $1)
    ON CONFLICT (name) DO NOTHING RETURNING model
)
SELECT model FROM new UNION ALL SELECT model FROM memory_model WHERE name = $1

-- name: types
-- out: the type number of halfvec, for binary arrays
SELECT 'halfvec'::regtype::oid

-- name: version
-- in:  1 workspace
-- The next version of the workspace. The row stays locked until the transaction is over, so that
-- whatever follows sees what all earlier versions did, and nothing else happens meanwhile.
INSERT INTO memory_version AS v (workspace, version, stamp, before)
VALUES ($1, 1, gen_random_uuid(), '00000000-0000-0000-0000-000000000000')
ON CONFLICT (workspace) DO UPDATE
SET version = v.version + 1, before = v.stamp, stamp = gen_random_uuid()

-- name: store
-- in:  1 workspace, 2 model, then arrays with an element for each command, no two of the same scope
--      and hash: 3 commands, 4 scopes, 5 accepted ns, 6 expiry or null, 7 hashes, 8 sources, 9 tags
--      as array literals, 10 metadata, 11 texts, 12 embeddings or null, 13 terms, 14 kept, 15 skipped
-- out: a row for each command that was stored: its id, the memory's, whether the text was there.
--      Missing are those accepted before something was forgotten, and those whose text is there but
--      expired: they go another way ("recorded", "expire"). A command that was carried out before
--      breaks command_done's key.
WITH put AS (
    INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, expires_at, model,
                        content_hash, source, tags, metadata, text, embedding, terms)
    SELECT $1, i.id, i.scope, i.accepted_ns, i.accepted_ns, i.expires_at, $2::smallint, i.hash,
           i.source, i.tags::text[], i.metadata::json, i.text, i.embedding, i.terms
    FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::bytea[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::halfvec[], $13::bytea[])
         AS i (id, scope, accepted_ns, expires_at, hash, source, tags, metadata, text, embedding,
               terms)
    WHERE i.accepted_ns > (SELECT forgotten_ns FROM memory_version WHERE workspace = $1)
    ON CONFLICT (workspace, scope, content_hash) DO UPDATE SET
        touched_ns = greatest(memory.touched_ns, excluded.touched_ns),
        expires_at = CASE WHEN memory.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                          ELSE greatest(memory.expires_at, excluded.expires_at) END,
        tags = memory.tags || ARRAY(SELECT tag FROM unnest(excluded.tags) tag
                                    WHERE NOT tag = ANY (memory.tags)
                                    LIMIT greatest(0, 256 - cardinality(memory.tags)))
    WHERE memory.expires_at IS NULL OR memory.expires_at > now()
    RETURNING id, scope, content_hash, xmax = 0 AS inserted
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM put)
    FROM memory_version v WHERE v.workspace = $1
    ON CONFLICT (workspace, version) DO UPDATE SET ids = memory_log.ids || excluded.ids
)
INSERT INTO command_done (workspace, id, command, memory_id, answer)
SELECT $1, i.id, 'memory.ingest', p.id,
       json_build_array(p.id, NOT p.inserted, i.kept, i.skipped)
FROM put p JOIN unnest($3::uuid[], $4::text[], $7::bytea[], $14::integer[], $15::integer[])
                AS i (id, scope, hash, kept, skipped)
           ON i.scope = p.scope AND i.hash = p.content_hash
RETURNING id, memory_id, answer ->> 1

-- name: store_one
-- in:  1 workspace, 2 model; of one command: 3 its id, 4 scope, 5 accepted ns, 6 expiry in milliseconds
--      or null, 7 hash, 8 source, 9 tags as an array literal, 10 metadata, 11 text, 12 embedding or null,
--      13 terms, 14 kept, 15 skipped; 16 true: forgotten scopes were looked at
-- out: as of "store", which does the same for many; without arrays it costs less
WITH put AS (
    INSERT INTO memory (workspace, id, scope, created_ns, touched_ns, expires_at, model,
                        content_hash, source, tags, metadata, text, embedding, terms)
    SELECT $1, $3::uuid, $4, $5::bigint, $5::bigint, to_timestamp($6::bigint / 1000.0),
           $2::smallint, $7::bytea, $8, $9::text[], $10::json, $11, $12::halfvec, $13::bytea
    WHERE $16 OR $5::bigint > (SELECT forgotten_ns FROM memory_version WHERE workspace = $1)
    ON CONFLICT (workspace, scope, content_hash) DO UPDATE SET
        touched_ns = greatest(memory.touched_ns, excluded.touched_ns),
        expires_at = CASE WHEN memory.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                          ELSE greatest(memory.expires_at, excluded.expires_at) END,
        tags = memory.tags || ARRAY(SELECT tag FROM unnest(excluded.tags) tag
                                    WHERE NOT tag = ANY (memory.tags)
                                    LIMIT greatest(0, 256 - cardinality(memory.tags)))
    WHERE memory.expires_at IS NULL OR memory.expires_at > now()
    RETURNING id, xmax = 0 AS inserted
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM put)
    FROM memory_version v WHERE v.workspace = $1
    ON CONFLICT (workspace, version) DO UPDATE SET ids = memory_log.ids || excluded.ids
)
INSERT INTO command_done (workspace, id, command, memory_id, answer)
SELECT $1, $3::uuid, 'memory.ingest', p.id,
       json_build_array(p.id, NOT p.inserted, $14::integer, $15::integer)
FROM put p
RETURNING id, memory_id, answer ->> 1

-- name: facts
-- in:  1 workspace, 2 commands, 3 their accepted ns, 4 their facts as JSON
--      [{hash, position, subject, predicate, object, confidence}] (after "store")
INSERT INTO memory_fact (workspace, memory_id, fact_hash, position, subject, predicate, object,
                         confidence)
SELECT DISTINCT ON (d.memory_id, fact.hash) $1, d.memory_id, decode(fact.hash, 'hex'),
       f.accepted_ns + fact.position, fact.subject, fact.predicate, fact.object, fact.confidence
FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS f (id, accepted_ns, facts)
JOIN command_done d ON d.workspace = $1 AND d.id = f.id
CROSS JOIN LATERAL json_to_recordset(f.facts::json)
    AS fact (hash text, position bigint, subject text, predicate text, object text,
             confidence double precision)
ORDER BY d.memory_id, fact.hash, fact.confidence DESC NULLS LAST
ON CONFLICT (workspace, memory_id, fact_hash)
DO UPDATE SET confidence = greatest(memory_fact.confidence, excluded.confidence)

-- name: recorded
-- in:  1 workspace, 2 command, 3 scope, 4 accepted ns (after "version")
-- out: a row: memory, whether its text was there, facts kept and skipped, as answered by an earlier
--      delivery (null: there was none); whether the scope was forgotten after the command; the
--      document of a refusal
-- (An object is what earlier releases wrote.)
SELECT coalesce(d.answer ->> 0, d.answer ->> 'id'),
       coalesce(d.answer ->> 1, d.answer ->> 'deduplicated'),
       coalesce(d.answer ->> 2, d.answer ->> 'facts_stored'),
       coalesce(d.answer ->> 3, d.answer ->> 'facts_skipped'),
       EXISTS (SELECT FROM memory_forget g
               WHERE g.workspace = $1 AND g.scope_hash = sha256(convert_to($3::text, 'UTF8'))
                 AND g.forgotten_ns >= $4::bigint),
       d.refusal
FROM (SELECT) one LEFT JOIN command_done d ON d.workspace = $1 AND d.id = $2::uuid

-- name: dropped
-- in:  1 workspace, 2 command, 3 facts kept, 4 skipped
-- A command of a scope that was forgotten after it: it stores nothing.
WITH log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, '{}' FROM memory_version v WHERE v.workspace = $1
)
INSERT INTO command_done (workspace, id, command, answer)
VALUES ($1, $2::uuid, 'memory.ingest',
        json_build_array($2::uuid, false, $3::integer, $4::integer))

-- name: expire
-- in:  1 workspace, 2 scope, 3 hash (after "version", before "store")
-- An expired row no longer exists, so the same text must not be merged with it.
WITH gone AS (
    DELETE FROM memory
    WHERE workspace = $1 AND scope = $2 AND content_hash = $3 AND expires_at <= now() RETURNING id
)
INSERT INTO memory_log (workspace, version, before, stamp, ids)
SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM gone)
FROM memory_version v WHERE v.workspace = $1

-- name: patch
-- in:  1 workspace, 2 command, 3 memory, 4 text or null, 5 hash, 6 model, 7 embedding or null,
--      8 terms, 9 tags as array literal or null, 10 source or null, 11 metadata or null,
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
        embedding = CASE WHEN $4::text IS NULL THEN m.embedding ELSE $7::halfvec END,
        terms = CASE WHEN $4::text IS NULL THEN m.terms ELSE $8::bytea END,
        tags = coalesce($9::text[], m.tags),
        source = coalesce($10::text, m.source),
        metadata = coalesce($11::json, m.metadata),
        expires_at = CASE WHEN $12::bigint IS NULL THEN m.expires_at
                          WHEN $12::bigint = 0 THEN NULL
                          ELSE to_timestamp($13::bigint / 1000000000.0)
                               + make_interval(secs => $12::double precision) END
    FROM old WHERE m.workspace = $1 AND m.id = old.id
    RETURNING m.id, m.scope, m.text, m.tags, m.source, m.metadata, m.created_ns, m.expires_at,
              m.version
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM changed)
    FROM memory_version v WHERE v.workspace = $1
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
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM gone)
    FROM memory_version v WHERE v.workspace = $1
), record AS (
    INSERT INTO command_done (workspace, id, command, memory_id, answer)
    SELECT $1, $2::uuid, 'memory.delete', id, json_build_object('id', id) FROM gone
)
SELECT id FROM gone UNION ALL SELECT memory_id FROM done WHERE memory_id IS NOT NULL

-- name: forget
-- in:  1 workspace, 2 command, 3 scope, 4 accepted ns (after "version")
-- out: number of rows deleted, now or by an earlier delivery; the document of its refusal, or null
WITH done AS MATERIALIZED (
    SELECT answer, refusal FROM command_done WHERE workspace = $1 AND id = $2::uuid
), mark AS (
    INSERT INTO memory_forget (workspace, scope_hash, forgotten_ns)
    SELECT $1, sha256(convert_to($3::text, 'UTF8')), $4::bigint WHERE NOT EXISTS (SELECT FROM done)
    ON CONFLICT (workspace, scope_hash) DO UPDATE SET
        forgotten_ns = greatest(memory_forget.forgotten_ns, excluded.forgotten_ns), done_at = now()
), moment AS (
    UPDATE memory_version SET forgotten_ns = greatest(forgotten_ns, $4::bigint) WHERE workspace = $1
), gone AS (
    DELETE FROM memory
    WHERE workspace = $1 AND scope = $3 AND touched_ns <= $4 AND NOT EXISTS (SELECT FROM done)
    RETURNING id, expires_at
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp,
           CASE WHEN (SELECT count(*) FROM gone) <= 20000 THEN ARRAY(SELECT id FROM gone) END
    FROM memory_version v WHERE v.workspace = $1
), record AS (
    INSERT INTO command_done (workspace, id, command, answer)
    SELECT $1, $2::uuid, 'memory.forget', json_build_object('deleted',
           (SELECT count(*) FROM gone WHERE expires_at IS NULL OR expires_at > now()))
    WHERE NOT EXISTS (SELECT FROM done)
    RETURNING answer
)
SELECT answer ->> 'deleted', NULL::json FROM record
UNION ALL SELECT answer ->> 'deleted', refusal FROM done

-- name: refuse
-- in:  1 workspace, arrays: 2 commands, 3 their names, 4 problem documents
-- What had its effect before stays as it is.
INSERT INTO command_done (workspace, id, command, answer, refusal)
SELECT $1, i.id, i.command, 'null', i.refusal::json
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS i (id, command, refusal)
ON CONFLICT (workspace, id) DO NOTHING

-- name: trim_refusals
-- in:  1 workspace, 2 how many stay: the newest
DELETE FROM command_done WHERE workspace = $1 AND id = ANY (ARRAY(
    SELECT id FROM command_done
    WHERE workspace = $1 AND refusal IS NOT NULL AND done_at <= (
        SELECT done_at FROM command_done WHERE workspace = $1 AND refusal IS NOT NULL
        ORDER BY done_at DESC OFFSET $2::bigint LIMIT 1)
    ORDER BY done_at LIMIT 4096 FOR UPDATE SKIP LOCKED))

-- name: refusal
-- in:  1 workspace, 2 command
-- out: 0 rows: it was not refused, or is not known; 1 row: its problem document
SELECT refusal FROM command_done WHERE workspace = $1 AND id = $2::uuid AND refusal IS NOT NULL

-- name: exists
-- in:  1 workspace, 2 memory
-- out: whether it is there
SELECT EXISTS (SELECT FROM memory WHERE workspace = $1 AND id = $2::uuid)

-- name: expired
-- in:  1 rows to look at
-- out: workspaces with expired memories
SELECT memory_expired($1::integer)

-- name: sweep
-- in:  1 workspace, 2 rows at most (after "version")
WITH gone AS (
    DELETE FROM memory
    WHERE workspace = $1 AND id = ANY (ARRAY(SELECT id FROM memory
                                             WHERE workspace = $1 AND expires_at <= now()
                                             ORDER BY expires_at LIMIT $2::bigint))
      AND expires_at <= now()
    RETURNING id
)
INSERT INTO memory_log (workspace, version, before, stamp, ids)
SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM gone)
FROM memory_version v WHERE v.workspace = $1

-- name: sweep_commands
-- in:  1 rows at most
SELECT command_sweep('2 days', $1::integer)

-- name: sweep_log
SELECT memory_log_sweep('1 hour')

-- name: reindex_next
-- in:  1 analyser, 2 model, 3 this worker, 4 rows to look at
-- out: 0 rows: nothing to do; 1 row: last workspace, last id, rows looked at, then as JSON arrays the
--      workspaces and ids of the rows that are not of this analyser and model
SELECT last_workspace, last_id, seen, to_json(workspaces), to_json(ids)
FROM memory_reindex_next($1::integer, $2::integer, $3::uuid, $4::integer)

-- name: reindex_done
-- in:  1 analyser, 2 model, 3 this worker, 4 last workspace, 5 last id, 6 rows looked at, 7 changed
-- out: false: another worker has taken over
SELECT memory_reindex_done($1::integer, $2::integer, $3::uuid, $4, $5::uuid, $6::bigint, $7::bigint)

-- name: reindex_read
-- in:  1 workspace, 2 ids
-- out: id, hash in hexadecimal, text
SELECT id, encode(content_hash, 'hex'), text FROM memory WHERE workspace = $1 AND id = ANY ($2::uuid[])

-- name: reindex_write
-- in:  1 workspace, 2 model, arrays: 3 ids, 4 hashes of the texts that were read, 5 embeddings or
--      null, 6 terms (after "version")
-- out: number of rows changed; a text that was changed meanwhile is new already
WITH changed AS (
    UPDATE memory m SET model = $2::smallint, embedding = i.embedding, terms = i.terms
    FROM unnest($3::uuid[], $4::bytea[], $5::halfvec[], $6::bytea[]) AS i (id, hash, embedding, terms)
    WHERE m.workspace = $1 AND m.id = i.id AND m.content_hash = i.hash
    RETURNING m.id
), log AS (
    INSERT INTO memory_log (workspace, version, before, stamp, ids)
    SELECT $1, v.version, v.before, v.stamp, ARRAY(SELECT id FROM changed)
    FROM memory_version v WHERE v.workspace = $1
)
SELECT count(*) FROM changed
