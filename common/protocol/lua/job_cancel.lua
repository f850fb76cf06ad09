-- Ask for the end of a job. Pending and waiting_approval end at once; running is marked, and its executor is told.
-- KEYS: job, index, pending, the share (share_look.lua). ARGV: id, now ms, retention s.
-- Returns { status before }, or { 'missing' }.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then
    return { 'missing' }
end
if status == 'pending' or status == 'waiting_approval' then
    redis.call('HSET', KEYS[1], 'status', 'cancelled', 'finished', ARGV[2], 'error', 'cancelled')
    redis.call('SREM', KEYS[3], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    local ends = math.floor((tonumber(ARGV[2]) / 1000 + tonumber(ARGV[3])) / 600) + 1
    redis.call('HINCRBY', KEYS[4], ends, 600)
    redis.call('HINCRBY', KEYS[4], 'total', 600)
    redis.call('EXPIRE', KEYS[4], math.max(redis.call('TTL', KEYS[4]), tonumber(ARGV[3]) + 1200))
elseif status == 'running' then
    redis.call('HSET', KEYS[1], 'cancel', '1')
end
return { status }
