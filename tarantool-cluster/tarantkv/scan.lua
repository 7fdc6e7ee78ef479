--- Operation SCAN: the next tuples of a range of keys, in the order of the keys' bytes or in reverse order.
--
--     body       [lower or nil, lower_included, upper or nil, upper_included, reverse, limit, values, max_bytes,
--                first_bucket, last_bucket]
--     payload    [state, wait_us, [[first, last], ...], position or nil, [tuple, ...]]
--
-- state: 0 no tuples are left, 1 there may be more behind `position`, 2 not now: nothing was read. `wait_us`: a scan
-- that arrives earlier gets state 2. The ranges are the buckets that the answer covers: those that the shard may read.
-- Tuples are as stored; if `values` is false, their value is nil. Left out are expired keys, keys outside of
-- first_bucket to last_bucket, and keys that are longer than a client may send.
--
-- A scan is short and never yields. All scans together get a fifth of the shard's time.
-- @module tarantkv.scan

local clock = require('clock')
local ffi = require('ffi')
local msgpack = require('msgpack')
local box_api = require('tarantkv.box_api')
local elements = require('tarantkv.elements')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local tuples = require('tarantkv.tuple')

local iterator_new, iterator_next = box_api.iterator_new, box_api.iterator_next
local iterator_free, found, memcmp = box_api.iterator_free, box_api.result, box_api.memcmp
local tuple_bsize = box_api.tuple_bsize
local array_at, bucket_at, whole_at = elements.array_at, elements.bucket_at, elements.whole_at
local parts, expires_of, head_size = tuples.parts, tuples.expires_of, tuples.head_size
local readable = ownership.readable
local copy = ffi.copy
local ceil, max, min = math.ceil, math.max, math.min
local monotonic = clock.monotonic

local M = {}

M.DONE, M.MORE, M.NOT_NOW = 0, 1, 2

--- How many tuples one scan may read, for how long it may run, and how many times as long the shard then does other
-- work. Tests replace these.
M.MAX_TUPLES = 1000
M.MAX_S = 0.001
M.PAUSE = 4
--- A scan counts as this long at most. If it took longer, the whole machine was frozen, and the scan delayed no
-- request.
M.LONGEST_S = 0.1

--- Largest answer, whatever the body asks for. A single larger tuple is returned all the same.
local MAX_ANSWER_BYTES = 1024 * 1024
--- The clock is read after so many tuples.
local STRIDE = 16
local ARGUMENTS = 10
local NUMBER_BYTES = 9
local NIL, FALSE, TRUE = 0xc0, 0xc2, 0xc3
local EMPTY_ARRAY, ARRAY_OF_1, ARRAY = 0x90, 0x91, 0x90
local LT, LE, GE, GT = 3, 4, 5, 6

local MALFORMED = 'the body is not one of the operation SCAN'

local bytes_t = ffi.typeof('const uint8_t *')
local buffer_t = ffi.typeof('uint8_t[?]')

--- The buffer in which answers are built, unless they hold a very large tuple. All fibers share it: nothing yields
-- before the answer has been copied into a Lua string.
local KEPT_BYTES = 512 * 1024
local kept_buffer = ffi.new(buffer_t, KEPT_BYTES)

local space_id
local next_at = 0

--- Set the space of the keys.
function M.attach(space)
    space_id = space.id
end

--- The start and the length of the text at `at`, and where it ends; 0 if there is none.
local function text_at(bytes, at, stop)
    local byte = at < stop and bytes[at] or 0
    local start, length
    if byte >= 0xa0 and byte <= 0xbf then
        start, length = at + 1, byte - 0xa0
    elseif byte == 0xd9 and at + 2 <= stop then
        start, length = at + 2, bytes[at + 1]
    elseif byte == 0xda and at + 3 <= stop then
        start, length = at + 3, bytes[at + 1] * 256 + bytes[at + 2]
    elseif byte == 0xdb and at + 5 <= stop then
        start, length = at + 5, elements.uint32_at(bytes, at + 1)
    else
        return 0, 0, 0
    end
    if length > stop - start then
        return 0, 0, 0
    end
    return start, length, start + length
end

--- A bound: nil, or a text that is not empty. `start` is 0 for nil.
local function bound_at(bytes, at, stop)
    if at < stop and bytes[at] == NIL then
        return {start = 0, at = at}, at + 1
    end
    local start, length, after = text_at(bytes, at, stop)
    return {start = start, length = length, at = at}, length > 0 and after or 0
end

local function flag_at(bytes, at, stop)
    local byte = at < stop and bytes[at] or NIL
    return byte == TRUE, (byte == TRUE or byte == FALSE) and at + 1 or 0
end

local function number_at(bytes, at, stop)
    local number, after = whole_at(bytes, at, stop)
    return number, number >= 1 and after or 0
end

--- The elements of a body in their order, each with the function that reads it.
local FORM = {
    {'lower', bound_at}, {'lower_included', flag_at}, {'upper', bound_at}, {'upper_included', flag_at},
    {'reverse', flag_at}, {'limit', number_at}, {'values', flag_at}, {'max_bytes', number_at},
    {'first_bucket', number_at}, {'last_bucket', number_at},
}

--- The elements of a body by name; nil if it is malformed.
local function understood(bytes, size)
    local count, at = array_at(bytes, 0, size)
    if count ~= ARGUMENTS then
        return nil
    end
    local asked = {}
    for _, element in ipairs(FORM) do
        asked[element[1]], at = element[2](bytes, at, size)
        if at == 0 then
            return nil
        end
    end
    if at ~= size or asked.first_bucket > asked.last_bucket then
        return nil
    end
    return asked
end

