--- A change of a user that arrives twice, as when its frame is redelivered, overwrites nothing newer.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local outcome

local suite = support.suite('changes of users that come twice')

local SCOPES = {'read'}

local function user(hash, version, generation)
    return {hash, SCOPES, false, version, generation}
end

--- Replace the expected record by another one, or remove it; `id` is the chunk's.
local function put(name, record, expected, id, generation)
    local args = generation ~= nil and {1, name, box.NULL, expected, generation} or {1, name, record, expected}
    return (support.control(support.USER_PUT, args, {id = id}))
end

local function hash_of(name)
    local stored = box.space.users:get({name, 1})
    return stored ~= nil and stored.password_hash or nil
end

suite:case('a copy of the chunk that added a user does not add it again after its removal', function(test)
    local made = support.new_id()
    test:is(put('a', user('first', 1, 10), 0, made), outcome.OK, 'made')
    test:is(put('a', nil, 1, nil, 10), outcome.OK, 'removed')
    test:is(put('a', user('first', 1, 10), 0, made), outcome.OK, 'the copy is told that it was done')
    test:is(hash_of('a'), nil, 'and the user stays away')
end)

suite:case('a copy of a change does not change a user that was added again', function(test)
    local changed = support.new_id()
    put('b', user('first', 1, 10), 0)
    test:is(put('b', user('second', 2, 11), 1, changed), outcome.OK, 'changed')
    put('b', nil, 2, nil, 11)
    put('b', user('other', 1, 12), 0)
    test:is(put('b', user('second', 2, 11), 1, changed), outcome.OK, 'the copy')
    test:is(hash_of('b'), 'other', 'the new user has its own password')
end)

suite:case('a copy of a removal does not remove a new user, and one in the same call is applied once', function(test)
    local removed, made = support.new_id(), support.new_id()
    put('c', user('first', 1, 10), 0)
    put('c', nil, 1, removed, 10)
    local body = msgpack.encode({1, 'c', user('first', 1, 10), 0})
    local answers = _G.tarantkv.apply({
        support.chunk(support.USER_PUT, body, {id = made}), support.chunk(support.USER_PUT, body, {id = made}),
    })
    test:is_deeply({answers[1][1], answers[2][1]}, {outcome.OK, outcome.OK}, 'made again')
    test:is(put('c', nil, 1, removed, 10), outcome.OK, 'the copy')
    test:is(hash_of('c'), 'first', 'the user is there')
end)

suite:case('a refused change is not on record', function(test)
    local id = support.new_id()
    test:is(put('d', user('second', 2, 11), 1, id), outcome.CONFLICT, 'there is no such user')
    put('d', user('first', 1, 10), 0)
    test:is(put('d', user('second', 2, 11), 1, id), outcome.OK, 'now there is')
    test:is(hash_of('d'), 'second', 'and has changed')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
