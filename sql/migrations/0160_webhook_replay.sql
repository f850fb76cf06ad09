-- Replay of a delivery that is being sent: it is sent once more after that, and no attempt is settled as another.

-- claim: a number that each sending takes and that never comes again, so that what an earlier sending has to
-- say cannot settle a later one, whatever happened to the count of attempts. replay: to be sent anew when the
-- sending that is under way has ended.
ALTER TABLE webhook_delivery
    ADD COLUMN claim bigint NOT NULL DEFAULT 0,
    ADD COLUMN replay boolean NOT NULL DEFAULT false;

-- As before, with the claim. A sending that begins after a replay was asked for is that replay.
DROP FUNCTION webhook_claim(integer, integer, integer);
CREATE FUNCTION webhook_claim(p_limit integer, p_share integer, p_lease_s integer)
    RETURNS TABLE (workspace text, webhook uuid, id uuid, attempt integer, url text, type text, body text,
                   signature text, two_secrets boolean, egress text, claim bigint)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH flight AS (
        SELECT d.workspace, count(*) AS n FROM public.webhook_delivery d
         WHERE d.state = 'pending' AND d.leased_until > now() GROUP BY d.workspace),
    due AS (
        SELECT d.workspace, d.webhook, d.number, d.next_at, coalesce(f.n, 0)
               + row_number() OVER (PARTITION BY d.workspace ORDER BY d.next_at, d.number) AS turn
          FROM public.webhook_delivery d
          JOIN public.webhook w ON w.workspace = d.workspace AND w.id = d.webhook
          LEFT JOIN flight f ON f.workspace = d.workspace
         WHERE d.state = 'pending' AND d.next_at <= now() AND w.enabled
           AND (d.leased_until IS NULL OR d.leased_until <= now())
           AND (NOT w.ordered OR d.number = (SELECT min(e.number) FROM public.webhook_delivery e
                WHERE e.workspace = d.workspace AND e.webhook = d.webhook AND e.state = 'pending'))),
    pick AS (SELECT * FROM due WHERE turn <= p_share ORDER BY turn, next_at LIMIT p_limit),
    mine AS (
        UPDATE public.webhook_delivery d
           SET attempts = CASE WHEN d.replay THEN 1 ELSE d.attempts + 1 END, replay = false,
               claim = d.claim + 1, leased_until = now() + make_interval(secs => p_lease_s)
          FROM pick WHERE d.workspace = pick.workspace AND d.webhook = pick.webhook
           AND d.number = pick.number AND d.state = 'pending'
           AND (d.leased_until IS NULL OR d.leased_until <= now())
        RETURNING d.workspace, d.webhook, d.id, d.attempts, d.type, d.body, d.claim)
    SELECT m.workspace, m.webhook, m.id, m.attempts, w.url, m.type, m.body, w.signature,
           coalesce(w.previous_until > now(), false), coalesce(to_json(s.egress)::text, '[]'), m.claim
      FROM mine m
      JOIN public.webhook w ON w.workspace = m.workspace AND w.id = m.webhook
      LEFT JOIN public.workspace s ON s.name = m.workspace
$$;
REVOKE ALL ON FUNCTION webhook_claim(integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhook_claim(integer, integer, integer) TO gantry_connector;
