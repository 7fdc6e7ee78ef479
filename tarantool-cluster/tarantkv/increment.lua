--- Operation INCREMENT: add to counters, whole numbers from -2^63 to 2^63 - 1. Each entry succeeds or fails on its own.
--
--     payload    [[value or nil, ...], [[position, code], ...]]
--
-- The first list holds the new value of each entry, nil if the entry failed. The second list holds the failed entries:
-- position from 0 and reason. The payload is MessagePack and is stored in the record of the chunk.
-- @module tarantkv.increment

local ffi = require('ffi')
local msgpack = require('msgpack')
local body_more = require('tarantkv.body_more')
local elements = require('tarantkv.elements')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')
local tuples = require('tarantkv.tuple')

local bucket_at, int64_at, whole_at = elements.bucket_at, elements.int64_at, elements.whole_at
local end_of_checked_key, integer_at = elements.end_of_checked_key, elements.integer_at
local put, find, expires_at = store.put, store.find, store.expires_at

local M = {}

--- Why an entry failed.
local OUT_OF_BOUNDS, NOT_A_NUMBER, OUT_OF_RANGE = 1, 2, 3

local NIL, TRUE = 0xc0, 0xc3
--- The size of the longest element of an entry.
local ELEMENT = 9

M.check = body_more.check_increment

--- The buffer for key, bucket and new value.
local row = ffi.new('uint8_t[?]', elements.MAX_KEY_BYTES + 3 + 5 + 9)

--- The integer at `at`, or nil for a nil, and where it ends.
local function amount_at(bytes, at)
    if bytes[at] == NIL then
        return nil, at + 1
    end
    return int64_at(bytes, at, at + ELEMENT)
end

--- The sum of two 64-bit integers, nil if it overflows.
local function sum_of(a, b)
    local sum = a + b
    if (b >= 0 and sum < a) or (b < 0 and sum > a) then
        return nil
    end
    return sum
end

--- The counter that is stored for a key.
-- @treturn int64_t nil with a code if the value is not a counter
local function number_in(value, length)
    local _, _, after, is_great = integer_at(value, 0, length)
    if after ~= length then
        return nil, NOT_A_NUMBER
    elseif is_great then
        return nil, OUT_OF_RANGE
    end
    return (int64_at(value, 0, length))
end

--- An entry as a table.
local function entry_at(bytes, at)
    local entry = {key = at + 1}
    entry.key_end = end_of_checked_key(bytes, entry.key)
    local _
    _, at = bucket_at(bytes, entry.key_end, entry.key_end + 5)
    entry.bucket_end = at
    entry.delta, at = amount_at(bytes, at)
    entry.initial, at = amount_at(bytes, at)
    entry.least, at = amount_at(bytes, at)
    entry.most, at = amount_at(bytes, at)
    if bytes[at] == NIL then
        entry.expiry, at = nil, at + 1
    else
        entry.expiry, at = whole_at(bytes, at, at + ELEMENT)
    end
    entry.always = bytes[at] == TRUE
    return entry, at + 1
end

--- The value of a counter after an entry.
-- @treturn int64_t nil with a code if the entry fails
local function result_of(entry, before)
    local sum = sum_of(before, entry.delta)
    if sum == nil then
        return nil, OUT_OF_RANGE
    elseif (entry.least ~= nil and sum < entry.least) or (entry.most ~= nil and sum > entry.most) then
        return nil, OUT_OF_BOUNDS
    end
    return sum
end

--- Apply one entry.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn string the new value in MessagePack; nil with a code if the entry fails
local function run(bytes, entry, now, upper, lower)
    local ok, stored = find(bytes, entry.key, now)
    if not ok then
        return false
    end
    local before, code, expires = entry.initial, nil, 0
    if stored ~= nil then
        local _, value, length, fields = tuples.parts(stored)
        before, code = number_in(value, length)
        expires = tuples.expires_of(value, length, fields)
    end
    local sum
    if before ~= nil then
        sum, code = result_of(entry, before)
    end
    if sum == nil then
        return true, nil, code
    end
    if entry.expiry == nil then
        -- A new counter never expires; an old one from now on only if that counts always.
        expires = entry.always and 0 or expires
    elseif stored == nil or entry.always then
        expires = expires_at(entry.expiry, bytes, entry.key, now)
        if expires == nil then
            return false
        end
    end
    local encoded = msgpack.encode(sum)
    local size = entry.bucket_end - entry.key
    ffi.copy(row, bytes + entry.key, size)
    ffi.copy(row + size, encoded, #encoded)
    return put(row, 0, size + #encoded, upper, lower, expires), encoded
end

--- Apply a checked body; inside a transaction.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn string payload
function M.apply(bytes, count, first, now)
    local upper, lower = shard_clock.next_version()
    local values, failed = {}, {}
    local at = first
    for i = 1, count do
        local entry
        entry, at = entry_at(bytes, at)
        local ok, value, code = run(bytes, entry, now, upper, lower)
        if not ok then
            return false
        end
        values[i] = value or '\xc0'
        if value == nil then
            table.insert(failed, {i - 1, code})
        end
    end
    return true, '\x92' .. elements.array_header(count) .. table.concat(values) .. msgpack.encode(failed)
end

return M
