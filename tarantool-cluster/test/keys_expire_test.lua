--- Keys that expire: they are absent for every operation from their millisecond on, are removed later, and never come
-- back.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local calls = require('calls')
local support = require('support')
local clock = require('tarantkv.clock')
local system = require('clock')

local sweep

local suite = support.suite('keys that expire')

--- The wall clock and the monotonic clock of this test, in milliseconds.
local wall, steady = 1800000000000, 1000

function clock.now_ms()
    return wall
end

function system.monotonic()
    return steady / 1000
end

local function pass(ms)
    wall, steady = wall + ms, steady + ms
end

local ONE = msgpack.encode(1)

local function write(key, expiry)
    return support.run(support.WRITE, support.body({support.write_entry(key, ONE, nil, expiry)}))
end

local sweep_now
local function without_sweeps() return nil end

suite:case('a key is present until its millisecond, and then absent for every operation', function(test)
    sweep.slice = without_sweeps
    for _, is_relative in ipairs({true, false}) do
        write('k', is_relative and 5000 or -(wall + 5000))
        pass(4999)
        test:is(support.read('k'), ONE, 'there')
        pass(1)
        test:is(support.read('k'), false, 'absent')
        test:is_deeply(calls.tuples({'k'}), {box.NULL}, 'for a read of tuples')
        test:is_deeply(calls.update({{'k', 1, true}}).failed, {{0, box.NULL}}, 'for a condition')
        test:is_deeply(calls.touch({'k'}, {5000}), {0}, 'for a touch')
        test:is_deeply(calls.increment({{'c', 1}}).values[1] ~= nil, true, 'others go on')
        local status, deleted = support.run(support.DELETE, support.keys_body({'k'}))
        test:is_deeply({status, deleted}, {0, 0}, 'for the count of a delete')
    end
    write('n', 5000)
    pass(5000)
    test:is_deeply(calls.increment({{'n', 7}}).values, {7}, 'an increment begins again')
    write('w', 5000)
    pass(5000)
    test:is_deeply(calls.update({{'w', 2, false}}).failed, {}, 'it can be written as absent')
    write('p', -1)
    test:is(support.read('p'), false, 'a time that has passed is taken, and the key absent')
    sweep.slice = sweep_now
end)

suite:case('a write replaces the expiry, unless it keeps it', function(test)
    local function expires(key)
        local tuple = calls.tuples({key})[1]
        return tuple and tuple[5]
    end
    write('k', 5000)
    local first = expires('k')
    write('k', 0)
    test:is(expires('k'), first, 'kept')
    write('k', 9000)
    test:is(expires('k'), first + 4000, 'replaced')
    write('k')
    test:is(expires('k'), nil, 'gone')
    write('absent', 0)
    test:is(expires('absent'), nil, 'an absent key has none to keep')
    write('over', 10)
    pass(10)
    write('over', 0)
    test:is(expires('over'), nil, 'nor has one that is over')
end)

suite:case('a touch changes only the expiry', function(test)
    write('k')
    local version = calls.tuples({'k'})[1][4]
    test:is_deeply(calls.touch({'nobody', 'k'}, {5000, 5000}), {0}, 'who is not there is told')
    local tuple = calls.tuples({'k'})[1]
    test:is_deeply({tuple[4], tuple[5]}, {version, wall + 5000}, 'the version stays')
    test:is_deeply(calls.touch({'k'}, {box.NULL}), {}, 'never')
    test:is(calls.tuples({'k'})[1][5], nil, 'it has none')
    test:is(support.read('k'), ONE, 'the value stays')
end)

suite:case('expired keys are removed completely', function(test)
    box.space.kv:truncate()
    box.space.expiring:truncate()
    for i = 1, 1000 do
        write('k' .. i, 1000 + i % 7)
    end
    write('stays', 100000)
    write('never')
    write('overwritten', 1000)
    write('overwritten')
    write('deleted', 1000)
    support.run(support.DELETE, support.keys_body({'deleted'}))
    write('later', 1000)
    write('later', 100000)
    local expired = sweep.status()
    pass(2000)
    local _, lag = sweep.status()
    test:ok(lag > 900, 'the lag shows before')
    test:ok(support.wait_for(function() return box.space.kv:len() == 4 end), 'those that are over go')
    local expired_now, lag_now = sweep.status()
    test:is(expired_now - expired, 1000, 'they are counted')
    test:is(lag_now, 0, 'no lag is left')
    test:is_deeply({support.read('stays'), support.read('never'), support.read('overwritten'), support.read('later')},
        {ONE, ONE, ONE, ONE}, 'the others stay')
    test:is(box.space.expiring:len(), 2, 'so do the rows of those that expire later')
end)

