-- Tags beside the words in the one GIN index: a search by tags reads the rows that have them.
DROP INDEX memory_words;
CREATE INDEX memory_words ON memory USING gin (workspace, words, tags);
