--- Converts the data of earlier versions at the start, before the shard answers requests.
-- Every step can be repeated, so that the next start finishes an interrupted upgrade. `schema` alters indexes that have
-- changed.
-- @module tarantkv.upgrade

local digest = require('digest')
local log = require('log')
local msgpack = require('msgpack')
local claims = require('tarantkv.claims')
local ownership = require('tarantkv.ownership')

local M = {}

local OLD_CLAIMS = 'claims_of_version_1'
local BATCH = 1000

--- Upgrade Tarantool's system spaces: 2.11 and later do not alter any space before that.
local function upgrade_tarantool()
    if tonumber(require('tarantool').version:match('^%d+')) >= 3 then
        box.schema.upgrade()
    end
end

--- Rename the old space of claims: up to version 1.0 a claim held names, digests and ids as text.
function M.prepare()
    upgrade_tarantool()
    local space = box.space.claims
    if space ~= nil and space:format()[1].name == 'user' then
        space:rename(OLD_CLAIMS)
    end
end

--- Today's form of the claim `{user, key, bucket_id, digest, claim_id, expires, outcome}`. A pending claim keeps its
-- id, because the ids of chunks that were applied under it are derived from it.
local function converted(old)
    local outcome = old[7]
    return {
        claims.id_of(old[1], old[2]), old[3], old[6], claims.short_digest(old[4]),
        claims.packed_id(msgpack.decode(old[5])), outcome ~= nil and claims.packed_outcome(outcome) or nil,
    }
end

--- Move the old claims, once the new space exists.
function M.finish()
    local old = box.space[OLD_CLAIMS]
    if old == nil then
        return
    end
    local moved = 0
    while old:len() > 0 do
        box.atomic(function()
            for _, claim in ipairs(old:select({}, {limit = BATCH})) do
                box.space.claims:replace(converted(claim))
                old:delete({claim[1], claim[2]})
                moved = moved + 1
            end
        end)
    end
    old:drop()
    log.info('moved %d claims of an earlier version', moved)
end

--- The other bucket of an account, half of all buckets away: `api/auth/accounts.py`.
local function other_bucket(name, bucket)
    local count = ownership.bucket_count()
    local home = digest.crc32(name) % count + 1
    return bucket ~= home and home or (home - 1 + math.floor(count / 2)) % count + 1
end

--- The key of a record.
local function key_of(record)
    return record.jti == nil and {record.name, record.bucket_id} or {record.name, record.jti, record.bucket_id}
end

--- Give each account and each revocation a record under both of its buckets, if this shard has both. Earlier versions
-- made only one record then, which would be missing if the other bucket moved away.
-- @tparam table spaces with the fields bucket and name
function M.complete_accounts(spaces)
    for _, space in ipairs(spaces) do
        local missing = {}
        for _, record in space:pairs() do
            local other = other_bucket(record.name, record.bucket_id)
            local copy = record:update({{'=', 'bucket_id', other}})
            if ownership.writable(other) and space:get(key_of(copy)) == nil then
                table.insert(missing, copy)
            end
        end
        for i = 1, #missing, BATCH do
            box.atomic(function()
                for j = i, math.min(i + BATCH - 1, #missing) do
                    space:insert(missing[j])
                end
            end)
        end
    end
end

return M
