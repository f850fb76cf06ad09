-- Statements of gantry-search: read only. What is found is found in the worker's memory; the database
-- says what changed, and gives what is answered (docs/memory.md).
-- Under a policy an index takes part only in conditions that PostgreSQL knows to be leakproof, and
-- COALESCE is not among them: hence (SELECT coalesce(...)), which is a parameter by then.

-- name: model
-- in:  1 name of an embedding model
-- out: its number, the type number of halfvec; no row: nothing was stored with it yet
SELECT model, 'halfvec'::regtype::oid FROM memory_model WHERE name = $1

-- name: version
-- in:  1 workspace
-- out: in binary: version, stamp; no row: nothing was ever stored
SELECT version, stamp FROM memory_version WHERE workspace = $1

-- name: changes
-- in:  1 workspace, 2 version of the index, 3 its stamp, 4 model, 5 analyser, 6 rows wanted at most
--      (but for those of one version)
-- out: in binary, a row for each memory that changed since: a version, its stamp; whether the log has
--      everything from the index's version up to that one; the memory's id; columns of "load" from
--      the scope on, null if it is gone. One row without an id: nothing changed.
WITH ahead AS MATERIALIZED (
    SELECT version, before, stamp, ids,
           sum(coalesce(cardinality(ids), 0)) OVER (ORDER BY version) - coalesce(cardinality(ids), 0)
               AS earlier
    FROM (SELECT * FROM memory_log WHERE workspace = $1 AND version > $2::bigint
          ORDER BY version LIMIT 4096) l
), log AS MATERIALIZED (
    SELECT * FROM ahead WHERE earlier < $6::bigint
), state AS MATERIALIZED (
    SELECT max(version) AS version,
           coalesce(min(version) = $2::bigint + 1 AND count(*) = max(version) - min(version) + 1
                    AND count(ids) = count(*), false) AS whole
    FROM log
), touched AS MATERIALIZED (
    SELECT DISTINCT unnest(ids) AS id FROM log
)
SELECT s.version, (SELECT stamp FROM log WHERE log.version = s.version),
       s.whole AND (SELECT before = $3::uuid FROM log ORDER BY version LIMIT 1),
       t.id, m.scope, m.created_ns, m.expires_at, m.source, m.tags,
       CASE WHEN m.model = $4::smallint THEN m.embedding END, m.terms,
       CASE WHEN m.terms IS NULL OR get_byte(substring(m.terms FOR 1), 0) <> $5::integer
            THEN m.text END, m.place
FROM state s LEFT JOIN touched t ON true
LEFT JOIN LATERAL (SELECT *, ctid AS place FROM memory WHERE workspace = $1 AND id = t.id OFFSET 0) m
    ON true

-- name: load
-- in:  1 workspace, 2 id of the last row seen, 3 model, 4 analyser, 5 rows wanted
-- out: in binary: id, scope, created ns, expiry or null, source, tags, embedding or null, terms, and
--      the text where the terms are not of this analyser, place (ctid)
SELECT id, scope, created_ns, expires_at, source, tags,
       CASE WHEN model = $3::smallint THEN embedding END, terms,
       CASE WHEN terms IS NULL OR get_byte(substring(terms FOR 1), 0) <> $4::integer THEN text END,
       ctid
FROM memory WHERE workspace = $1 AND id > $2::uuid ORDER BY id LIMIT $5::bigint

-- name: items
-- in:  1 workspace, 2 model, 3 ids, 4 the number of its query for each id, from 1, 5 vectors of the
--      queries, or null
-- out: per id that is still there: position, from 0, item, distance or null; version:stamp of the
--      workspace at the same moment
SELECT wanted.position - 1, m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata,
       m.created_ns / 1000000,
       CASE WHEN m.model = $2::smallint THEN m.embedding <=> ($5::halfvec[])[wanted.query] END,
       (SELECT version || ':' || encode(uuid_send(stamp), 'hex')
        FROM memory_version WHERE workspace = $1)
FROM unnest($3::uuid[], $4::integer[]) WITH ORDINALITY AS wanted (id, query, position)
CROSS JOIN LATERAL (
    SELECT * FROM memory
    WHERE workspace = $1 AND id = wanted.id AND (expires_at IS NULL OR expires_at > now())
    OFFSET 0
) m
ORDER BY 1

