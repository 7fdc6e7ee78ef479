--- The fiber that removes what has had its time: records of applied chunks, claims, revocations.
-- In small transactions, so that no request waits behind a long one. When something is over is decided by those who
-- write it; that it counts as absent from then on, by those who read it.
-- @module tarantkv.expiry

local fiber = require('fiber')
local log = require('log')
local clock = require('tarantkv.clock')
local visibility = require('tarantkv.visibility')

local M = {}

local BATCH = 200
local PAUSE_S = 0.5

--- Remove up to a batch of tuples whose time is over.
-- @param index ordered by the time, from which the primary key of a tuple follows
-- @tparam function key_of primary key of a tuple
-- @treturn number how many were removed
function M.sweep(index, key_of)
    local over = index:select({clock.now_ms()}, {iterator = 'LT', limit = BATCH})
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
    return #over
end

--- Remove everything whose time is over.
function M.sweep_all()
    local sweeps = {
        {box.space.applied.index.retain_until, function(tuple) return tuple.id end},
        {box.space.claims.index.expires, function(tuple) return {tuple.user, tuple.key} end},
        {box.space.revoked.index.expires, function(tuple) return {tuple.name, tuple.jti} end},
    }
    for _, sweep in ipairs(sweeps) do
        while M.sweep(sweep[1], sweep[2]) == BATCH do
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
