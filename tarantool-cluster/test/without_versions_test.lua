--- A shard starts, without a conversion, with a data directory from before keys had versions and expiries. The code of
-- that time wrote `data_without_versions` with a clock in the year 2100, partly in a snapshot, partly in the log.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local calls = require('calls')
local support = require('support')
local clock = require('tarantkv.clock')

local suite = support.suite('data without versions')

local WRITTEN_MS = 4102444800000
local now_ms = WRITTEN_MS + 1000

function clock.now_ms()
    return now_ms
end

local function tuple_of(key)
    return calls.tuples({key})[1]
end

suite:case('keys can be read unchanged', function(test)
    local wrong = 0
    for i = 4, 1500 do
        local key = ('old%04d'):format(i)
        wrong = wrong + (support.read(key) == msgpack.encode({i, 'text', {nested = true}}) and 0 or 1)
    end
    test:is(wrong, 0, 'all of them')
    test:is(support.read('old0001'), msgpack.encode(41), 'one that was written again')
    test:is(support.read('old0002'), false, 'one that was deleted')
    test:is(support.read('old0003'), false, 'one that was deleted in the log')
    test:is(support.read('foreign'), msgpack.encode({1, 2}), 'one that another application stored')
    test:is(#tuple_of('old0010'), 3, 'they have no version')
end)

suite:case('an applied chunk is not applied again', function(test)
    local body = support.write_body({{'old0001', msgpack.encode('again')}})
    test:is(support.run(support.WRITE, body, {id = ('a'):rep(15) .. '2', retain = 600000}), 0, 'a write')
    test:is(support.read('old0001'), msgpack.encode(41), 'is on record')
    local status, deleted = support.run(support.DELETE, support.keys_body({'old0002', 'nothing'}), {id = ('d'):rep(16)})
    test:is_deeply({status, deleted}, {0, 1}, 'a delete has its number')
end)

suite:case('version 0 can be used in a condition', function(test)
    test:is_deeply(calls.update({{'old0020', 'new', 5}}).failed, {{0, 0}}, 'another one is not met, and 0 is told')
    test:is_deeply(calls.update({{'old0020', 'new', 0}}).failed, {}, 'it is met')
    test:is(#tuple_of('old0020'), 4, 'then the key has one')
    test:is_deeply(calls.update({{'old0020', 'newer', 0}}).failed[1][1], 0, 'and 0 is met no more')
    test:is_deeply(calls.update({{'old0021', 'new', true}}).failed, {}, 'the key is present')
    test:is_deeply(calls.update({{'old0022', 'new', false}}).failed, {{0, 0}}, 'and not absent')
end)

suite:case('touch and increment work on such keys', function(test)
    test:is_deeply(calls.touch({'old0030'}, {5000}), {}, 'touched')
    test:is_deeply({tuple_of('old0030')[4], #tuple_of('old0030')}, {0, 5}, 'the version stays')
    now_ms = now_ms + 60000
    test:is(support.read('old0030'), false, 'it expires')
    test:is_deeply(calls.increment({{'old0001', 1}}).values, {42}, 'a number can be added to')
end)

suite:case('a second start finds all data', function(test)
    test:is(require('tarantkv.shard').start(support.settings()), nil, 'it starts')
    test:is(support.read('old0020'), msgpack.encode('new'), 'and goes on')
end)

for _, file in ipairs(fio.glob(fio.pathjoin(here, 'data_without_versions', '*'))) do
    assert(fio.copyfile(file, fio.basename(file)))
end
support.start()
suite:run()
