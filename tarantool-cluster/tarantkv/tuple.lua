--- Stored tuples of `kv`, taken apart without walking the value.
--
--     [key, bucket_id, value]                        of before there were versions: version 0
--     [key, bucket_id, value, version]
--     [key, bucket_id, value, version, expires]      `expires` in milliseconds since the epoch
--
-- `version` and `expires` are unsigned integers in the form of nine bytes, so that their places are counted from the
-- end.
-- @module tarantkv.tuple

local ffi = require('ffi')
local box_api = require('tarantkv.box_api')
local elements = require('tarantkv.elements')

local tuple_field, tuple_bsize = box_api.tuple_field, box_api.tuple_bsize
local uint32_at = elements.uint32_at

local M = {}

local ARRAY_OF_3, ARRAY_OF_5 = 0x93, 0x95
local NUMBER_BYTES = 9
local WORD = 4294967296
local bytes_t = ffi.typeof('const uint8_t *')

--- How many fields a tuple has, and the bytes in front of the first: another application may have stored the array's
-- header in a longer form.
local function head_of(key)
    local byte = key[-1]
    if byte >= ARRAY_OF_3 and byte <= ARRAY_OF_5 then
        return byte - 0x90, 1
    end
    return byte, key[-3] == 0xdc and 3 or 5
end

--- Take a tuple of `kv` apart.
-- @tparam cdata stored what `box_api` left in `result`
-- @treturn cdata the key, `const uint8_t *`
-- @treturn cdata the value
-- @treturn number bytes of the value; the version follows it, then the expiry
-- @treturn number fields: 3 no version, 4 no expiry, 5 both
function M.parts(stored)
    local key = ffi.cast(bytes_t, tuple_field(stored, 0))
    local value = ffi.cast(bytes_t, tuple_field(stored, 2))
    local fields, head = head_of(key)
    local length = tonumber(tuple_bsize(stored)) - head - tonumber(value - key)
    if fields > 3 then
        length = length - (fields - 3) * NUMBER_BYTES
    end
    return key, value, length, fields
end

local parts = M.parts

--- When the key is over, 0 for never. To be asked with what `parts` gave.
function M.expires_of(value, length, fields)
    if fields < 5 then
        return 0
    end
    local at = length + NUMBER_BYTES + 1
    return uint32_at(value, at) * WORD + uint32_at(value, at + 4)
end

--- The halves of the version, the upper first.
function M.version_of(value, length, fields)
    if fields < 4 then
        return 0, 0
    end
    return uint32_at(value, length + 1), uint32_at(value, length + 5)
end

--- Bytes in front of the key of a tuple.
function M.head_size(key)
    local _, head = head_of(key)
    return head
end

--- Is the key of a tuple over?
-- @tparam number now of `tarantkv.shard_clock`, milliseconds since the epoch
function M.is_over(stored, now)
    local _, value, length, fields = parts(stored)
    return fields >= 5 and M.expires_of(value, length, fields) <= now
end

return M
