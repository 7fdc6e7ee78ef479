--- Removes expired keys, in small transactions that together take a fifth of the shard's time at most: a million keys
-- that expire at once must not delay requests. For requests a key is absent as soon as it expires, removed or not.
-- @module tarantkv.sweep

local system = require('clock')
local fiber = require('fiber')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')

local M = {}

--- A slice ends after this many keys, or after this time.
local SLICE_KEYS = 200
local SLICE_S = 0.001
--- The pause after a slice, as a multiple of its duration.
local PAUSES = 4
--- A slice counts as this long at most. If it took longer, the whole machine was frozen, and the slice delayed no
-- request.
local LONGEST_S = 0.1
--- This long before the first key expires, the mark of the shard's clock is moved beyond its expiry. A reader may see
-- the key as expired before it is removed, and a restart must not bring it back.
local SOON_MS = 300
--- Rows of `expiring` that one round compares with their keys: a key stored without expiry leaves its old row behind.
local COMPARED = 50

local kv, expiring
local expired = 0
local compared_up_to = nil

--- Set the spaces of keys and expiries.
function M.attach(keys, expiries)
    kv, expiring, expired, compared_up_to = keys, expiries, 0, nil
end

--- Numbers of expired keys, for STATUS.
-- @treturn number of expired keys removed since the start
-- @treturn number the expiry lag: for how many milliseconds the first expired key has waited for its removal
-- @treturn number of rows of keys with an expiry
function M.status()
    local first = expiring.index.expires:min()
    local late = first ~= nil and shard_clock.now_ms() - first.expires or 0
    return expired, math.max(0, late), expiring:len()
end

--- Run `work` in a transaction; roll it back if it returns 0. Unlike for changes of clients (`visibility`), readers do
-- not wait until it is in the log: the keys that it removes are absent for them in any case.
-- @treturn number for how many seconds the shard was busy with it
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

--- Remove expired keys, up to the size of a slice.
local function remove_some(now, ends)
    local removed = 0
    local looked_at = 0
    for _, row in ipairs(expiring.index.expires:select({now}, {iterator = 'LE', limit = SLICE_KEYS})) do
        -- The key may have been written again since: only the expiry in its tuple counts.
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

--- Remove rows whose keys have no expiry or are absent.
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

--- Run one slice.
-- @treturn number for how many seconds the shard was busy, if there may be more expired keys; otherwise nil
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

--- Remove all expired keys, with pauses between slices. The time for which a slice waits for the log counts as a pause,
-- because requests run then.
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
