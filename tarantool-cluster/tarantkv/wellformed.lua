--- Checks whether a well-formed MessagePack value begins at an offset, and finds its end.
-- It walks over FFI pointers by tables, creates no Lua objects, and LuaJIT compiles it. It protects the C API, which
-- does not check its arguments, from damaged chunks: a bad tuple crashes the instance. It never decodes values, with
-- one exception: Tarantool's own extension types. An instance that starts checks these while it reads its log, and
-- would not start with a damaged one.
-- @module tarantkv.wellformed

local ffi = require('ffi')
local bit = require('bit')
local msgpack = require('msgpack')

local bor, lshift = bit.bor, bit.lshift

local M = {}

--- Deepest nesting that is accepted. Deeper values would not harm the store itself, but the recursive decoders of
-- programs that read them.
M.MAX_DEPTH = 256

--- Extension types that Tarantool defines: decimal, uuid, error, datetime, compression, interval, tuple, arrow.
local FIRST_OWN_EXTENSION, LAST_OWN_EXTENSION = 1, 8

-- Tables by the first byte: bytes of header plus fixed payload (0: invalid), width of a length that follows, how many
-- values each unit of that length counts (0: it counts bytes), values in a fixed container, whether it is a container
-- that may have content, and the offset of an extension's type.
local fixed = ffi.new('uint8_t[256]')
local width = ffi.new('uint8_t[256]')
local factor = ffi.new('uint8_t[256]')
local inside = ffi.new('uint8_t[256]')
local opens = ffi.new('uint8_t[256]')
local type_at = ffi.new('uint8_t[256]')

local function fill()
    for byte = 0x00, 0x7f do
        fixed[byte] = 1
    end
    for n = 0, 15 do
        fixed[0x80 + n], inside[0x80 + n], opens[0x80 + n] = 1, 2 * n, n > 0 and 1 or 0
        fixed[0x90 + n], inside[0x90 + n], opens[0x90 + n] = 1, n, n > 0 and 1 or 0
    end
    for n = 0, 31 do
        fixed[0xa0 + n] = 1 + n
    end
    for byte = 0xe0, 0xff do
        fixed[byte] = 1
    end
    -- 0xc1 stays 0: MessagePack does not use it.
    fixed[0xc0], fixed[0xc2], fixed[0xc3] = 1, 1, 1
    fixed[0xca], fixed[0xcb] = 5, 9
    for power = 0, 3 do
        fixed[0xcc + power] = 1 + 2 ^ power
        fixed[0xd0 + power] = 1 + 2 ^ power
    end
    for power = 0, 4 do
        fixed[0xd4 + power], type_at[0xd4 + power] = 2 + 2 ^ power, 1
    end
    for power = 0, 2 do
        local bytes = 2 ^ power
        fixed[0xc4 + power], width[0xc4 + power] = 1 + bytes, bytes
        fixed[0xc7 + power], width[0xc7 + power], type_at[0xc7 + power] = 2 + bytes, bytes, 1 + bytes
        fixed[0xd9 + power], width[0xd9 + power] = 1 + bytes, bytes
    end
    for power = 1, 2 do
        local bytes = 2 ^ power
        local array, map = 0xdc + power - 1, 0xde + power - 1
        fixed[array], width[array], factor[array], opens[array] = 1 + bytes, bytes, 1, 1
        fixed[map], width[map], factor[map], opens[map] = 1 + bytes, bytes, 2, 1
    end
end
fill()

local function length_at(bytes, at, size)
    if size == 1 then
        return bytes[at]
    elseif size == 2 then
        return bytes[at] * 256 + bytes[at + 1]
    end
    return bytes[at] * 16777216 + bor(lshift(bytes[at + 1], 16), lshift(bytes[at + 2], 8), bytes[at + 3])
end

local function is_own_extension(bytes, at, byte)
    local kind = bytes[at + type_at[byte]]
    return kind >= FIRST_OWN_EXTENSION and kind <= LAST_OWN_EXTENSION
end

local function decodes(bytes, from, stop)
    return (pcall(msgpack.decode, ffi.string(bytes + from, stop - from)))
end

--- The second walk, for values with many containers or with an extension type of Tarantool's own. It checks depth and
-- extensions; the first walk has checked everything else.
local function is_acceptable(bytes, from, stop)
    local left = {}
    local depth = 0
    local at = from
    repeat
        local byte = bytes[at]
        local after = at + fixed[byte]
        local children = inside[byte]
        if width[byte] ~= 0 then
            local length = length_at(bytes, at + 1, width[byte])
            if factor[byte] == 0 then
                after = after + length
            else
                children = length * factor[byte]
            end
        end
        if type_at[byte] ~= 0 and is_own_extension(bytes, at, byte) and not decodes(bytes, at, after) then
            return false
        end
        at = after
        if children > 0 then
            depth = depth + 1
            if depth > M.MAX_DEPTH then
                return false
            end
            left[depth] = children
        else
            while depth > 0 do
                left[depth] = left[depth] - 1
                if left[depth] > 0 then
                    break
                end
                depth = depth - 1
            end
        end
    until at == stop
    return true
end

--- Where the value ends that begins at `from`, if it is well-formed and not too deep.
-- @tparam cdata bytes `const uint8_t *`
-- @tparam number from
-- @tparam number stop no byte from here on is read
-- @treturn number the offset behind it, at most `stop`; 0 if there is no such value
function M.end_of_value(bytes, from, stop)
    local at = from
    local wanted = 1
    local containers = 0
    local own_extensions = 0
    repeat
        -- Each wanted value needs at least one byte. That bounds wrong lengths and wrong counts.
        if wanted > stop - at then
            return 0
        end
        local byte = bytes[at]
        local after = at + fixed[byte]
        if after == at then
            return 0
        end
        if width[byte] ~= 0 then
            if after > stop then
                return 0
            end
            local length = length_at(bytes, at + 1, width[byte])
            if factor[byte] == 0 then
                after = after + length
            else
                wanted = wanted + length * factor[byte]
            end
        end
        if type_at[byte] ~= 0 then
            if after > stop then
                return 0
            end
            if is_own_extension(bytes, at, byte) then
                own_extensions = own_extensions + 1
            end
        end
        wanted = wanted + inside[byte] - 1
        containers = containers + opens[byte]
        at = after
    until wanted == 0
    if at > stop then
        return 0
    end
    if (containers > M.MAX_DEPTH or own_extensions > 0) and not is_acceptable(bytes, from, at) then
        return 0
    end
    return at
end

return M
