-- Secrets are sealed for their version, too: an older box that is put back does not open.
--
-- seal_version is a number that each sealing takes and that never comes again; 0: sealed before there were such
-- numbers, for the workspace and the name only. Until 0162 the function gives 0, so that a connector of the
-- version before can open what one of this version seals.
ALTER TABLE connector_secret ADD COLUMN seal_version bigint NOT NULL DEFAULT 0;
CREATE SEQUENCE connector_seal_number AS bigint;

CREATE FUNCTION connector_seal_version() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 0::bigint
$$;
REVOKE ALL ON FUNCTION connector_seal_version() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION connector_seal_version() TO gantry_connector;
