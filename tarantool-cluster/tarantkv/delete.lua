--- Operation DELETE: remove every key of a checked body and count those that were there.
-- @module tarantkv.delete

local ffi = require('ffi')
local body = require('tarantkv.body')
local box_api = require('tarantkv.box_api')

local delete, removed = box_api.delete, box_api.result
local end_of_checked_key, index_key = body.end_of_checked_key, body.index_key
local copy = ffi.copy

local M = {}

local space_id

--- Tell the module where keys live, once the space exists.
function M.attach(space)
    space_id = space.id
end

M.check = body.check_keys

--- Apply a checked body; inside a transaction.
-- @treturn boolean false when the database refused (`box.error.last()` says why)
-- @treturn number keys that were there
function M.apply(bytes, count, first)
    local at = first
    local deleted = 0
    for _ = 1, count do
        local stop = end_of_checked_key(bytes, at)
        copy(index_key + 1, bytes + at, stop - at)
        if delete(space_id, 0, index_key, index_key + 1 + stop - at, removed) ~= 0 then
            return false
        end
        if removed[0] ~= nil then
            deleted = deleted + 1
        end
        at = stop
    end
    return true, deleted
end

return M
