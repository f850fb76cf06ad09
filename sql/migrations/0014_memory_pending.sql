-- New rows wait in a list that every search by words reads from end to end, up to 4 MB of it: a short
-- one costs the insertion little, and the search a tenth.
ALTER INDEX memory_words SET (gin_pending_list_limit = 256);
