-- A refused command is remembered as long as one that had its effect, so that its publisher can ask what
-- became of it: the problem document, which names fields and shows no value of them. NULL: not refused.
ALTER TABLE command_done ADD COLUMN refusal json;
-- The newest of a workspace stay (statement "trim_refusals").
CREATE INDEX command_refused ON command_done (workspace, done_at) WHERE refusal IS NOT NULL;
GRANT SELECT (refusal) ON command_done TO gantry_search;
