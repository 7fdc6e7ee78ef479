--- A follower starts its replication again after it has stopped, with growing pauses.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local appliers = require('tarantkv.appliers')
local support = require('support')

local suite = support.suite('replication that has stopped')

local SOURCES = {'a:1', 'b:2'}

local status, configured, faulty = 'follow', {}, false

function appliers.replication()
    return {{name = 's1-1'}, {name = 's1-2', upstream = {status = status, message = 'No space left on device'}}}
end

function appliers.sources()
    return SOURCES
end

function appliers.configure(sources)
    if faulty and #sources > 0 then
        error('it cannot be configured', 0)
    end
    table.insert(configured, sources)
end

--- How often it was started again while it was looked at twice a second.
local function starts(from, to)
    local count = 0
    for now = from, to, 0.5 do
        local ok, started = pcall(appliers.look, now)
        count = count + (ok and started and 1 or 0)
    end
    return count
end

suite:case('nothing is done while changes are received, or while connections are being made', function(test)
    for _, fine in ipairs({'follow', 'connect', 'disconnected', 'sync'}) do
        status = fine
        test:is(starts(100, 110), 0, fine)
    end
    test:is(#configured, 0, 'the configuration is left alone')
end)

suite:case('replication that has stopped is started again at once', function(test)
    status = 'stopped'
    test:is(starts(200, 200), 1, 'once')
    test:is_deeply(configured, {{}, SOURCES}, 'the sources are removed and put back')
end)

suite:case('the pauses grow while it stops again and again, and are short again after a while', function(test)
    test:is(starts(200.5, 320), 7, 'after 1, 2, 4, 8, 16, 30 and 30 seconds')
    status = 'follow'
    test:is(starts(320, 400), 0, 'it follows')
    status = 'off'
    test:is(starts(400, 403), 3, 'at once, and after 1 and 2 seconds')
end)

suite:case('sources that could not be put back are put back later', function(test)
    faulty, configured = true, {}
    test:is(starts(500, 520), 0, 'it cannot be started')
    status, faulty, configured = 'follow', false, {}
    test:is(starts(521, 560), 1, 'it is started')
    test:is_deeply(configured[#configured], SOURCES, 'with its sources')
end)

suite:run()
