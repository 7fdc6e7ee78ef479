--- What a shard reports about itself: its name, its cluster, its buckets, whether it takes changes, and how much it
-- holds.
-- @module tarantkv.describe

local msgpack = require('msgpack')
local clock = require('tarantkv.clock')
local identity = require('tarantkv.identity')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local progress = require('tarantkv.progress')
local sweep = require('tarantkv.sweep')

local M = {}

--- Version of the interface of the two procedures.
M.PROTOCOL = 1

local shard_name = ''
local announced

--- Set the shard's name.
function M.configure(name)
    shard_name = name
end

local function copy_of(pairs_of)
    local copy = setmetatable({}, {__serialize = 'seq'})
    for i, pair in ipairs(pairs_of) do
        copy[i] = {pair[1], pair[2]}
    end
    return copy
end

--- Is this a valid list of a shard's instances?
local function are_instances(instances)
    if type(instances) ~= 'table' or #instances == 0 then
        return false
    end
    for _, instance in ipairs(instances) do
        local host, port = unpack(type(instance) == 'table' and instance or {})
        if type(host) ~= 'string' or host == '' or type(port) ~= 'number' or port < 1 or port > 65535 then
            return false
        end
    end
    return true
end

--- Announce the shards of the cluster from now on. Apis and workers learn them from here, without a restart. May be
-- called at any time; the announcement is not stored on disk.
-- @tparam ?table shards by name an array of `{host, port}`, one for each instance; nil to announce nothing, as on one
-- machine, where the settings name all shards
-- @raise a text that says what is wrong with the shards
function M.announce(shards)
    local copy
    for name, instances in pairs(shards or {}) do
        if type(name) ~= 'string' or not name:find('^[a-z][a-z0-9-]*$') or #name > 32 then
            error(('cannot announce %s: it is not a valid name of a shard'):format(tostring(name)), 0)
        elseif not are_instances(instances) then
            error(('cannot announce shard %s: its instances are not an array of {host, port}'):format(name), 0)
        end
        copy = copy or {}
        copy[name] = copy_of(instances)
    end
    if shards ~= nil and copy == nil then
        error('cannot announce no shards', 0)
    end
    announced = copy
end

--- `tarantkv.describe()`.
-- @treturn table
function M.call()
    return {
        shard = shard_name,
        bucket_count = ownership.bucket_count(),
        ranges = copy_of(ownership.ranges()),
        -- Whether buckets may move at all, and which ones are moving from or to this shard and not readable here.
        moves = ownership.moves(),
        moving = copy_of(ownership.moving()),
        ro = box.info.ro,
        instance = box.info.uuid,
        -- Absent until a worker has sent the shard the id of its cluster (JOIN).
        cluster = identity.cluster(),
        -- All shards of the cluster; absent if the settings name them.
        shards = announced,
        protocol = M.PROTOCOL,
    }
end

--- Control operation DESCRIBE.
function M.run()
    return outcome.OK, msgpack.encode(M.call()), false
end

--- Bytes of a space's tuples and of its indexes.
local function bytes_of(space)
    local bytes = space:bsize()
    for number, index in pairs(space.index) do
        if type(number) == 'number' then
            bytes = bytes + index:bsize()
        end
    end
    return tonumber(bytes)
end

--- Control operation STATUS `[]`. The payload is a map: numbers and bytes of claims and of records of applied chunks,
-- the memory for data, numbers of keys and of expiring keys, the wall clock, whether the instance is read-only, and the
-- present moves of buckets. Tarantool keeps all these numbers up to date, so the operation is cheap.
function M.status()
    local memory = box.slab.info()
    local expired, late_ms, expiring = sweep.status()
    return outcome.OK, msgpack.encode({
        claims = box.space.claims:len(), claim_bytes = bytes_of(box.space.claims),
        records = box.space.applied:len() + box.space.keyed:len(),
        record_bytes = bytes_of(box.space.applied) + bytes_of(box.space.keyed),
        memory_used = tonumber(memory.arena_used), memory_limit = tonumber(memory.quota_size),
        keys = box.space.kv:len(), now_ms = clock.now_ms(), ro = box.info.ro,
        expired_keys = expired, expiry_lag_ms = late_ms, expiring_keys = expiring,
        moves = progress.rows(),
    }), false
end

return M
