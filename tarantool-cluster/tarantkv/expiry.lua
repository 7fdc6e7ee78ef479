--- The fiber that removes what has had its time: records of applied chunks, claims, revocations.
-- In small transactions, so that no request waits behind a long one. When a record is over is decided in
-- `tarantkv.retention`; that it counts as absent from then on, by those who read it.
-- @module tarantkv.expiry

local fiber = require('fiber')
local log = require('log')
local claims = require('tarantkv.claims')
local clock = require('tarantkv.clock')
local retention = require('tarantkv.retention')
local visibility = require('tarantkv.visibility')

local M = {}

local BATCH = 200
local PAUSE_S = 0.5

--- Remove up to a batch of tuples whose time is over.
-- @param index ordered by the time
-- @tparam number before milliseconds since the epoch: what ends before this is over
-- @tparam function key_of primary key of a tuple
-- @tparam[opt] function removed told of the tuples that were removed
-- @treturn number how many were removed
function M.sweep(index, before, key_of, removed)
    local over = index:select({before}, {iterator = 'LT', limit = BATCH})
    if #over == 0 then
        return 0
    end
    local space = box.space[index.space_id]
    box.begin()
    local ok, err = pcall(function()
        for _, tuple in ipairs(over) do
            space:delete(key_of(tuple))
        end
    end)
    if not ok then
        box.rollback()
        error(err)
    end
    ok, err = visibility.commit()
    if not ok then
        error(err)
    end
    if removed ~= nil then
        removed(over)
    end
    return #over
end

--- Remove everything whose time is over.
function M.sweep_all()
    local now = clock.now_ms()
    local sweeps = {
        {box.space.applied.index.retain_until, now, function(tuple) return tuple.id end},
        {box.space.claims.index.expires, now, function(tuple) return tuple.id end, claims.forget},
        {box.space.revoked.index.expires, math.max(0, retention.revocations_over(now)),
            function(tuple) return {tuple.name, tuple.jti} end},
    }
    for _, sweep in ipairs(sweeps) do
        while M.sweep(unpack(sweep)) == BATCH do
            fiber.yield()
        end
    end
end

local function work()
    fiber.name('tarantkv.expiry')
    while true do
        -- A read-only instance gets the removals from its leader.
        if not box.info.ro then
            local ok, err = pcall(M.sweep_all)
            fiber.testcancel()
            if not ok then
                log.warn('expiry: %s', err)
            end
        end
        fiber.sleep(PAUSE_S)
    end
end

local is_stopping = false

local function watch()
    fiber.name('tarantkv.watch')
    while not is_stopping do
        local worker = fiber.new(work)
        worker:set_joinable(true)
        worker:join()
        if not is_stopping then
            log.warn('expiry: the fiber ended and is started again')
            fiber.sleep(PAUSE_S)
        end
    end
end

--- Start removing, and keep at it: a fiber that dies is started again, unless it ends because the instance does.
function M.start()
    box.ctl.on_shutdown(function()
        is_stopping = true
    end)
    fiber.new(watch)
end

return M
