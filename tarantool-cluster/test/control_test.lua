--- The control operations: the life of a claim, user records, revocations, and what removes them when their time is
-- over.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local outcome

local suite = support.suite('control operations')

local function claim(key, digest, claim_id, window)
    local status, payload = support.control(support.CLAIM, {1, 'ann', key, digest, claim_id, window or 60000})
    assert(status == outcome.OK, payload)
    return payload[1], payload[2], payload[3]
end

local function finish(key, claim_id, result)
    return support.control(support.FINISH, {1, 'ann', key, claim_id, result})
end

suite:case('the life of a claim', function(test)
    test:is_deeply({claim('k', 'digest', 'c1')}, {'new', 'c1', box.NULL}, 'new')
    test:is_deeply({claim('k', 'digest', 'c2')}, {'pending', 'c1', box.NULL}, 'pending, with the stored id')
    test:is_deeply({claim('k', 'other', 'c3')}, {'conflict', box.NULL, box.NULL}, 'another digest is a conflict')
    test:is(finish('k', 'c2', 'wrong'), outcome.OK, 'finishing another claim')
    test:is(claim('k', 'digest', 'c4'), 'pending', 'has no effect')
    test:is(finish('k', 'c1', 'result'), outcome.OK, 'finishing it')
    test:is_deeply({claim('k', 'digest', 'c5')}, {'done', 'c1', 'result'}, 'done, with its outcome')
    test:is_deeply({claim('k', 'other', 'c6')}, {'conflict', box.NULL, box.NULL}, 'still a conflict for others')
    finish('k', 'c1', 'second')
    test:is_deeply({claim('k', 'digest', 'c7')}, {'done', 'c1', 'result'}, 'the first outcome stays')
end)

suite:case('claims belong to a user and a key', function(test)
    test:is(claim('own', 'digest', 'a'), 'new', 'one user')
    local _, payload = support.control(support.CLAIM, {1, 'bob', 'own', 'another', 'b', 60000})
    test:is(payload[1], 'new', 'the same key of another user is another claim')
    test:is(finish('absent', 'c', 'x'), outcome.OK, 'finishing a claim that is not there')
    test:is(claim('absent', 'digest', 'c'), 'new', 'has no effect')
end)

suite:case('an expired claim counts as absent', function(test)
    test:is(claim('short', 'digest', 'c1', 20), 'new', 'claimed for 20 ms')
    fiber.sleep(0.03)
    test:is(finish('short', 'c1', 'too late'), outcome.OK, 'finished after that')
    test:is_deeply({claim('short', 'other', 'c2')}, {'new', 'c2', box.NULL}, 'claimed anew by another digest')
end)

suite:case('a claim lasts a day at most', function(test)
    claim('long', 'digest', 'c', 9007199254740991)
    local expires = box.space.claims:get({'ann', 'long'}).expires
    test:ok(expires <= clock.now_ms() + 24 * 60 * 60 * 1000, 'however long it asks')
end)

suite:case('claim id and outcome come back in the MessagePack in which they came', function(test)
    local function mp(value) return msgpack.encode(value) end
    local id, result = '\xc4\x03\x00\xff\x01', '\x82\xa1a\xc4\x01\xff\xa1b\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00'
    local claiming = '\x96\x01' .. mp('ann') .. mp('bytes') .. '\xc4\x02\xff\xfe' .. id .. mp(1000)
    local _, payload = support.run(support.CLAIM, claiming)
    test:ok(payload == '\x93' .. mp('new') .. id .. '\xc0', 'new')
    support.run(support.FINISH, '\x95\x01' .. mp('ann') .. mp('bytes') .. id .. result)
    _, payload = support.run(support.CLAIM, claiming)
    test:ok(payload == '\x93' .. mp('done') .. id .. result, 'done')
    -- A chunk's bytes may come with the array's length in more bytes than needed.
    _, payload = support.run(support.CLAIM, '\xdc\x00\x06' .. claiming:sub(2))
    test:ok(payload == '\x93' .. mp('done') .. id .. result, 'the longer form of an array')
end)

