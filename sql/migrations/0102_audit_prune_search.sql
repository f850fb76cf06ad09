-- What is past its retention, and what of it is not pruned yet, found by halving: recorded_at never
-- goes backwards along the log, and pruning goes upwards. So no call reads more than some rows for
-- each power of two of the log's length, however long the log has grown.

-- The last leaf that was recorded before a time, with its event: the bound of a prune leaf. The
-- worker checks that it is in the signed tree before it believes the time.
CREATE OR REPLACE FUNCTION audit_last_before(bound timestamptz)
    RETURNS TABLE (leaf_index bigint, event bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    SET enable_seqscan = off AS $$
DECLARE
    low  bigint := 0; -- every leaf below is older
    high bigint;      -- none from here on is
    one  record;
BEGIN
    SELECT coalesce(max(l.leaf_index) + 1, 0) INTO high FROM audit_log l;
    WHILE low < high LOOP
        SELECT l.leaf_index, l.recorded_at INTO one FROM audit_log l
         WHERE l.leaf_index >= (low + high) / 2 AND l.leaf_index < high
         ORDER BY l.leaf_index LIMIT 1;
        IF NOT FOUND OR one.recorded_at >= bound THEN
            high := (low + high) / 2;
        ELSE -- older, or pruned
            low := one.leaf_index + 1;
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT l.leaf_index, l.event
          FROM (SELECT a.leaf_index, a.event, a.kind FROM audit_log a
                 WHERE a.leaf_index < low AND a.kind IS DISTINCT FROM 'prune'
                 ORDER BY a.leaf_index DESC LIMIT 1) l
         WHERE l.event IS NOT NULL;
END
$$;

-- Set the events that the newest prune leaf covers to NULL, some at a time; returns how many.
CREATE OR REPLACE FUNCTION audit_prune(at_most integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    SET enable_seqscan = off AS $$
DECLARE
    covered record;
    low     bigint := 0; -- everything below is pruned, but for prune leaves
    high    bigint;
    one     record;
    pruned  bigint;
BEGIN
    SELECT b.up_to, b.before INTO covered FROM audit_prune_bound() b;
    IF covered.up_to IS NULL THEN
        RETURN 0;
    END IF;
    high := covered.up_to;
    WHILE low < high LOOP
        SELECT l.leaf_index, l.event IS NULL AS gone INTO one FROM audit_log l
         WHERE l.leaf_index >= (low + high) / 2 AND l.leaf_index < high
           AND l.kind IS DISTINCT FROM 'prune'
         ORDER BY l.leaf_index LIMIT 1;
        IF FOUND AND one.gone THEN
            low := one.leaf_index + 1;
        ELSE
            high := (low + high) / 2;
        END IF;
    END LOOP;
    SELECT max(o.leaf_index) + 1 INTO high
      FROM (SELECT a.leaf_index FROM audit_log a
             WHERE a.leaf_index >= low AND a.leaf_index < covered.up_to
               AND a.recorded_at < covered.before AND a.event IS NOT NULL AND a.kind <> 'prune'
             ORDER BY a.leaf_index LIMIT at_most) o;
    -- Another replica's slice may be the same: then its rows are locked, and have no event after.
    UPDATE audit_log l
       SET event = NULL, kind = NULL, workspace = NULL, event_id = NULL, time = NULL,
           recorded_at = NULL, actor = NULL, action = NULL, status = NULL
     WHERE l.leaf_index >= low AND l.leaf_index < high
       AND l.recorded_at < covered.before AND l.event IS NOT NULL AND l.kind <> 'prune';
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;
