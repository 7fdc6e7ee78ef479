--- Operation WRITE: store every entry of a checked body. It copies bytes and creates no Lua objects for values.
-- @module tarantkv.write

local body = require('tarantkv.body')
local elements = require('tarantkv.elements')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')

local whole_at = elements.whole_at
local put, expires_at = store.put, store.expires_at

local M = {}

M.check = body.check_write

--- Apply a checked body; inside a transaction.
-- @tparam cdata bytes
-- @tparam number count of entries
-- @tparam number place of the entries' offsets in `body.entry_ends`
-- @tparam number now milliseconds since the epoch
-- @treturn boolean false if the database reported an error (`box.error.last()`)
function M.apply(bytes, count, place, now)
    local upper, lower = shard_clock.next_version()
    local ends = body.entry_ends()
    local at = ends[place]
    for i = place + 2, place + 2 * count, 2 do
        local value_end, stop = ends[i - 1], ends[i]
        local expires = 0
        if value_end < stop then
            local expiry = whole_at(bytes, value_end, stop)
            expires = expires_at(expiry, bytes, at + 1, now)
        end
        if expires == nil or not put(bytes, at + 1, value_end, upper, lower, expires) then
            return false
        end
        at = stop
    end
    store.release()
    return true
end

return M
