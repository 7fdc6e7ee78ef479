--- The elements of bodies and of stored tuples: arrays, keys, buckets and integers, read through pointers.
-- An end of 0 says that there is no such element, or that it exceeds the bytes. `body` and the operations define what
-- the elements mean.
-- @module tarantkv.elements

local bit = require('bit')
local ffi = require('ffi')

local M = {}

M.MAX_KEY_BYTES = 1024

local MAX_KEY_BYTES = M.MAX_KEY_BYTES
local ARRAY_OF_1 = 0x91
local WORD, HALF_WORD = 4294967296, 2147483648
--- Largest number that is exact in Lua.
local MAX_WHOLE = 9007199254740992

local function uint32_at(bytes, at)
    return bytes[at] * 16777216 + bytes[at + 1] * 65536 + bytes[at + 2] * 256 + bytes[at + 3]
end

M.uint32_at = uint32_at

--- The MessagePack header of an array.
function M.array_header(count)
    if count < 16 then
        return string.char(0x90 + count)
    elseif count < 65536 then
        return string.char(0xdc, math.floor(count / 256), count % 256)
    end
    return '\xdd' .. ffi.string(ffi.new('uint32_t[1]', bit.bswap(count)), 4)
end

--- The count of the array at `at` and where its first element begins; 0 and 0 if there is no array.
function M.array_at(bytes, at, stop)
    if at >= stop then
        return 0, 0
    end
    local byte = bytes[at]
    if byte >= 0x90 and byte <= 0x9f then
        return byte - 0x90, at + 1
    elseif byte == 0xdc and at + 3 <= stop then
        return bytes[at + 1] * 256 + bytes[at + 2], at + 3
    elseif byte == 0xdd and at + 5 <= stop then
        return uint32_at(bytes, at + 1), at + 5
    end
    return 0, 0
end

--- Where the key that starts at `at` ends.
function M.end_of_key(bytes, at, stop)
    if at >= stop then
        return 0
    end
    local byte = bytes[at]
    local length, start
    if byte >= 0xa0 and byte <= 0xbf then
        length, start = byte - 0xa0, at + 1
    elseif byte == 0xd9 and at + 2 <= stop then
        length, start = bytes[at + 1], at + 2
    elseif byte == 0xda and at + 3 <= stop then
        length, start = bytes[at + 1] * 256 + bytes[at + 2], at + 3
    else
        return 0
    end
    if length < 1 or length > MAX_KEY_BYTES or start + length > stop then
        return 0
    end
    return start + length
end

--- The bucket number at `at` and where it ends.
function M.bucket_at(bytes, at, stop)
    if at >= stop then
        return 0, 0
    end
    local byte = bytes[at]
    if byte == 0xcd and at + 3 <= stop then
        return bytes[at + 1] * 256 + bytes[at + 2], at + 3
    elseif byte <= 0x7f then
        return byte, at + 1
    elseif byte == 0xcc and at + 2 <= stop then
        return bytes[at + 1], at + 2
    elseif byte == 0xce and at + 5 <= stop then
        return uint32_at(bytes, at + 1), at + 5
    end
    return 0, 0
end

--- The integer at `at`, in any of MessagePack's forms.
-- @treturn number the upper 32 bits of its 64; those of a negative number are 2^31 or more
-- @treturn number the lower 32 bits
-- @treturn number where it ends
-- @treturn boolean whether it is 2^63 or more
function M.integer_at(bytes, at, stop)
    if at >= stop then
        return 0, 0, 0, false
    end
    local byte = bytes[at]
    if byte <= 0x7f then
        return 0, byte, at + 1, false
    elseif byte >= 0xe0 then
        return WORD - 1, WORD - 256 + byte, at + 1, false
    elseif byte < 0xcc or byte > 0xd3 then
        return 0, 0, 0, false
    end
    local is_signed = byte >= 0xd0
    local width = is_signed and byte - 0xd0 or byte - 0xcc
    if width == 3 then
        if at + 9 > stop then
            return 0, 0, 0, false
        end
        local upper = uint32_at(bytes, at + 1)
        return upper, uint32_at(bytes, at + 5), at + 9, not is_signed and upper >= HALF_WORD
    end
    local size = width == 0 and 1 or width == 1 and 2 or 4
    local after = at + 1 + size
    if after > stop then
        return 0, 0, 0, false
    end
    local lower = 0
    for i = at + 1, after - 1 do
        lower = lower * 256 + bytes[i]
    end
    if is_signed and bytes[at + 1] >= 0x80 then
        return WORD - 1, WORD - 256 ^ size + lower, after, false
    end
    return 0, lower, after, false
end

local integer_at = M.integer_at

--- The integer at `at` as a Lua number, and where it ends; 0 and 0 if a Lua number cannot represent it exactly.
function M.whole_at(bytes, at, stop)
    local upper, lower, after, is_great = integer_at(bytes, at, stop)
    if after == 0 or is_great then
        return 0, 0
    end
    local value = (upper >= HALF_WORD and upper - WORD or upper) * WORD + lower
    if value > MAX_WHOLE or value < -MAX_WHOLE then
        return 0, 0
    end
    return value, after
end

--- The integer at `at` as an `int64_t`, and where it ends; the end is 0 if the integer is 2^63 or more.
function M.int64_at(bytes, at, stop)
    local upper, lower, after, is_great = integer_at(bytes, at, stop)
    return ffi.cast('int64_t', upper >= HALF_WORD and upper - WORD or upper) * 4294967296LL + lower,
        is_great and 0 or after
end

--- Where a key ends that was checked before.
function M.end_of_checked_key(bytes, at)
    local byte = bytes[at]
    if byte <= 0xbf then
        return at + 1 + byte - 0xa0
    elseif byte == 0xd9 then
        return at + 2 + bytes[at + 1]
    end
    return at + 3 + bytes[at + 1] * 256 + bytes[at + 2]
end

--- A place for one index key, `[key]`: it holds the header, and the key is copied behind that. All fibers share it,
-- because it is read before anything can yield.
M.index_key = ffi.new('uint8_t[?]', 1 + 3 + MAX_KEY_BYTES)
M.index_key[0] = ARRAY_OF_1

return M
