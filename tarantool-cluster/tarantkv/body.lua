--- Checks the body of a chunk, which is MessagePack, byte by byte before anything is done with it.
-- It works on FFI pointers and creates no Lua object per entry. The operations use the entries; `wellformed` checks the
-- values.
--
--     WRITE                  [[key, bucket_id, value], ...]       an entry may have an expiry as its fourth element
--     READ, READ_TUPLES,     [[key, ...], [bucket_id, ...]]       one bucket for each key
--     DELETE
--
-- An expiry is an integer: 0 keeps the expiry that the key has, a positive number is milliseconds from now, a negative
-- one a time in milliseconds since the epoch. `body_more` checks the bodies of the other operations.
--
-- A body with buckets that its operation must not use on this shard is refused as a whole. The message is the refusal
-- that `ownership` makes, which names all these buckets.
-- @module tarantkv.body

local ffi = require('ffi')
local elements = require('tarantkv.elements')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local wellformed = require('tarantkv.wellformed')

local M = {}

local ARRAY_OF_2, ARRAY_OF_3, ARRAY_OF_4 = 0x92, 0x93, 0x94

--- Shortest entry of a write: array header, key (a header and one byte), bucket, value.
local MIN_ENTRY_BYTES = 5
--- Shortest key together with its bucket.
local MIN_KEY_BYTES = 3

local bytes_t = ffi.typeof('const uint8_t *')
local offsets_t = ffi.typeof('int32_t[?]')
local cast, copy = ffi.cast, ffi.copy
local max = math.max
local state_of, note, refusal = ownership.state, ownership.note, ownership.refusal
local READABLE, WRITABLE = ownership.READABLE, ownership.WRITABLE
local array_at, end_of_key, bucket_at = elements.array_at, elements.end_of_key, elements.bucket_at
local whole_at = elements.whole_at
local end_of_value = wellformed.end_of_value

local BAD_COUNT = 'the body does not begin with an array, or has too few bytes for its entries'
local BAD_ENTRY = 'an entry of the body is damaged'
local BAD_KEY = 'a key of the body is not a string of 1 to 1024 bytes'
local BAD_VALUE = 'a value of the body is not one well-formed MessagePack value of bounded depth'
local BAD_BUCKETS = 'the body does not have one bucket for each key'
local BAD_EXPIRY = 'an expiry of the body is not a whole number of milliseconds'
local BAD_END = 'bytes follow the body'

--- Where the values and the entries end in the write bodies of a call. The check finds these offsets and the operation
-- uses them, so that each value is read through only once. All fibers share the table: nothing yields between the first
-- check of a call and the last entry that it stores; the commit comes after that. Offsets fit into 31 bits, because a
-- Lua string is shorter than 2 GiB. The bytes of the call bound the table's size, because a count is only accepted if
-- the body has enough bytes for it. A large table is not kept.
local KEPT_ENDS = 65536
local ends, room, used = offsets_t(KEPT_ENDS), KEPT_ENDS, 0

--- Forget the offsets of the bodies that were checked so far.
function M.forget_entries()
    used = 0
    if room > KEPT_ENDS then
        ends, room = offsets_t(KEPT_ENDS), KEPT_ENDS
    end
end

--- The offsets in checked write bodies. In a body with the place `place`, entry `i` (from 1) begins at offset
-- `ends[place + 2 * i - 2]`, its value ends before `ends[place + 2 * i - 1]`, and the entry ends before
-- `ends[place + 2 * i]`.
-- @treturn cdata valid until the next check
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

--- Check the entries of a write or an update.
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn number where the entries end
-- @treturn number count of entries, at least 1
-- @treturn number place of their offsets in `entry_ends`
function M.check_entries(bytes, from, size)
    local count, at = array_at(bytes, from, size)
    if count < 1 or count * MIN_ENTRY_BYTES > size - at then
        return outcome.MALFORMED, BAD_COUNT
    end
    make_room(2 * count + 1)
    local found, place, foreign = ends, used, nil
    found[place] = at
    for i = place + 2, place + 2 * count, 2 do
        local form = at < size and bytes[at] or 0
        if form ~= ARRAY_OF_3 and form ~= ARRAY_OF_4 then
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
        found[i - 1] = at
        if form == ARRAY_OF_4 then
            local _, after = whole_at(bytes, at, size)
            if after == 0 then
                return outcome.MALFORMED, BAD_EXPIRY
            end
            at = after
        end
        if state_of(bucket) < WRITABLE then
            foreign = note(foreign, bucket)
        end
        found[i] = at
    end
    if foreign ~= nil then
        return outcome.WRONG_BUCKET, refusal(foreign)
    end
    used = place + 2 * count + 1
    return nil, nil, at, count, place
end

local check_entries = M.check_entries

--- Check the body of a write.
-- @tparam string text must be referenced as long as the pointer is used
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn cdata bytes `const uint8_t *`
-- @treturn number count of entries, at least 1
-- @treturn number place of their offsets in `entry_ends`
function M.check_write(text)
    local bytes, size = cast(bytes_t, text), #text
    local status, message, at, count, place = check_entries(bytes, 0, size)
    if status ~= nil then
        return status, message
    elseif at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    return nil, nil, bytes, count, place
end

--- Check a list of keys and the list of their buckets. Each bucket must have at least the state `needed` here.
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn number where the buckets end
-- @treturn number count of keys, at least 1
-- @treturn number offset of the first key
function M.check_named(bytes, size, needed)
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
    local foreign = nil
    for _ = 1, count do
        local bucket
        bucket, at = bucket_at(bytes, at, size)
        if at == 0 then
            return outcome.MALFORMED, BAD_BUCKETS
        end
        if state_of(bucket) < needed then
            foreign = note(foreign, bucket)
        end
    end
    if foreign ~= nil then
        return outcome.WRONG_BUCKET, refusal(foreign)
    end
    return nil, nil, at, count, first
end

local check_named = M.check_named

local function check_keys(text, needed)
    local bytes, size = cast(bytes_t, text), #text
    if size == 0 or bytes[0] ~= ARRAY_OF_2 then
        return outcome.MALFORMED, BAD_ENTRY
    end
    local status, message, at, count, first = check_named(bytes, size, needed)
    if status ~= nil then
        return status, message
    elseif at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    return nil, nil, bytes, count, first
end

--- Check the body of a delete.
-- @tparam string text must be referenced as long as the pointer is used
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn cdata bytes `const uint8_t *`
-- @treturn number count of keys, at least 1
-- @treturn number offset of the first key
function M.check_delete(text)
    return check_keys(text, WRITABLE)
end

--- Check the body of a read; as `check_delete`.
function M.check_read(text)
    return check_keys(text, READABLE)
end

return M
