--- The body of a chunk, MessagePack, checked here byte by byte before anything acts on it.
-- Works over FFI pointers and makes no Lua object per entry. What is done with the entries is up to `write`, `read` and
-- `delete`; the form of values is up to `wellformed`.
--
--     body of a write:           [[key, bucket_id, value], ...]        each entry is the tuple to store
--     body of a read or delete:  [[key, ...], [bucket_id, ...]]        as many of the one as of the other
-- @module tarantkv.body

local ffi = require('ffi')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local wellformed = require('tarantkv.wellformed')

local M = {}

local MAX_KEY_BYTES = 1024
local ARRAY_OF_1, ARRAY_OF_2, ARRAY_OF_3 = 0x91, 0x92, 0x93

--- Shortest entry of a write: array header, key of a header and a byte, bucket, value.
local MIN_ENTRY_BYTES = 5
--- Shortest key, and its bucket.
local MIN_KEY_BYTES = 3

local bytes_t = ffi.typeof('const uint8_t *')
local offsets_t = ffi.typeof('int32_t[?]')
local cast, copy = ffi.cast, ffi.copy
local max = math.max
local owns = ownership.owns
local end_of_value = wellformed.end_of_value

local BAD_COUNT = 'the body does not begin with the array of as many entries as it has bytes for'
local BAD_ENTRY = 'an entry of the body is damaged'
local BAD_KEY = 'a key of the body is not a string of 1 to 1024 bytes'
local BAD_VALUE = 'a value of the body is not one well-formed MessagePack value of bounded depth'
local BAD_BUCKETS = 'the body does not have one bucket for each key'
local BAD_END = 'bytes follow the body'
local FOREIGN_BUCKET = 'the shard does not own a bucket of the chunk'

--- Where the entries of the write bodies of a call end, found by the check and used to store them, so that values are
-- walked once. Shared by all fibers: nothing yields between the first check of a call and the last entry it stores; the
-- commit, which does, comes after. Offsets fit 31 bits, as a Lua string has less than 2 GiB. Its growth is bounded by
-- the bytes of the call, since a count is believed only up to the entries that the bytes can hold, and a large one is
-- not kept.
local KEPT_ENDS = 65536
local ends, room, used = offsets_t(KEPT_ENDS), KEPT_ENDS, 0

--- Forget the entries of the bodies checked so far; what they ended at is overwritten.
function M.forget_entries()
    used = 0
    if room > KEPT_ENDS then
        ends, room = offsets_t(KEPT_ENDS), KEPT_ENDS
    end
end

--- Where the entries of checked write bodies end: of a body at `place`, entry `i` (from 1) is at offset
-- `ends[place + i - 1]` and ends in front of `ends[place + i]`.
-- @treturn cdata good until the next check
function M.entry_ends()
    return ends
end

local function make_room(count)
    if used + count > room then
        local larger_room = max(used + count, 2 * room)
        local larger = offsets_t(larger_room)
        copy(larger, ends, 4 * used)
        ends, room = larger, larger_room
    end
end

--- The count of the array at `at` and where its first element is; 0 and 0 when there is no array.
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
        return bytes[at + 1] * 16777216 + bytes[at + 2] * 65536 + bytes[at + 3] * 256 + bytes[at + 4], at + 5
    end
    return 0, 0
end

local array_at = M.array_at

--- Where the key that starts at `at` ends; 0 when it is no acceptable key or leaves the body.
local function end_of_key(bytes, at, stop)
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

--- Check the body of a write.
-- @tparam string text must be kept referenced for as long as the pointer is used
-- @treturn number status nil when all is well
-- @treturn string message of a fault
-- @treturn cdata bytes `const uint8_t *`
-- @treturn number count of entries, at least 1
-- @treturn number place where `entry_ends` has them
function M.check_write(text)
    local bytes, size = cast(bytes_t, text), #text
    local count, at = array_at(bytes, 0, size)
    if count < 1 or count * MIN_ENTRY_BYTES > size - at then
        return outcome.MALFORMED, BAD_COUNT
    end
    make_room(count + 1)
    local found, place = ends, used
    found[place] = at
    for i = place + 1, place + count do
        if at >= size or bytes[at] ~= ARRAY_OF_3 then
            return outcome.MALFORMED, BAD_ENTRY
        end
        local after_key = end_of_key(bytes, at + 1, size)
        if after_key == 0 then
            return outcome.MALFORMED, BAD_KEY
        end
        local bucket, value = bucket_at(bytes, after_key, size)
        if value == 0 then
            return outcome.MALFORMED, BAD_ENTRY
        end
        at = end_of_value(bytes, value, size)
        if at == 0 then
            return outcome.MALFORMED, BAD_VALUE
        end
        if not owns(bucket) then
            return outcome.WRONG_BUCKET, FOREIGN_BUCKET
        end
        found[i] = at
    end
    if at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    used = place + count + 1
    return nil, nil, bytes, count, place
end

--- Check the body of a read or delete.
-- @tparam string text must be kept referenced for as long as the pointer is used
-- @treturn number status nil when all is well
-- @treturn string message of a fault
-- @treturn cdata bytes `const uint8_t *`
-- @treturn number count of keys, at least 1
-- @treturn number first offset of the first key
function M.check_keys(text)
    local bytes, size = cast(bytes_t, text), #text
    if size == 0 or bytes[0] ~= ARRAY_OF_2 then
        return outcome.MALFORMED, BAD_ENTRY
    end
    local count, first = array_at(bytes, 1, size)
    if count < 1 or count * MIN_KEY_BYTES > size - first then
        return outcome.MALFORMED, BAD_COUNT
    end
    local at = first
    for _ = 1, count do
        at = end_of_key(bytes, at, size)
        if at == 0 then
            return outcome.MALFORMED, BAD_KEY
        end
    end
    local buckets
    buckets, at = array_at(bytes, at, size)
    if buckets ~= count then
        return outcome.MALFORMED, BAD_BUCKETS
    end
    for _ = 1, count do
        local bucket
        bucket, at = bucket_at(bytes, at, size)
        if at == 0 then
            return outcome.MALFORMED, BAD_BUCKETS
        end
        if not owns(bucket) then
            return outcome.WRONG_BUCKET, FOREIGN_BUCKET
        end
    end
    if at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    return nil, nil, bytes, count, first
end

--- Where a key that was checked ends.
function M.end_of_checked_key(bytes, at)
    local byte = bytes[at]
    if byte <= 0xbf then
        return at + 1 + byte - 0xa0
    elseif byte == 0xd9 then
        return at + 2 + bytes[at + 1]
    end
    return at + 3 + bytes[at + 1] * 256 + bytes[at + 2]
end

--- A place for one index key, `[key]`: the header is there, the key is copied behind it. Shared by all fibers, since it
-- is read before anything can yield.
M.index_key = ffi.new('uint8_t[?]', 1 + 3 + MAX_KEY_BYTES)
M.index_key[0] = ARRAY_OF_1

return M
