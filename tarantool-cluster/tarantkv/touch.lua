--- Operation TOUCH: give keys another expiry, and keep value and version.
--
--     payload    [position, ...]     of the keys that were absent, from 0
--
-- @module tarantkv.touch

local msgpack = require('msgpack')
local body_more = require('tarantkv.body_more')
local elements = require('tarantkv.elements')
local store = require('tarantkv.store')
local tuples = require('tarantkv.tuple')

local whole_at, end_of_checked_key = elements.whole_at, elements.end_of_checked_key
local put, find, expires_at = store.put, store.find, store.expires_at

local M = {}

local NIL = 0xc0

M.check = body_more.check_touch

--- Apply a checked body; inside a transaction.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn string payload
function M.apply(bytes, count, first, now, expiry)
    local at = first
    local missing = {}
    for i = 1, count do
        local number, after = 0, expiry + 1
        local is_never = bytes[expiry] == NIL
        if not is_never then
            number, after = whole_at(bytes, expiry, expiry + 9)
        end
        local expires = is_never and 0 or expires_at(number, bytes, at, now)
        local ok, stored = find(bytes, at, now)
        if not ok or expires == nil then
            return false
        elseif stored == nil then
            table.insert(missing, i - 1)
        else
            local key, value, length, fields = tuples.parts(stored)
            local upper, lower = tuples.version_of(value, length, fields)
            if not put(key, 0, tonumber(value - key) + length, upper, lower, expires) then
                return false
            end
        end
        at, expiry = end_of_checked_key(bytes, at), after
    end
    store.release()
    return true, msgpack.encode(missing)
end

return M
