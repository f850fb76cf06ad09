-- Give a reservation back after a failure that is not an answer: a retry may go on at once.
-- KEYS: the record. ARGV: command id, attempt. Only the holder of the lease may.
local record = redis.call('HMGET', KEYS[1], 'id', 'attempt')
if record[1] == ARGV[1] and record[2] == ARGV[2] then
    redis.call('HSET', KEYS[1], 'lease', 0)
end
return 0
