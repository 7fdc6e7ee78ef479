-- Sends replies and deletes their frames, but only if this worker is the only one that was ever given certain frames.
-- A refusal is final only then. The check and the report are one step, so that no other worker takes over a frame in
-- between.
--
-- KEYS[1] stream of the shard; KEYS[2..] the reply stream of each entry to send.
-- ARGV[1] group; ARGV[2] the consumer; ARGV[3] length at which a reply stream is trimmed; ARGV[4] seconds after which one
-- expires; ARGV[5] number of frames to check, followed by their ids; then the number of frames to delete, followed by
-- their ids; then field and data of each entry to send.
-- Returns the ids of the frames that other workers were given, too. If there are any, nothing was sent or deleted.
local at = 5
local function take_list()
    local list = {}
    local last = at + tonumber(ARGV[at])
    for i = at + 1, last do
        list[#list + 1] = ARGV[i]
    end
    at = last + 1
    return list
end

local shared = {}
for _, entry in ipairs(take_list()) do
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)
    if pending.err ~= nil or #pending ~= 1 or pending[1][2] ~= ARGV[2] or pending[1][4] ~= 1 then
        shared[#shared + 1] = entry
    end
end
local finished = take_list()
if #shared > 0 then
    return shared
end
for i = 2, #KEYS do
    redis.call('XADD', KEYS[i], 'MAXLEN', '~', ARGV[3], '*', ARGV[at], ARGV[at + 1])
    redis.call('EXPIRE', KEYS[i], ARGV[4])
    at = at + 2
end
for _, entry in ipairs(finished) do
    redis.call('XACK', KEYS[1], ARGV[1], entry)
    redis.call('XDEL', KEYS[1], entry)
end
return shared
