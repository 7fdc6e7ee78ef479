--- Scans do not delay other operations: each piece is short, all together get a share of the time, and damaged
-- bodies are refused.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local scans = require('scans')
local support = require('support')
local clock = require('tarantkv.clock')
local monotonic = require('clock').monotonic
local outcome, scan

local suite = support.suite('scan_guest')

local SCAN = scans.SCAN
local ask, body, all_keys, fill, pause = scans.ask, scans.body, scans.all_keys, scans.fill, scans.pause

suite:case('a piece is bounded in tuples, in time and in bytes', function(test)
    local many = {}
    for i = 1, 3000 do
        many[i] = ('%06d'):format(i)
    end
    fill(many)
    pause(0)
    scan.MAX_S = 10
    test:is(#ask({limit = 100000}).tuples, 1000, 'a thousand tuples at most')
    scan.MAX_S = 0
    test:is(#ask().tuples, 16, 'the clock is looked at after some tuples')
    test:is_deeply(all_keys(), many, 'and the rest comes in the next pieces')
    scan.MAX_S = 0.001
    test:ok(#ask({max_bytes = 2000}).payload < 2100, 'bytes')
end)

suite:case('scans get a fifth of the time', function(test)
    local many = {}
    for i = 1, 3000 do
        many[i] = ('%06d'):format(i)
    end
    fill(many)
    scan.MAX_S = 0.05
    pause(4)
    local ratio, too_early, refused = 0, 0, 0
    local earliest = 0
    local done = 0
    repeat
        local began = monotonic()
        local status, payload = support.run(SCAN, body())
        local took = monotonic() - began
        assert(status == outcome.OK, payload)
        local state, wait_us, _, position, tuples = unpack(msgpack.decode(payload), 1, 5)
        if state == scan.NOT_NOW then
            refused = refused + 1
            if wait_us <= 0 or #tuples > 0 or position ~= nil then
                test:fail('a refusal says when to come again, and nothing else')
            end
        else
            done = done + 1
            too_early = too_early + (began + took < earliest and 1 or 0)
            earliest = began + wait_us / 1000000
            ratio = math.max(ratio, wait_us / 1000000 / took)
        end
    until done == 50
    test:is(too_early, 0, 'none is done before its time')
    test:ok(refused > 50, 'those that come in between are refused')
    test:ok(ratio > 2 and ratio <= 4, 'the pause is four times as long as the scan took')
    scan.MAX_S = 0.001
    pause(0)
end)

suite:case('a shard that was frozen in the middle of a scan takes scans again soon', function(test)
    local longest = scan.LONGEST_S
    -- The test treats any duration of a piece as a freeze.
    scan.LONGEST_S = 0
    pause(1000000)
    local status, payload = support.run(SCAN, body())
    test:is(status, outcome.OK, 'done')
    test:is(msgpack.decode(payload)[2], 0, 'the pause is no longer than that of the longest scan')
    scan.LONGEST_S = longest
    pause(0)
end)

suite:case('a scan after its deadline is refused', function(test)
    test:is(support.run(SCAN, body(), {deadline = clock.now_ms() - 1}), outcome.EXPIRED, 'expired')
end)

suite:case('every malformed body is refused', function(test)
    local good = body({lower = 'a', upper = 'b'})
    for cut = 0, #good - 1 do
        local status = support.run(SCAN, good:sub(1, cut))
        if status ~= outcome.MALFORMED then
            test:fail('cut at ' .. cut)
        end
    end
    for _, odd in ipairs({
        good .. '\xc0', '\x99' .. good:sub(2), '\x9b' .. good:sub(2) .. '\xc0', '\xdd\xff\xff\xff\xff', '\xc1', '',
        body({lower = ''}), body({limit = 0}), body({limit = -1}), body({limit = 1.5}), body({max_bytes = 0}),
        body({first_bucket = 0}), body({first_bucket = 3, last_bucket = 2}), (good:gsub('\xa1a', '\xa5a', 1)),
        (good:gsub('\xa1a', '\xda\xff\xffa', 1)), (good:gsub('\xa1a', '\xdb\xff\xff\xff\xffa', 1)),
        (good:gsub('\xa1a', '\xc4\x01a', 1)), (good:gsub('\xa1a', '\x01', 1)), (good:gsub('\xc3', '\x01', 1)),
    }) do
        test:is(support.run(SCAN, odd), outcome.MALFORMED, 'refused')
    end
    test:is(support.run(SCAN, body({limit = 9007199254740992, max_bytes = 9007199254740992})), outcome.OK,
        'as much as a number can say is cut down')
    test:is(support.run(SCAN, body({lower = ('x'):rep(70000)})), outcome.OK, 'a bound longer than any key')
    math.randomseed(7)
    for _ = 1, 20000 do
        local at = math.random(#good)
        support.run(SCAN, good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
    end
    test:is(support.run(SCAN, body()), outcome.OK, 'the shard is still there after damaged ones')
end)

support.start()
outcome = require('tarantkv.outcome')
scan = require('tarantkv.scan')
suite:run()
