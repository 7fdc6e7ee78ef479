--- Buckets that leave and arrive: what is refused, what stays on record, and what a refusal says.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local ownership = require('tarantkv.ownership')
local outcome

local suite = support.suite('moves')

local ONE, TWO = msgpack.encode('one'), msgpack.encode('two')
local NULL = box.NULL

--- Bodies of every operation that changes a key.
local function changes_of(key, bucket)
    local expiry = '\xcd\x03\xe8'
    local named = support.keys_body({key}, {bucket}):sub(2)
    return {
        [support.WRITE] = support.body({support.write_entry(key, TWO, bucket)}),
        [support.DELETE] = support.keys_body({key}, {bucket}),
        [support.UPDATE] = '\x92' .. support.body({support.write_entry(key, TWO, bucket)}) .. '\x91\xc0',
        [support.DELETE_IF] = '\x93' .. named .. '\x91\xc0',
        [support.INCREMENT] = msgpack.encode({{key .. '/n', bucket, 1, 0, NULL, NULL, NULL, false}}),
        [support.TOUCH] = '\x93' .. named .. '\x91' .. expiry,
    }
end

suite:case('a bucket that leaves can be read, but not changed', function(test)
    local bucket = support.bucket_of('leaving')
    support.write('leaving', ONE)
    ownership.change(bucket, ownership.READABLE, ownership.MOVING)
    test:is(support.read('leaving'), ONE, 'a read')
    for op, body in pairs(changes_of('leaving', bucket)) do
        local status, payload = support.run(op, body)
        test:is(status, outcome.WRONG_BUCKET, 'operation ' .. op)
        test:is_deeply(msgpack.decode(payload), {{bucket, true}}, 'says that it moves')
    end
    for op, args in pairs({
        [support.CLAIM] = {bucket, 'u', 'k', 'd', 'cc', 1}, [support.FINISH] = {bucket, 'u', 'k', 'cc', 'x'},
        [support.USER_PUT] = {bucket, 'u', {'h', {'read'}, false, 1, 0}, 0}, [support.REVOKE] = {bucket, 'u', 'j', 5},
    }) do
        local status, payload = support.run(op, msgpack.encode(args))
        test:is(status, outcome.WRONG_BUCKET, 'operation ' .. op)
        test:is_deeply(msgpack.decode(payload), {{bucket, true}}, 'says that it moves')
    end
    test:is(support.control(support.USER_GET, {bucket, 'u', NULL}), outcome.OK, 'a user is looked up')
    test:is(support.read('leaving'), ONE, 'nothing was changed')
    ownership.change(bucket, ownership.WRITABLE)
end)

suite:case('a refusal names each bucket once, and where it is', function(test)
    ownership.change(11, ownership.NONE, 's2')
    ownership.change(12, ownership.NONE, ownership.MOVING)
    ownership.change(13, ownership.READABLE, ownership.MOVING)
    ownership.change(14, ownership.NONE)
    local entries, buckets = {}, {14, 11, 12, 13, 11, 10, 30001}
    for i, bucket in ipairs(buckets) do
        entries[i] = support.write_entry('k' .. i, ONE, bucket)
    end
    local status, payload = support.run(support.WRITE, support.body(entries))
    test:is(status, outcome.WRONG_BUCKET, 'a write')
    local all = {{14, NULL}, {11, 's2'}, {12, true}, {13, true}, {30001, NULL}}
    test:is_deeply(msgpack.decode(payload), all, 'all of them')
    test:is(support.read('k6', 10), false, 'nothing of it is applied')
    local keys = {'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'}
    status, payload = support.run(support.READ, support.keys_body(keys, buckets))
    test:is(status, outcome.WRONG_BUCKET, 'a read')
    test:is_deeply(msgpack.decode(payload), {{14, NULL}, {11, 's2'}, {12, true}, {30001, NULL}}, 'those it cannot read')
    test:is_deeply(_G.tarantkv.describe().ranges, {{1, 10}, {13, 13}, {15, 30000}}, 'describe tells what can be read')
    test:is_deeply(_G.tarantkv.describe().moving, {{12, 12}}, 'and what is between two shards')
    for bucket = 11, 14 do
        ownership.change(bucket, ownership.WRITABLE)
    end
end)

suite:case('a change that was refused stays refused when its bucket is back', function(test)
    local bucket = support.bucket_of('back')
    for op, body in pairs(changes_of('back', bucket)) do
        support.write('back', ONE)
        local id = support.new_id()
        ownership.change(bucket, ownership.NONE, 's2')
        test:is(support.run(op, body, {id = id}), outcome.WRONG_BUCKET, 'operation ' .. op)
        ownership.change(bucket, ownership.WRITABLE)
        local status, payload = support.run(op, body, {id = id})
        test:is(status, outcome.WRONG_BUCKET, 'its copy')
        test:is_deeply(msgpack.decode(payload), {}, 'knows no buckets any more')
        test:is(support.read('back'), ONE, 'and changes nothing')
        test:is(support.run(op, body), outcome.OK, 'under another id it is applied')
    end
end)

