--- Checks the bodies of the operations that `body` does not check, in the same way.
--
--     UPDATE       [[entry, ...], [condition, ...]]     entries as in WRITE
--     DELETE_IF    [[key, ...], [bucket_id, ...], [condition, ...]]
--     TOUCH        [[key, ...], [bucket_id, ...], [expiry or nil, ...]]
--     INCREMENT    [[key, bucket_id, delta, initial, min or nil, max or nil, expiry or nil, always], ...]
--
-- A condition is nil (none), false (the key must be absent), true (it must be present), or the version it must have.
-- @module tarantkv.body_more

local ffi = require('ffi')
local body = require('tarantkv.body')
local elements = require('tarantkv.elements')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')

local M = {}

local ARRAY_OF_2, ARRAY_OF_3, ARRAY_OF_8 = 0x92, 0x93, 0x98
local NIL, FALSE, TRUE = 0xc0, 0xc2, 0xc3
local HALF_WORD = 2147483648

--- Shortest entry of an increment.
local MIN_INCREMENT_BYTES = 10

local bytes_t = ffi.typeof('const uint8_t *')
local cast = ffi.cast
local state_of, note, refusal = ownership.state, ownership.note, ownership.refusal
local WRITABLE = ownership.WRITABLE
local array_at, end_of_key, bucket_at = elements.array_at, elements.end_of_key, elements.bucket_at
local whole_at, int64_at, integer_at = elements.whole_at, elements.int64_at, elements.integer_at
local check_entries, check_named = body.check_entries, body.check_named

local BAD_FORM = 'the body is not an array of the lists of its operation'
local BAD_COUNT = 'the body does not begin with an array, or has too few bytes for its entries'
local BAD_KEY = 'a key of the body is not a string of 1 to 1024 bytes'
local BAD_EXPIRY = 'an expiry of the body is neither nil nor a whole number of milliseconds'
local BAD_CONDITION = 'a condition of the body is not nil, false, true or a version'
local BAD_LISTS = 'the lists of the body are not of the same length'
local BAD_INCREMENT = 'an increment of the body is damaged'
local BAD_END = 'bytes follow the body'

--- Where a condition ends.
local function end_of_condition(bytes, at, size)
    local byte = at < size and bytes[at] or 0
    if byte == NIL or byte == FALSE or byte == TRUE then
        return at + 1
    end
    local upper, _, after, is_great = integer_at(bytes, at, size)
    return (is_great or upper < HALF_WORD) and after or 0
end

--- Where an expiry or nil ends.
local function end_of_expiry(bytes, at, size)
    if at < size and bytes[at] == NIL then
        return at + 1
    end
    local _, after = whole_at(bytes, at, size)
    return after
end

--- Check a list of `count` elements.
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn number where the list ends
-- @treturn number where its first element begins
local function check_list(bytes, from, size, count, end_of, fault)
    local elements_there, first = array_at(bytes, from, size)
    if elements_there ~= count then
        return outcome.MALFORMED, BAD_LISTS
    end
    local at = first
    for _ = 1, count do
        at = end_of(bytes, at, size)
        if at == 0 then
            return outcome.MALFORMED, fault
        end
    end
    return nil, nil, at, first
end

--- Check the body of an update. Returns what `check_write` does, and the offset of the first condition.
function M.check_update(text)
    local bytes, size = cast(bytes_t, text), #text
    if size == 0 or bytes[0] ~= ARRAY_OF_2 then
        return outcome.MALFORMED, BAD_FORM
    end
    local status, message, at, count, place = check_entries(bytes, 1, size)
    if status ~= nil then
        return status, message
    end
    local first
    status, message, at, first = check_list(bytes, at, size, count, end_of_condition, BAD_CONDITION)
    if status ~= nil then
        return status, message
    elseif at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    return nil, nil, bytes, count, place, first
end

local function check_keys_with(text, end_of, fault)
    local bytes, size = cast(bytes_t, text), #text
    if size == 0 or bytes[0] ~= ARRAY_OF_3 then
        return outcome.MALFORMED, BAD_FORM
    end
    local status, message, at, count, first = check_named(bytes, size, WRITABLE)
    if status ~= nil then
        return status, message
    end
    local third
    status, message, at, third = check_list(bytes, at, size, count, end_of, fault)
    if status ~= nil then
        return status, message
    elseif at ~= size then
        return outcome.MALFORMED, BAD_END
    end
    return nil, nil, bytes, count, first, third
end

--- Check the body of a delete with conditions. Returns what `check_delete` does, and the offset of the first condition.
function M.check_delete_if(text)
    return check_keys_with(text, end_of_condition, BAD_CONDITION)
end

--- Check the body of a touch. Returns what `check_delete` does, and the offset of the first expiry.
function M.check_touch(text)
    return check_keys_with(text, end_of_expiry, BAD_EXPIRY)
end

--- Where the four integers and the expiry of an increment end. The third, the fourth and the expiry may be nil.
local function end_of_amounts(bytes, at, size)
    for i = 1, 4 do
        if i > 2 and at < size and bytes[at] == NIL then
            at = at + 1
        else
            local _, after = int64_at(bytes, at, size)
            if after == 0 then
                return 0
            end
            at = after
        end
    end
    return end_of_expiry(bytes, at, size)
end

--- Check the body of an increment. Returns what `check_write` does, but as the place the offset of the first entry.
function M.check_increment(text)
    local bytes, size = cast(bytes_t, text), #text
    local count, first = array_at(bytes, 0, size)
    if count < 1 or count * MIN_INCREMENT_BYTES > size - first then
        return outcome.MALFORMED, BAD_COUNT
    end
    local at, foreign = first, nil
    for _ = 1, count do
        local after_key = at < size and bytes[at] == ARRAY_OF_8 and end_of_key(bytes, at + 1, size) or 0
        if after_key == 0 then
            return outcome.MALFORMED, BAD_KEY
        end
        local bucket, amounts = bucket_at(bytes, after_key, size)
        at = amounts == 0 and 0 or end_of_amounts(bytes, amounts, size)
        if at == 0 or at >= size or (bytes[at] ~= FALSE and bytes[at] ~= TRUE) then
            return outcome.MALFORMED, BAD_INCREMENT
        end
        at = at + 1
        if state_of(bucket) < WRITABLE then
            foreign = note(foreign, bucket)
        end
    end
    if at ~= size then
        return outcome.MALFORMED, BAD_END
    elseif foreign ~= nil then
        return outcome.WRONG_BUCKET, refusal(foreign)
    end
    return nil, nil, bytes, count, first
end

return M
