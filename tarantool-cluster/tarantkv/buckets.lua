--- Keeps `ownership` equal to vshard's space `_bucket`, and creates a shard's first buckets.
--
-- If a change of `_bucket` takes a right away, that applies from the moment of the change. If it grants a right, that
-- applies once the change is confirmed. Synchronous changes are logged and confirmed in order: when a change of
-- `_bucket` is confirmed, every earlier change of the bucket's keys is confirmed, too. Later changes of the keys are
-- refused.
-- @module tarantkv.buckets

local fiber = require('fiber')
local log = require('log')
local claims = require('tarantkv.claims')
local ownership = require('tarantkv.ownership')

local M = {}

local NONE, READABLE, WRITABLE, MOVING = ownership.NONE, ownership.READABLE, ownership.WRITABLE, ownership.MOVING
local min = math.min

--- What a bucket may be used for, by vshard's status. A bucket with any other status may not be used.
local STATES = {active = WRITABLE, pinned = WRITABLE, readonly = READABLE, sending = READABLE}

--- Buckets that are created in one transaction.
local BATCH = 1000
local EXPIRES = 5
local FIRST = 'first_buckets'

local function state_of(row)
    return row ~= nil and STATES[row.status] or NONE
end

--- Where a bucket is that this shard must not change: the name of its shard, MOVING, or nil if that is not known.
local function destination_of(row)
    if row == nil or state_of(row) == WRITABLE then
        return nil
    elseif row.status == 'sent' or row.status == 'garbage' then
        return row.destination
    end
    return MOVING
end

--- Set a bucket's state as its confirmed row says.
-- @tparam number bucket
-- @param row nil: the bucket is not here
-- @param[opt] earlier the row before, which names the destination of a bucket that is gone
local function settle(bucket, row, earlier)
    local destination = destination_of(row)
    if row == nil then
        destination = destination_of(earlier)
        destination = destination ~= MOVING and destination or nil
    end
    ownership.change(bucket, state_of(row), destination)
end

--- For each bucket whose row is being changed: how many of its changes have neither been confirmed nor rolled back, and
-- the row before these changes, false if there was none. The space must not be read while a change ends.
local pending, before = {}, {}

local function ends(bucket)
    local left = (pending[bucket] or 1) - 1
    pending[bucket] = left > 0 and left or nil
    return left <= 0
end

local function committed(rows)
    local id = box.space._bucket.id
    for _, old, new, space_id in rows() do
        if space_id == id then
            local bucket = (new or old)[1]
            if ends(bucket) then
                before[bucket] = nil
                settle(bucket, new, old)
            else
                -- Another change has followed. The rights that it takes away are taken away already.
                before[bucket] = new or false
            end
        end
    end
end

local function rolled_back(rows)
    local id = box.space._bucket.id
    for _, old, new, space_id in rows() do
        if space_id == id then
            local bucket = (new or old)[1]
            if ends(bucket) then
                settle(bucket, before[bucket] or nil)
                before[bucket] = nil
            end
        end
    end
end

local function changed(old, new)
    local bucket = (new or old)[1]
    if pending[bucket] == nil then
        before[bucket] = old or false
    end
    pending[bucket] = (pending[bucket] or 0) + 1
    local state, destination = state_of(new), destination_of(new)
    if state < ownership.state(bucket) then
        ownership.change(bucket, state, destination or MOVING)
    end
    -- One transaction may change many buckets, but the triggers must be set only once.
    if not pcall(box.on_commit, committed, committed) then
        box.on_commit(committed)
        box.on_rollback(rolled_back)
    end
end

--- Read all buckets from the space.
-- @tparam number bucket_count buckets of the whole cluster
function M.learn(bucket_count)
    ownership.assign(bucket_count, {})
    for _, row in box.space._bucket:pairs() do
        settle(row.id, row)
    end
end

local followed = nil

--- Read all buckets, and follow the changes of the space from now on.
-- @tparam number bucket_count buckets of the whole cluster
function M.follow(bucket_count)
    if followed ~= box.space._bucket.id then
        box.space._bucket:on_replace(changed)
        followed = box.space._bucket.id
    end
    M.learn(bucket_count)
end

--- `insert` for the space `kv` that also stores when the key expires.
-- A trigger of the space cannot do this: a client's write calls the engine from compiled code, and a Lua trigger called
-- from there crashes the instance.
local function insert_noting(space, tuple)
    local stored = getmetatable(space).__index.insert(space, tuple)
    if stored[EXPIRES] ~= nil then
        box.space.expiring:replace({stored[1], stored[EXPIRES]})
    end
    return stored
end

--- vshard calls this inside the transactions in which it stores or removes moved tuples. It stores them by `insert` of
-- the space.
local function arrives(event, _, data)
    local space = data.spaces[1]
    if space == 'claims' then
        box.on_commit(function() fiber.new(claims.count_again) end)
    elseif space == 'kv' and event == 'bucket_data_recv_txn' then
        rawset(box.space.kv, 'insert', insert_noting)
    end
end

--- Have vshard call `arrives` when it stores and removes moved tuples.
function M.watch_moves()
    local storage = require('vshard.storage')
    if not pcall(storage.on_bucket_event, arrives, arrives) then
        storage.on_bucket_event(arrives)
    end
end

--- Create a shard's first buckets, unless that was done before. Finishes an interrupted creation. On the leader only.
-- @tparam ?table range `{first, last}`, nil for none
function M.make_first(range)
    local identity = box.space.identity
    if range == nil or identity:get(FIRST) ~= nil then
        return
    end
    local made = 0
    for from = range[1], range[2], BATCH do
        box.atomic(function()
            for bucket = from, min(from + BATCH - 1, range[2]) do
                if box.space._bucket:get(bucket) == nil then
                    -- vshard accepts a new bucket only in this order of states.
                    box.space._bucket:insert({bucket, 'receiving'})
                    box.space._bucket:replace({bucket, 'active'})
                    made = made + 1
                end
            end
        end)
    end
    identity:insert({FIRST, {range[1], range[2]}})
    log.info('created %d of the buckets %d to %d', made, range[1], range[2])
end

return M
