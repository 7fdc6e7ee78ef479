--- A right that a change of vshard's space `_bucket` takes away is lost at once; one that it grants applies when the
-- change is confirmed. The tests create the space as vshard does.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local buckets, ownership

local suite = support.suite('buckets of vshard')

local COUNT = 30

local function told(bucket)
    return msgpack.decode(ownership.refusal({bucket}))[1][2]
end

local function put(bucket, status, destination)
    box.space._bucket:replace({bucket, status, destination})
end

suite:case('each status allows what vshard allows', function(test)
    for status, state in pairs({
        active = ownership.WRITABLE, pinned = ownership.WRITABLE, readonly = ownership.READABLE,
        sending = ownership.READABLE, sent = ownership.NONE, receiving = ownership.NONE, garbage = ownership.NONE,
        ['something new'] = ownership.NONE,
    }) do
        put(1, status, 's2')
        test:is(ownership.state(1), state, status)
    end
end)

suite:case('a bucket that leaves is moving, and then on its new shard', function(test)
    put(2, 'active')
    put(2, 'readonly')
    test:is(told(2), true, 'it is about to leave')
    put(2, 'sending', 's2')
    test:is(told(2), true, 'it is on its way')
    put(2, 'sent', 's2')
    test:is(told(2), 's2', 'it is there')
    box.space._bucket:delete(2)
    test:is(told(2), 's2', 'which is remembered when its row is gone')
    put(2, 'receiving', 's2')
    test:is(told(2), true, 'it is on its way back')
    test:is_deeply(ownership.moving(), {{2, 2}}, 'and told to be so')
    put(2, 'active')
    test:is(ownership.state(2), ownership.WRITABLE, 'it is here')
end)

suite:case('an unconfirmed change takes rights away, but grants none', function(test)
    put(3, 'active')
    box.begin()
    put(3, 'readonly')
    test:is(ownership.state(3), ownership.READABLE, 'forbidden at once')
    put(3, 'active')
    test:is(ownership.state(3), ownership.READABLE, 'not permitted before the end')
    box.commit()
    test:is(ownership.state(3), ownership.WRITABLE, 'but then')
end)

suite:case('a change that is rolled back has no effect', function(test)
    put(4, 'active')
    box.begin()
    put(4, 'readonly')
    put(4, 'sending', 's2')
    box.rollback()
    test:is(ownership.state(4), ownership.WRITABLE, 'it may be changed')
    box.begin()
    put(5, 'receiving', 's2')
    put(5, 'active')
    box.rollback()
    test:is(ownership.state(5), ownership.NONE, 'it is not here')
end)

suite:case('the first buckets are created once, even if a start is interrupted', function(test)
    put(11, 'receiving')
    put(11, 'active')
    buckets.make_first({11, 20})
    test:is(#box.space._bucket:select({11}, {iterator = 'GE'}), 10, 'those that are missing')
    box.space._bucket:delete(15)
    buckets.make_first({11, 20})
    test:isnil(box.space._bucket:get(15), 'what has left since is not made again')
end)

suite:case('an instance that starts reads the existing buckets', function(test)
    put(21, 'active')
    put(22, 'sending', 's2')
    buckets.learn(COUNT)
    test:is(ownership.state(21), ownership.WRITABLE, 'here')
    test:is(ownership.state(22), ownership.READABLE, 'about to leave')
    test:is(ownership.state(23), ownership.NONE, 'elsewhere')
end)

suite:case('the expiries of arriving keys are stored, and their space has no trigger', function(test)
    local arrives
    package.loaded['vshard.storage'] = {on_bucket_event = function(handler) arrives = handler end}
    buckets.watch_moves()
    box.begin()
    arrives('bucket_data_recv_txn', 1, {spaces = {'kv'}})
    test:is(#box.space.kv:on_replace(), 0, 'compiled writes must not call Lua')
    box.space.kv:insert({'arrived', 1, 'value', 1, 4102444800000})
    box.space.kv:insert({'lasting', 1, 'value', 1})
    box.commit()
    test:is(box.space.expiring:get('arrived')[2], 4102444800000, 'it expires')
    test:isnil(box.space.expiring:get('lasting'), 'it does not')
    test:is(#box.space.kv:on_replace(), 0, 'nor afterwards')
end)

support.start({bucket_count = COUNT})
buckets, ownership = require('tarantkv.buckets'), require('tarantkv.ownership')
local space = box.schema.space.create('_bucket', {format = {
    {'id', 'unsigned'}, {'status', 'string'}, {name = 'destination', type = 'string', is_nullable = true},
}})
space:create_index('pk', {parts = {1, 'unsigned'}})
buckets.follow(COUNT)
suite:run()
