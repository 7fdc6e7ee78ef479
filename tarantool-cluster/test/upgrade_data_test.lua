--- A shard starts with a data directory of version 1. The code of that version wrote `data_of_version_1` with a clock
-- in the year 2100, so that nothing in it has expired. It holds claims in every state, in snapshot and log.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')

local suite = support.suite('upgrade of data')

local DIGEST = ('0123456789abcdef'):rep(4)
local WRITTEN_MS = 4102444800000

function clock.now_ms()
    return WRITTEN_MS + 1000
end

local function claim(user, key, digest)
    local status, payload = support.control(support.CLAIM, {1, user, key, digest, 'ff', 600000})
    assert(status == 0, payload)
    return payload
end

suite:case('claims are unchanged', function(test)
    test:is_deeply(claim('ann', 'pending', DIGEST), {'pending', ('aa'):rep(16), box.NULL}, 'a pending one keeps its id')
    test:is_deeply(claim('ann', 'in the log', DIGEST), {'pending', ('ee'):rep(16), box.NULL}, 'one that is in the log')
    test:is_deeply(claim('ann', 'done', DIGEST), {'done', ('bb'):rep(16), '{"status":"success"}'}, 'a success')
    test:is_deeply(claim('ann', 'deleted', DIGEST), {'done', ('dd'):rep(16), '{"status":"success","deleted":3}'},
        'another outcome')
    test:is(claim('ann', 'pending', ('f'):rep(64))[1], 'conflict', 'another request is told from it')
    test:is(claim('bob', 'many2500', DIGEST)[1], 'pending', 'the last of many')
    test:is(box.space.claims:len(), 2504, 'all are there')
    test:is(claim('ann', 'new', DIGEST)[1], 'new', 'and new ones can be made')
end)

suite:case('a chunk that was applied is not applied again', function(test)
    test:is(support.write('key', msgpack.encode('first'), {id = ('w'):rep(16), retain = 600000}), 0, 'sent again')
    test:is(support.read('key'), msgpack.encode('second'), 'what was written after it stays')
end)

suite:case('users and revoked tokens are unchanged', function(test)
    local _, payload = support.control(support.USER_GET, {1, 'ann', 'token'})
    test:is_deeply(payload, {{'hash', {'read', 'write'}, false, 1, 0}, true}, 'both')
end)

suite:case('no data of the earlier form is left', function(test)
    local names = {}
    for _, space in box.space._space:pairs({512}, {iterator = 'GE'}) do
        table.insert(names, space.name)
    end
    table.sort(names)
    test:is_deeply(names, {
        'applications', 'applied', 'claims', 'clock', 'expiring', 'identity', 'keyed', 'kv', 'revoked', 'users',
    }, 'the spaces')
end)

for _, file in ipairs(fio.glob(fio.pathjoin(here, 'data_of_version_1', '*'))) do
    assert(fio.copyfile(file, fio.basename(file)))
end
-- The first attempt to upgrade is interrupted in the middle of the claims.
box.cfg({log_level = 1, memtx_memory = 64 * 1024 * 1024})
local claims, schema, upgrade = require('tarantkv.claims'), require('tarantkv.schema'), require('tarantkv.upgrade')
local short_digest, calls = claims.short_digest, 0
function claims.short_digest(text)
    calls = calls + 1
    assert(calls < 1500, 'interrupted')
    return short_digest(text)
end
upgrade.prepare()
schema.create()
assert(not pcall(upgrade.finish) and box.space.claims:len() == 1000)
claims.short_digest = short_digest

support.start()
suite:run()
