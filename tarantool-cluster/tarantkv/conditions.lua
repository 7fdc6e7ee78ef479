--- Operations UPDATE and DELETE_IF: change each key whose condition holds, and report the others.
--
--     payload of UPDATE       [version, [[position, current], ...]]
--     payload of DELETE_IF    [deleted, [[position, current], ...]]
--
-- The list holds the position, from 0, of each entry whose condition did not hold, and the version that its key has,
-- nil if the key is absent. All other keys of an update have the version `version` now. The payload is MessagePack. It
-- is stored in the chunk's record, so that a copy of the chunk gets the same payload.
-- @module tarantkv.conditions

local ffi = require('ffi')
local msgpack = require('msgpack')
local body = require('tarantkv.body')
local body_more = require('tarantkv.body_more')
local elements = require('tarantkv.elements')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')
local tuples = require('tarantkv.tuple')

local whole_at, integer_at, end_of_checked_key = elements.whole_at, elements.integer_at, elements.end_of_checked_key
local put, remove, find, expires_at = store.put, store.remove, store.find, store.expires_at

local M = {}

local NIL, FALSE, TRUE = 0xc0, 0xc2, 0xc3
local NOTHING = box.NULL

--- A version as one number.
local function version_of_halves(upper, lower)
    return ffi.new('uint64_t', upper) * 4294967296ULL + lower
end

--- Does the condition at `at` hold for a key?
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn boolean whether it holds
-- @treturn number where the condition ends
-- @return the version that the key has, nil if it is absent; only if the condition does not hold
local function holds(bytes, at, key, now)
    local byte = bytes[at]
    if byte == NIL then
        return true, true, at + 1
    end
    local ok, stored = find(bytes, key, now)
    if not ok then
        return false
    end
    local upper, lower = 0, 0
    if stored ~= nil then
        local _, value, length, fields = tuples.parts(stored)
        upper, lower = tuples.version_of(value, length, fields)
    end
    local is_met, after
    if byte == FALSE then
        is_met, after = stored == nil, at + 1
    elseif byte == TRUE then
        is_met, after = stored ~= nil, at + 1
    else
        -- An integer has nine bytes at most.
        local wanted_upper, wanted_lower, wanted_end = integer_at(bytes, at, at + 9)
        is_met, after = stored ~= nil and wanted_upper == upper and wanted_lower == lower, wanted_end
    end
    if is_met then
        return true, true, after
    end
    return true, false, after, stored ~= nil and version_of_halves(upper, lower) or NOTHING
end

M.update = {check = body_more.check_update}

--- Apply a checked body; inside a transaction.
-- @tparam cdata bytes
-- @tparam number count of entries
-- @tparam number place of the entries in `body.entry_ends`
-- @tparam number now milliseconds since the epoch
-- @tparam number condition offset of the first condition
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn string payload
function M.update.apply(bytes, count, place, now, condition)
    local upper, lower = shard_clock.next_version()
    local ends = body.entry_ends()
    local failed = {}
    for i = 1, count do
        local at, value_end, stop = ends[place + 2 * i - 2], ends[place + 2 * i - 1], ends[place + 2 * i]
        local ok, is_met, after, current = holds(bytes, condition, at + 1, now)
        if not ok then
            return false
        elseif not is_met then
            table.insert(failed, {i - 1, current})
        else
            local expires = value_end < stop and expires_at(whole_at(bytes, value_end, stop), bytes, at + 1, now) or 0
            if value_end < stop and expires == nil or not put(bytes, at + 1, value_end, upper, lower, expires) then
                return false
            end
        end
        condition = after
    end
    store.release()
    return true, msgpack.encode({version_of_halves(upper, lower), failed})
end

M.delete_if = {check = body_more.check_delete_if}

--- Apply a checked body; inside a transaction. Like `update.apply`, but `first` is the offset of the first key.
function M.delete_if.apply(bytes, count, first, now, condition)
    local at, deleted = first, 0
    local failed = {}
    for i = 1, count do
        local ok, is_met, after, current = holds(bytes, condition, at, now)
        if not ok then
            return false
        elseif not is_met then
            table.insert(failed, {i - 1, current})
        else
            local was_there
            ok, was_there = remove(bytes, at, now)
            if not ok then
                return false
            end
            deleted = deleted + (was_there and 1 or 0)
        end
        condition, at = after, end_of_checked_key(bytes, at)
    end
    return true, msgpack.encode({deleted, failed})
end

return M
