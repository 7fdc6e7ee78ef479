--- The role's checks at its start: its part of the configuration, the instances of all shards, and vshard.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local replica_sets = require('tarantkv.replica_sets')
local role_settings = require('tarantkv.role_settings')
local support = require('support')
local vshard_pin = require('tarantkv.vshard_pin')

local suite = support.suite('the role')

local function configured(changes)
    local all = {store_password = 'secret', position = 3, bucket_count = 100}
    for name, value in pairs(changes or {}) do
        all[name] = value
    end
    return all
end

suite:case('the configuration is read with the defaults of a shard', function(test)
    test:is_deeply(role_settings.read(configured({first_buckets = {1, 50}, count_applications = true})), {
        bucket_count = 100, store_user = 'tarantkv', store_password = 'secret', clock_skew_s = 30,
        max_claims_per_user = 1000000, count_applications = true, position = 3, first_buckets = {1, 50},
    }, 'all of it')
end)

suite:case('an error names the wrong setting', function(test)
    for said, changes in pairs({
        ['roles_cfg.tarantkv.clock_skew_s is "-1"'] = {clock_skew_s = -1},
        ['roles_cfg.tarantkv.store_user is "guest"'] = {store_user = 'guest'},
        ['roles_cfg.tarantkv.position'] = {position = 1024},
        ['roles_cfg.tarantkv.first_buckets'] = {first_buckets = {90, 101}},
        ['roles_cfg.tarantkv.fist_buckets: there is no such setting'] = {fist_buckets = {1, 2}},
    }) do
        local ok, message = pcall(role_settings.read, configured(changes))
        test:ok(not ok and message:find(said, 1, true) == 1, said)
    end
    test:ok(not pcall(role_settings.read, nil), 'nothing is configured')
end)

--- A `config` module with the functions that the role uses, from `{instance = {shard, address, position}}`.
local function config_of(instances)
    local config = {}
    function config.instances()
        local found = {}
        for name, instance in pairs(instances) do
            found[name] = {replicaset_name = instance[1]}
        end
        return found
    end
    function config.get(_, path, options)
        local instance = instances[options.instance]
        if path == 'iproto.listen' then
            return {{uri = instance[2]}}
        end
        return path:find('position') and instance[3] or nil
    end
    return config
end

suite:case('all shards are read, with the addresses of their instances', function(test)
    test:is_deeply(replica_sets.read(config_of({
        ['s1-2'] = {'s1', 'b:3302', 2}, ['s1-1'] = {'s1', '[::1]:3301', 1}, ['s2-1'] = {'s2', 'c:3303', 3},
    })), {s1 = {{'::1', 3301}, {'b', 3302}}, s2 = {{'c', 3303}}}, 'in the order of their names')
end)

suite:case('two instances with the same position are refused, in one shard or in two', function(test)
    local ok, message = pcall(replica_sets.read, config_of({['s1-1'] = {'s1', 'a:1', 7}, ['s2-1'] = {'s2', 'a:2', 7}}))
    test:ok(not ok and message:find('is 7 for both s1-1 and s2-1', 1, true), 'they would make one version twice')
end)

suite:case('another vshard than the tested one is refused', function(test)
    local constants = setmetatable({VERSION = vshard_pin.VERSION}, {__index = function() return 1 end})
    local inside = {is_bucket_in_sync = false, is_master = true}
    test:isnil(vshard_pin.fault(constants, inside), 'the one that was tried is taken')
    test:ok(vshard_pin.fault(constants, {is_master = true}):find('field is_bucket_in_sync'), 'other internals')
    constants.VERSION = '0.1.43'
    test:ok(vshard_pin.fault(constants, inside):find('vshard 0.1.43 is installed', 1, true), 'another version')
    test:ok(vshard_pin.fault({VERSION = vshard_pin.VERSION}, inside):find('no constant'), 'another constant')
end)

suite:run()
