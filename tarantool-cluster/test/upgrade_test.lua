--- A shard goes on with what an earlier version has stored.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')

local suite = support.suite('upgrade')

local OLD = ('o'):rep(16)

suite:case('a chunk that was recorded in a hash index is still on record', function(test)
    test:is(box.space.applied.index.id.type, 'TREE', 'the index is a tree now')
    test:is(support.write('k', msgpack.encode('again'), {id = OLD}), 0, 'sent again')
    test:is(support.read('k'), false, 'and not applied again')
end)

box.cfg({log_level = 2, memtx_memory = 64 * 1024 * 1024})
local applied = box.schema.space.create('applied', {format = {
    {'id', 'string'}, {'retain_until', 'unsigned'}, {name = 'result', type = 'unsigned', is_nullable = true},
}, field_count = 3})
applied:create_index('id', {type = 'hash', parts = {1, 'string'}})
applied:create_index('retain_until', {type = 'tree', unique = false, parts = {2, 'unsigned'}})
applied:insert({OLD, clock.now_ms() + 60000, box.NULL})

support.start()
suite:run()