suite:case('malformed control bodies', function(test)
    for _, case in ipairs({
        {support.CLAIM, {}}, {support.CLAIM, {1, 'u', 'k', 'd', 'c'}}, {support.CLAIM, {1, '', 'k', 'd', 'c', 1}},
        {support.CLAIM, {1, 'u', 5, 'd', 'c', 1}}, {support.CLAIM, {1, 'u', 'k', 'd', 'c', -1}},
        {support.CLAIM, {'1', 'u', 'k', 'd', 'c', 1}}, {support.CLAIM, {1.5, 'u', 'k', 'd', 'c', 1}},
        {support.CLAIM, {1, ('u'):rep(1025), 'k', 'd', 'c', 1}},
        {support.FINISH, {1, 'u', 'k', 'c'}}, {support.FINISH, {1, 'u', 'k', 5, 'o'}},
        {support.USER_GET, {1}}, {support.USER_GET, {1, 'u', 5}}, {support.USER_GET, {1, 'u', ''}},
        {support.USER_PUT, {1, 'u', {}, 0}}, {support.USER_PUT, {1, 'u', {'h', {}, false, 1}, 0}},
        {support.USER_PUT, {1, 'u', {'h', 'read', false, 1, 0}, 0}},
        {support.USER_PUT, {1, 'u', {'h', {5}, false, 1, 0}, 0}},
        {support.USER_PUT, {1, 'u', {'h', {a = 'read'}, false, 1, 0}, 0}},
        {support.USER_PUT, {1, 'u', {'h', {}, 0, 1, 0}, 0}}, {support.USER_PUT, {1, 'u', {'h', {}, false, -1, 0}, 0}},
        {support.USER_PUT, {1, 'u', {'h', {}, false, 1, 'x'}, 0}}, {support.USER_PUT, {1, 'u', {'h', {}, false, 1, 0}}},
        {support.REVOKE, {1, 'u', 'j'}}, {support.REVOKE, {1, 'u', 'j', 1.5}},
        {support.USER_LIST, {}}, {support.USER_LIST, {'', 0}}, {support.USER_LIST, {'', 1001}},
        {support.USER_LIST, {5, 1}},
    }) do
        local status, message = support.control(case[1], case[2])
        test:is(status, outcome.MALFORMED, ('operation %d'):format(case[1]))
        test:is(type(message), 'string', 'with a message')
    end
    for name, body in pairs({
        ['nothing'] = '', ['a map'] = '\x80', ['a number'] = '\x01', ['two arrays'] = '\x90\x90',
        ['an array that is cut'] = '\x92\x01', ['300 levels'] = ('\x91'):rep(300) .. '\x01',
        ['100,000 levels, which no decoder survives'] = ('\x91'):rep(100000) .. '\x01',
        ['100,000 maps in each other'] = '\x91' .. ('\x81\x01'):rep(100000) .. '\x01',
    }) do
        for _, op in ipairs({support.DESCRIBE, support.CLAIM, support.FINISH, support.USER_GET, support.USER_LIST}) do
            test:is(support.run(op, body), outcome.MALFORMED, ('%s is no body of %d'):format(name, op))
        end
    end
end)

local SCOPES = {'read', 'write'}

local function put(name, record, expected)
    return (support.control(support.USER_PUT, {1, name, record, expected}))
end

local function get(name, jti)
    local status, payload = support.control(support.USER_GET, {1, name, jti})
    assert(status == outcome.OK, payload)
    return payload[1], payload[2]
end

suite:case('user records are replaced by compare-and-set', function(test)
    test:is(get('ann'), nil, 'absent at first')
    test:is(put('ann', {'hash', SCOPES, false, 1, 0}, 1), outcome.CONFLICT, 'a version expected of an absent one')
    test:is(put('ann', {'hash', SCOPES, false, 1, 0}, 0), outcome.OK, 'made')
    test:is_deeply(get('ann'), {'hash', SCOPES, false, 1, 0}, 'read back')
    test:is(put('ann', {'hash', SCOPES, false, 1, 0}, 0), outcome.OK, 'a repeat')
    test:is(put('ann', {'another', SCOPES, false, 1, 0}, 0), outcome.CONFLICT, 'another one in its place')
    test:is(put('ann', {'new hash', {}, true, 2, 1700000000000}, 1), outcome.OK, 'replaced')
    test:is(put('ann', {'new hash', {}, true, 2, 1700000000000}, 1), outcome.OK, 'a repeat of that')
    test:is_deeply(get('ann'), {'new hash', {}, true, 2, 1700000000000}, 'read back')
    test:is(put('ann', {'hash', SCOPES, false, 2, 0}, 1), outcome.CONFLICT, 'an outdated version')
    test:is_deeply(get('ann')[1], 'new hash', 'changes nothing')
    local _, raw = support.run(support.USER_GET, msgpack.encode({1, 'ann', box.NULL}))
    test:ok(raw:find('\x90', 1, true), 'no scopes are an empty array, not a map')
end)

