-- A job is about to do what cannot be taken back. Only the delivery that holds it may, and only once:
-- whoever comes after a crash learns that it may have been done.
-- KEYS: job. ARGV: id, message, delivery, token (of this attempt to carry the job out).
-- Returns { 'ok' }         go on
--         { 'sent' }       an earlier attempt came as far as this
--         { 'cancelled' }  the job is to end
--         { 'busy' }       another delivery holds it, or it has ended
local job = redis.call('HMGET', KEYS[1], 'status', 'message', 'delivery', 'cancel', 'sent')
if job[1] ~= 'running' or job[2] ~= ARGV[2] or job[3] ~= ARGV[3] then
    return { 'busy' }
end
if job[5] and job[5] ~= ARGV[4] then
    return { 'sent' }
end
if job[4] then
    return { 'cancelled' }
end
redis.call('HSET', KEYS[1], 'sent', ARGV[4])
return { 'ok' }
