--- The lease of a leader: how long it can be sure that no other instance leads.
--
-- When a frozen leader continues, it does not know whether the other instances have elected a new one, so its data may
-- be old. The others call an election only after they have received nothing from the leader for the death timeout. A
-- confirmed synchronous commit proves that a quorum received it after it began. So no other instance leads until the
-- death timeout after the commit began. The leader answers from its data only within half of that time. Later it makes
-- a tiny commit first, one for all answers that wait. Times are those of the monotonic clock.
--
-- A shard with a single instance needs no lease.
-- @module tarantkv.lease

local system = require('clock')
local fiber = require('fiber')
local log = require('log')
local clock = require('tarantkv.clock')

local M = {}

--- How often a waiting answer checks whether the instance still leads.
local LOOK_S = 0.1

--- Seconds of the monotonic clock. Tests replace this function.
M.now = system.monotonic

local valid_s, renew, leads
--- When the latest confirmed commit began.
local confirmed = -math.huge
local is_renewing, failed = false, 0
local renewed = fiber.cond()

--- Configure the lease.
-- @tparam ?number seconds how long a commit proves the leadership, from its beginning; nil: no lease is needed
-- @tparam[opt] function commit makes a tiny synchronous commit, which calls `confirm`; returns false if it failed
-- @tparam[opt] function is_leader whether the instance leads, as far as it knows
function M.configure(seconds, commit, is_leader)
    valid_s, renew, leads = seconds, commit, is_leader
    confirmed = -math.huge
end

--- Is a lease needed at all?
function M.is_needed()
    return valid_s ~= nil
end

--- Note that a synchronous commit was confirmed.
-- @tparam number began when it began
function M.confirm(began)
    confirmed = math.max(confirmed, began)
end

local function work()
    fiber.name('tarantkv.lease')
    local ok, is_stored = pcall(renew)
    if not ok then
        log.warn('the lease cannot be renewed: %s', is_stored)
    end
    if not ok or not is_stored then
        failed = failed + 1
    end
    is_renewing = false
    renewed:broadcast()
end

--- Wait until data that was read before this call may be reported.
-- @tparam[opt] number deadline_ms stop waiting then
-- @treturn string 'held', 'lost' (another instance may lead), or 'late'
function M.wait(deadline_ms)
    if valid_s == nil then
        return 'held'
    end
    local asked, failed_before = M.now(), failed
    while confirmed < asked and M.now() - confirmed >= valid_s do
        if not leads() or failed ~= failed_before then
            return 'lost'
        end
        local left = deadline_ms ~= nil and (deadline_ms - clock.now_ms()) / 1000 or LOOK_S
        if left <= 0 then
            return 'late'
        end
        if not is_renewing then
            is_renewing = true
            fiber.new(work)
        end
        renewed:wait(math.min(left, LOOK_S))
    end
    return 'held'
end

return M
