-- Reserve an idempotency key for one request, or say what became of it.
-- KEYS: the record. ARGV: command id if it is new, hash of the body, lease in ms, life in s.
-- Returns { 'new' | 'again', id, attempt }   we hold the lease: carry it out
--         { 'answer', id, attempt, answer }  done before
--         { 'busy', id, ms }                 under way
--         { 'other' }                        the key was used with another body
-- The id is fixed by the first reservation. The lease is a field, not the record's life: after a
-- crash the next one takes it over with the same id and the next attempt.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = string.format('%.0f', now + tonumber(ARGV[3]))
local record = redis.call('HMGET', KEYS[1], 'id', 'hash', 'lease', 'attempt', 'answer')
if not record[1] then
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
