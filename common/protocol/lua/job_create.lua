-- A command was stored in TASKS: show its job as pending, unless an executor was faster.
-- KEYS: job, index, pending, the share (share_look.lua). ARGV: id, action, enqueued ms, retention s.
-- Returns { status, jobs that are pending }.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then
    local member = string.format('%015.0f:%s', tonumber(ARGV[3]), ARGV[1])
    redis.call('HSET', KEYS[1], 'status', 'pending', 'action', ARGV[2], 'enqueued', ARGV[3],
               'member', member)
    redis.call('EXPIRE', KEYS[1], ARGV[4])
    redis.call('ZADD', KEYS[2], 0, member)
    redis.call('SADD', KEYS[3], ARGV[1])
    local oldest = tonumber(ARGV[3]) - tonumber(ARGV[4]) * 1000
    redis.call('ZREMRANGEBYLEX', KEYS[2], '-', string.format('(%015.0f', math.max(oldest, 0)))
    status = 'pending'
end
return { status, redis.call('SCARD', KEYS[3]) }
