--- The fibers that remove expired records.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local support = require('support')
local clock = require('tarantkv.clock')

local suite = support.suite('expiry')

suite:case('expired records are removed, others are kept', function(test)
    local LEEWAY = 5000
    local now = clock.now_ms()
    box.space.applied:truncate()
    box.space.claims:truncate()
    box.space.revoked:truncate()
    for i = 1, 1000 do
        local over = i % 2 == 0 and now - i or now + 60000
        box.space.applied:insert({('%016d'):format(i), over, box.NULL})
        box.space.claims:insert({tostring(i), 1, over, 'd', 'c'})
        box.space.revoked:insert({'u', tostring(i), 1, over - LEEWAY})
    end
    test:ok(support.wait_for(function()
        return box.space.applied:len() + box.space.claims:len() + box.space.revoked:len() == 1500
    end), 'half of each goes by itself')
    fiber.sleep(0.6)
    test:is(box.space.applied:len(), 500, 'records stay until their time')
    test:is(box.space.claims:len(), 500, 'claims too')
    test:is(box.space.revoked:len(), 500, 'revocations too')
end)

local function fiber_named(name)
    for id, info in pairs(fiber.info()) do
        if info.name == name then
            return id
        end
    end
end

suite:case('the fiber that removes records is started again when it dies', function(test)
    local id = fiber_named('tarantkv.expiry')
    test:ok(id, 'it runs')
    fiber.kill(id)
    test:ok(support.wait_for(function()
        local new = fiber_named('tarantkv.expiry')
        return new ~= nil and new ~= id
    end), 'another takes its place')
    box.space.applied:insert({('x'):rep(16), 1, box.NULL})
    test:ok(support.wait_for(function() return box.space.applied:get(('x'):rep(16)) == nil end), 'and removes')
end)

suite:case('it continues after an error', function(test)
    local expiry = require('tarantkv.expiry')
    local sweep, calls = expiry.sweep, 0
    expiry.sweep = function()
        calls = calls + 1
        error('no luck')
    end
    test:ok(support.wait_for(function() return calls >= 2 end), 'it tries again')
    expiry.sweep = sweep
end)

support.start({clock_skew_s = 0}, {log_level = 1})
suite:run()
