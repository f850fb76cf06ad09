-- Statements of gantry-search: read only. A search is one or two legs, which find ids, and then
-- "items", which reads what is answered. The shape of the legs is explained in docs/memory.md.
-- Under a policy an index takes part only in conditions that PostgreSQL knows to be leakproof, and
-- COALESCE is not among them: hence (SELECT coalesce(...)), which is a parameter by then. A condition
-- that should not choose the index, as the times beside words or tags, has the bare COALESCE.

-- name: model
-- in:  1 name of an embedding model
-- out: its number; no row: nothing was stored with it yet
SELECT model FROM memory_model WHERE name = $1

-- name: has_cells
-- in:  1 workspace, 2 model
SELECT EXISTS (SELECT FROM memory_cell WHERE workspace = $1 AND model = $2::smallint)

-- name: scope_size
-- in:  1 workspace, 2 scope, 3 limit
-- out: rows of the scope, counted up to the limit
SELECT count(*) FROM (SELECT FROM memory WHERE workspace = $1 AND scope = $2
                      LIMIT $3::bigint) counted

-- name: vector_all
-- in:  1 workspace, 2 model, 3 vector, 4 rows wanted
-- Exact, by one index-only scan of memory_cells.
SELECT id, embedding <=> $3::halfvec
FROM memory
WHERE workspace = $1 AND model = $2::smallint AND vector_dims(embedding) <= 1000
  AND (expires_at IS NULL OR expires_at > now())
ORDER BY 2, 1 LIMIT $4::bigint

-- name: vector_cells
-- in:  1 workspace, 2 model, 3 vector, 4 rows wanted, 5 rows to scan first,
--      6 effective dimensions, 7 hits that may be missed, 8 scope or null
-- First the nearest cells. Then, knowing how near the last of the best rows is, every cell that is
-- likely to hold a nearer one: a cell's rows lie around s * mean with a known deviation, so the
-- expected number of better rows is a normal tail. Cells are left out as long as all that is left
-- out is expected to hold fewer than $7 better rows.
WITH ranked AS MATERIALIZED (
    SELECT cell, greatest(rows, 1)::float8 AS rows, mean::float8 AS mean,
           deviation::float8 AS deviation, 1 - (centroid <=> $3::halfvec) AS s
    FROM memory_cell WHERE workspace = $1 AND model = $2::smallint
), ordered AS MATERIALIZED (
    SELECT *, sum(rows) OVER (ORDER BY s DESC, cell) - rows AS before FROM ranked
), near AS MATERIALIZED (
    SELECT hit.id, hit.distance
    FROM (SELECT 0 AS cell UNION ALL SELECT cell FROM ordered WHERE before < $5::float8) chosen
    CROSS JOIN LATERAL (
        SELECT m.id, m.embedding <=> $3::halfvec AS distance
        FROM memory m
        WHERE m.workspace = $1 AND m.model = $2::smallint AND m.cell = chosen.cell
          AND vector_dims(m.embedding) <= 1000
          AND (m.expires_at IS NULL OR m.expires_at > now()) AND ($8::text IS NULL OR m.scope = $8)
        ORDER BY 2 LIMIT $4::bigint
    ) hit
    ORDER BY 2 LIMIT $4::bigint
), last AS MATERIALIZED (
    SELECT CASE WHEN count(*) < $4::bigint THEN -1 ELSE 1 - max(distance) END AS cosine FROM near
), chance AS (
    SELECT cell, rows * exp(-0.717 * z - 0.416 * z * z) AS missed
    FROM (
        SELECT cell, rows, least(20, greatest(0, (last.cosine - s * mean) / greatest(0.000001,
               sqrt(s * s * deviation * deviation + greatest(0, 1 - s * s)
                    * greatest(0, 1 - mean * mean) / $6::float8)))) AS z
        FROM ordered, last WHERE before >= $5::float8
    ) tail
), far AS MATERIALIZED (
    SELECT hit.id, hit.distance
    FROM (SELECT cell FROM (SELECT cell, sum(missed) OVER (ORDER BY missed, cell) AS left_out
                            FROM chance) sums
          WHERE left_out > $7::float8) chosen
    CROSS JOIN LATERAL (
        SELECT m.id, m.embedding <=> $3::halfvec AS distance
        FROM memory m
        WHERE m.workspace = $1 AND m.model = $2::smallint AND m.cell = chosen.cell
          AND vector_dims(m.embedding) <= 1000
          AND (m.expires_at IS NULL OR m.expires_at > now()) AND ($8::text IS NULL OR m.scope = $8)
        ORDER BY 2 LIMIT $4::bigint
    ) hit
    ORDER BY 2 LIMIT $4::bigint
)
SELECT id, distance FROM (SELECT * FROM near UNION ALL SELECT * FROM far) hits
ORDER BY 2, 1 LIMIT $4::bigint

