-- Record the answer of a reserved request. The first recorded answer wins, and is returned.
-- KEYS: the record. ARGV: command id, hash of the body, answer, life in s.
local id = redis.call('HGET', KEYS[1], 'id')
if not id then
    redis.call('HSET', KEYS[1], 'id', ARGV[1], 'hash', ARGV[2], 'lease', 0, 'attempt', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[4])
elseif id ~= ARGV[1] then
    return ARGV[3]
end
if redis.call('HSETNX', KEYS[1], 'answer', ARGV[3]) == 1 then
    return ARGV[3]
end
return redis.call('HGET', KEYS[1], 'answer')
