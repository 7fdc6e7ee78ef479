--- What arrives from the wire, turned into what the operations work with, or nil where it is something else.
-- What an argument means is up to the operation.
-- @module tarantkv.arguments

local floor = math.floor

local has_varbinary, varbinary = pcall(require, 'varbinary')

local M = {}

--- Largest number that is taken: whole numbers are exact in Lua up to here.
local MAX_WHOLE = 9007199254740992

--- Bytes as a string. MessagePack `str` is a string everywhere; `bin` is one in Tarantool 2 and a varbinary object
-- in 3.
-- @treturn string nil when the value is neither
function M.bytes(value)
    if type(value) == 'string' then
        return value
    elseif has_varbinary and varbinary.is(value) then
        return tostring(value)
    end
    return nil
end

--- Bytes that are neither empty nor longer than `limit`.
-- @treturn string nil when they are, or when the value is no bytes at all
function M.text(value, limit)
    local text = M.bytes(value)
    if text == nil or #text < 1 or #text > limit then
        return nil
    end
    return text
end

--- A whole number from 0 to 2^53; numbers past 10^14 arrive as 64-bit cdata.
-- @treturn number nil when the value is something else
function M.whole(value)
    local number = type(value) ~= 'string' and tonumber(value) or nil
    if number == nil or number < 0 or number > MAX_WHOLE or number ~= floor(number) then
        return nil
    end
    return number
end

return M
