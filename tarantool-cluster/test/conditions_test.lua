--- Conditional writes and deletes: each key on its own, checked in the transaction that applies and records the chunk.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local calls = require('calls')
local support = require('support')

local suite = support.suite('conditions')

local outcome
local update, delete_if = calls.update, calls.delete_if

local function version_of(key)
    local tuple = calls.tuples({key})[1]
    return tuple and tuple[4]
end

suite:case('a write checks each kind of condition', function(test)
    box.space.kv:truncate()
    test:is_deeply(update({{'a', 1, true}}).failed, {{0, box.NULL}}, 'present is not met by an absent key')
    local made = update({{'a', 1, false}})
    test:is_deeply(made.failed, {}, 'absent is')
    test:is(version_of('a'), made.version, 'the key has the version that is told')
    test:is_deeply(update({{'a', 2, false}}).failed, {{0, made.version}}, 'absent is not any more, the version is told')
    test:is_deeply(update({{'a', 2, made.version + 1}}).failed, {{0, made.version}}, 'nor is another version')
    local second = update({{'a', 2, made.version}})
    test:is_deeply(second.failed, {}, 'its own is')
    test:ok(second.version > made.version, 'versions grow')
    test:is_deeply(update({{'a', 3, true}}).failed, {}, 'present is met now')
    test:is_deeply(update({{'a', 4}}).failed, {}, 'none is always met')
    test:is(support.read('a'), msgpack.encode(4), 'and the last value is there')
end)

suite:case('each key of a chunk succeeds or fails on its own', function(test)
    box.space.kv:truncate()
    support.write('b', msgpack.encode('old'))
    local told = update({{'a', 1, false}, {'b', 2, false}, {'c', 3, true}, {'d', 4}})
    test:is_deeply(told.failed, {{1, version_of('b')}, {2, box.NULL}}, 'the failed ones by position')
    test:is(support.read('b'), msgpack.encode('old'), 'they are not applied')
    test:is(support.read('c'), false, 'none of them')
    test:is_deeply({version_of('a'), version_of('d')}, {told.version, told.version}, 'the others are, with one version')
end)

suite:case('a write may have a condition and an expiry', function(test)
    box.space.kv:truncate()
    test:is_deeply(update({{'a', 1, false, 60000}}).failed, {}, 'a key that expires')
    local expires = calls.tuples({'a'})[1][5]
    test:is_deeply(update({{'a', 2, true, 0}}).failed, {}, 'written again, with the expiry kept')
    test:is(calls.tuples({'a'})[1][5], expires, 'it has the same')
    test:is_deeply(update({{'a', 3, true}}).failed, {}, 'written without')
    test:is(calls.tuples({'a'})[1][5], nil, 'it has none')
end)

suite:case('a delete checks its conditions', function(test)
    box.space.kv:truncate()
    support.write('a', msgpack.encode(1))
    support.write('b', msgpack.encode(1))
    local a = version_of('a')
    local told = delete_if({{'a', a + 1}, {'b', true}, {'c', true}, {'d'}, {'e', false}})
    test:is_deeply(told, {deleted = 1, failed = {{0, a}, {2, box.NULL}}}, 'what was there counts, what failed is told')
    test:is_deeply(delete_if({{'a', a}}), {deleted = 1, failed = {}}, 'by its version')
    test:is(support.read('a'), false, 'it is gone')
end)

suite:case('a copy of a chunk gets the outcome of the first', function(test)
    box.space.kv:truncate()
    local id = support.new_id()
    local first = update({{'a', 1, false}}, {id = id})
    support.write('a', msgpack.encode('newer'))
    test:is_deeply(update({{'a', 1, false}}, {id = id}), first, 'a success stays one, though the key is present now')
    test:is(support.read('a'), msgpack.encode('newer'), 'and is not applied again')
    id = support.new_id()
    local failed = update({{'a', 2, false}}, {id = id})
    support.run(support.DELETE, support.keys_body({'a'}))
    test:is_deeply(update({{'a', 2, false}}, {id = id}), failed, 'a failure stays one, though the key is absent now')
    id = support.new_id()
    support.write('a', msgpack.encode(1))
    first = delete_if({{'a', true}}, {id = id})
    test:is_deeply(delete_if({{'a', true}}, {id = id}), first, 'a delete too')
    test:is_deeply(box.space.applications:get(id).count, 1, 'applied once')
end)

suite:case('a copy in the same call gets the same outcome', function(test)
    box.space.kv:truncate()
    local chunk = support.chunk(support.UPDATE, calls.update_body({{'a', 1, false}}))
    local answers = _G.tarantkv.apply({chunk, chunk})
    test:is_deeply(answers[1], answers[2], 'both')
    test:is_deeply(msgpack.decode(answers[1][2])[2], {}, 'and it succeeded')
end)

suite:case('a change that the log refuses leaves nothing, and no record', function(test)
    box.space.kv:truncate()
    local visibility = require('tarantkv.visibility')
    local log_write, id = visibility.log_write, support.new_id()
    visibility.log_write = function() error('the disk is full') end
    test:isnt(support.run(support.UPDATE, calls.update_body({{'a', 1, false}}), {id = id}), outcome.OK, 'refused')
    visibility.log_write = log_write
    test:is_deeply(update({{'a', 1, false}}, {id = id}).failed, {}, 'and applied when it is sent again')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