--- Where the scan begins: an index key, its size, and the kind of iterator.
local function beginning(bytes, asked)
    local bound = asked.reverse and asked.upper or asked.lower
    if bound.start == 0 then
        local key = ffi.new(buffer_t, 1, EMPTY_ARRAY)
        return key, 1, asked.reverse and LE or GE
    end
    local length = bound.start + bound.length - bound.at
    local key = ffi.new(buffer_t, 1 + length)
    key[0] = ARRAY_OF_1
    copy(key + 1, bytes + bound.at, length)
    if asked.reverse then
        return key, 1 + length, asked.upper_included and LE or LT
    end
    return key, 1 + length, asked.lower_included and GE or GT
end

--- Is a key beyond the bound at which the scan ends?
local function is_past(key, length, bytes, bound, included, reverse)
    local order = memcmp(key, bytes + bound.start, min(length, bound.length))
    if order == 0 then
        order = length - bound.length
    end
    if reverse then
        order = -order
    end
    return order > 0 or (order == 0 and not included)
end

--- May the shard read any bucket from `first` to `last`?
local function reads_any(first, last)
    for _, range in ipairs(ownership.ranges()) do
        if range[1] <= last and range[2] >= first then
            return true
        end
    end
    return false
end

--- The payload; `position` is a key in MessagePack, nil for none.
local function payload(state, wait_s, position, count, content)
    return table.concat({
        '\x95', string.char(state), msgpack.encode(ceil(wait_s * 1000000)), msgpack.encode(ownership.ranges()),
        position or '\xc0', elements.array_header(count), content,
    })
end

--- Collect the next tuples of an iterator.
-- @treturn number state; nil if the database reported an error
-- @treturn string position
-- @treturn number how many tuples
-- @treturn string the tuples
local function collect(iterator, bytes, asked, limit, max_bytes, ends, now)
    local reverse, with_values = asked.reverse, asked.values
    local first_bucket, last_bucket = asked.first_bucket, asked.last_bucket
    local bound = reverse and asked.lower or asked.upper
    local included = asked.upper_included
    if reverse then
        included = asked.lower_included
    end
    local is_bounded = bound.start ~= 0
    local out, room, used = kept_buffer, KEPT_BYTES, 0
    local looked, count, state = 0, 0, M.MORE
    -- The last key that was read. Nothing yields, so its tuple is not freed.
    local last, last_size
    while true do
        if iterator_next(iterator, found) ~= 0 then
            return nil
        end
        local stored = found[0]
        if stored == nil then
            state = M.DONE
            break
        end
        local key, value, length, fields = parts(stored)
        local start, key_length, after_key = text_at(key, 0, 0x7fffffff)
        if is_bounded and is_past(key + start, key_length, bytes, bound, included, reverse) then
            state = M.DONE
            break
        elseif count >= limit or looked >= M.MAX_TUPLES
                or (looked > 0 and looked % STRIDE == 0 and monotonic() >= ends) then
            break
        end
        local bucket = bucket_at(key, after_key, after_key + NUMBER_BYTES)
        if bucket >= first_bucket and bucket <= last_bucket and readable(bucket)
                and key_length <= elements.MAX_KEY_BYTES
                and not (fields >= 5 and expires_of(value, length, fields) <= now) then
            local size
            local before_value = tonumber(value - key)
            if with_values then
                size = tonumber(tuple_bsize(stored))
            else
                size = 1 + before_value + 1 + (fields - 3) * NUMBER_BYTES
            end
            if count > 0 and used + size > max_bytes then
                break
            elseif used + size > room then
                local larger = ffi.new(buffer_t, used + size)
                copy(larger, out, used)
                out, room = larger, used + size
            end
            if with_values then
                copy(out + used, key - head_size(key), size)
            else
                out[used] = ARRAY + fields
                copy(out + used + 1, key, before_value)
                out[used + 1 + before_value] = NIL
                copy(out + used + 2 + before_value, value + length, (fields - 3) * NUMBER_BYTES)
            end
            used, count = used + size, count + 1
        end
        looked = looked + 1
        last, last_size = key, after_key
    end
    return state, state == M.MORE and ffi.string(last, last_size) or nil, count, ffi.string(out, used)
end

--- Answer a scan.
-- @tparam string text the body
-- @tparam number budget bytes that the earlier answers of the call have left
-- @tparam number now of the shard's clock, milliseconds since the epoch
-- @treturn number status
-- @treturn string the payload, or the message of a fault
function M.run(text, budget, now)
    local bytes = ffi.cast(bytes_t, text)
    local asked = understood(bytes, #text)
    if asked == nil then
        return outcome.MALFORMED, MALFORMED
    end
    local began = monotonic()
    if began < next_at then
        return outcome.OK, payload(M.NOT_NOW, next_at - began, nil, 0, '')
    elseif not reads_any(asked.first_bucket, asked.last_bucket) then
        return outcome.OK, payload(M.DONE, 0, nil, 0, '')
    end
    local key, size, kind = beginning(bytes, asked)
    local iterator = iterator_new(space_id, 0, kind, key, key + size)
    if iterator == nil then
        return outcome.of_error(box.error.last())
    end
    local max_bytes = max(1, min(asked.max_bytes, MAX_ANSWER_BYTES, budget))
    local state, position, count, content = collect(
        iterator, bytes, asked, min(asked.limit, M.MAX_TUPLES), max_bytes, began + M.MAX_S, now)
    iterator_free(iterator)
    if state == nil then
        return outcome.of_error(box.error.last())
    end
    local ended = monotonic()
    next_at = ended + M.PAUSE * min(ended - began, M.LONGEST_S)
    return outcome.OK, payload(state, next_at - ended, position, count, content)
end

return M