suite:case('a shard that was frozen while it removed keys continues at once', function(test)
    local fiber = require('fiber')
    local slice, sleep, slept = sweep.slice, fiber.sleep, nil
    local left = 1
    sweep.slice = function()
        if left > 0 then
            left = left - 1
            pass(3600000)
            return 3600
        end
    end
    fiber.sleep = function(seconds) slept = seconds end
    sweep.run()
    sweep.slice, fiber.sleep = slice, sleep
    test:is(slept, 0, 'it held up nobody in that time')
end)

suite:case('rows of keys that no longer expire are removed', function(test)
    box.space.kv:truncate()
    box.space.expiring:truncate()
    for i = 1, 200 do
        write('k' .. i, 100000000)
        write('k' .. i)
    end
    write('stays', 100000000)
    test:ok(support.wait_for(function() return box.space.expiring:len() == 1 end), 'and removed long before their time')
    test:is(box.space.expiring:get('stays').key, 'stays', 'but for those that do')
end)

suite:case('a clock that is set back brings no key back', function(test)
    sweep.slice = without_sweeps
    write('k', 5000)
    pass(5000)
    test:is(support.read('k'), false, 'over')
    wall = wall - 3600000
    test:is(support.read('k'), false, 'over for ever')
    write('n', 7000)
    pass(7000)
    test:is(support.read('n'), ONE, 'a new one lasts')
    pass(1001)
    test:is(support.read('n'), false, 'a seventh longer, as the clock waits for the wall clock')
    wall = wall + 3600000
    write('m', 5000)
    pass(5000)
    test:is(support.read('m'), false, 'which sets it right')
    sweep.slice = sweep_now
end)

suite:case('a restart with a clock set back brings no key back that was seen expired', function(test)
    local attach = require('tarantkv.shard_clock').attach
    box.space.kv:truncate()
    box.space.expiring:truncate()
    sweep.slice = without_sweeps
    write('k', 5000)
    pass(4900)
    sweep_now()
    pass(1000)
    test:is(support.read('k'), false, 'it is seen expired, and not removed yet')
    wall = wall - 3000
    attach(box.space.clock, 1)
    test:is(support.read('k'), false, 'and stays so')
    wall = wall + 3000
    attach(box.space.clock, 1)
    write('q', 500)
    attach(box.space.clock, 1)
    test:is(support.read('q'), ONE, 'a quick restart with a right clock ends no key before its time')
    write('q', 500)
    pass(box.space.clock:get('mark').ms - wall - 500)
    sweep_now()
    write('s', 280)
    sweep_now()
    attach(box.space.clock, 1)
    test:is(support.read('s'), ONE, 'nor where the sweep has seen that one is over soon')
    sweep.slice = sweep_now
end)

suite:case('versions grow, whatever happens to the clock and the process', function(test)
    local last = 0ULL
    local function next_version()
        local version = calls.update({{'v', 1}}).version
        local greater = version > last
        last = version
        return greater
    end
    local always = true
    for _ = 1, 3000 do
        always = next_version() and always
    end
    test:ok(always, 'many in a millisecond')
    wall = wall - 7200000
    test:ok(next_version(), 'after the clock was set back')
    -- The state after a restart: only stored data is left.
    wall = wall - 7200000
    require('tarantkv.shard_clock').attach(box.space.clock, 1)
    test:ok(next_version(), 'after a restart with a clock set back')
    test:ok(box.space.clock:get('mark').ms <= 1800000000000 + 7200000, 'and the mark is not far ahead')
end)

suite:case('the clock follows the one of a shard from which keys come', function(test)
    local shard_clock = require('tarantkv.shard_clock')
    local now = shard_clock.now_ms()
    write('f', 2000)
    shard_clock.follow(now - 5000, 30000)
    test:is(shard_clock.now_ms(), now, 'not one that is behind')
    shard_clock.follow(now + 2000, 30000)
    test:is(shard_clock.now_ms(), now + 2000, 'one that is ahead')
    test:is(support.read('f'), false, 'what has expired there has here')
    -- The state of another instance that takes over: only stored data is left.
    shard_clock.attach(box.space.clock, 1)
    test:ok(shard_clock.now_ms() >= now + 2000, 'also whoever takes over')
    local ok, err = pcall(shard_clock.follow, shard_clock.now_ms() + 30001, 30000)
    test:ok(not ok and err:find('the clock is 30 s behind', 1, true) ~= nil, 'one that is wrong is not followed')
    test:ok(shard_clock.now_ms() < now + 30000, 'and changes nothing')
end)

support.start()
sweep = require('tarantkv.sweep')
sweep_now = sweep.slice
suite:run()
