--- Increments: whole numbers of 64 bits, bounds, and expiries that are set when a counter is created.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local calls = require('calls')
local support = require('support')

local suite = support.suite('counters')

local OUT_OF_BOUNDS, NOT_A_NUMBER, OUT_OF_RANGE = 1, 2, 3
local LEAST, MOST = -9223372036854775807LL - 1, 9223372036854775807LL

local function value_after(before, delta, options)
    support.write('n', msgpack.encode(before))
    local told = calls.increment({{'n', delta, options}})
    return told.failed[1] and told.failed[1][2] or told.values[1], support.read('n')
end

suite:case('increments add up', function(test)
    box.space.kv:truncate()
    test:is_deeply(calls.increment({{'new', 5}}).values, {5}, 'an absent one counts from 0')
    test:is_deeply(calls.increment({{'other', 5, {initial = 10}}}).values, {15}, 'or from what is asked')
    for _, case in ipairs({
        {0, 1, 1}, {127, 1, 128}, {-32, -1, -33}, {255, 1, 256}, {65535, 1, 65536}, {4294967295LL, 1, 4294967296LL},
        {-128, -1, -129}, {-32768, -1, -32769}, {-2147483648LL, -1, -2147483649LL}, {10, 0, 10},
        {MOST - 1, 1, MOST}, {LEAST + 1, -1, LEAST}, {MOST, LEAST, -1}, {LEAST, MOST, -1},
    }) do
        local value, stored = value_after(case[1], case[2])
        test:ok(value == case[3], ('%s and %s is %s'):format(tostring(case[1]), tostring(case[2]), tostring(value)))
        test:is(stored, msgpack.encode(case[3]), 'stored in its shortest form')
    end
end)

suite:case('a sum that overflows is refused and changes nothing', function(test)
    for _, case in ipairs({
        {MOST, 1, OUT_OF_RANGE}, {LEAST, -1, OUT_OF_RANGE}, {9223372036854775808ULL, 1, OUT_OF_RANGE},
        {MOST, MOST, OUT_OF_RANGE}, {LEAST, LEAST, OUT_OF_RANGE},
        {1.5, 1, NOT_A_NUMBER}, {'7', 1, NOT_A_NUMBER}, {true, 1, NOT_A_NUMBER}, {box.NULL, 1, NOT_A_NUMBER},
        {{1}, 1, NOT_A_NUMBER}, {{}, 1, NOT_A_NUMBER},
    }) do
        local code, stored = value_after(case[1], case[2])
        test:is_deeply({code, stored}, {case[3], msgpack.encode(case[1])}, tostring(case[1]))
    end
end)

suite:case('an increment beyond its bounds is refused', function(test)
    test:is(value_after(5, -5, {min = 0}), 0, 'down to the least')
    test:is(value_after(5, -6, {min = 0}), OUT_OF_BOUNDS, 'not below')
    test:is(value_after(5, 5, {max = 10}), 10, 'up to the most')
    test:is(value_after(5, 6, {max = 10}), OUT_OF_BOUNDS, 'not above')
    test:is(value_after(50, -1, {max = 10}), OUT_OF_BOUNDS, 'also one that comes nearer')
    box.space.kv:delete('n')
    test:is_deeply(calls.increment({{'n', 1, {initial = 10, max = 10}}}).failed, {{0, OUT_OF_BOUNDS}}, 'of a new one')
    test:is(support.read('n'), false, 'which is not made')
end)

suite:case('an expiry is set when the counter is created, or always', function(test)
    box.space.kv:truncate()
    local function expires() return calls.tuples({'n'})[1][5] end
    calls.increment({{'n', 1, {expiry = -4102444800000}}})
    test:is(expires(), 4102444800000, 'made')
    calls.increment({{'n', 1, {expiry = -4102444900000}}})
    test:is(expires(), 4102444800000, 'kept')
    calls.increment({{'n', 1}})
    test:is(expires(), 4102444800000, 'kept by one that names none')
    calls.increment({{'n', 1, {expiry = -4102444900000, always = true}}})
    test:is(expires(), 4102444900000, 'always')
    calls.increment({{'n', 1, {always = true}}})
    test:is(expires(), nil, 'never, where that counts always')
    test:is(support.read('n'), '\x05', 'the value goes on')
end)

suite:case('a copy of a chunk counts once', function(test)
    box.space.kv:truncate()
    local id = support.new_id()
    local first = calls.increment({{'n', 1}, {'m', 1, {min = 5}}}, {id = id})
    test:is_deeply(calls.increment({{'n', 1}, {'m', 1, {min = 5}}}, {id = id}), first, 'and is told the same')
    test:is(support.read('n'), '\x01', 'once')
end)

suite:case('each increment gives a new version', function(test)
    box.space.kv:truncate()
    calls.increment({{'n', 1}})
    local version = calls.tuples({'n'})[1][4]
    calls.increment({{'n', 1}})
    test:ok(calls.tuples({'n'})[1][4] > version, 'a greater one each time')
end)

support.start()
suite:run()
