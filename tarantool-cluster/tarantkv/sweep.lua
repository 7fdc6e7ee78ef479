--- Removes keys that have expired, in small transactions and a fifth of the time at most: a million keys that expire at
-- once must not hold up those who ask for others. That they are absent is decided by whoever looks at them, not here.
-- @module tarantkv.sweep

local system = require('clock')
local fiber = require('fiber')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')

local M = {}

--- A slice ends after so many keys, or after so long.
local SLICE_KEYS = 200
local SLICE_S = 0.001
--- The pause after a slice, in times of the slice.
local PAUSES = 4
--- A slice counts as this long at most. What took longer was frozen with its machine, and held up nobody.
local LONGEST_S = 0.1
--- So long before the first key expires the mark of the shard's clock is moved past that: a reader may see the key
-- expired before it is removed, and no restart must bring it back.
local SOON_MS = 300
--- Rows of `expiring` that are compared with their keys in one round; keys stored without expiry leave rows behind.
local COMPARED = 50

local kv, expiring
local expired = 0
local compared_up_to = nil

--- Tell the module where keys and expiries live, once the spaces exist.
function M.attach(keys, expiries)
    kv, expiring, expired, compared_up_to = keys, expiries, 0, nil
end

--- What became of keys that expire, for DESCRIBE and STATUS.
-- @treturn number keys removed since the start because they were over
-- @treturn number how long the one that waits longest has been over, in milliseconds
-- @treturn number keys that expire, or rows of them
function M.status()
    local first = expiring.index.expires:min()
    local late = first ~= nil and shard_clock.now_ms() - first.expires or 0
    return expired, math.max(0, late), expiring:len()
end

--- Run `work` in a transaction, unless it returns 0. Readers do not wait until it is in the log, as they do for changes
-- of clients (`visibility`): what it removes is absent for them in any case.
-- @treturn number how long the shard was held up, in seconds
local function atomically(work, ...)
    local began = system.monotonic()
    box.begin()
    local ok, result = pcall(work, ...)
    local held_up = system.monotonic() - began
    if not ok then
        box.rollback()
        error(result, 0)
    elseif result == 0 then
        box.rollback()
    else
        box.commit()
    end
    return held_up
end

--- Remove keys that are over, up to the size of a slice.
local function remove_some(now, ends)
    local removed = 0
    local looked_at = 0
    for _, row in ipairs(expiring.index.expires:select({now}, {iterator = 'LE', limit = SLICE_KEYS})) do
        -- The key may have been written since: what counts is in the tuple.
        local expires = store.expires_of(row.key)
        if expires ~= nil and expires <= now then
            kv:delete(row.key)
            expiring:delete(row.key)
            removed = removed + 1
        elseif expires ~= nil then
            expiring:replace({row.key, expires})
        else
            expiring:delete(row.key)
        end
        looked_at = looked_at + 1
        if system.monotonic() > ends then
            break
        end
    end
    shard_clock.reach(now)
    local before = expired
    expired = expired + removed
    box.on_rollback(function() expired = before end)
    return looked_at
end

--- Remove rows whose keys are there without expiry, or not at all.
local function compare_some(rows)
    local removed = 0
    for _, row in ipairs(rows) do
        if store.expires_of(row.key) == nil then
            expiring:delete(row.key)
            removed = removed + 1
        end
    end
    return removed
end

local function reach(ms)
    return shard_clock.reach(ms) and 1 or 0
end

--- One slice.
-- @treturn number how long the shard was held up, where there may be more to do at once; nil otherwise
function M.slice()
    local now = shard_clock.now_ms()
    local first = expiring.index.expires:min()
    if first ~= nil and first.expires <= now then
        return atomically(remove_some, now, system.monotonic() + SLICE_S)
    elseif first ~= nil and first.expires <= now + SOON_MS then
        atomically(reach, first.expires + SOON_MS)
    end
    local rows = expiring:select(compared_up_to, {iterator = 'GT', limit = COMPARED})
    compared_up_to = #rows == COMPARED and rows[#rows].key or nil
    if #rows > 0 then
        atomically(compare_some, rows)
    end
end

--- Do all that there is to do, with pauses. While a slice waits for the log others get on, which counts as a pause.
function M.run()
    repeat
        local began = system.monotonic()
        local held_up = M.slice()
        if held_up ~= nil then
            held_up = math.min(held_up, LONGEST_S)
            fiber.sleep(math.max(0, began + (1 + PAUSES) * held_up - system.monotonic()))
        end
    until held_up == nil
end

return M
