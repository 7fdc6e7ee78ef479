--- Starts a shard on an opened database: schema, identity, users, procedures, expiry, and last the open port.
-- `init.lua` has read the settings and opened the database.
-- @module tarantkv.shard

local console = require('console')
local fiber = require('fiber')
local fio = require('fio')
local log = require('log')
local access = require('tarantkv.access')
local attach = require('tarantkv.attach')
local describe = require('tarantkv.describe')
local expiry = require('tarantkv.expiry')
local identity = require('tarantkv.identity')
local leader = require('tarantkv.leader')
local ownership = require('tarantkv.ownership')
local retention = require('tarantkv.retention')
local schema = require('tarantkv.schema')
local upgrade = require('tarantkv.upgrade')

local M = {}

local OWNER_ONLY = tonumber('600', 8)
local ALL_BUT_OWNER = tonumber('177', 8)

--- Open an admin console on a socket that only the owner of the process can use.
local function open_console(path)
    local mask = fio.umask(ALL_BUT_OWNER)
    local ok, err = pcall(console.listen, 'unix/:' .. fio.abspath(path))
    fio.umask(mask)
    if not ok then
        error('the console cannot listen on ' .. path .. ': ' .. tostring(err), 0)
    end
    fio.chmod(path, OWNER_ONLY)
end

--- Start the shard.
-- @tparam table settings as `tarantkv.settings` gives them
-- @treturn string what is wrong with the settings or the data, nil if the shard has started
-- @raise any other error
function M.start(settings)
    -- Tarantool 2.11 and later abort a fiber that runs for a second without a yield. Here the worker bounds the length
    -- of a call. If the process was stopped for a while, its transactions must not fail for that.
    if fiber.set_max_slice ~= nil then
        fiber.set_max_slice({warn = 5, err = 3600})
    end
    retention.configure(settings.clock_skew_s * 1000)
    local ranges = {ownership.range_of(settings.position, settings.shards, settings.bucket_count)}
    if not box.info.ro then
        upgrade.prepare()
        schema.create()
        upgrade.finish()
    end
    local difference = identity.establish(box.space.identity, {
        shard = settings.shard, bucket_count = settings.bucket_count, ranges = ranges,
    })
    if difference ~= nil then
        return difference
    end

    ownership.assign(settings.bucket_count, ranges)
    if not box.info.ro then
        upgrade.complete_accounts({box.space.users, box.space.revoked})
    end
    describe.configure(settings.shard)
    leader.configure(settings.instances)
    attach.all(settings)

    if not box.info.ro then
        access.establish(settings.store_user, settings.store_password)
    end
    expiry.start()
    if settings.console ~= '' then
        open_console(settings.console)
    end
    box.cfg({listen = settings.listen})
    log.info('shard %s owns buckets %d to %d of %d', settings.shard, ranges[1][1], ranges[1][2], settings.bucket_count)
end

return M