suite:case('concurrent puts of the same version: one wins', function(test)
    put('race', {'start', SCOPES, false, 1, 0}, 0)
    local results, fibers = {}, {}
    for i = 1, 10 do
        fibers[i] = fiber.new(function()
            local status = put('race', {'hash' .. i, SCOPES, false, 2, 0}, 1)
            results[status] = (results[status] or 0) + 1
        end)
        fibers[i]:set_joinable(true)
    end
    for _, each in ipairs(fibers) do
        each:join()
    end
    test:is(results[outcome.OK], 1, 'one is stored')
    test:is(results[outcome.CONFLICT], 9, 'the others conflict')
end)

suite:case('revoked tokens', function(test)
    test:is_deeply({get('ann', 'token')}, {get('ann'), false}, 'not revoked')
    test:is(support.control(support.REVOKE, {1, 'ann', 'token', clock.now_ms() + 60000}), outcome.OK, 'revoked')
    test:is(select(2, get('ann', 'token')), true, 'told so')
    test:is(select(2, get('ann', 'other')), false, 'another token is not')
    test:is(select(2, get('bob', 'token')), false, 'nor the same of another user')
    test:is(select(2, get('ann')), false, 'without a token nothing is revoked')
    support.control(support.REVOKE, {1, 'ann', 'old', clock.now_ms() - 1})
    test:is(select(2, get('ann', 'old')), false, 'an expired one is not looked at')
end)

suite:case('users are listed in order, page by page', function(test)
    for i = 1, 25 do
        put(('list%02d'):format(i), {'hash', SCOPES, false, 1, 0}, 0)
    end
    local names, after = {}, ''
    repeat
        local _, page = support.control(support.USER_LIST, {after, 10})
        for _, user in ipairs(page) do
            table.insert(names, user[1])
            after = user[1]
        end
        test:ok(#page <= 10, 'a page is no longer than asked')
    until #page < 10
    test:is(#names, 27, 'all of them, once each')
    local sorted = {unpack(names)}
    table.sort(sorted)
    test:is_deeply(names, sorted, 'in order')
    local _, all = support.control(support.USER_LIST, {box.NULL, 1000})
    test:is_deeply(all[1], {'ann', {'new hash', {}, true, 2, 1700000000000}}, 'with their records')
    local _, raw = support.run(support.USER_LIST, msgpack.encode({'zzz', 10}))
    test:is(raw, '\x90', 'nobody is an empty array')
end)

suite:case('describe', function(test)
    local described = _G.tarantkv.describe()
    test:is_deeply(described, {
        shard = 's1', bucket_count = 30000, ranges = {{1, 30000}}, ro = false, instance = box.info.uuid, protocol = 1,
    }, 'says who it is')
    local _, payload = support.control(support.DESCRIBE, {})
    test:is_deeply(payload, described, 'and the operation says the same')
    described.ranges[1][1] = 7
    test:is(_G.tarantkv.describe().ranges[1][1], 1, 'a caller cannot change it')
end)

suite:case('what has had its time is removed, what has not is kept', function(test)
    local now = clock.now_ms()
    box.space.applied:truncate()
    box.space.claims:truncate()
    box.space.revoked:truncate()
    for i = 1, 1000 do
        local over = i % 2 == 0 and now - i or now + 60000
        box.space.applied:insert({('%016d'):format(i), over, box.NULL})
        box.space.claims:insert({'u', tostring(i), 1, 'd', '\xa1c', over})
        box.space.revoked:insert({'u', tostring(i), 1, over})
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

suite:case('the fiber that removes is started again when it dies', function(test)
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

suite:case('it goes on after an error', function(test)
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
outcome = require('tarantkv.outcome')
suite:run()
