--- What a shard says about itself: its name, its buckets, whether it takes writes.
-- @module tarantkv.describe

local msgpack = require('msgpack')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')

local M = {}

--- Version of the interface of the two procedures.
M.PROTOCOL = 1

local shard_name = ''

--- Take the shard's name.
function M.configure(name)
    shard_name = name
end

--- `tarantkv.describe()`.
-- @treturn table
function M.call()
    local ranges = {}
    for i, range in ipairs(ownership.ranges()) do
        ranges[i] = {range[1], range[2]}
    end
    return {
        shard = shard_name,
        bucket_count = ownership.bucket_count(),
        ranges = ranges,
        ro = box.info.ro,
        instance = box.info.uuid,
        protocol = M.PROTOCOL,
    }
end

--- Control operation DESCRIBE.
function M.run()
    return outcome.OK, msgpack.encode(M.call()), false
end

return M
