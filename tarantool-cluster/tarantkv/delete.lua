--- Operation DELETE: remove every key of a checked body and count those that were present.
-- @module tarantkv.delete

local body = require('tarantkv.body')
local elements = require('tarantkv.elements')
local store = require('tarantkv.store')

local end_of_checked_key = elements.end_of_checked_key
local remove = store.remove

local M = {}

M.check = body.check_delete

--- Apply a checked body; inside a transaction.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn number of keys that were present; expired keys do not count
function M.apply(bytes, count, first, now)
    local at = first
    local deleted = 0
    for _ = 1, count do
        local ok, was_there = remove(bytes, at, now)
        if not ok then
            return false
        elseif was_there then
            deleted = deleted + 1
        end
        at = end_of_checked_key(bytes, at)
    end
    return true, deleted
end

return M
