-- Scope and tags beside the words in the one GIN index: a search reads the rows of its scope that have
-- its words or tags, not all of the workspace that do.
DROP INDEX memory_words;
CREATE INDEX memory_words ON memory USING gin (workspace, scope, words, tags);
