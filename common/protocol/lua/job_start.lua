-- pending -> running, for one delivery of one message.
-- KEYS: job, index, pending, the share (share_look.lua).
-- ARGV: id, action, enqueued ms, retention s, now ms, message, delivery, ms after which a run is lost,
--       'marks' if the program has its effects marked by job_send.lua, bytes of a share.
-- Returns { 'run', sent, cancel }    it is ours; sent: '' or the mark of job_send.lua, and only beside
--                                    one cancel is not ''; 'lost' when an earlier delivery may have set
--                                    a mark in a record that is gone
--         { 'done', http, answer, outcome, wall, cpu, rss }  it has ended before: answer again
--         { 'cancelled' }            it was cancelled while nobody had it; it has ended now
--         { 'full' }                 nothing is known of it, and a share and a half is used: no gateway has
--                                    taken it, which would have asked before
--         { 'busy' }                 another message or a later delivery runs it
-- The delivery is the fencing token: a later delivery of the same message takes over, since the
-- server gives one out only when the executor before has died or lost its connection. A second
-- message with the same id (a retry of the gateway's) waits for the first.
-- use lib/share.lua
local job = redis.call('HMGET', KEYS[1], 'status', 'message', 'delivery', 'started', 'cancel',
                       'http', 'answer', 'outcome', 'wall', 'cpu', 'rss', 'sent')
local status = job[1]
if status and status ~= 'pending' and status ~= 'running' and status ~= 'waiting_approval' then
    return { 'done', job[6] or '', job[7] or '', job[8] or '', job[9] or '', job[10] or '', job[11] or '' }
end
if not status then
    local most = tonumber(ARGV[10]) * 1.5
    if ARGV[7] == '1' and tonumber(redis.call('HGET', KEYS[4], 'total') or '0') > most then
        local total, now = 0, math.floor(tonumber(ARGV[5]) / 600000)
        local all = redis.call('HGETALL', KEYS[4])
        for i = 1, #all, 2 do
            total = total + (tonumber(all[i]) and tonumber(all[i]) >= now and all[i + 1] or 0)
        end
        if total > most then
            return { 'full' }
        end
        redis.call('HSET', KEYS[4], 'swept', 0) -- whoever looks next takes out what has expired
    end
    local member = string.format('%015.0f:%s', tonumber(ARGV[3]), ARGV[1])
    redis.call('HSET', KEYS[1], 'action', ARGV[2], 'enqueued', ARGV[3], 'member', member)
    redis.call('ZADD', KEYS[2], 0, member)
    if ARGV[9] == 'marks' and tonumber(ARGV[7]) > 1 then
        job[12] = 'lost'
        redis.call('HSET', KEYS[1], 'sent', job[12])
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
if job[5] and not job[12] then -- what may have been done was not cancelled
    redis.call('HSET', KEYS[1], 'status', 'cancelled', 'finished', ARGV[5], 'error', 'cancelled')
    redis.call('SREM', KEYS[3], ARGV[1])
    share_add(KEYS[4], JOB_BYTES, tonumber(ARGV[5]) / 1000, tonumber(ARGV[4]))
    return { 'cancelled' }
end
if status == 'running' then
    local same = job[2] == ARGV[6]
    local lost = tonumber(ARGV[5]) - tonumber(job[4]) > tonumber(ARGV[8])
    if same and tonumber(job[3]) > tonumber(ARGV[7]) or not same and not lost then
        return { 'busy' }
    end
end
redis.call('HSET', KEYS[1], 'status', 'running', 'message', ARGV[6], 'delivery', ARGV[7],
           'started', ARGV[5])
redis.call('SREM', KEYS[3], ARGV[1])
return { 'run', job[12] or '', job[5] or '' }
