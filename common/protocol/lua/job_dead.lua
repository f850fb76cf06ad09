-- The command has become a dead letter: no executor will end this job any more.
-- KEYS: job, index, pending, the share (share_look.lua). ARGV: id, action, enqueued ms, retention s, now ms, reason.
-- use lib/share.lua
local status = redis.call('HGET', KEYS[1], 'status')
if status and status ~= 'pending' and status ~= 'running' then
    return { status }
end
if not status then
    local member = string.format('%015.0f:%s', tonumber(ARGV[3]), ARGV[1])
    redis.call('HSET', KEYS[1], 'action', ARGV[2], 'enqueued', ARGV[3], 'member', member)
    redis.call('ZADD', KEYS[2], 0, member)
end
redis.call('HSET', KEYS[1], 'status', 'dead', 'error', ARGV[6], 'finished', ARGV[5])
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
share_add(KEYS[4], JOB_BYTES, tonumber(ARGV[5]) / 1000, tonumber(ARGV[4]))
return { 'dead' }
