--- Which buckets this shard owns: the one place that knows.
-- On one machine the answer is a fixed range; where vshard moves buckets, this module gets a second implementation
-- with the same functions. How a key becomes a bucket is the api's business.
-- @module tarantkv.ownership

local ffi = require('ffi')

local M = {}

--- One byte per bucket, so that the loop over a chunk's keys tests ownership with one load whatever the ranges are.
-- Rebuilt by `assign`; index 0 is never owned because buckets count from 1.
local owned = ffi.new('uint8_t[?]', 1)
local limit = 0
local current = {}

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
            map[bucket] = 1
        end
    end
    owned, limit, current = map, bucket_count, ranges
end

--- Does this shard own the bucket?
-- @tparam number bucket any non-negative whole number
-- @treturn boolean
function M.owns(bucket)
    return bucket <= limit and owned[bucket] == 1
end

--- The owned ranges as assigned, array of `{first, last}`.
-- @treturn table
function M.ranges()
    return current
end

--- Buckets of the whole cluster.
-- @treturn number
function M.bucket_count()
    return limit
end

return M
