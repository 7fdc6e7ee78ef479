--- Has `ownership` follow vshard's space `_bucket`, and makes a shard's first buckets.
--
-- What a change of `_bucket` forbids is forbidden from the moment of the change; what it permits, once it is confirmed.
-- Log and queue of the synchronous changes are first in, first out: when a change of `_bucket` is confirmed, so is
-- every change of the bucket's keys before it, and those after it see what it forbids.
-- @module tarantkv.buckets

local fiber = require('fiber')
local log = require('log')
local claims = require('tarantkv.claims')
local ownership = require('tarantkv.ownership')

local M = {}

local NONE, READABLE, WRITABLE, MOVING = ownership.NONE, ownership.READABLE, ownership.WRITABLE, ownership.MOVING
local min = math.min

--- By status of vshard: what may be done with the bucket. One that it does not name may not be used.
local STATES = {active = WRITABLE, pinned = WRITABLE, readonly = READABLE, sending = READABLE}

--- So many buckets are made in one transaction.
local BATCH = 1000
local EXPIRES = 5
local FIRST = 'first_buckets'

local function state_of(row)
    return row ~= nil and STATES[row.status] or NONE
end

--- Where a bucket is that is not here: the name of its shard, MOVING, or nil, which is not known.
local function destination_of(row)
    if row == nil or state_of(row) == WRITABLE then
        return nil
    elseif row.status == 'sent' or row.status == 'garbage' then
        return row.destination
    end
    return MOVING
end

--- Take a row as the truth about its bucket.
-- @tparam number bucket
-- @param row nil: the bucket is not here
-- @param[opt] earlier what it was, for the destination of one that is gone
local function settle(bucket, row, earlier)
    local destination = destination_of(row)
    if row == nil then
        destination = destination_of(earlier)
        destination = destination ~= MOVING and destination or nil
    end
    ownership.change(bucket, state_of(row), destination)
end

--- By bucket whose row is changed: how many changes are neither confirmed nor taken back, and the row before them,
-- false where there was none. No row may be looked up while a change ends.
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
                -- Another change came after this one, and what that forbids is forbidden already.
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
    -- One transaction changes many buckets: the triggers are set once.
    if not pcall(box.on_commit, committed, committed) then
        box.on_commit(committed)
        box.on_rollback(rolled_back)
    end
end

--- Learn all buckets anew.
-- @tparam number bucket_count buckets of the whole cluster
function M.learn(bucket_count)
    ownership.assign(bucket_count, {})
    for _, row in box.space._bucket:pairs() do
        settle(row.id, row)
    end
end

local followed = nil

--- Follow the space from now on.
-- @tparam number bucket_count buckets of the whole cluster
function M.follow(bucket_count)
    if followed ~= box.space._bucket.id then
        box.space._bucket:on_replace(changed)
        followed = box.space._bucket.id
    end
    M.learn(bucket_count)
end

--- As `insert` of the space `kv`, and notes when the key expires.
-- No trigger of the space does this: a write of a client calls the engine from compiled code, which ends the instance
-- where a trigger in Lua is called.
local function insert_noting(space, tuple)
    local stored = getmetatable(space).__index.insert(space, tuple)
    if stored[EXPIRES] ~= nil then
        box.space.expiring:replace({stored[1], stored[EXPIRES]})
    end
    return stored
end

--- What vshard says inside of the transactions with which it stores and removes what moves; it stores by `insert` of
-- the space.
local function arrives(event, _, data)
    local space = data.spaces[1]
    if space == 'claims' then
        box.on_commit(function() fiber.new(claims.count_again) end)
    elseif space == 'kv' and event == 'bucket_data_recv_txn' then
        rawset(box.space.kv, 'insert', insert_noting)
    end
end

--- Take part in what vshard stores and removes.
function M.watch_moves()
    local storage = require('vshard.storage')
    if not pcall(storage.on_bucket_event, arrives, arrives) then
        storage.on_bucket_event(arrives)
    end
end

--- Make the buckets that a shard has at first, unless it has made them before; what was interrupted is finished. On
-- the leader only.
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
                    -- In the order that vshard takes for allowed.
                    box.space._bucket:insert({bucket, 'receiving'})
                    box.space._bucket:replace({bucket, 'active'})
                    made = made + 1
                end
            end
        end)
    end
    identity:insert({FIRST, {range[1], range[2]}})
    log.info('made %d buckets, %d to %d', made, range[1], range[2])
end

return M