suite:case('a refusal is kept on record as long as a success', function(test)
    local bucket = support.bucket_of('kept')
    local body = support.write_body({{'kept', ONE}})
    for _, retain in ipairs({0, 600000}) do
        local options = {deadline = require('tarantkv.clock').now_ms() + 4000, retain = retain}
        options.id = support.new_id()
        support.run(support.WRITE, body, options)
        local applied = box.space.applied:get(options.id)
        ownership.change(bucket, ownership.NONE)
        options.id = support.new_id()
        support.run(support.WRITE, body, options)
        local refused = box.space.applied:get(options.id)
        ownership.change(bucket, ownership.WRITABLE)
        local longer = refused.retain_until - applied.retain_until
        test:ok(longer >= 0 and longer < 1000, 'retention ' .. retain)
    end
end)

suite:case('a refusal that could not be recorded is not reported', function(test)
    local visibility = require('tarantkv.visibility')
    local log_write = visibility.log_write
    local bucket, id = support.bucket_of('unlogged'), support.new_id()
    local body = support.write_body({{'unlogged', ONE}})
    ownership.change(bucket, ownership.NONE)
    visibility.log_write = function() box.error({code = box.error.WAL_IO}) end
    local other = support.chunk(support.WRITE, support.write_body({{'another', ONE}}))
    local answers = _G.tarantkv.apply({support.chunk(support.WRITE, body, {id = id}), other})
    visibility.log_write = log_write
    ownership.change(bucket, ownership.WRITABLE)
    test:is(answers[1][1], outcome.REFUSED, 'told as what it is')
    test:is(support.run(support.WRITE, body, {id = id}), outcome.OK, 'a copy is applied')
end)

suite:case('an applied chunk stays on record when its bucket has left', function(test)
    local bucket = support.bucket_of('gone')
    local id, body = support.new_id(), support.write_body({{'gone', ONE}})
    test:is(support.run(support.WRITE, body, {id = id}), outcome.OK, 'applied')
    ownership.change(bucket, ownership.NONE, 's2')
    test:is(support.run(support.WRITE, body, {id = id}), outcome.OK, 'its copy is told so')
    ownership.change(bucket, ownership.WRITABLE)
end)

suite:case('a refused chunk does not stop other chunks of its call', function(test)
    local bucket = support.bucket_of('foreign')
    ownership.change(bucket, ownership.NONE)
    local ids = {support.new_id(), support.new_id(), support.new_id()}
    local chunks = {}
    for i, key in ipairs({'before', 'foreign', 'behind'}) do
        chunks[i] = support.chunk(support.WRITE, support.write_body({{key, ONE}}), {id = ids[i]})
    end
    local answers = _G.tarantkv.apply(chunks)
    local told = {answers[1][1], answers[2][1], answers[3][1]}
    test:is_deeply(told, {outcome.OK, outcome.WRONG_BUCKET, outcome.OK}, 'told')
    test:is(box.space.applied:get(ids[2]).result, false, 'in a record of its own')
    test:is(support.read('before'), ONE, 'applied')
    ownership.change(bucket, ownership.WRITABLE)
end)

suite:case('a control operation checks its bucket in its own transaction', function(test)
    local visibility = require('tarantkv.visibility')
    local log_write = visibility.log_write
    visibility.log_write = function()
        ownership.change(77, ownership.READABLE, ownership.MOVING)
        visibility.log_write = log_write
        box.error({code = box.error.WAL_IO})
    end
    local answers = _G.tarantkv.apply({
        support.chunk(support.CLAIM, msgpack.encode({77, 'u', 'judged', 'd', 'cc', 1000})),
        support.chunk(support.WRITE, support.write_body({{'beside', ONE}})),
    })
    test:is(answers[1][1], outcome.WRONG_BUCKET, 'the bucket left during the first try')
    test:is(answers[2][1], outcome.OK, 'the others are not held up')
    ownership.change(77, ownership.WRITABLE)
end)

suite:case('the two records of an account are independent of each other', function(test)
    local function put(bucket, version, expected)
        local record = {'hash' .. version, {'read'}, false, version, 1}
        return support.control(support.USER_PUT, {bucket, 'twice', record, expected})
    end
    test:is(put(5, 1, 0), outcome.OK, 'under one bucket')
    test:is(put(6, 1, 0), outcome.OK, 'under the other')
    test:is(put(6, 2, 1), outcome.OK, 'changed there')
    local _, said = support.control(support.USER_GET, {5, 'twice', NULL})
    test:is(said[1][4], 1, 'and not here')
    _, said = support.control(support.USER_LIST, {'twic', 1})
    test:is_deeply({#said, said[1][1], said[1][2][4]}, {1, 'twice', 2}, 'the list has it once, and the newer one')
    support.control(support.REVOKE, {6, 'twice', 'token', 1e14})
    for bucket, is_revoked in pairs({[5] = false, [6] = true}) do
        _, said = support.control(support.USER_GET, {bucket, 'twice', 'token'})
        test:is(said[2], is_revoked, 'revoked under bucket ' .. bucket)
    end
end)

suite:case('claims that arrived from another shard count for their user', function(test)
    local claims = require('tarantkv.claims')
    claims.attach(box.space.claims, 2)
    box.space.claims:insert({claims.id_of('many', 'moved'), 9, 1e14, ('d'):rep(16), 'c'})
    claims.count_again()
    test:is(support.control(support.CLAIM, {8, 'many', 'own', 'd', 'cc', 1000}), outcome.OK, 'one more')
    test:is(support.control(support.CLAIM, {8, 'many', 'third', 'd', 'cc', 1000}), outcome.TOO_MANY, 'not two')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
