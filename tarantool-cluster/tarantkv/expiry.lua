--- The fibers that remove expired data: records of applied chunks and buckets, claims, revocations; and, by `sweep`,
-- keys. They use small transactions, so that no request waits for a long one. `tarantkv.retention` defines when a
-- record expires. The modules that read it treat it as absent from then on.
-- @module tarantkv.expiry

local fiber = require('fiber')
local log = require('log')
local claims = require('tarantkv.claims')
local clock = require('tarantkv.clock')
local leader = require('tarantkv.leader')
local retention = require('tarantkv.retention')
local sweep = require('tarantkv.sweep')
local visibility = require('tarantkv.visibility')

local M = {}

local BATCH = 200
local PAUSE_S = 0.5
local SWEEP_PAUSE_S = 0.1

--- Remove up to `BATCH` expired tuples.
-- @param index ordered by the time of expiry
-- @tparam number before milliseconds since the epoch: tuples that expire before this have expired
-- @tparam function key_of returns the primary key of a tuple
-- @tparam[opt] function removed called with the tuples that were removed
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

--- Remove all expired records, claims and revocations.
function M.sweep_all()
    local now = clock.now_ms()
    local sweeps = {
        {box.space.applied.index.retain_until, now, function(tuple) return tuple.id end},
        {box.space.keyed.index.retain_until, now, function(tuple) return {tuple.token, tuple.bucket_id} end},
        {box.space.claims.index.expires, now, function(tuple) return tuple.id end, claims.forget},
        {box.space.revoked.index.expires, math.max(0, retention.revocations_over(now)),
            function(tuple) return {tuple.name, tuple.jti, tuple.bucket_id} end},
    }
    for _, each in ipairs(sweeps) do
        while M.sweep(unpack(each)) == BATCH do
            fiber.yield()
        end
    end
end

--- The periodic works, each in a fiber of its own: name, function, and the pause between two rounds.
local WORKS = {
    {'tarantkv.expiry', M.sweep_all, PAUSE_S},
    {'tarantkv.sweep', sweep.run, SWEEP_PAUSE_S},
}

local function work(name, round, pause_s)
    fiber.name(name)
    while true do
        -- A replica gets the removals from its leader.
        if leader.takes_changes() then
            local ok, err = pcall(round)
            fiber.testcancel()
            if not ok then
                log.warn('%s: %s', name, err)
            end
        end
        fiber.sleep(pause_s)
    end
end

local is_stopping = false

local function watch(name, round, pause_s)
    fiber.name('tarantkv.watch')
    while not is_stopping do
        local worker = fiber.new(work, name, round, pause_s)
        worker:set_joinable(true)
        worker:join()
        if not is_stopping then
            log.warn('%s: the fiber has ended unexpectedly; starting it again', name)
            fiber.sleep(PAUSE_S)
        end
    end
end

--- Start the fibers. A fiber that ends is started again, unless the instance is shutting down.
function M.start()
    box.ctl.on_shutdown(function()
        is_stopping = true
    end)
    for _, each in ipairs(WORKS) do
        fiber.new(watch, unpack(each))
    end
end

return M
