--- The body of a chunk: lengths, then entries back to back; checked here byte by byte before anything acts on it.
-- Works over FFI pointers and makes no Lua object per entry. What is done with the entries is up to `write`, `read` and
-- `delete`; the form of values is up to `wellformed`.
--
--     u32 LE count | count x u32 LE entry length | entries
--     write entry:           MessagePack [key, bucket_id, value]
--     read or delete entry:  MessagePack [key], MessagePack bucket_id
-- @module tarantkv.body

local ffi = require('ffi')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local wellformed = require('tarantkv.wellformed')

local M = {}

local MAX_KEY_BYTES = 1024
local ARRAY_OF_1, ARRAY_OF_3 = 0x91, 0x93

local bytes_t = ffi.typeof('const uint8_t *')
local lengths_t = ffi.typeof('const uint32_t *')
local cast = ffi.cast
local owns = ownership.owns
local is_value = wellformed.is_value

local BAD_LENGTHS = 'the lengths of the body do not add up'
local BAD_ENTRY = 'an entry of the body is damaged'
local BAD_KEY = 'a key of the body is not a string of 1 to 1024 bytes'
local BAD_VALUE = 'a value of the body is not one well-formed MessagePack value of bounded depth'
local FOREIGN_BUCKET = 'the shard does not own a bucket of the chunk'

--- The parts of a body whose lengths fit together as far as the header shows.
-- @tparam string body must be kept referenced for as long as the pointers are used
-- @treturn cdata bytes `const uint8_t *`, or nil when the header alone is impossible
-- @treturn cdata lengths `const uint32_t *`
-- @treturn number count of entries, at least 1
-- @treturn number first offset of the first entry
function M.open(body)
    local size = #body
    if size < 8 then
        return nil
    end
    local bytes = cast(bytes_t, body)
    local words = cast(lengths_t, bytes)
    local count = words[0]
    local first = 4 + 4 * count
    if count < 1 or first > size then
        return nil
    end
    return bytes, words + 1, count, first
end

--- Where the key that starts at `at` ends; 0 when it is no acceptable key or leaves the entry.
local function end_of_key(bytes, at, stop)
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

--- The bucket number at `at` and where it ends; an end of 0 when there is none.
local function bucket_at(bytes, at, stop)
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
        return bytes[at + 1] * 16777216 + bytes[at + 2] * 65536 + bytes[at + 3] * 256 + bytes[at + 4], at + 5
    end
    return 0, 0
end

--- Check the entries of a write body.
-- @treturn number status nil when all is well
-- @treturn string message
function M.check_write(bytes, lengths, count, first, size)
    local at = first
    for i = 0, count - 1 do
        local stop = at + lengths[i]
        if stop > size then
            return outcome.MALFORMED, BAD_LENGTHS
        end
        -- Array header, shortest key, shortest bucket and shortest value take five bytes.
        if stop - at < 5 or bytes[at] ~= ARRAY_OF_3 then
            return outcome.MALFORMED, BAD_ENTRY
        end
        local after_key = end_of_key(bytes, at + 1, stop)
        if after_key == 0 then
            return outcome.MALFORMED, BAD_KEY
        end
        local bucket, value = bucket_at(bytes, after_key, stop)
        if value == 0 then
            return outcome.MALFORMED, BAD_ENTRY
        end
        if not is_value(bytes, value, stop) then
            return outcome.MALFORMED, BAD_VALUE
        end
        if not owns(bucket) then
            return outcome.WRONG_BUCKET, FOREIGN_BUCKET
        end
        at = stop
    end
    if at ~= size then
        return outcome.MALFORMED, BAD_LENGTHS
    end
end

--- Check the entries of a read or delete body.
-- @treturn number status nil when all is well
-- @treturn string message
function M.check_keys(bytes, lengths, count, first, size)
    local at = first
    for i = 0, count - 1 do
        local stop = at + lengths[i]
        if stop > size then
            return outcome.MALFORMED, BAD_LENGTHS
        end
        -- Array header, shortest key and shortest bucket take four bytes.
        if stop - at < 4 or bytes[at] ~= ARRAY_OF_1 then
            return outcome.MALFORMED, BAD_ENTRY
        end
        local after_key = end_of_key(bytes, at + 1, stop)
        if after_key == 0 then
            return outcome.MALFORMED, BAD_KEY
        end
        local bucket, after = bucket_at(bytes, after_key, stop)
        if after ~= stop then
            return outcome.MALFORMED, BAD_ENTRY
        end
        if not owns(bucket) then
            return outcome.WRONG_BUCKET, FOREIGN_BUCKET
        end
        at = stop
    end
    if at ~= size then
        return outcome.MALFORMED, BAD_LENGTHS
    end
end

--- Where the `[key]` of a checked read or delete entry ends.
function M.end_of_key_tuple(bytes, at, stop)
    return end_of_key(bytes, at + 1, stop)
end

M.BAD_LENGTHS = BAD_LENGTHS

return M
