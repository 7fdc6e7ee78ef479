--- A chunk that the database refuses fails alone, says why, and leaves nothing behind.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local outcome

local suite = support.suite('refusals')

local ONE = msgpack.encode('one')
local MEBIBYTE = 1024 * 1024

local function applied_twice()
    local count = 0
    for _, counted in box.space.applications:pairs() do
        count = count + (counted.count > 1 and 1 or 0)
    end
    return count
end

suite:case('one bad chunk fails alone', function(test)
    local huge = msgpack.encode(('x'):rep(MEBIBYTE + 1))
    local chunks = {
        support.chunk(support.WRITE, support.write_body({{'g1', ONE}})),
        support.chunk(support.WRITE, support.write_body({{'b1', ONE}, {'b2', huge}, {'b3', ONE}})),
        support.chunk(support.WRITE, support.write_body({{'b4', '\xc1'}})),
        support.chunk(support.WRITE, support.write_body({{'g2', ONE}})),
        support.chunk(support.WRITE, support.write_body({{'b5', ONE, 29999}})),
        support.chunk(support.DELETE, support.keys_body({'g1'})),
        support.chunk(support.READ, support.keys_body({'g1'})),
    }
    local answers = _G.tarantkv.apply(chunks)
    local wanted = {
        outcome.OK, outcome.TOO_LARGE, outcome.MALFORMED, outcome.OK, outcome.OK, outcome.OK, outcome.OK,
    }
    for i, status in ipairs(wanted) do
        test:is(answers[i][1], status, 'chunk ' .. i)
    end
    test:is(type(answers[2][2]), 'string', 'the refused one says why')
    for _, key in ipairs({'b1', 'b2', 'b3', 'b4'}) do
        test:is(support.read(key), false, key .. ' of a refused chunk is not there')
    end
    test:is(support.read('g2'), ONE, 'the others are applied')
    test:is(applied_twice(), 0, 'none twice')
    test:is(box.space.applied:get(chunks[2][1]), nil, 'the refused one has no record')
end)

suite:case('a chunk with a bucket of another shard is refused as a whole', function(test)
    require('tarantkv.ownership').assign(30000, {{1, 100}, {200, 300}})
    local function write_to(...)
        local entries = {}
        for i, bucket in ipairs({...}) do
            entries[i] = support.write_entry('foreign' .. i, ONE, bucket)
        end
        return support.run(support.WRITE, support.body(entries))
    end
    for _, bucket in ipairs({0, 101, 150, 199, 301, 30000, 30001, 65536, 4294967295}) do
        test:is(write_to(1, bucket, 2), outcome.WRONG_BUCKET, 'bucket ' .. bucket)
        local keys = support.keys_body({'k'}, {bucket})
        test:is(support.run(support.READ, keys), outcome.WRONG_BUCKET, 'a read')
        test:is(support.run(support.DELETE, keys), outcome.WRONG_BUCKET, 'a delete')
        test:is(support.control(support.CLAIM, {bucket, 'u', 'k', 'd', 'cc', 1}), outcome.WRONG_BUCKET, 'a claim')
    end
    test:is(box.space.kv:get('foreign1'), nil, 'nothing of it was stored')
    test:is(write_to(1, 100, 200, 300), outcome.OK, 'the edges of the ranges are owned')
    test:is(box.space.kv:get('foreign4').bucket_id, 300, 'and the bucket is stored')
    require('tarantkv.ownership').assign(30000, {{1, 30000}})
end)

suite:case('a read-only instance refuses changes and answers reads', function(test)
    support.write('ro', ONE)
    box.cfg({read_only = true})
    for _, case in ipairs({
        {support.WRITE, support.write_body({{'ro', '\x01'}})}, {support.DELETE, support.keys_body({'ro'})},
        {support.CLAIM, msgpack.encode({1, 'u', 'k', 'd', 'cc', 1000})},
        {support.REVOKE, msgpack.encode({1, 'u', 'j', 5})},
        {support.USER_PUT, msgpack.encode({1, 'u', {'h', {'read'}, false, 1, 0}, 0})},
    }) do
        local status, message = support.run(case[1], case[2])
        test:is(status, outcome.READ_ONLY, 'operation ' .. case[1])
        test:is(type(message), 'string', 'with a message')
    end
    local answers = _G.tarantkv.apply({
        support.chunk(support.WRITE, support.write_body({{'ro', '\x01'}})),
        support.chunk(support.WRITE, support.write_body({{'ro', '\x02'}})),
        support.chunk(support.READ, support.keys_body({'ro'})),
    })
    test:is(answers[1][1], outcome.READ_ONLY, 'the first of two writes')
    test:is(answers[2][1], outcome.READ_ONLY, 'the second')
    test:is(support.values(answers[3][2])[1], ONE, 'a read')
    test:is(_G.tarantkv.describe().ro, true, 'describe says it')
    box.cfg({read_only = false})
    test:is(_G.tarantkv.describe().ro, false, 'and that it is over')
    test:is(support.write('ro', '\x01'), outcome.OK, 'writes are taken again')
end)

