--- The shard's clock that never goes back, and the versions made from it.
--
-- It follows the wall clock and is never behind what it has said: where the wall clock is set back, it goes on a little
-- slower than the monotonic clock until the wall clock has caught up. Whether a key has expired is asked of this clock
-- alone, so that no key comes back.
--
-- Every chunk that stores values gets a version of 64 bits, greater than all before: a hybrid logical clock (Kulkarni
-- and others, "Logical Physical Clocks", 2014) of the milliseconds, times 1,024, and then the position of the shard or
-- of the instance, so that two of them never make the same one.
--
-- A mark in the log runs ahead of both, of the clock by a second or little more. A shard that starts again makes
-- versions from there on, and its clock begins there, too, where the wall clock was set back meanwhile.
-- @module tarantkv.shard_clock

local system = require('clock')
local clock = require('tarantkv.clock')

local floor, max = math.floor, math.max

local M = {}

--- How far the mark is ahead of what it was made for: so often it is written while values are.
local LEAD_MS = 1000
--- How far the mark goes past what is later than the clock plus that.
local STEP_MS = 50
local TICKS = 1024
--- The pace of the clock while it is ahead of the wall clock: what lasts for a while lasts a seventh longer then.
local PACE = 7 / 8
--- What of the clock is in the upper half of a version.
local UPPER = 4194304

local MARK = 'mark'

local space
local position = 0
local mark = 0
local last = 0
--- What the clock has said last, and the monotonic one then, in milliseconds.
local said, seen = 0, 0

local function monotonic_ms()
    return system.monotonic() * 1000
end

--- Take the space of the mark and the position, from 1: that of the shard in the list of shards, or that of the
-- instance among all of the cluster.
function M.attach(marks, shard_position)
    space, position = marks, shard_position
    local stored = space:get(MARK)
    mark = stored ~= nil and stored.ms or 0
    last = mark * TICKS
    local wall = clock.now_ms()
    -- Behind this it has been set back for certain. After a quick restart, too, it is behind the mark, and no key may
    -- expire before its time for that.
    said = wall < mark - 2 * LEAD_MS and mark or max(wall, mark - LEAD_MS)
    seen = monotonic_ms()
end

--- Go on where another instance of the shard, which led before this one, has stopped.
function M.take_over()
    local before = M.now_ms()
    M.attach(space, position)
    said = max(said, before)
end

--- Now, in whole milliseconds since the epoch; never less than before.
function M.now_ms()
    local steady = monotonic_ms()
    said = max(clock.now_ms(), said + (steady - seen) * PACE)
    seen = steady
    return floor(said)
end

--- Write the mark ahead of the clock, and past `ms`, which may be later. It is not as far ahead of `ms`: who takes over
-- would begin there, and keys would expire early. LuaJIT compiles nothing that calls a function with a closure in
-- it, whether that is made or not.
local function write_mark(ms)
    local before = mark
    mark = max(M.now_ms() + LEAD_MS, ms + STEP_MS)
    space:replace({MARK, mark})
    box.on_rollback(function() mark = before end)
end

--- Be no longer behind the clock of a shard from which keys are about to come: what has expired for it must not
-- be seen here. This clock is then ahead of the wall clock, as is that of an instance that takes over.
-- @tparam number ms what the other clock says
-- @tparam number most_ms by how much clocks may differ
-- @raise they differ by more: it would be wrong to have keys expire here for that
function M.follow(ms, most_ms)
    local behind = ms - M.now_ms()
    if behind > most_ms then
        error(('the clock is %.0f s behind: set it right, or the other one'):format(behind / 1000), 0)
    elseif behind > 0 then
        said = ms
        box.atomic(write_mark, ms)
    end
end

--- Write the mark if `ms` has come to it; inside a transaction.
-- @treturn boolean whether it was written
function M.reach(ms)
    if ms < mark then
        return false
    end
    write_mark(ms)
    return true
end

--- A new version; inside the transaction that stores it.
-- @treturn number the upper 32 bits
-- @treturn number the lower 32 bits
function M.next_version()
    last = max(last + 1, M.now_ms() * TICKS)
    M.reach(floor(last / TICKS))
    return floor(last / UPPER), (last % UPPER) * TICKS + position
end

return M
