-- Use a preview once. KEYS: the preview. ARGV: id of the command that uses it, now ms.
-- Returns { 'ok', action, params (sealed) }, or { 'missing' | 'expired' | 'used' }.
-- The same command may use it again: its first attempt may have died in between.
local preview = redis.call('HMGET', KEYS[1], 'action', 'params', 'expires', 'used')
if not preview[1] then
    return { 'missing' }
end
if preview[4] and preview[4] ~= ARGV[1] then
    return { 'used' }
end
if not preview[4] and tonumber(preview[3]) <= tonumber(ARGV[2]) then
    return { 'expired' }
end
redis.call('HSET', KEYS[1], 'used', ARGV[1])
return { 'ok', preview[1], preview[2] }
