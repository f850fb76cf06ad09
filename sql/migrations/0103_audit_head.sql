-- The end of the log is read for every batch of events. A function in SQL is planned anew by each query
-- that calls it, which took longer than reading both rows; one in PL/pgSQL keeps its plans.
CREATE OR REPLACE FUNCTION audit_head(OUT tree_size bigint, OUT note text, OUT leaves bigint,
                                      OUT recorded_ms bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    SELECT c.tree_size, c.note INTO tree_size, note
      FROM audit_checkpoint c ORDER BY c.tree_size DESC LIMIT 1;
    SELECT l.leaf_index + 1, (extract(epoch FROM l.recorded_at) * 1000)::bigint
      INTO leaves, recorded_ms
      FROM audit_log l ORDER BY l.leaf_index DESC LIMIT 1;
    leaves := coalesce(leaves, 0);
END
$$;
