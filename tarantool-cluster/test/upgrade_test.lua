--- A shard converts the data of an earlier version.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')

local suite = support.suite('upgrade')

local HOME = support.bucket_of('ann')
local MIRROR = (HOME - 1 + 15000) % 30000 + 1
local OLD = ('o'):rep(16)

suite:case('a chunk that was recorded in a hash index is still on record', function(test)
    test:is(box.space.applied.index.id.type, 'TREE', 'the index is a tree now')
    test:is(support.write('k', msgpack.encode('again'), {id = OLD}), 0, 'sent again')
    test:is(support.read('k'), false, 'and not applied again')
end)

suite:case('an account has a record under each of its buckets', function(test)
    test:is(#box.space.users.index.name.parts, 2, 'the bucket is part of the key')
    test:is(#box.space.revoked.index.token.parts, 3, 'of revocations, too')
    for i, bucket in ipairs({HOME, MIRROR}) do
        local _, said = support.control(support.USER_GET, {bucket, 'ann', 'token'})
        test:is_deeply(said, {{'hash', {'read'}, false, 3, box.NULL}, true}, 'record ' .. i)
    end
    test:is(box.space.users:len(), 2, 'and no others')
    require('tarantkv.upgrade').complete_accounts({box.space.users, box.space.revoked})
    test:is(box.space.users:len(), 2, 'also after the next start')
    require('tarantkv.ownership').change(HOME, 0)
    box.space.users:delete({'ann', HOME})
    require('tarantkv.upgrade').complete_accounts({box.space.users, box.space.revoked})
    test:is(box.space.users:len(), 1, 'none under a bucket of another shard')
    require('tarantkv.ownership').change(HOME, 2)
end)

box.cfg({log_level = 2, memtx_memory = 64 * 1024 * 1024})
local applied = box.schema.space.create('applied', {format = {
    {'id', 'string'}, {'retain_until', 'unsigned'}, {name = 'result', type = 'unsigned', is_nullable = true},
}, field_count = 3})
applied:create_index('id', {type = 'hash', parts = {1, 'string'}})
applied:create_index('retain_until', {type = 'tree', unique = false, parts = {2, 'unsigned'}})
applied:insert({OLD, clock.now_ms() + 60000, box.NULL})

local users = box.schema.space.create('users', {format = {
    {'name', 'string'}, {'bucket_id', 'unsigned'}, {'password_hash', 'string'}, {'scopes', 'array'},
    {'disabled', 'boolean'}, {'version', 'unsigned'}, {name = 'not_before', type = 'number', is_nullable = true},
}})
users:create_index('name', {parts = {1, 'string'}})
users:insert({'ann', MIRROR, 'hash', {'read'}, false, 3})
local revoked = box.schema.space.create('revoked', {format = {
    {'name', 'string'}, {'jti', 'string'}, {'bucket_id', 'unsigned'}, {'expires', 'unsigned'},
}})
revoked:create_index('token', {parts = {1, 'string', 2, 'string'}})
revoked:create_index('expires', {unique = false, parts = {4, 'unsigned'}})
revoked:insert({'ann', 'token', MIRROR, clock.now_ms() + 60000})

support.start()
suite:run()
