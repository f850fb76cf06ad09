-- A workspace's share of Redis: a hash of bytes by the end of the ten minutes in which they expire, and
-- their total. share_look.lua takes out what has expired.
local JOB_BYTES = 600 -- of an ended job's record, without its answer
local function share_add(share, bytes, now_s, life_s)
    local ends = math.floor((now_s + life_s) / 600) + 1
    redis.call('HINCRBY', share, ends, bytes)
    redis.call('HINCRBY', share, 'total', bytes)
    redis.call('EXPIRE', share, math.max(redis.call('TTL', share), life_s + 1200))
end