-- name: vector_scope
-- in:  1 workspace, 2 model, 3 vector or null, 4 rows wanted, 5 tags as JSON or null,
--      6 source or null, 7 since ms or null, 8 until ms or null, 9 scope
-- Exact over the rows of a scope; rows without a comparable vector come last, newest first.
SELECT id, CASE WHEN model = $2::smallint THEN embedding <=> $3::halfvec END
FROM memory
WHERE workspace = $1 AND scope = $9
  AND (expires_at IS NULL OR expires_at > now())
  AND ($5::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($5::json)))
  AND ($6::text IS NULL OR source = $6)
  AND created_ns >= (SELECT coalesce($7::bigint * 1000000, 0))
  AND created_ns < (SELECT coalesce($8::bigint * 1000000, 9223372036854775807))
ORDER BY 2 NULLS LAST, created_ns DESC, id LIMIT $4::bigint

-- name: vector_filter
-- in:  as vector_scope without 9
SELECT id, CASE WHEN model = $2::smallint THEN embedding <=> $3::halfvec END
FROM memory
WHERE workspace = $1
  AND (expires_at IS NULL OR expires_at > now())
  AND ($5::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($5::json)))
  AND ($6::text IS NULL OR source = $6)
  AND created_ns >= (SELECT coalesce($7::bigint * 1000000, 0))
  AND created_ns < (SELECT coalesce($8::bigint * 1000000, 9223372036854775807))
ORDER BY 2 NULLS LAST, created_ns DESC, id LIMIT $4::bigint

-- name: vector_tags
-- in:  as vector_filter, with tags: by their index
SELECT id, CASE WHEN model = $2::smallint THEN embedding <=> $3::halfvec END
FROM memory
WHERE workspace = $1
  AND (expires_at IS NULL OR expires_at > now())
  AND tags @> ARRAY(SELECT json_array_elements_text($5::json))
  AND ($6::text IS NULL OR source = $6)
  AND created_ns >= coalesce($7::bigint * 1000000, 0)
  AND created_ns < coalesce($8::bigint * 1000000, 9223372036854775807)
ORDER BY 2 NULLS LAST, created_ns DESC, id LIMIT $4::bigint

-- name: text
-- in:  1 workspace, 2 query, 3 rows wanted, 4 tags as JSON or null, 5 source or null,
--      6 since ms or null, 7 until ms or null
-- GIN over (workspace, words); rank is ts_rank_cd. That costs twenty times what ts_rank does, so for a
-- query of one word, where both grow with the number of its places, the latter chooses.
WITH query AS MATERIALIZED (
    SELECT websearch_to_tsquery('pg_catalog.english', $2) AS q
), matching AS (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM query)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
), best AS (
    SELECT * FROM matching
    ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id
    LIMIT (SELECT CASE WHEN numnode(q) = 1 THEN $3::bigint END FROM query)
)
SELECT id, ts_rank_cd(words, (SELECT q FROM query))
FROM best ORDER BY 2 DESC, created_ns DESC, id LIMIT $3::bigint

-- name: text_scope
-- in:  as text, 8 scope: by the index over (workspace, scope, words, tags)
WITH query AS MATERIALIZED (
    SELECT websearch_to_tsquery('pg_catalog.english', $2) AS q
), matching AS (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM query)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
      AND scope = $8
), best AS (
    SELECT * FROM matching
    ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id
    LIMIT (SELECT CASE WHEN numnode(q) = 1 THEN $3::bigint END FROM query)
)
SELECT id, ts_rank_cd(words, (SELECT q FROM query))
FROM best ORDER BY 2 DESC, created_ns DESC, id LIMIT $3::bigint

