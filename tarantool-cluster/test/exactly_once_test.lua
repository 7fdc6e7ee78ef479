--- A chunk is applied once or not at all, and never after its deadline.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local outcome

local suite = support.suite('exactly once')

local ONE, TWO = msgpack.encode('one'), msgpack.encode('two')

local function applications_of(id)
    local counted = box.space.applications:get(id)
    return counted and counted.count or 0
end

suite:case('the same chunk again changes nothing and gets the same outcome', function(test)
    local id = support.new_id()
    test:is(support.write('again', ONE, {id = id}), outcome.OK, 'the first time')
    support.write('again', TWO)
    test:is(support.write('again', ONE, {id = id}), outcome.OK, 'the second time')
    test:is(support.read('again'), TWO, 'what was written in between stays')
    test:is(applications_of(id), 1, 'applied once')
end)

suite:case('a delete answers the same number again', function(test)
    support.write('d1', ONE)
    support.write('d2', ONE)
    local id = support.new_id()
    for time = 1, 3 do
        local status, deleted = support.run(support.DELETE, support.keys_body({'d1', 'd2', 'd3'}), {id = id})
        test:is(status, outcome.OK, 'time ' .. time)
        test:is(deleted, 2, 'counts the keys that were there')
        support.write('d1', ONE)
    end
    test:is(support.read('d1'), ONE, 'a repeat deletes nothing')
    test:is(applications_of(id), 1, 'applied once')
end)

suite:case('the same chunk twice in one call is applied once', function(test)
    support.write('twice', ONE)
    local id = support.new_id()
    local chunk = support.chunk(support.DELETE, support.keys_body({'twice'}), {id = id})
    local answers = _G.tarantkv.apply({chunk, chunk, chunk})
    for i = 1, 3 do
        test:is(answers[i][1], outcome.OK, 'outcome ' .. i)
        test:is(answers[i][2], 1, 'payload ' .. i)
    end
    test:is(applications_of(id), 1, 'applied once')
end)

suite:case('the same chunk in concurrent calls is applied once', function(test)
    local id = support.new_id()
    local ok, fibers = 0, {}
    for i = 1, 20 do
        fibers[i] = fiber.new(function()
            local status = support.write('concurrent', ONE, {id = id})
            ok = ok + (status == outcome.OK and 1 or 0)
        end)
        fibers[i]:set_joinable(true)
    end
    for _, each in ipairs(fibers) do
        each:join()
    end
    test:is(ok, 20, 'all get the outcome')
    test:is(applications_of(id), 1, 'applied once')
end)

suite:case('a chunk is found on record after its deadline, too', function(test)
    local id = support.new_id()
    support.write('late', ONE, {id = id})
    test:is(support.write('late', ONE, {id = id, deadline = clock.now_ms() - 1000}), outcome.OK, 'recorded outcome')
end)

suite:case('nothing is applied after its deadline', function(test)
    for name, deadline in pairs({['long past'] = 1000, ['just past'] = clock.now_ms() - 1, now = clock.now_ms()}) do
        test:is(support.write('expired', ONE, {deadline = deadline}), outcome.EXPIRED, 'a write, ' .. name)
        test:is(support.run(support.DELETE, support.keys_body({'again'}), {deadline = deadline}), outcome.EXPIRED,
            'a delete, ' .. name)
        test:is(support.run(support.READ, support.keys_body({'again'}), {deadline = deadline}), outcome.EXPIRED,
            'a read, ' .. name)
        test:is(support.control(support.CLAIM, {1, 'u', 'expired', 'd', 'cc', 1000}, {deadline = deadline}),
            outcome.EXPIRED, 'a claim, ' .. name)
    end
    test:is(support.read('expired'), false, 'nothing was written')
    test:is(support.read('again'), TWO, 'nothing was deleted')
    test:is(box.space.claims:len(), 0, 'nothing was claimed')
end)

