--- Brings the data of earlier versions into today's form, at the start, before the shard serves anybody.
-- Every step can be repeated, so an upgrade that was interrupted is finished by the next start. Indexes that have
-- changed are altered in `schema`.
-- @module tarantkv.upgrade

local log = require('log')
local msgpack = require('msgpack')
local claims = require('tarantkv.claims')

local M = {}

local OLD_CLAIMS = 'claims_of_version_1'
local BATCH = 1000

--- Bring Tarantool's own spaces into the form that its version wants: 2.11 and later change no space before that.
local function upgrade_tarantool()
    if tonumber(require('tarantool').version:match('^%d+')) >= 3 then
        box.schema.upgrade()
    end
end

--- Make room for the spaces of today: up to version 1.0 a claim held names, digests and ids as text.
function M.prepare()
    upgrade_tarantool()
    local space = box.space.claims
    if space ~= nil and space:format()[1].name == 'user' then
        space:rename(OLD_CLAIMS)
    end
end

--- The claim of today for `{user, key, bucket_id, digest, claim_id, expires, outcome}`. A pending claim keeps its id:
-- the ids of chunks applied under it derive from it.
local function converted(old)
    local outcome = old[7]
    return {
        claims.id_of(old[1], old[2]), old[3], old[6], claims.short_digest(old[4]),
        claims.packed_id(msgpack.decode(old[5])), outcome ~= nil and claims.packed_outcome(outcome) or nil,
    }
end

--- Move what stands in the spaces of before, once those of today are there.
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

return M