-- name: text_any
-- in:  as text, 8 rows to look at, 9 rows to rank
-- Any word will do, and the order is ours to choose. Where more rows match than are looked at, as
-- many again are looked at that hold one of the rare words: those that few of the newest rows hold.
WITH query AS MATERIALIZED (
    SELECT replace(plainto_tsquery('pg_catalog.english', $2)::text, ' & ', ' | ')::tsquery AS q
), common AS MATERIALIZED (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM query)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
    LIMIT $8::bigint
), sample AS MATERIALIZED (
    SELECT words FROM memory
    WHERE workspace = $1 AND (SELECT count(*) FROM common) = $8::bigint
    ORDER BY created_ns DESC, id DESC LIMIT 200
), counted AS MATERIALIZED (
    SELECT word, (SELECT count(*) FROM sample WHERE words @@ word::tsquery) AS n
    FROM unnest(string_to_array((SELECT q::text FROM query), ' | ')) AS word
    WHERE EXISTS (SELECT FROM sample)
), rare AS MATERIALIZED (
    SELECT string_agg(word, ' | ')::tsquery AS q
    FROM (SELECT word, sum(n) OVER (ORDER BY n, word) AS up_to_it,
                 row_number() OVER (ORDER BY n, word) AS place FROM counted) ordered
    WHERE up_to_it <= 10 OR place = 1
), others AS MATERIALIZED (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM rare)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
    LIMIT $8::bigint
), best AS (
    (SELECT * FROM common
     ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id LIMIT $9::bigint)
    UNION
    (SELECT * FROM others
     ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id LIMIT $9::bigint)
)
SELECT id, ts_rank_cd(words, (SELECT q FROM query))
FROM best ORDER BY 2 DESC, created_ns DESC, id LIMIT $3::bigint

-- name: text_any_scope
-- in:  as text_scope, 9 rows to look at, 10 rows to rank
WITH query AS MATERIALIZED (
    SELECT replace(plainto_tsquery('pg_catalog.english', $2)::text, ' & ', ' | ')::tsquery AS q
), common AS MATERIALIZED (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM query)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
      AND scope = $8
    LIMIT $9::bigint
), sample AS MATERIALIZED (
    SELECT words FROM memory
    WHERE workspace = $1 AND scope = $8 AND (SELECT count(*) FROM common) = $9::bigint
    ORDER BY created_ns DESC, id DESC LIMIT 200
), counted AS MATERIALIZED (
    SELECT word, (SELECT count(*) FROM sample WHERE words @@ word::tsquery) AS n
    FROM unnest(string_to_array((SELECT q::text FROM query), ' | ')) AS word
    WHERE EXISTS (SELECT FROM sample)
), rare AS MATERIALIZED (
    SELECT string_agg(word, ' | ')::tsquery AS q
    FROM (SELECT word, sum(n) OVER (ORDER BY n, word) AS up_to_it,
                 row_number() OVER (ORDER BY n, word) AS place FROM counted) ordered
    WHERE up_to_it <= 10 OR place = 1
), others AS MATERIALIZED (
    SELECT id, words, created_ns FROM memory
    WHERE workspace = $1 AND words @@ (SELECT q FROM rare)
      AND (expires_at IS NULL OR expires_at > now())
      AND ($4::json IS NULL OR tags @> ARRAY(SELECT json_array_elements_text($4::json)))
      AND ($5::text IS NULL OR source = $5)
      AND created_ns >= coalesce($6::bigint * 1000000, 0)
      AND created_ns < coalesce($7::bigint * 1000000, 9223372036854775807)
      AND scope = $8
    LIMIT $9::bigint
), best AS (
    (SELECT * FROM common
     ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id LIMIT $10::bigint)
    UNION
    (SELECT * FROM others
     ORDER BY ts_rank(words, (SELECT q FROM query)) DESC, created_ns DESC, id LIMIT $10::bigint)
)
SELECT id, ts_rank_cd(words, (SELECT q FROM query))
FROM best ORDER BY 2 DESC, created_ns DESC, id LIMIT $3::bigint

-- name: items
-- in:  1 workspace, 2 ids as array literal, 3 model, 4 vector or null, 5 query or null,
--      6 any word will do
-- out: per id that is still there: position, item, distance or null, rank or null
WITH query AS MATERIALIZED (
    SELECT CASE WHEN $6::boolean
                THEN replace(plainto_tsquery('pg_catalog.english', $5)::text, ' & ', ' | ')::tsquery
                ELSE websearch_to_tsquery('pg_catalog.english', $5) END AS q
)
SELECT wanted.position - 1, m.id, m.scope, m.text, to_json(m.tags), m.source, m.metadata,
       m.created_ns / 1000000,
       CASE WHEN m.model = $3::smallint THEN m.embedding <=> $4::halfvec END,
       CASE WHEN m.words @@ query.q THEN ts_rank_cd(m.words, query.q) END
FROM query, unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, position)
CROSS JOIN LATERAL (
    SELECT * FROM memory
    WHERE workspace = $1 AND id = wanted.id AND (expires_at IS NULL OR expires_at > now())
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
