-- running -> completed, failed or cancelled: once, and only by the delivery that holds the job.
-- KEYS: job, index, pending.
-- ARGV: id, message, delivery, status, http, answer (sealed), error, now ms, retention s.
-- Returns { 'ok' }, { 'done', http, answer } when it has ended before, { 'busy' } when another holds it.
local job = redis.call('HMGET', KEYS[1], 'status', 'message', 'delivery', 'http', 'answer')
if job[1] == 'running' then
    if job[2] ~= ARGV[2] or job[3] ~= ARGV[3] then
        return { 'busy' }
    end
    redis.call('HSET', KEYS[1], 'status', ARGV[4], 'http', ARGV[5], 'answer', ARGV[6],
               'error', ARGV[7], 'finished', ARGV[8])
    redis.call('EXPIRE', KEYS[1], ARGV[9])
    return { 'ok' }
end
if not job[1] or job[1] == 'pending' then
    return { 'busy' }
end
return { 'done', job[4] or '', job[5] or '' }
