-- How much of Redis a workspace uses: bytes of previews and of ended jobs that have not expired.
-- KEYS: the share. ARGV: now s. Returns the bytes.
-- The share is a hash: bytes by the end of the ten minutes in which they expire, their total, and
-- up to when it was swept.
local bucket = math.floor(tonumber(ARGV[1]) / 600)
local total = tonumber(redis.call('HGET', KEYS[1], 'total') or '0')
if total > 0 and tonumber(redis.call('HGET', KEYS[1], 'swept') or '0') < bucket then
    local all = redis.call('HGETALL', KEYS[1])
    for i = 1, #all, 2 do
        local ends = tonumber(all[i])
        if ends and ends < bucket then
            total = total - tonumber(all[i + 1])
            redis.call('HDEL', KEYS[1], all[i])
        end
    end
    redis.call('HSET', KEYS[1], 'total', total, 'swept', bucket)
end
return total
