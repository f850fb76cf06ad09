-- running -> completed, failed or cancelled: once, and only by the delivery that holds the job.
-- KEYS: job, index, pending, the share (share_look.lua).
-- ARGV: id, message, delivery, status, http, answer (sealed), error, now ms, retention s,
--       bytes of a share, outcome ('' when it was refused), wall ms, cpu ms, rss bytes.
-- Returns { 'ok' }, { 'done', http, answer, outcome, wall, cpu, rss } when it has ended before,
-- { 'busy' } when another holds it, { 'full' } when a long answer has no room: a share and a half is used. (New jobs are refused
-- from one share on; the half is for those that were waiting.)
-- use lib/share.lua
local job = redis.call('HMGET', KEYS[1], 'status', 'message', 'delivery', 'http', 'answer',
                       'outcome', 'wall', 'cpu', 'rss')
if job[1] == 'running' then
    if job[2] ~= ARGV[2] or job[3] ~= ARGV[3] then
        return { 'busy' }
    end
    local bytes = #ARGV[6] + JOB_BYTES
    local total = tonumber(redis.call('HGET', KEYS[4], 'total') or '0')
    if bytes > 4096 and total + bytes > tonumber(ARGV[10]) * 1.5 then
        return { 'full' }
    end
    share_add(KEYS[4], bytes, tonumber(ARGV[8]) / 1000, tonumber(ARGV[9]))
    redis.call('HSET', KEYS[1], 'status', ARGV[4], 'http', ARGV[5], 'answer', ARGV[6],
               'error', ARGV[7], 'finished', ARGV[8])
    if ARGV[11] ~= '' then
        redis.call('HSET', KEYS[1], 'outcome', ARGV[11], 'wall', ARGV[12], 'cpu', ARGV[13],
                   'rss', ARGV[14])
    end
    redis.call('EXPIRE', KEYS[1], ARGV[9])
    return { 'ok' }
end
if not job[1] or job[1] == 'pending' then
    return { 'busy' }
end
return { 'done', job[4] or '', job[5] or '', job[6] or '', job[7] or '', job[8] or '', job[9] or '' }
