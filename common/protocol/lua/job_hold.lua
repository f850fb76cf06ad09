-- A job that waits for an approval: from nothing to waiting_approval, and from that to pending, failed or
-- cancelled. What an executor has begun or ended stays as it is. One that was approved, and could not be
-- published since, may still fail.
-- KEYS: job, index, pending, the share (share_look.lua). ARGV: id, action, enqueued ms, retention s, status, now ms, error.
-- Returns { status, jobs that are pending }.
-- use lib/share.lua
local status = redis.call('HGET', KEYS[1], 'status')
if status and status ~= 'waiting_approval' and not (status == 'pending' and ARGV[5] == 'failed') then
    return { status, redis.call('SCARD', KEYS[3]) }
end
if not status then
    local member = string.format('%015.0f:%s', tonumber(ARGV[3]), ARGV[1])
    redis.call('HSET', KEYS[1], 'action', ARGV[2], 'enqueued', ARGV[3], 'member', member)
    redis.call('ZADD', KEYS[2], 0, member)
end
redis.call('HSET', KEYS[1], 'status', ARGV[5])
if ARGV[5] == 'pending' then
    redis.call('SADD', KEYS[3], ARGV[1])
elseif ARGV[5] ~= 'waiting_approval' then
    redis.call('HSET', KEYS[1], 'finished', ARGV[6], 'error', ARGV[7])
    redis.call('SREM', KEYS[3], ARGV[1])
    share_add(KEYS[4], JOB_BYTES, tonumber(ARGV[6]) / 1000, tonumber(ARGV[4]))
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return { ARGV[5], redis.call('SCARD', KEYS[3]) }
