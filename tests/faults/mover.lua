--- Moves buckets from one shard to another, for the tests: the steps of a move, each called over a shard's console.
--
--     arriving (target) → lock (source) → dump (source) → load (target) → stop (source) → open (target) → sent (source)
--
-- From `lock` on, the bucket takes no changes; from `stop` to `open`, no shard reads it. Only the data is persistent: a
-- shard that starts again owns the buckets of its settings.

local digest = require('digest')
local ffi = require('ffi')
local json = require('json')
local msgpack = require('msgpack')
local box_api = require('tarantkv.box_api')
local claims = require('tarantkv.claims')
local ownership = require('tarantkv.ownership')
local shard_clock = require('tarantkv.shard_clock')
local visibility = require('tarantkv.visibility')

local M = {}

--- The spaces whose tuples move with a bucket, and the number of the field that names it. `expiring` moves with `kv`.
local SPACES = {kv = 2, claims = 2, keyed = 2, users = 2, revoked = 3}
local EXPIRES = 5

local function change(buckets, state, destination)
    for _, bucket in ipairs(buckets) do
        ownership.change(bucket, state, destination)
    end
end

--- All tuples of some buckets, by space. The tests' shards are small.
local function tuples_of(buckets)
    local wanted, found = {}, {}
    for _, bucket in ipairs(buckets) do
        wanted[bucket] = true
    end
    for name, field in pairs(SPACES) do
        found[name] = {}
        for _, tuple in box.space[name]:pairs() do
            if wanted[tuple[field]] then
                table.insert(found[name], tuple)
            end
        end
    end
    return found
end

--- The key of a tuple in a space's primary index.
local function key_of(space, tuple)
    local key = {}
    for i, part in ipairs(space.index[0].parts) do
        key[i] = tuple[part.fieldno]
    end
    return key
end

--- Wait until every commit that has begun is in the log, or failed.
local function settle()
    local seen = visibility.mark()
    repeat
        local _, failed = visibility.mark()
    until visibility.confirm(seen, failed) == 'stored'
end

function M.arriving(buckets)
    change(buckets, ownership.NONE, ownership.MOVING)
    return true
end

function M.lock(buckets)
    change(buckets, ownership.READABLE, ownership.MOVING)
    settle()
    return true
end

--- The tuples that a move copies, as text.
function M.dump(buckets)
    local dumped = {expiring = {}}
    for name, tuples in pairs(tuples_of(buckets)) do
        dumped[name] = {}
        for i, tuple in ipairs(tuples) do
            dumped[name][i] = msgpack.encode(tuple)
            if name == 'kv' and tuple[EXPIRES] ~= nil then
                table.insert(dumped.expiring, msgpack.encode({tuple[1], tuple[EXPIRES]}))
            end
        end
    end
    return digest.base64_encode(msgpack.encode(dumped), {nowrap = true})
end

--- Store copied tuples as bytes, since a Lua object would not be the same value.
function M.load(text)
    local dumped = msgpack.decode(digest.base64_decode(text))
    box.atomic(function()
        for name, tuples in pairs(dumped) do
            for _, tuple in ipairs(tuples) do
                local bytes = ffi.cast('const uint8_t *', tuple)
                if box_api.replace(box.space[name].id, bytes, bytes + #tuple, nil) ~= 0 then
                    box.error(box.error.last())
                end
            end
        end
    end)
    return true
end

--- Stop reading the buckets; returns the shard's time then.
function M.stop(buckets)
    change(buckets, ownership.NONE, ownership.MOVING)
    return shard_clock.now_ms()
end

--- Take the buckets over. Keys that may have been reported as expired by the other shard do not come back here.
function M.open(buckets, stopped_ms)
    local over = {}
    for _, tuple in ipairs(tuples_of(buckets).kv) do
        if tuple[EXPIRES] ~= nil and tuple[EXPIRES] <= stopped_ms then
            table.insert(over, tuple[1])
        end
    end
    box.atomic(function()
        for _, key in ipairs(over) do
            box.space.kv:delete(key)
            box.space.expiring:delete(key)
        end
    end)
    claims.count_again()
    change(buckets, ownership.WRITABLE)
    return true
end

function M.sent(buckets, destination)
    change(buckets, ownership.NONE, destination)
    local left = tuples_of(buckets)
    box.atomic(function()
        for name, tuples in pairs(left) do
            for _, tuple in ipairs(tuples) do
                box.space[name]:delete(key_of(box.space[name], tuple))
                if name == 'kv' then
                    box.space.expiring:delete(tuple[1])
                end
            end
        end
    end)
    claims.count_again()
    return true
end

--- Forget where buckets have moved to.
function M.forget(buckets)
    change(buckets, ownership.NONE)
    return true
end

--- Does the shard store a key?
function M.holds(key)
    return box.space.kv:get(key) ~= nil
end

--- The numbers of an account's records and of its revoked tokens.
function M.records(name)
    return {box.space.users:count({name}), box.space.revoked:count({name})}
end

--- Set whether apis that start from now on make records by bucket for changes under claims.
function M.let_move(may)
    ownership.let_move(may)
    return true
end

--- How often each bucket of each change under a claim was applied here.
function M.applications()
    local counts = setmetatable({}, {__serialize = 'map'})
    for _, counted in box.space.applications:pairs() do
        if counted.id:find('^%x+/%d+$') then
            counts[counted.id] = counted.count
        end
    end
    return json.encode(counts)
end

return M
