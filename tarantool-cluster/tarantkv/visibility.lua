--- Commits, and when what was read can be told to anybody.
-- Without its transaction manager, memtx shows a transaction's changes from the moment it enters commit, before its
-- write-ahead log write ends, and takes them back when that write fails. So each commit of the storage procedures goes
-- through here and is counted, and an answer made of what was read waits until every commit that could have been seen
-- has ended; if one of them failed, the reading is done again. Transactions made elsewhere (an administrator's console)
-- are not counted.
-- @module tarantkv.visibility

local fiber = require('fiber')
local clock = require('tarantkv.clock')
local lease = require('tarantkv.lease')

local M = {}

local prepared = 0
local settled = 0
local failures = 0
local settling = fiber.cond()

--- Replaced by tests that need a log write to be slow or to fail.
M.log_write = box.commit

--- Commit the current transaction.
-- @treturn boolean whether it is in the log; when not, it has been rolled back
-- @return the error
function M.commit()
    prepared = prepared + 1
    local began = lease.now()
    local ok, err = pcall(M.log_write)
    settled = settled + 1
    if ok then
        lease.confirm(began)
    else
        failures = failures + 1
        box.rollback()
    end
    settling:broadcast()
    return ok, err
end

--- What a reading that starts now may see. Take it before reading, without a yield in between.
-- @treturn number
-- @treturn number
function M.mark()
    return prepared, failures
end

--- Wait until everything that was visible at the mark is in the log, and no other instance can have become the leader
-- before what was read.
-- @tparam number seen first value of the mark
-- @tparam number failed second value of the mark
-- @tparam[opt] number deadline_ms give up then; nil waits for as long as the log takes
-- @treturn string 'stored', 'again' (something seen was taken back: read again), 'late', or 'lost' (what was seen is
-- stored, but another instance may lead by now, and know more)
function M.confirm(seen, failed, deadline_ms)
    while settled < seen and failures == failed do
        if deadline_ms == nil then
            settling:wait()
        else
            local left = deadline_ms - clock.now_ms()
            if left <= 0 then
                return 'late'
            end
            settling:wait(left / 1000)
        end
    end
    if failures ~= failed then
        return 'again'
    end
    local held = lease.wait(deadline_ms)
    return held == 'held' and 'stored' or held
end

return M
