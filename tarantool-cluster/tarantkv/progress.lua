--- The progress of moving buckets from this shard to others, as the program that moves them reports it. It is for
-- people only: it is not stored on disk, and nothing depends on it.
-- @module tarantkv.progress

local fiber = require('fiber')
local arguments = require('tarantkv.arguments')

local M = {}

--- A report that is older than this counts as outdated: the program that moved buckets has ended.
local KEPT_S = 60
local MAX_TARGETS = 1000

local said, said_at = {}, 0

--- A checked row, or nil.
local function row_of(given)
    if type(given) ~= 'table' then
        return nil
    end
    local target, done, total = arguments.text(given[1], 32), arguments.whole(given[2]), arguments.whole(given[3])
    local left = given[4] ~= nil and arguments.whole(given[4]) or nil
    if target == nil or done == nil or total == nil or done > total or (given[4] ~= nil and left == nil) then
        return nil
    end
    return {target, done, total, left == nil and box.NULL or left}
end

--- Report the progress; replaces the report before.
-- @tparam table rows array of `{target, buckets moved, buckets in all, milliseconds left or nil}`; empty: no moves
-- @raise a text that says what is wrong with the rows
function M.say(rows)
    if type(rows) ~= 'table' or #rows > MAX_TARGETS then
        error('progress is an array of rows', 0)
    end
    local kept = {}
    for i, given in ipairs(rows) do
        kept[i] = row_of(given) or error(('row %d is not {target, done, total, left}'):format(i), 0)
    end
    said, said_at = kept, fiber.clock()
end

--- The last report, for STATUS.
-- @treturn table array of `{target, done, total, milliseconds left or nil, milliseconds since the report}`
function M.rows()
    local rows = setmetatable({}, {__serialize = 'seq'})
    local age = fiber.clock() - said_at
    if age <= KEPT_S then
        for i, row in ipairs(said) do
            rows[i] = {row[1], row[2], row[3], row[4], math.floor(age * 1000)}
        end
    end
    return rows
end

return M
