-- Record the answer of a reserved request. The first recorded answer wins, and is returned.
-- KEYS: the record, the share. ARGV: command id, hash of the body, answer, life in s.
local id = redis.call('HGET', KEYS[1], 'id')
if not id then
    redis.call('HSET', KEYS[1], 'id', ARGV[1], 'hash', ARGV[2], 'lease', 0, 'attempt', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[4])
elseif id ~= ARGV[1] then
    return ARGV[3]
end
if redis.call('HSETNX', KEYS[1], 'answer', ARGV[3]) == 1 then
    local more = #ARGV[3] - 250 -- beyond what was counted when it was reserved
    if more > 0 then
        local ends = math.floor((redis.call('TIME')[1] + tonumber(ARGV[4])) / 600) + 1
        redis.call('HINCRBY', KEYS[2], 'total', more)
        redis.call('HINCRBY', KEYS[2], ends, more)
        redis.call('EXPIRE', KEYS[2], math.max(redis.call('TTL', KEYS[2]), tonumber(ARGV[4]) + 1200))
    end
    return ARGV[3]
end
return redis.call('HGET', KEYS[1], 'answer')
