--- Control operations except claims: malformed bodies, user records, revocations, what a shard reports about itself.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local describe = require('tarantkv.describe')
local outcome

local suite = support.suite('control operations')

suite:case('malformed bodies of control operations are refused', function(test)
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

suite:case('a revoked token is reported until its record ends', function(test)
    test:is_deeply({get('ann', 'token')}, {get('ann'), false}, 'not revoked')
    test:is(support.control(support.REVOKE, {1, 'ann', 'token', clock.now_ms() + 60000}), outcome.OK, 'revoked')
    test:is(select(2, get('ann', 'token')), true, 'reported as revoked')
    test:is(select(2, get('ann', 'other')), false, 'another token is not')
    test:is(select(2, get('bob', 'token')), false, 'nor the same of another user')
    test:is(select(2, get('ann')), false, 'without a token nothing is revoked')
    support.control(support.REVOKE, {1, 'ann', 'old', clock.now_ms() - 5001})
    test:is(select(2, get('ann', 'old')), false, 'a revocation is ignored when no api accepts its token any more')
    support.control(support.REVOKE, {1, 'ann', 'twice', clock.now_ms() + 60000})
    support.control(support.REVOKE, {1, 'ann', 'twice', clock.now_ms() - 60000})
    test:is(select(2, get('ann', 'twice')), true, 'a second revocation does not shorten the first')
end)

suite:case('a late copy of a change is answered from the record, and changes nothing', function(test)
    local late = {deadline = clock.now_ms() - 1}
    local record, expires = {'hash', SCOPES, false, 1, 0}, clock.now_ms() + 60000
    local revoking = {1, 'late', 'token', expires}
    test:is(support.control(support.USER_PUT, {1, 'late', record, 0}, late), outcome.EXPIRED, 'a first put')
    test:is(get('late'), nil, 'stores nothing')
    test:is(put('late', record, 0), outcome.OK, 'stored')
    test:is(support.control(support.USER_PUT, {1, 'late', record, 0}, late), outcome.OK, 'a copy of a stored one')
    test:is(support.control(support.REVOKE, revoking, late), outcome.EXPIRED, 'a first revocation')
    test:is(select(2, get('late', 'token')), false, 'revokes nothing')
    test:is(support.control(support.REVOKE, revoking), outcome.OK, 'revoked')
    test:is(support.control(support.REVOKE, revoking, late), outcome.OK, 'a copy of that')
    test:is(support.control(support.USER_GET, {1, 'late', box.NULL}, late), outcome.EXPIRED, 'a look-up is just late')
end)

suite:case('no body makes many objects', function(test)
    local many = '\xdd' .. '\x00\x10\x00\x00' .. ('\x90'):rep(1048576)
    for _, op in ipairs({support.CLAIM, support.FINISH, support.USER_PUT, support.JOIN, support.STATUS}) do
        test:is(support.run(op, many), outcome.MALFORMED, 'a million arguments')
        test:is(support.run(op, '\x92\x01' .. many), outcome.MALFORMED, 'a large argument')
    end
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
    test:is(#names, 28, 'all of them, once each')
    local sorted = {unpack(names)}
    table.sort(sorted)
    test:is_deeply(names, sorted, 'in order')
    local _, all = support.control(support.USER_LIST, {box.NULL, 1000})
    test:is_deeply(all[1], {'ann', {'new hash', {}, true, 2, 1700000000000}}, 'with their records')
    local _, raw = support.run(support.USER_LIST, msgpack.encode({'zzz', 10}))
    test:is(raw, '\x90', 'nobody is an empty array')
end)

suite:case('a shard announces the shards that it was told', function(test)
    local shards = {s1 = {{'127.0.0.1', 3301}}, ['s-2'] = {{'h2', 3301}, {'h2', 3302}}}
    test:is(_G.tarantkv.describe().shards, nil, 'nothing at first')
    describe.announce(shards)
    test:is_deeply(_G.tarantkv.describe().shards, shards, 'all shards and their instances')
    for name, wrong in pairs({
        ['a bad name'] = {S1 = {{'h', 1}}}, ['no instance'] = {s1 = {}}, ['no port'] = {s1 = {{'h'}}},
        ['a port that is none'] = {s1 = {{'h', 65536}}}, ['no host'] = {s1 = {{'', 1}}}, ['no list'] = {s1 = 'h:1'},
        ['no shards'] = {},
    }) do
        local ok, err = pcall(describe.announce, wrong)
        test:ok(not ok and tostring(err):find('^cannot announce'), name)
    end
    test:is_deeply(_G.tarantkv.describe().shards, shards, 'a wrong announcement changes nothing')
    describe.announce(nil)
    test:is(_G.tarantkv.describe().shards, nil, 'nothing again')
end)

suite:case('describe reports the buckets of the shard', function(test)
    local described = _G.tarantkv.describe()
    test:is_deeply(described, {
        shard = 's1', bucket_count = 30000, ranges = {{1, 30000}}, moving = {}, moves = false, ro = false,
        instance = box.info.uuid, protocol = 1,
    }, 'identity and buckets')
    local _, payload = support.control(support.DESCRIBE, {})
    test:is_deeply(payload, described, 'the operation gives the same answer')
    described.ranges[1][1] = 7
    test:is(_G.tarantkv.describe().ranges[1][1], 1, 'a caller cannot change it')
end)

suite:case('a shard joins one cluster, for ever', function(test)
    local first, second = ('0a'):rep(16), ('0b'):rep(16)
    test:is(support.control(support.JOIN, {first}, {deadline = clock.now_ms() - 1}), outcome.EXPIRED, 'too late')
    test:is(_G.tarantkv.describe().cluster, nil, 'none at first')
    local _, payload = support.control(support.JOIN, {first})
    test:is_deeply(payload, {first}, 'joined')
    test:is(_G.tarantkv.describe().cluster, first, 'and says so')
    _, payload = support.control(support.JOIN, {second})
    test:is_deeply(payload, {first}, 'another id is answered with the first')
    test:is(_G.tarantkv.describe().cluster, first, 'which stays')
    for _, id in ipairs({'', 'x', ('0A'):rep(16), ('0a'):rep(17), 5, box.NULL}) do
        test:is(support.control(support.JOIN, {id}), outcome.MALFORMED, 'what is no id')
    end
end)

suite:case('a removal removes the known user, not one added again under its name', function(test)
    local function remove(version, generation, deadline)
        return (support.control(support.USER_PUT, {1, 'gone', box.NULL, version, generation}, deadline))
    end
    test:is(remove(1, 7), outcome.OK, 'one that is not there')
    put('gone', {'hash', SCOPES, false, 1, 7}, 0)
    test:is(remove(2, 7), outcome.CONFLICT, 'another version')
    test:is(remove(1, 8), outcome.CONFLICT, 'another password')
    test:is(remove(1, 7, {deadline = clock.now_ms() - 1}), outcome.EXPIRED, 'too late')
    for _, args in ipairs({{1, 'gone', box.NULL, 1}, {1, 'gone', box.NULL, 1, 'x'}, {1, 'gone', box.NULL, -1, 7}}) do
        test:is(support.control(support.USER_PUT, args), outcome.MALFORMED, 'no removal')
    end
    test:ok(get('gone') ~= nil, 'it is there')
    test:is(remove(1, 7), outcome.OK, 'removed')
    test:is(get('gone'), nil, 'it is gone')
    put('gone', {'hash', SCOPES, false, 1, 9}, 0)
    test:is(remove(1, 7), outcome.CONFLICT, 'a copy that comes late')
    test:ok(get('gone') ~= nil, 'the new one is there')
end)

suite:case('status reports the memory of claims and records', function(test)
    local function status()
        local _, payload = support.control(support.STATUS, {})
        return payload
    end
    local before = status()
    for i = 1, 100 do
        support.control(support.CLAIM, {1, 'ann', 'status' .. i, 'd', 'aa', 60000})
        support.write('status' .. i, '\x01', {retain = 60000})
    end
    local after = status()
    test:is(after.claims, before.claims + 100, 'claims')
    test:is(after.records, before.records + 100, 'records of chunks')
    test:ok(after.claim_bytes >= before.claim_bytes + 4000, 'their bytes')
    test:ok(after.record_bytes >= before.record_bytes + 2500, 'and theirs')
    test:ok(after.memory_used > 0 and after.memory_used <= after.memory_limit, 'memory in use, and its limit')
end)

suite:case('status reports the progress of moves until the reports end', function(test)
    local progress = require('tarantkv.progress')
    local function moves()
        local _, payload = support.control(support.STATUS, {})
        return payload.moves
    end
    test:is(#moves(), 0, 'nothing moves')
    progress.say({{'s2', 3, 10, 4500}, {'s3', 0, 5}})
    local said = moves()
    test:is_deeply({said[1][1], said[1][2], said[1][3], said[1][4]}, {'s2', 3, 10, 4500}, 'a move and its time left')
    test:is(said[2][4], nil, 'time left that nobody knows')
    test:ok(said[1][5] >= 0 and said[1][5] < 5000, 'how long ago it was said')
    for _, rows in ipairs({5, {{'s2', 11, 10}}, {{'s2', -1, 10}}, {{5, 1, 10}}, {{'s2', 1, 10, 'x'}}, {'s2'}}) do
        test:is(pcall(progress.say, rows), false, 'what are no rows')
    end
    local usual = fiber.clock
    fiber.clock = function() return usual() + 61 end
    test:is(#moves(), 0, 'after a minute without a word it is forgotten')
    fiber.clock = usual
    test:is(#moves(), 2, 'not before')
    progress.say({})
    test:is(#moves(), 0, 'nothing moves any more')
end)

support.start({clock_skew_s = 0}, {log_level = 1})
outcome = require('tarantkv.outcome')
suite:run()
