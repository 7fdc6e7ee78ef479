-- Renews the frame claims of a consumer: their idle time begins again. A frame that another worker has taken over, or
-- that is not pending any more, is not changed. The check and the renewal are one step, so that no frame is taken back.
--
-- KEYS[1] stream; ARGV[1] group; ARGV[2] the consumer; ARGV[3..] entry ids.
-- Returns the ids of the entries that are not the consumer's any more.
local lost = {}
for i = 3, #ARGV do
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
    if pending.err == nil and #pending == 1 and pending[1][2] == ARGV[2] then
        -- JUSTID does not count this as another delivery.
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    else
        lost[#lost + 1] = ARGV[i]
    end
end
return lost
