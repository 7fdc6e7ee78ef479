--- Commits transactions, and decides when an answer from read data may be sent.
-- Without its transaction manager, memtx shows a transaction's changes as soon as its commit begins, before the write
-- to the write-ahead log has ended, and rolls them back if that write fails. So every commit of the stored procedures
-- is made and counted here. An answer from read data waits until every commit that it may have seen has ended. If one
-- of them has failed, the data is read again. Transactions made elsewhere, such as on the admin console, are not
-- counted.
-- @module tarantkv.visibility

local fiber = require('fiber')
local clock = require('tarantkv.clock')
local lease = require('tarantkv.lease')

local M = {}

local prepared = 0
local settled = 0
local failures = 0
local settling = fiber.cond()

--- Tests replace this function, to make a log write slow or let it fail.
M.log_write = box.commit

--- Commit the current transaction.
-- @treturn boolean whether it is in the log; otherwise it was rolled back
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

--- A mark of the commits that a read may see which begins now. There must be no yield between this and the read.
-- @treturn number
-- @treturn number
function M.mark()
    return prepared, failures
end

--- Wait until every commit before the mark is in the log, and until it is certain that this instance led at the time of
-- the read.
-- @tparam number seen first value of the mark
-- @tparam number failed second value of the mark
-- @tparam[opt] number deadline_ms stop waiting then; nil: wait as long as the log takes
-- @treturn string 'stored', 'again' (a commit was rolled back: read again), 'late', or 'lost' (all is stored, but
-- another instance may lead by now and have newer data)
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
