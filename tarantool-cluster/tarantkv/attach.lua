--- Gives every module its spaces and makes the procedures callable. A shard on one machine (`shard`) and an instance of
-- a replica set (`role`) both do this at their start.
-- @module tarantkv.attach

local applied = require('tarantkv.applied')
local apply = require('tarantkv.apply')
local changes = require('tarantkv.changes')
local claims = require('tarantkv.claims')
local describe = require('tarantkv.describe')
local identity = require('tarantkv.identity')
local keyed = require('tarantkv.keyed')
local read = require('tarantkv.read')
local read_tuples = require('tarantkv.read_tuples')
local scan = require('tarantkv.scan')
local shard_clock = require('tarantkv.shard_clock')
local store = require('tarantkv.store')
local sweep = require('tarantkv.sweep')
local users = require('tarantkv.users')

local M = {}

--- Attach every module to its spaces, which must exist.
-- @tparam table settings with `position`, `max_claims_per_user` and `count_applications`
function M.all(settings)
    local spaces = box.space
    shard_clock.attach(spaces.clock, settings.position)
    store.attach(spaces.kv, spaces.expiring)
    read.attach(spaces.kv)
    read_tuples.attach(spaces.kv)
    scan.attach(spaces.kv)
    sweep.attach(spaces.kv, spaces.expiring)
    applied.attach(spaces.applied)
    keyed.attach(spaces.keyed)
    claims.attach(spaces.claims, settings.max_claims_per_user)
    users.attach(spaces.users, spaces.revoked)
    identity.attach(spaces.identity)
    changes.configure(settings.count_applications and spaces.applications or nil)
    rawset(_G, 'tarantkv', {apply = apply.call, describe = describe.call})
end

return M
