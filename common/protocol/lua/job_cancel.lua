-- Ask for the end of a job. Pending and waiting_approval end at once; running is marked, and its executor is told.
-- KEYS: job, index, pending, the share (share_look.lua). ARGV: id, now ms, retention s.
-- Returns { status before }, or { 'missing' }.
-- use lib/share.lua
local status = redis.call('HGET', KEYS[1], 'status')
if not status then
    return { 'missing' }
end
if status == 'pending' or status == 'waiting_approval' then
    redis.call('HSET', KEYS[1], 'status', 'cancelled', 'finished', ARGV[2], 'error', 'cancelled')
    redis.call('SREM', KEYS[3], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    share_add(KEYS[4], JOB_BYTES, tonumber(ARGV[2]) / 1000, tonumber(ARGV[3]))
elseif status == 'running' then
    redis.call('HSET', KEYS[1], 'cancel', '1')
end
return { status }
