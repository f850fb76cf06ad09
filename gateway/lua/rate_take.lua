-- Take one request from every bucket of KEYS, or from none (GCRA).
-- ARGV: for each key its interval in microseconds and its burst.
-- Returns { wait in us (0 = taken), then for each key: left, us until it is full again }.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tats, wait = {}, 0
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local tat = math.max(tonumber(redis.call('GET', key) or 0), now)
    wait = math.max(wait, tat + interval - interval * burst - now)
    tats[i] = tat
end
local out = { math.ceil(wait) }
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    if wait <= 0 then
        tats[i] = tats[i] + interval
        redis.call('SET', key, string.format('%.0f', tats[i]),
                   'PX', math.ceil((tats[i] - now) / 1000) + 1000)
    end
    out[#out + 1] = math.floor((interval * burst - (tats[i] - now)) / interval)
    out[#out + 1] = math.ceil(tats[i] - now)
end
if wait <= 0 then
    out[1] = 0
end
return out