suite:case('a replica answers no call, not even reads', function(test)
    local leader = require('tarantkv.leader')
    leader.configure(2)
    test:is(support.write('replica', ONE), outcome.OK, 'the leader takes writes')
    local user = msgpack.encode({1, 'u', box.NULL})
    local scan = msgpack.encode({box.NULL, true, box.NULL, false, false, 10, true, 1000, 1, 30000})
    local id = support.new_id()
    support.write('replica', ONE, {id = id})
    box.cfg({read_only = true})
    for _, case in ipairs({
        {support.READ, support.keys_body({'replica'})}, {support.READ_TUPLES, support.keys_body({'replica'})},
        {9, scan}, {support.USER_GET, user}, {support.DESCRIBE, msgpack.encode({})},
        {support.WRITE, support.write_body({{'replica', '\x01'}})},
        {support.WRITE, support.write_body({{'replica', ONE}}), {id = id}},
    }) do
        local status, message = support.run(case[1], case[2], case[3])
        test:is(status, outcome.READ_ONLY, 'operation ' .. case[1])
        test:is(message, leader.NO_LEADER, 'with a message')
    end
    box.cfg({read_only = false})
    test:is(support.read('replica'), ONE, 'once it leads it answers')
    leader.configure(1)
end)

suite:case('the largest tuple that fits is stored, and a larger one is refused', function(test)
    local function fits(size)
        local status = support.write('size', '\xc6' .. string.char(
            math.floor(size / 16777216), math.floor(size / 65536) % 256, math.floor(size / 256) % 256, size % 256)
            .. ('x'):rep(size))
        assert(status == outcome.OK or status == outcome.TOO_LARGE, status)
        return status == outcome.OK
    end
    local low, high = 1000000, MEBIBYTE
    test:ok(fits(low), 'a million bytes')
    test:ok(not fits(high), 'a mebibyte, with its key around it')
    while high - low > 1 do
        local middle = math.floor((low + high) / 2)
        if fits(middle) then
            low = middle
        else
            high = middle
        end
    end
    test:ok(low > MEBIBYTE - 200, 'the limit is a mebibyte of tuple')
end)

suite:case('chunks are tried one by one after a log error, but not after a lost leadership or quorum', function(test)
    local visibility = require('tarantkv.visibility')
    local log_write = visibility.log_write
    local tries = 0
    local function failing_with(code)
        visibility.log_write = function()
            tries = tries + 1
            box.error({code = code, reason = 'as told'})
        end
    end
    local function two_writes()
        tries = 0
        local answers = _G.tarantkv.apply({
            support.chunk(support.WRITE, support.write_body({{'l1', ONE}})),
            support.chunk(support.WRITE, support.write_body({{'l2', ONE}})),
        })
        return {answers[1][1], answers[2][1], tries}
    end
    failing_with(box.error.SYNC_ROLLBACK)
    test:is_deeply(two_writes(), {outcome.READ_ONLY, outcome.READ_ONLY, 1}, 'taken back: another leader is to be asked')
    failing_with(box.error.SYNC_QUORUM_TIMEOUT)
    test:is_deeply(two_writes(), {outcome.UNKNOWN, outcome.UNKNOWN, 1}, 'not confirmed: unknown, and not tried again')
    failing_with(box.error.WAL_IO)
    test:is_deeply(two_writes(), {outcome.REFUSED, outcome.REFUSED, 3}, 'any other: each is tried alone')
    visibility.log_write = log_write
end)

support.start({}, {memtx_memory = 256 * MEBIBYTE})
outcome = require('tarantkv.outcome')
suite:run()
