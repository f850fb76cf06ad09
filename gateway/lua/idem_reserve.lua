-- Reserve an idempotency key for one request, or say what became of it.
-- KEYS: the record, the share (share_look.lua, which was called before).
-- ARGV: command id if it is new, hash of the body, lease in ms, life in s, bytes of a share.
-- Returns { 'new' | 'again', id, attempt }   we hold the lease: carry it out
--         { 'answer', id, attempt, answer }  done before
--         { 'busy', id, ms }                 under way
--         { 'other' }                        the key was used with another body
--         { 'full' }                         there is no room for a new record in the share
-- The id is fixed by the first reservation. The lease is a field, not the record's life: after a
-- crash the next one takes it over with the same id and the next attempt.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = string.format('%.0f', now + tonumber(ARGV[3]))
local record = redis.call('HMGET', KEYS[1], 'id', 'hash', 'lease', 'attempt', 'answer')
if not record[1] then
    local bytes = 650 -- of one with an answer of up to 250, as MEMORY USAGE has it
    local total = tonumber(redis.call('HGET', KEYS[2], 'total') or '0')
    if total + bytes > tonumber(ARGV[5]) then
        return { 'full' }
    end
    local ends = math.floor((time[1] + tonumber(ARGV[4])) / 600) + 1
    redis.call('HINCRBY', KEYS[2], 'total', bytes)
    if redis.call('HINCRBY', KEYS[2], ends, bytes) == bytes then
        redis.call('EXPIRE', KEYS[2], math.max(redis.call('TTL', KEYS[2]), tonumber(ARGV[4]) + 1200))
    end
    redis.call('HSET', KEYS[1], 'id', ARGV[1], 'hash', ARGV[2], 'lease', lease, 'attempt', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[4])
    return { 'new', ARGV[1], 1 }
end
if record[2] ~= ARGV[2] then
    return { 'other' }
end
if record[5] then
    return { 'answer', record[1], tonumber(record[4]), record[5] }
end
if tonumber(record[3]) > now then
    return { 'busy', record[1], tonumber(record[3]) - now }
end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'lease', lease)
return { 'again', record[1], attempt }
