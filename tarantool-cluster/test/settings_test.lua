--- Settings: defaults, every kind of fault, and the ranges that follow from the shard list.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local ownership = require('tarantkv.ownership')
local settings = require('tarantkv.settings')
local support = require('support')

local suite = support.suite('settings')

local function environment(changes)
    local all = {
        TARANTKV_SHARDS = 's1=127.0.0.1:3301', TARANTKV_SHARD = 's1', TARANTKV_STORE_PASSWORD = 'secret',
    }
    for name, value in pairs(changes or {}) do
        all[name] = value or nil
    end
    return all
end

suite:case('missing variables have defaults', function(test)
    test:is_deeply(settings.read(environment()), {
        shard = 's1', position = 1, shards = 1, instances = 1, bucket_count = 30000, listen = '127.0.0.1:3301',
        directory = '.', memory_mib = 512, wal_mode = 'write', store_user = 'tarantkv', store_password = 'secret',
        clock_skew_s = 30, max_claims_per_user = 1000000, count_applications = false, console = '', log_level = 5,
    }, 'what is not set')
    test:is(settings.read(environment({TARANTKV_STORE_PASSWORD = ' a b\n'})).store_password, 'a b', 'spaces around it')
    test:is(settings.read(environment({TARANTKV_SHARD_LISTEN = ''})).listen, '127.0.0.1:3301', 'what is set to nothing')
end)

suite:case('a shard list may have several shards and instances', function(test)
    local read = settings.read(environment({
        TARANTKV_SHARDS = 'a=h1:3301,h2:3301; b-2=[::1]:3302 ;c3=10.0.0.1:3303', TARANTKV_SHARD = 'b-2',
    }))
    test:is(read.position, 2, 'position')
    test:is(read.shards, 3, 'shards')
    test:is(read.instances, 1, 'instances of this one')
    test:is(settings.read(environment({TARANTKV_SHARDS = 'a=h1:1,h2:1', TARANTKV_SHARD = 'a'})).instances, 2, 'of two')
end)

suite:case('faults name the variable and what is wrong', function(test)
    for _, case in ipairs({
        {'TARANTKV_SHARDS', false}, {'TARANTKV_SHARDS', ';'}, {'TARANTKV_SHARDS', 's1'}, {'TARANTKV_SHARDS', 's1=host'},
        {'TARANTKV_SHARDS', 's1=host:0'}, {'TARANTKV_SHARDS', 's1=host:65536'}, {'TARANTKV_SHARDS', 's1=h:1,'},
        {'TARANTKV_SHARDS', 's1=h:1;s1=h:2'}, {'TARANTKV_SHARDS', 's 1=h:1'},
        {'TARANTKV_SHARDS', 's_1=h:1'}, {'TARANTKV_SHARDS', ('s'):rep(33) .. '=h:1'},
        {'TARANTKV_SHARDS', '=h:1'},
        {'TARANTKV_SHARD', false}, {'TARANTKV_SHARD', 's2'},
        {'TARANTKV_BUCKET_COUNT', '0'}, {'TARANTKV_BUCKET_COUNT', 'many'}, {'TARANTKV_BUCKET_COUNT', '-5'},
        {'TARANTKV_BUCKET_COUNT', '1.5'}, {'TARANTKV_BUCKET_COUNT', '99999999999'},
        {'TARANTKV_SHARD_LISTEN', '3301'}, {'TARANTKV_SHARD_LISTEN', 'host:port'},
        {'TARANTKV_SHARD_LISTEN', 'host:70000'},
        {'TARANTKV_SHARD_MEMORY_MIB', '63'}, {'TARANTKV_SHARD_MEMORY_MIB', '1e3'},
        {'TARANTKV_WAL_MODE', 'none'}, {'TARANTKV_WAL_MODE', 'FSYNC'},
        {'TARANTKV_STORE_USER', 'guest'}, {'TARANTKV_STORE_USER', 'admin'}, {'TARANTKV_STORE_USER', 'a b'},
        {'TARANTKV_STORE_USER', 'super'},
        {'TARANTKV_STORE_PASSWORD', false}, {'TARANTKV_STORE_PASSWORD', ''},
        {'TARANTKV_CLOCK_SKEW_S', '-1'}, {'TARANTKV_CLOCK_SKEW_S', '3601'},
        {'TARANTKV_MAX_CLAIMS_PER_USER', '0'},
        {'TARANTKV_COUNT_APPLICATIONS', 'maybe'}, {'TARANTKV_LOG_LEVEL', 'loud'},
    }) do
        local ok, fault = pcall(settings.read, environment({[case[1]] = case[2]}))
        test:ok(not ok, ('%s=%s is refused'):format(case[1], case[2]))
        test:is(fault.setting, case[1], 'by name')
        test:is(type(fault.problem), 'string', 'with what is wrong')
    end
    local ok, fault = pcall(settings.read, environment({
        TARANTKV_SHARDS = 's1=h:1;s2=h:2;s3=h:3', TARANTKV_BUCKET_COUNT = '2',
    }))
    test:ok(not ok and fault.setting == 'TARANTKV_BUCKET_COUNT', 'more shards than buckets are refused')
    ok, fault = pcall(settings.read, environment({TARANTKV_STORE_PASSWORD = 'hunter2', TARANTKV_STORE_USER = 'a b'}))
    test:ok(not ok and not fault.problem:find('hunter2', 1, true), 'a fault never shows the password')
end)

suite:case('the ranges of all shards cover every bucket once', function(test)
    for _, case in ipairs({{1, 30000}, {2, 30000}, {3, 30000}, {7, 30000}, {7, 7}, {3, 10}, {999, 1000000}}) do
        local shards, buckets = case[1], case[2]
        local next_bucket, smallest, largest = 1, buckets, 0
        for position = 1, shards do
            local range = ownership.range_of(position, shards, buckets)
            if range[1] ~= next_bucket then
                next_bucket = nil
                break
            end
            local size = range[2] - range[1] + 1
            smallest, largest = math.min(smallest, size), math.max(largest, size)
            next_bucket = range[2] + 1
        end
        test:is(next_bucket, buckets + 1, ('%d buckets over %d shards leave no hole'):format(buckets, shards))
        test:ok(smallest >= 1 and largest - smallest <= 1, 'and are even')
    end
    test:is_deeply(ownership.range_of(2, 3, 30000), {10001, 20000}, 'the second of three')
end)

suite:case('the owner of every bucket number is known', function(test)
    ownership.assign(10, {{1, 3}, {7, 7}, {10, 10}})
    local owned = {}
    for bucket = 0, 11 do
        table.insert(owned, ownership.writable(bucket) and bucket or nil)
    end
    test:is_deeply(owned, {1, 2, 3, 7, 10}, 'inside the ranges')
    test:ok(not ownership.writable(4294967295) and not ownership.writable(2 ^ 53), 'not far outside')
    test:is(ownership.bucket_count(), 10, 'the number of buckets')
    ownership.assign(10, {})
    test:ok(not ownership.writable(1), 'nothing when nothing is assigned')
end)

suite:run()
