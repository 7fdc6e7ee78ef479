--- Holds which buckets this shard may read and change.
-- On one machine that is a fixed range. In a cluster of replica sets, `buckets` keeps it up to date. The api computes
-- the bucket of a key.
--
-- A bucket that leaves is READABLE at first: the shard refuses changes. When the new shard has all its data, no shard
-- may read or change it for a moment; then the new shard owns it. A refusal says where the bucket is, if this shard
-- knows.
-- @module tarantkv.ownership

local ffi = require('ffi')
local msgpack = require('msgpack')

local M = {}

--- The states of a bucket here. Each allows what the one before it allows.
M.NONE, M.READABLE, M.WRITABLE = 0, 1, 2

--- The destination of a bucket that is moving.
M.MOVING = true

local NONE, READABLE, WRITABLE = M.NONE, M.READABLE, M.WRITABLE

--- The state of each bucket in one byte, so that the loop over a chunk's keys tests it with one load.
-- `assign` makes a new table. Index 0 is never owned, because buckets count from 1.
local states = ffi.new('uint8_t[?]', 1)
local limit = 0
local moves = false
--- By bucket: the name of the shard that it has moved to, or MOVING.
local destinations = {}
--- Cached results of `ranges` and `moving`; nil: not computed since the last change.
local readable_ranges, moving_ranges

--- The range of shard number `position` out of `shards`.
-- @treturn table `{first, last}`, both included
function M.range_of(position, shards, bucket_count)
    return {
        math.floor((position - 1) * bucket_count / shards) + 1,
        math.floor(position * bucket_count / shards),
    }
end

--- Own exactly these ranges.
-- @tparam number bucket_count buckets of the whole cluster
-- @tparam table ranges array of `{first, last}`
function M.assign(bucket_count, ranges)
    local map = ffi.new('uint8_t[?]', bucket_count + 1)
    for _, range in ipairs(ranges) do
        for bucket = range[1], range[2] do
            map[bucket] = WRITABLE
        end
    end
    states, limit, destinations = map, bucket_count, {}
    readable_ranges, moving_ranges = nil, nil
end

--- Set the state of a bucket.
-- @tparam number bucket 1 to the bucket count
-- @tparam number state
-- @tparam[opt] ?string|boolean destination the shard that it has moved to, or MOVING
function M.change(bucket, state, destination)
    states[bucket] = state
    destinations[bucket] = destination
    readable_ranges, moving_ranges = nil, nil
end

--- The state of a bucket.
-- @tparam number bucket any non-negative whole number
-- @treturn number
function M.state(bucket)
    return bucket <= limit and states[bucket] or NONE
end

--- May keys of the bucket be read here?
function M.readable(bucket)
    return bucket <= limit and states[bucket] ~= NONE
end

--- May keys of the bucket be changed here?
function M.writable(bucket)
    return bucket <= limit and states[bucket] == WRITABLE
end

--- Add a bucket to those that a chunk must not use.
-- @tparam ?table noted the buckets so far, nil for none
-- @treturn table
function M.note(noted, bucket)
    noted = noted or {seen = {}}
    if not noted.seen[bucket] then
        noted.seen[bucket] = true
        noted[#noted + 1] = bucket
    end
    return noted
end

--- The payload of a refusal: `[[bucket, where], ...]`, MessagePack. `where` is the name of the shard that has the
-- bucket, true if the bucket is moving, and nil if this shard does not know.
-- @tparam table noted as `note` returns it
function M.refusal(noted)
    local said = {}
    for i = 1, #noted do
        local where = destinations[noted[i]]
        said[i] = {noted[i], where == nil and box.NULL or where}
    end
    return msgpack.encode(said)
end

--- The ranges of the buckets for which `is_of` is true.
local function ranges_of(is_of)
    local ranges, first = setmetatable({}, {__serialize = 'seq'}), nil
    for bucket = 1, limit + 1 do
        local is_in = bucket <= limit and is_of(bucket)
        if is_in and first == nil then
            first = bucket
        elseif not is_in and first ~= nil then
            ranges[#ranges + 1] = {first, bucket - 1}
            first = nil
        end
    end
    return ranges
end

--- The ranges of buckets that may be read here, array of `{first, last}`.
-- @treturn table
function M.ranges()
    readable_ranges = readable_ranges or ranges_of(function(bucket) return states[bucket] >= READABLE end)
    return readable_ranges
end

--- The ranges of buckets that are moving from or to this shard and must not be read here.
-- @treturn table
function M.moving()
    moving_ranges = moving_ranges or ranges_of(function(bucket)
        return states[bucket] == NONE and destinations[bucket] == M.MOVING
    end)
    return moving_ranges
end

--- Set whether buckets may move. If they may, changes under a claim have a record for each bucket (`keyed`). This must
-- never change in the life of a cluster: a retry that looks for other records than the first try made would be applied
-- again.
function M.let_move(may)
    moves = may
end

--- May buckets move?
function M.moves()
    return moves
end

--- The number of buckets of the whole cluster.
-- @treturn number
function M.bucket_count()
    return limit
end

return M
