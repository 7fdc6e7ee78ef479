--- The role `tarantkv` of Tarantool 3, which every instance of a replica set has.
--
-- The leader creates the spaces, the users and the first buckets. Every instance attaches the modules as soon as the
-- spaces exist. An elected instance takes over before it answers requests: its modules read what the leader before it
-- stored last. One fiber does all this, so that `apply` never has to wait.
-- @module tarantkv.role

local fiber = require('fiber')
local log = require('log')
local access = require('tarantkv.access')
local appliers = require('tarantkv.appliers')
local attach = require('tarantkv.attach')
local buckets = require('tarantkv.buckets')
local changes = require('tarantkv.changes')
local claims = require('tarantkv.claims')
local describe = require('tarantkv.describe')
local expiry = require('tarantkv.expiry')
local identity = require('tarantkv.identity')
local leader = require('tarantkv.leader')
local lease = require('tarantkv.lease')
local ownership = require('tarantkv.ownership')
local replica_sets = require('tarantkv.replica_sets')
local retention = require('tarantkv.retention')
local role_settings = require('tarantkv.role_settings')
local schema = require('tarantkv.schema')
local shard_clock = require('tarantkv.shard_clock')
local visibility = require('tarantkv.visibility')
local vshard_pin = require('tarantkv.vshard_pin')

local M = {}

--- An instance counts as dead if it has sent nothing for `replication_timeout`, multiplied by this.
local DEAD_AFTER = 4
--- The part of that time for which a confirmed commit proves the leadership.
local LEASE_SHARE = 0.5
--- How often the fiber checks the state, even if nothing reports a change.
local LOOK_S = 0.5
--- The pause after a step that failed.
local AGAIN_S = 0.1

--- How long the first leader waits for the other instances before it creates the spaces.
local JOIN_S = 30

--- The name in `identity` that says that the spaces are complete.
local COMPLETE = 'complete'
local LEASE = 'lease'

local settings, shard, shards
local is_attached, is_established = false, false
local work, watcher
local state_changed = fiber.cond()

--- The tiny commit of the lease.
local function renew_lease()
    box.begin()
    local ok, err = pcall(box.space.clock.replace, box.space.clock, {LEASE, math.floor(fiber.clock() * 1000)})
    if not ok then
        box.rollback()
        log.warn('the lease cannot be renewed: %s', err)
        return false
    end
    return (visibility.commit())
end

local function is_complete()
    return box.space.identity ~= nil and box.space.identity.index[0] ~= nil
        and box.space.identity:get(COMPLETE) ~= nil and box.space._bucket ~= nil
end

--- Do all instances of the shard follow this one?
local function all_follow()
    local followers = 0
    for _, instance in pairs(box.info.replication) do
        if instance.downstream ~= nil and instance.downstream.status == 'follow' then
            followers = followers + 1
        end
    end
    return followers >= #shards[shard] - 1
end

local elected_at = nil

--- May the first leader create the spaces? An instance that joins while synchronous transactions are unconfirmed cannot
-- write its first snapshot and ends. So the leader waits until the others have joined, for `JOIN_S` at most.
local function may_begin()
    elected_at = elected_at or fiber.clock()
    return all_follow() or fiber.clock() - elected_at > JOIN_S
end

--- Create the spaces; on the leader only.
local function make_spaces()
    schema.create(true)
    local difference = identity.establish(box.space.identity, {shard = shard, bucket_count = settings.bucket_count})
    if difference ~= nil then
        error(difference, 0)
    end
    if box.space._bucket == nil then
        error('vshard has not created its space yet', 0)
    end
    if not box.space._bucket.is_sync then
        box.space._bucket:alter({is_sync = true})
    end
    if box.space.identity:get(COMPLETE) == nil then
        box.space.identity:insert({COMPLETE, true})
    end
end

--- Attach the modules to the spaces, which must be complete.
local function attach_all()
    local difference = identity.establish(box.space.identity, {shard = shard, bucket_count = settings.bucket_count})
    if difference ~= nil then
        error(difference, 0)
    end
    ownership.let_move(true)
    buckets.follow(settings.bucket_count)
    buckets.watch_moves()
    attach.all(settings)
    is_attached = true
end

--- Take over from the leader before. This instance has every change that was confirmed.
local function take_over(term)
    buckets.learn(settings.bucket_count)
    shard_clock.take_over()
    claims.count_again()
    leader.take_over(term)
    log.info('this instance leads shard %s in term %d', shard, term)
end

--- The rest of a leader's work, for which no request has to wait.
local function establish()
    access.establish(settings.store_user, settings.store_password)
    vshard_pin.end_master_sync()
    buckets.make_first(settings.first_buckets)
    is_established = true
end

local led = nil

--- Do the next steps that the state requires.
local function step()
    local term = leader.elected_term()
    if term ~= led then
        led, is_established = nil, false
    end
    if term == nil then
        appliers.look(fiber.clock())
    end
    if term ~= nil and led == nil and not is_complete() then
        if not may_begin() then
            return
        end
        make_spaces()
    end
    if not is_attached and is_complete() then
        attach_all()
    end
    if term ~= nil and is_attached and led == nil then
        make_spaces()
        take_over(term)
        led = term
    end
    if led ~= nil and not is_established then
        establish()
    end
end

local function run()
    fiber.name('tarantkv.role')
    while true do
        local ok, err = pcall(step)
        fiber.testcancel()
        if not ok then
            box.rollback()
            log.warn('a step of the role has failed and is tried again: %s', err)
            fiber.sleep(AGAIN_S)
        else
            state_changed:wait(LOOK_S)
        end
    end
end

--- Check this role's part of the configuration.
-- @raise a text
function M.validate(configured)
    role_settings.read(configured)
end

--- Apply the configuration. Tarantool calls this at the start and whenever it has read the configuration again.
function M.apply(configured)
    local config = require('config')
    settings = role_settings.read(configured)
    shards = replica_sets.read(config)
    shard = config:info().hierarchy.replicaset
    vshard_pin.prepare()
    retention.configure(settings.clock_skew_s * 1000)
    describe.configure(shard)
    describe.announce(shards)
    lease.configure(LEASE_SHARE * DEAD_AFTER * box.cfg.replication_timeout, renew_lease, leader.takes_changes)
    is_established = false
    if work == nil then
        leader.follow_elections()
        expiry.start()
        watcher = box.watch('box.status', function() state_changed:broadcast() end)
        work = fiber.new(run)
    elseif is_attached then
        claims.attach(box.space.claims, settings.max_claims_per_user)
        changes.configure(settings.count_applications and box.space.applications or nil)
    end
    state_changed:broadcast()
end

--- Stop. Tarantool calls this when the instance ends or no longer has the role.
function M.stop()
    leader.take_over(nil)
    if work ~= nil then
        watcher:unregister()
        work:cancel()
        work, watcher = nil, nil
    end
end

return M
