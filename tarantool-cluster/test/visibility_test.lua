--- A read never returns a change that the log may still refuse. The tests replace the log write by one that waits, so
-- that the time between a change's visibility and its storage lasts as long as a test needs.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local outcome, visibility

local suite = support.suite('visibility')

local OLD, NEW = msgpack.encode('old'), msgpack.encode('new')

--- The log writes that have not ended, in order: what they wait for and which chunks their transactions recorded.
local held = {}

--- The stored value of the tests' key.
local stored

--- Imitates a slow log write: the changes are visible at once, and the commit ends when the test says so.
local function slow_log_write()
    local known = {}
    for _, write in ipairs(held) do
        for id in pairs(write.ids) do
            known[id] = true
        end
    end
    local write = {gate = fiber.channel(1), ids = {}}
    for _, record in box.space.applied:pairs() do
        write.ids[record.id] = not known[record.id] or nil
    end
    table.insert(held, write)
    box.commit()
    if not write.gate:get() then
        error('the log write failed')
    end
end

local function succeed(number)
    held[number].gate:put(true)
end

--- Undo the changes of a transaction, as memtx does before it reports a failed log write to the waiting fibers.
local function take_back(number)
    box.begin()
    if stored ~= nil then
        box.space.kv:replace({'key', support.bucket_of('key'), (msgpack.decode(stored))})
    else
        box.space.kv:delete('key')
    end
    for id in pairs(held[number].ids) do
        box.space.applied:delete(id)
        box.space.applications:delete(id)
    end
    box.space.claims:delete(require('tarantkv.claims').id_of('user', 'key'))
    box.commit()
end

local function fail(number)
    take_back(number)
    held[number].gate:put(false)
end

local function in_background(work)
    local result = {}
    local runner = fiber.new(function()
        result.value = {work()}
        result.done = true
    end)
    runner:set_joinable(true)
    fiber.yield()
    return result
end

local function reset(value)
    visibility.log_write = box.commit
    held, stored = {}, value
    box.space.applied:truncate()
    if value ~= nil then
        support.write('key', value)
    else
        box.space.kv:delete('key')
    end
    visibility.log_write = slow_log_write
end

local function wait_held(count)
    return support.wait_for(function() return #held == count end)
end

suite:case('a read waits for the write that it saw', function(test)
    reset(OLD)
    local write = in_background(function() return support.write('key', NEW) end)
    wait_held(1)
    local read = in_background(function() return support.read('key') end)
    fiber.sleep(0.05)
    test:ok(not read.done, 'no answer before the log has the write')
    succeed(1)
    test:ok(support.wait_for(function() return read.done and write.done end), 'both are answered then')
    test:is(write.value[1], outcome.OK, 'the write is stored')
    test:is(read.value[1], NEW, 'the read tells it')
end)

suite:case('a read that saw a failed write is repeated', function(test)
    reset(OLD)
    local write = in_background(function() return support.write('key', NEW) end)
    wait_held(1)
    local read = in_background(function() return support.read('key') end)
    fail(1)
    test:ok(support.wait_for(function() return read.done and write.done end), 'both are answered')
    test:is(write.value[1], outcome.REFUSED, 'the write is refused')
    test:is(read.value[1], OLD, 'the read answers what is stored')
end)

suite:case('a read stops waiting at its deadline', function(test)
    reset(OLD)
    local write = in_background(function() return support.write('key', NEW) end)
    wait_held(1)
    local read = in_background(function()
        return support.run(support.READ, support.keys_body({'key'}), {deadline = clock.now_ms() + 100})
    end)
    test:ok(support.wait_for(function() return read.done end, 2), 'it is answered while the log still waits')
    test:is(read.value[1], outcome.EXPIRED, 'as expired')
    succeed(1)
    support.wait_for(function() return write.done end)
    test:is(write.value[1], outcome.OK, 'the write is stored later')
end)

suite:case('a repeat of a chunk waits for the first one', function(test)
    reset(OLD)
    local id = support.new_id()
    local first = in_background(function() return support.write('key', NEW, {id = id}) end)
    wait_held(1)
    local second = in_background(function()
        return support.write('key', NEW, {id = id, deadline = clock.now_ms() + 50})
    end)
    fiber.sleep(0.15)
    test:ok(not second.done, 'no outcome before there is one, even past the deadline')
    succeed(1)
    test:ok(support.wait_for(function() return first.done and second.done end), 'both are answered then')
    test:is(first.value[1], outcome.OK, 'the first')
    test:is(second.value[1], outcome.OK, 'the second')
end)

suite:case('a repeat applies the chunk when the first one failed', function(test)
    reset(OLD)
    local id = support.new_id()
    local first = in_background(function() return support.write('key', NEW, {id = id}) end)
    wait_held(1)
    local second = in_background(function() return support.write('key', NEW, {id = id}) end)
    fail(1)
    test:ok(wait_held(2), 'the second tries for itself')
    succeed(2)
    test:ok(support.wait_for(function() return first.done and second.done end), 'both are answered')
    test:is(first.value[1], outcome.REFUSED, 'the first is refused')
    test:is(second.value[1], outcome.OK, 'the second is stored')
    test:is(box.space.kv:get('key')[3], 'new', 'and there')
end)

suite:case('chunks that failed together are looked up again before each is tried alone', function(test)
    reset()
    local id = support.new_id()
    local both = in_background(function()
        return _G.tarantkv.apply({
            support.chunk(support.WRITE, support.write_body({{'key', NEW}}), {id = id}),
            support.chunk(support.WRITE, support.write_body({{'other', NEW}})),
        })
    end)
    wait_held(1)
    take_back(1)
    visibility.log_write = box.commit
    test:is(support.write('key', NEW, {id = id}), outcome.OK, 'somebody else applies the first')
    held[1].gate:put(false)
    test:ok(support.wait_for(function() return both.done end), 'the call is answered')
    test:is(both.value[1][1][1], outcome.OK, 'the first is found on record')
    test:is(both.value[1][2][1], outcome.OK, 'the second is applied alone')
    test:is(box.space.applications:get(id).count, 1, 'the first was applied once')
end)

suite:case('the commit of a call also confirms its reads', function(test)
    reset(OLD)
    local first = in_background(function() return support.write('key', NEW) end)
    wait_held(1)
    local call = in_background(function()
        return _G.tarantkv.apply({
            support.chunk(support.READ, support.keys_body({'key'})),
            support.chunk(support.WRITE, support.write_body({{'other', NEW}})),
        })
    end)
    wait_held(2)
    succeed(1)
    succeed(2)
    test:ok(support.wait_for(function() return first.done and call.done end), 'both are answered')
    test:is(support.values(call.value[1][1][2])[1], NEW, 'the read tells the stored value')
end)

suite:case('a claim that may still be rolled back is not reported', function(test)
    reset()
    local function claim(claim_id)
        return support.control(support.CLAIM, {1, 'user', 'key', 'digest', claim_id, 60000})
    end
    local first = in_background(function() return claim('f1') end)
    wait_held(1)
    local second = in_background(function() return claim('5e') end)
    fiber.sleep(0.05)
    test:ok(not second.done, 'the second waits')
    fail(1)
    test:ok(wait_held(2), 'and claims for itself when the first one failed')
    succeed(2)
    test:ok(support.wait_for(function() return first.done and second.done end), 'both are answered')
    test:is(first.value[1], outcome.REFUSED, 'the first is refused')
    test:is(second.value[2][1], 'new', 'the second has it')
end)

support.start()
outcome, visibility = require('tarantkv.outcome'), require('tarantkv.visibility')
suite:run()
