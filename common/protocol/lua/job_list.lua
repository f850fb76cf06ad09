-- A page of a workspace's jobs, newest first.
-- KEYS: index, pending, prefix of the jobs' keys. ARGV: cursor or '', limit, status or '', bytes.
-- Returns { next cursor or '', pending, { id, fields in the order below }... }.
-- The index holds "<enqueued ms>:<id>", so that a cursor is a place and not a number of rows. The
-- page ends early after 2000 looked at, or when the answers in it reach the bytes.
local place = ARGV[1] ~= '' and '(' .. ARGV[1] or '+'
local limit, bytes, looked = tonumber(ARGV[2]), tonumber(ARGV[4]), 0
local rows, last, more = {}, '', true
while more and #rows < limit and bytes > 0 and looked < 2000 do
    local members = redis.call('ZREVRANGEBYLEX', KEYS[1], place, '-', 'LIMIT', 0, 100)
    more = #members == 100
    for i, member in ipairs(members) do
        local id = string.sub(member, 17)
        local key = KEYS[3] .. id
        local job = redis.call('HMGET', key, 'status', 'action', 'answer', 'error', 'enqueued',
                               'started', 'finished', 'outcome', 'wall', 'cpu', 'rss')
        last, looked = member, looked + 1
        if not job[1] then
            redis.call('ZREM', KEYS[1], member)
        elseif ARGV[3] == '' or ARGV[3] == job[1] then
            bytes = bytes - 300 - #(job[3] or '')
            rows[#rows + 1] = { id, job[1], job[2] or '', job[3] or '', job[4] or '',
                                job[5] or '', job[6] or '', job[7] or '', job[8] or '', job[9] or '',
                                job[10] or '', job[11] or '' }
        end
        if #rows == limit or bytes <= 0 then
            more = more or i < #members
            break
        end
    end
    place = '(' .. last
end
local out = { more and last or '', redis.call('SCARD', KEYS[2]) }
for _, row in ipairs(rows) do
    out[#out + 1] = row
end
return out
