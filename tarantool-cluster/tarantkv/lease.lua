--- The lease of a leader: for how long it may be sure that there is no other.
--
-- A leader that was frozen does not know, when it wakes, that the others have elected a new one, and what it holds may
-- be old. The others elect nobody until they have heard nothing for the death timeout. So a synchronous commit that was
-- confirmed, by a quorum that heard of it after it began, proves that there is no other leader until the death timeout
-- after its beginning. An answer from what is stored counts only while less than half of that has passed; otherwise one
-- tiny commit is made first, for all who wait for it. Time is the monotonic clock's.
--
-- A shard that is one instance needs no lease.
-- @module tarantkv.lease

local system = require('clock')
local fiber = require('fiber')
local log = require('log')
local clock = require('tarantkv.clock')

local M = {}

--- How often those who wait look whether the instance still leads.
local LOOK_S = 0.1

--- Seconds of the monotonic clock; replaced by tests.
M.now = system.monotonic

local valid_s, renew, leads
--- When the last commit began that was confirmed.
local confirmed = -math.huge
local is_renewing, failed = false, 0
local renewed = fiber.cond()

--- Have answers need a lease.
-- @tparam ?number seconds for how long a commit proves the leadership, from its beginning; nil: no lease is needed
-- @tparam[opt] function commit makes a tiny synchronous commit, which tells `confirm`; false where it failed
-- @tparam[opt] function is_leader whether the instance leads, as far as it knows
function M.configure(seconds, commit, is_leader)
    valid_s, renew, leads = seconds, commit, is_leader
    confirmed = -math.huge
end

--- Is a lease needed at all?
function M.is_needed()
    return valid_s ~= nil
end

--- Take note that a synchronous commit was confirmed.
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

--- Wait until what was read before this call may be told.
-- @tparam[opt] number deadline_ms give up then
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
