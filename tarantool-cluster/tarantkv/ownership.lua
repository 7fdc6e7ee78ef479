--- Which buckets this shard may read and change: the one place that knows.
-- On one machine the answer is a fixed range; where buckets move, whoever moves them says so here. How a key becomes
-- a bucket is the api's business.
--
-- A bucket that leaves is first READABLE: changes are refused. Once its new shard has all of it, nobody reads or
-- changes it for a moment; then it is the new shard's. A refusal says where the bucket is, as far as this shard knows.
-- @module tarantkv.ownership

local ffi = require('ffi')
local msgpack = require('msgpack')

local M = {}

--- What may be done with a bucket here. Each includes what the one before allows.
M.NONE, M.READABLE, M.WRITABLE = 0, 1, 2

--- The destination of a bucket that is on its way.
M.MOVING = true

local NONE, READABLE, WRITABLE = M.NONE, M.READABLE, M.WRITABLE

--- One byte per bucket, so that the loop over a chunk's keys tests ownership with one load whatever the ranges are.
-- Rebuilt by `assign`; index 0 is never owned because buckets count from 1.
local states = ffi.new('uint8_t[?]', 1)
local limit = 0
local moves = false
--- By bucket: the name of the shard to which it went, or MOVING.
local destinations = {}
--- Ranges of the buckets that may be read, and of the others that are on their way; nil until they are asked for.
local readable_ranges, moving_ranges

--- The range of shard number `position` out of `shards`.
-- @treturn table `{first, last}`, both included
function M.range_of(position, shards, bucket_count)
    return {
        math.floor((position - 1) * bucket_count / shards) + 1,
        math.floor(position * bucket_count / shards),
    }
end

--- Take ownership of exactly these ranges.
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

--- Say what may be done with a bucket from now on.
-- @tparam number bucket 1 to the bucket count
-- @tparam number state
-- @tparam[opt] ?string|boolean destination the shard to which it went, or MOVING
function M.change(bucket, state, destination)
    states[bucket] = state
    destinations[bucket] = destination
    readable_ranges, moving_ranges = nil, nil
end

--- What may be done with a bucket.
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

--- Note a bucket that a chunk must not use.
-- @tparam ?table noted what is noted already, nil for nothing
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
-- bucket, true where it is on its way, and nil where this shard does not know.
-- @tparam table noted of `note`
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

--- The ranges of buckets that may not be read here and are on their way from here or to here.
-- @treturn table
function M.moving()
    moving_ranges = moving_ranges or ranges_of(function(bucket)
        return states[bucket] == NONE and destinations[bucket] == M.MOVING
    end)
    return moving_ranges
end

--- Say whether buckets may move: changes under a claim are to have records by bucket then. It is so or not for as long
-- as a cluster lives: a retry that asks for other records than the first try would be applied again.
function M.let_move(may)
    moves = may
end

--- May buckets move?
function M.moves()
    return moves
end

--- Buckets of the whole cluster.
-- @treturn number
function M.bucket_count()
    return limit
end

return M