-- name: items_placed
-- in:  as items, 6 where each row was when it was last read (ctid), or null
-- out: as items, without the rows that have moved since
-- No look into an index of the table, which is most of what a row costs. A place may have another row
-- by now: its id tells.
SELECT wanted.position - 1, m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata,
       m.created_ns / 1000000,
       CASE WHEN m.model = $2::smallint THEN m.embedding <=> ($5::halfvec[])[wanted.query] END,
       (SELECT version || ':' || encode(uuid_send(stamp), 'hex')
        FROM memory_version WHERE workspace = $1)
FROM unnest($3::uuid[], $4::integer[], $6::tid[])
    WITH ORDINALITY AS wanted (id, query, place, position)
CROSS JOIN LATERAL (
    SELECT * FROM memory
    WHERE ctid = wanted.place AND workspace = $1 AND id = wanted.id
      AND (expires_at IS NULL OR expires_at > now())
    OFFSET 0
) m
ORDER BY 1

-- name: get
-- in:  1 workspace, 2 id of a memory, or of the command whose text was there already
-- out: 0 or 1 row: the memory
SELECT m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata, m.created_ns / 1000000,
       (extract(epoch FROM m.expires_at) * 1000)::bigint, m.version,
       (SELECT coalesce(json_agg(json_build_object('subject', f.subject, 'predicate', f.predicate,
                                                   'object', f.object, 'confidence', f.confidence)
                                 ORDER BY f.position, f.fact_hash), '[]')
        FROM memory_fact f WHERE f.workspace = $1 AND f.memory_id = m.id)
FROM memory m
WHERE m.workspace = $1
  AND m.id = (SELECT coalesce((SELECT memory_id FROM command_done
                               WHERE workspace = $1 AND id = $2::uuid), $2::uuid))
  AND (m.expires_at IS NULL OR m.expires_at > now())

-- name: history
-- in:  1 workspace, 2 id of a memory, 3 versions wanted
-- out: its earlier versions, newest first: version, text, tags, source, metadata, until ms
SELECT version, text, to_json(tags), source, metadata,
       (extract(epoch FROM changed_at) * 1000)::bigint
FROM memory_history WHERE workspace = $1 AND memory_id = $2::uuid
ORDER BY version DESC LIMIT $3::bigint

-- name: refusal
-- in:  1 workspace, 2 command
-- out: 0 rows: it was not refused, or is not known; 1 row: its problem document
SELECT refusal FROM command_done WHERE workspace = $1 AND id = $2::uuid AND refusal IS NOT NULL

-- name: list
-- in:  1 workspace, 2 rows wanted, 3 created ns and 4 id of the last row seen (or null)
-- out: columns of get, then created ns
SELECT m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata, m.created_ns / 1000000,
       (extract(epoch FROM m.expires_at) * 1000)::bigint, m.version,
       (SELECT coalesce(json_agg(json_build_object('subject', f.subject, 'predicate', f.predicate,
                                                   'object', f.object, 'confidence', f.confidence)
                                 ORDER BY f.position, f.fact_hash), '[]')
        FROM memory_fact f WHERE f.workspace = $1 AND f.memory_id = m.id),
       m.created_ns
FROM memory m
WHERE m.workspace = $1
  AND (m.created_ns, m.id) < ((SELECT coalesce($3::bigint, 9223372036854775807)),
                              (SELECT coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')))
  AND (m.expires_at IS NULL OR m.expires_at > now())
ORDER BY m.created_ns DESC, m.id DESC LIMIT $2::bigint

-- name: list_scope
-- in:  as list, 5 scope
SELECT m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata, m.created_ns / 1000000,
       (extract(epoch FROM m.expires_at) * 1000)::bigint, m.version,
       (SELECT coalesce(json_agg(json_build_object('subject', f.subject, 'predicate', f.predicate,
                                                   'object', f.object, 'confidence', f.confidence)
                                 ORDER BY f.position, f.fact_hash), '[]')
        FROM memory_fact f WHERE f.workspace = $1 AND f.memory_id = m.id),
       m.created_ns
FROM memory m
WHERE m.workspace = $1 AND m.scope = $5
  AND (m.created_ns, m.id) < ((SELECT coalesce($3::bigint, 9223372036854775807)),
                              (SELECT coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')))
  AND (m.expires_at IS NULL OR m.expires_at > now())
ORDER BY m.created_ns DESC, m.id DESC LIMIT $2::bigint
