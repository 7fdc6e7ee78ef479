--- Checks and converts values that came over the wire. Each function returns nil for a value of another kind.
-- The operations define what an argument means.
-- @module tarantkv.arguments

local floor = math.floor

local has_varbinary, varbinary = pcall(require, 'varbinary')

local M = {}

--- Largest number that is accepted: Lua represents whole numbers exactly up to here.
local MAX_WHOLE = 9007199254740992

--- Bytes as a string. MessagePack's `str` arrives as a string; `bin` arrives as a string in Tarantool 2 and as a
-- varbinary object in 3.
-- @treturn string nil for all other values
function M.bytes(value)
    if type(value) == 'string' then
        return value
    elseif has_varbinary and varbinary.is(value) then
        return tostring(value)
    end
    return nil
end

--- Bytes that are neither empty nor longer than `limit`.
-- @treturn string nil for all other values
function M.text(value, limit)
    local text = M.bytes(value)
    if text == nil or #text < 1 or #text > limit then
        return nil
    end
    return text
end

--- A whole number from 0 to 2^53; numbers past 10^14 arrive as 64-bit cdata.
-- @treturn number nil for all other values
function M.whole(value)
    local number = type(value) ~= 'string' and tonumber(value) or nil
    if number == nil or number < 0 or number > MAX_WHOLE or number ~= floor(number) then
        return nil
    end
    return number
end

return M
