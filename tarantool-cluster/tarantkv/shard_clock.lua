--- The shard's clock, which never goes back, and the versions that are made from it.
--
-- It follows the wall clock. If the wall clock is set back, this clock continues, a little slower than the monotonic
-- clock, until the wall clock has caught up. Only this clock decides whether a key has expired, so that no expired key
-- comes back.
--
-- Every chunk that stores values gets a version of 64 bits, greater than all before: the time of a hybrid logical clock
-- (Kulkarni and others, "Logical Physical Clocks", 2014) in milliseconds, times 1,024, then the position of the shard
-- or the instance, so that no two of them make the same version.
--
-- The log holds a mark that is ahead of clock and versions, by a little more than a second. After a restart, versions
-- continue from the mark. The clock does so, too, if the wall clock was set back in between.
-- @module tarantkv.shard_clock

local system = require('clock')
local clock = require('tarantkv.clock')

local floor, max = math.floor, math.max

local M = {}

--- How far the mark is ahead of the clock when it is written. So it is written once in this time while values are
-- stored.
local LEAD_MS = 1000
--- How far the mark is ahead of a time that lies even later than that.
local STEP_MS = 50
local TICKS = 1024
--- The speed of this clock while it is ahead of the wall clock: keys then live a seventh longer.
local PACE = 7 / 8
--- Ticks of the clock in one unit of a version's upper half.
local UPPER = 4194304

local MARK = 'mark'

local space
local position = 0
local mark = 0
local last = 0
--- The last time that this clock returned, and the monotonic clock at that moment, in milliseconds.
local said, seen = 0, 0

local function monotonic_ms()
    return system.monotonic() * 1000
end

--- Set the space of the mark and the position, from 1: that of the shard in the list of shards, or that of the
-- instance in the cluster.
function M.attach(marks, shard_position)
    space, position = marks, shard_position
    local stored = space:get(MARK)
    mark = stored ~= nil and stored.ms or 0
    last = mark * TICKS
    local wall = clock.now_ms()
    -- A wall clock far behind the mark was set back. After a quick restart it is a little behind the mark, too. Then
    -- this clock must not begin at the mark, because keys would expire early.
    said = wall < mark - 2 * LEAD_MS and mark or max(wall, mark - LEAD_MS)
    seen = monotonic_ms()
end

--- Continue where the instance has stopped that led the shard before this one.
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

--- Write the mark ahead of the clock and of `ms`, which may be later. It is only a little ahead of `ms`: an instance
-- that takes over begins at the mark, and keys would expire early. This is a function of its own because LuaJIT does
-- not compile a function that contains a closure.
local function write_mark(ms)
    local before = mark
    mark = max(M.now_ms() + LEAD_MS, ms + STEP_MS)
    space:replace({MARK, mark})
    box.on_rollback(function() mark = before end)
end

--- Set this clock forward to that of a shard from which keys are about to move here: keys that have expired there must
-- not reappear here. This clock is then ahead of the wall clock, like that of an instance that takes over.
-- @tparam number ms the other clock
-- @tparam number most_ms by how much clocks may differ
-- @raise a text, if they differ by more: setting the clock forward would let keys expire early
function M.follow(ms, most_ms)
    local behind = ms - M.now_ms()
    if behind > most_ms then
        error(('the clock is %.0f s behind: correct it, or the other one'):format(behind / 1000), 0)
    elseif behind > 0 then
        said = ms
        box.atomic(write_mark, ms)
    end
end

--- Write the mark if `ms` has reached it; inside a transaction.
-- @treturn boolean whether it was written
function M.reach(ms)
    if ms < mark then
        return false
    end
    write_mark(ms)
    return true
end

--- A new version; called inside the transaction that stores it.
-- @treturn number the upper 32 bits
-- @treturn number the lower 32 bits
function M.next_version()
    last = max(last + 1, M.now_ms() * TICKS)
    M.reach(floor(last / TICKS))
    return floor(last / UPPER), (last % UPPER) * TICKS + position
end

return M
