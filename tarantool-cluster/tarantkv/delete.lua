--- Operation DELETE: remove every key of a checked body and count those that were there.
-- @module tarantkv.delete

local body = require('tarantkv.body')
local box_api = require('tarantkv.box_api')

local delete, removed = box_api.delete, box_api.result
local end_of_key_tuple = body.end_of_key_tuple

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
function M.apply(bytes, lengths, count, first)
    local at = first
    local deleted = 0
    for i = 0, count - 1 do
        local stop = at + lengths[i]
        if delete(space_id, 0, bytes + at, bytes + end_of_key_tuple(bytes, at, stop), removed) ~= 0 then
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
