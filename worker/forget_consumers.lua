-- Deletes consumers that have nothing pending. The check and the deletion are one step: deleting a consumer also deletes
-- its pending entries, so a frame that it is given between the two would be lost.
--
-- KEYS[1] stream; ARGV[1] group; ARGV[2] least idle time, ms; ARGV[3] the one consumer to check, or "" for all.
-- Returns how many were deleted.
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
local listed = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if listed.err then
    return 0
end
local deleted = 0
for _, consumer in ipairs(listed) do
    local info = {}
    for i = 1, #consumer, 2 do
        info[consumer[i]] = consumer[i + 1]
    end
    local asked = ARGV[3] == '' or ARGV[3] == info.name
    if asked and info.pending == 0 and info.idle >= tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], info.name)
        deleted = deleted + 1
    end
end
return deleted
