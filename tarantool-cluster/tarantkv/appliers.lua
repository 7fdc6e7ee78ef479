--- Starts the replication of a follower again after it has stopped.
--
-- If a follower cannot write to its log, because its disk is full, Tarantool stops the fibers that receive changes, and
-- never starts them again. The instance would stay behind also when there is room again, and its shard would have one
-- copy less.
-- @module tarantkv.appliers

local log = require('log')

local M = {}

--- The first and the longest pause between two attempts.
local FIRST_S, LONGEST_S = 1, 30
--- If it has not stopped for this long, the next attempt is made after the first pause again.
local STEADY_S = 60

local pause, next_at, stopped_at = FIRST_S, 0, -math.huge
--- The sources of changes, while they are removed from the configuration.
local removed

--- Tests replace these functions.
function M.replication()
    return box.info.replication
end

function M.sources()
    return box.cfg.replication
end

function M.configure(sources)
    box.cfg({replication = sources})
end

--- The names of the instances from which nothing is received any more, and the error of one of them.
local function stopped()
    local names, message = {}, nil
    for id, instance in pairs(M.replication()) do
        local upstream = instance.upstream
        if upstream ~= nil and (upstream.status == 'stopped' or upstream.status == 'off') then
            table.insert(names, tostring(instance.name or id))
            message = upstream.message or message
        end
    end
    table.sort(names)
    return names, message
end

--- Look whether the replication has stopped, and start it again. Call it regularly on a follower.
-- A leader must not do this: without connections to the others it would resign.
-- @tparam number now seconds of the monotonic clock
-- @treturn boolean whether it was started again
function M.look(now)
    local names, message = stopped()
    if #names == 0 and removed == nil then
        if now - stopped_at > STEADY_S then
            pause = FIRST_S
        end
        return false
    end
    stopped_at = now
    if now < next_at then
        return false
    end
    next_at, pause = now + pause, math.min(2 * pause, LONGEST_S)
    log.warn('replication from %s has stopped (%s) and is started again', table.concat(names, ', '), message)
    -- Tarantool ignores a configuration that does not change. If the second step fails, the next attempt repeats it.
    removed = removed or M.sources()
    M.configure({})
    M.configure(removed)
    removed = nil
    return true
end

return M
