--- Operation WRITE: store every entry of a checked body. Copies bytes; no value becomes a Lua object.
-- @module tarantkv.write

local body = require('tarantkv.body')
local box_api = require('tarantkv.box_api')

local replace = box_api.replace

local M = {}

local space_id

--- Tell the module where keys live, once the space exists.
function M.attach(space)
    space_id = space.id
end

M.check = body.check_write

--- Apply a checked body; inside a transaction.
-- @treturn boolean false when the database refused (`box.error.last()` says why)
function M.apply(bytes, count, place)
    local ends = body.entry_ends()
    local at = ends[place]
    for i = place + 1, place + count do
        local stop = ends[i]
        if replace(space_id, bytes + at, bytes + stop, nil) ~= 0 then
            return false
        end
        at = stop
    end
    return true
end

return M
