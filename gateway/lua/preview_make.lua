-- Keep a preview, if there is room in the workspace's share of Redis.
-- KEYS: the preview, the share (share_look.lua, which was called before).
-- ARGV: action, params (sealed), expires ms, life of the record s, now s, bytes of a share.
-- Returns 1, or 0 when the share is used up.
-- use lib/share.lua
local bytes = #ARGV[2] + 300
local total = tonumber(redis.call('HGET', KEYS[2], 'total') or '0')
if total + bytes > tonumber(ARGV[6]) then
    return 0
end
share_add(KEYS[2], bytes, tonumber(ARGV[5]), tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'action', ARGV[1], 'params', ARGV[2], 'expires', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