suite:case('a chunk that failed leaves no record and can be sent again', function(test)
    local id = support.new_id()
    test:is(support.write('failed', '\xc1', {id = id}), outcome.MALFORMED, 'fails')
    test:is(box.space.applied:get(id), nil, 'no record')
    test:is(support.write('failed', ONE, {id = id}), outcome.OK, 'and can be tried again')
end)

suite:case('a record is kept until the deadline plus skew, or the wanted retention', function(test)
    local now = clock.now_ms()
    local short, long, endless = support.new_id(), support.new_id(), support.new_id()
    support.write('r', ONE, {id = short, deadline = now + 5000})
    support.write('r', ONE, {id = long, deadline = now + 5000, retain = 600000})
    support.write('r', ONE, {id = endless, deadline = now + 5000, retain = 9007199254740991})
    local day = 24 * 60 * 60 * 1000
    local function kept(id) return box.space.applied:get(id).retain_until end
    test:is(kept(short), now + 35000, 'deadline plus 30 s of skew')
    local skews = 4 * 30000
    test:ok(kept(long) >= now + 600000 + skews and kept(long) < now + 610000 + skews, 'ten minutes and the skews')
    test:ok(kept(endless) <= clock.now_ms() + 3 * day + skews and kept(endless) >= now + 3 * day, 'three days at most')
end)

suite:case('ids may be any bytes', function(test)
    for _, id in ipairs({('\x00'):rep(16), ('\xff'):rep(16), 'a\x00b\x00\xc1\xff0123456789'}) do
        test:is(support.write('bytes', ONE, {id = id}), outcome.OK, 'taken')
        test:is(box.space.applied:get(id).id, id, 'recorded')
        test:is(support.write('bytes', TWO, {id = id}), outcome.OK, 'found')
        test:is(support.read('bytes'), ONE, 'not applied again')
    end
end)

suite:case('bytes sent as MessagePack bin are the same bytes', function(test)
    local has_varbinary, varbinary = pcall(require, 'varbinary')
    local as_bin = has_varbinary and varbinary.new or function(text) return text end
    local id = support.new_id()
    local chunk = support.chunk(support.WRITE, as_bin(support.write_body({{'bin', ONE}})), {id = as_bin(id)})
    test:is(_G.tarantkv.apply({chunk})[1][1], outcome.OK, 'written')
    test:is(support.write('bin', TWO, {id = id}), outcome.OK, 'found under the same id')
    test:is(support.read('bin'), ONE, 'applied once')
end)

suite:case('reads of a call come before its writes', function(test)
    local answers = _G.tarantkv.apply({
        support.chunk(support.WRITE, support.write_body({{'order', ONE}})),
        support.chunk(support.READ, support.keys_body({'order'})),
    })
    test:is(answers[1][1], outcome.OK, 'the write is applied')
    test:is(support.values(answers[2][2])[1], false, 'the read saw the time before it')
end)

suite:case('many chunks in one call each get their own outcome, in order', function(test)
    local chunks = {}
    for i = 1, 60 do
        local key = 'many' .. i
        if i % 3 == 0 then
            chunks[i] = support.chunk(support.READ, support.keys_body({'order'}))
        elseif i % 3 == 1 then
            chunks[i] = support.chunk(support.WRITE, support.write_body({{key, ONE}}))
        else
            chunks[i] = support.chunk(support.DELETE, support.keys_body({'order' .. i, 'other'}))
        end
    end
    chunks[61] = support.chunk(support.DESCRIBE, '\x90')
    chunks[62] = {}
    local answers = _G.tarantkv.apply(chunks)
    local right = 0
    for i = 1, 60 do
        local kind = type(answers[i][2])
        local is_right = answers[i][1] == outcome.OK and kind == ({'cdata', 'number', 'string'})[(i - 1) % 3 + 1]
        right = right + (is_right and 1 or 0)
    end
    test:is(right, 60, 'reads, writes and deletes')
    test:is(msgpack.decode(answers[61][2]).shard, 's1', 'a control operation')
    test:is(answers[62][1], outcome.MALFORMED, 'a damaged chunk')
    test:is(#answers, 62, 'nothing else')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
