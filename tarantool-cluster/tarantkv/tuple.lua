--- Finds the parts of stored tuples of `kv` without reading through the value.
--
--     [key, bucket_id, value]                        stored before there were versions: version 0
--     [key, bucket_id, value, version]
--     [key, bucket_id, value, version, expires]      `expires` in milliseconds since the epoch
--
-- `version` and `expires` are unsigned integers in MessagePack's form of nine bytes, so that they are found from the
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

--- How many fields a tuple has, and the number of bytes before the first field: another application may have stored the
-- array's header in a longer form.
local function head_of(key)
    local byte = key[-1]
    if byte >= ARRAY_OF_3 and byte <= ARRAY_OF_5 then
        return byte - 0x90, 1
    end
    return byte, key[-3] == 0xdc and 3 or 5
end

--- The parts of a tuple of `kv`.
-- @tparam cdata stored the tuple from `result` of `box_api`
-- @treturn cdata the key, `const uint8_t *`
-- @treturn cdata the value
-- @treturn number bytes of the value; the version follows it, then the expiry
-- @treturn number fields: 3 without version, 4 without expiry, 5 with both
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

--- When the key expires, 0 for never. Takes the results of `parts`.
function M.expires_of(value, length, fields)
    if fields < 5 then
        return 0
    end
    local at = length + NUMBER_BYTES + 1
    return uint32_at(value, at) * WORD + uint32_at(value, at + 4)
end

--- The upper and the lower half of the version. Takes the results of `parts`.
function M.version_of(value, length, fields)
    if fields < 4 then
        return 0, 0
    end
    return uint32_at(value, length + 1), uint32_at(value, length + 5)
end

--- The number of bytes before the key of a tuple.
function M.head_size(key)
    local _, head = head_of(key)
    return head
end

--- Has the key of a tuple expired?
-- @tparam number now of `tarantkv.shard_clock`, milliseconds since the epoch
function M.is_over(stored, now)
    local _, value, length, fields = parts(stored)
    return fields >= 5 and M.expires_of(value, length, fields) <= now
end

return M
