--- The lease of a leader, with a clock and a commit of the test's own: a read is answered only while no other instance
-- can lead.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local fiber = require('fiber')
local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local lease = require('tarantkv.lease')
local outcome

local suite = support.suite('the lease of a leader')

local VALID_S = 0.4
local VALUE = msgpack.encode('value')

local now, commits, is_leader

--- The function that a commit of the lease calls; nil: the commit succeeds.
local commit

local function confirmed()
    local began = lease.now()
    commits = commits + 1
    if commit ~= nil and not commit() then
        return false
    end
    lease.confirm(began)
    return true
end

local function reset()
    now, commits, is_leader, commit = 1000, 0, true, nil
    lease.now = function() return now end
    lease.configure(VALID_S, confirmed, function() return is_leader end)
end

local function read(deadline_ms)
    local deadline = clock.now_ms() + (deadline_ms or 5000)
    return support.run(support.READ, support.keys_body({'key'}), {deadline = deadline})
end

suite:case('a read soon after the beginning of a commit needs no further commit', function(test)
    reset()
    lease.confirm(now)
    now = now + VALID_S - 0.01
    test:is(read(), outcome.OK, 'answered')
    test:is(commits, 0, 'without a commit')
end)

suite:case('after a long silence one commit serves all waiting reads', function(test)
    reset()
    lease.confirm(now)
    now = now + 2 * VALID_S
    local gate, answered = fiber.channel(1), {}
    commit = function() return gate:get(10) end
    for i = 1, 5 do
        fiber.new(function() answered[i] = read() end)
    end
    fiber.sleep(0.02)
    test:is(#answered, 0, 'none is answered before it is confirmed')
    gate:put(true)
    test:ok(support.wait_for(function() return #answered == 5 end), 'all are answered then')
    test:is(commits, 1, 'after one commit')
    test:is(answered[5], outcome.OK, 'with the value')
end)

suite:case('a frozen leader that was replaced answers no read', function(test)
    reset()
    lease.confirm(now)
    now = now + 60
    commit = function() return false end
    test:is(read(), outcome.READ_ONLY, 'another instance is to be asked')
    test:is(commits, 1, 'as its own commit fails')
    local gate = fiber.channel(1)
    commit = function()
        is_leader = false
        return gate:get(10)
    end
    test:is(read(), outcome.READ_ONLY, 'also where it learns of it before its commit ends')
    gate:put(false)
end)

suite:case('a long commit that began before the read proves nothing', function(test)
    reset()
    local gate, answers = fiber.channel(2), {}
    commit = function() return gate:get(10) end
    fiber.new(function() answers[1] = read() end)
    fiber.sleep(0.01)
    now = now + 2 * VALID_S
    fiber.new(function() answers[2] = read() end)
    fiber.sleep(0.01)
    gate:put(true)
    test:ok(support.wait_for(function() return answers[1] ~= nil end), 'the read before it is answered')
    test:isnil(answers[2], 'the one after it is not')
    gate:put(true)
    test:ok(support.wait_for(function() return answers[2] ~= nil end), 'but after another commit')
    test:is(commits, 2, 'which is its own')
end)

suite:case('a leader without a quorum answers nothing, and no read for longer than its deadline', function(test)
    reset()
    local gate = fiber.channel(1)
    commit = function() return gate:get(10) end
    test:is(read(100), outcome.EXPIRED, 'a read is late')
    gate:put(false)
end)

suite:case('a refusal because of stored data needs the lease, too', function(test)
    reset()
    commit = function() return false end
    local late = {deadline = clock.now_ms() - 1}
    test:is(support.write('key', VALUE, late), outcome.READ_ONLY, 'a late write may have been applied elsewhere')
    test:is(support.control(support.USER_GET, {1, 'nobody', box.NULL}), outcome.READ_ONLY, 'an account may be there')
end)

suite:case('a chunk on record needs no lease', function(test)
    reset()
    local id = support.new_id()
    test:is(support.write('key', VALUE, {id = id}), outcome.OK, 'a write')
    now = now + 60
    commit = function() return false end
    test:is(support.write('key', VALUE, {id = id}), outcome.OK, 'is told again')
end)

suite:case('a shard of one instance needs no lease', function(test)
    reset()
    lease.configure(nil)
    now = now + 60
    test:is(read(), outcome.OK, 'answered')
    test:is(commits, 0, 'without a commit')
end)

support.start()
outcome = require('tarantkv.outcome')
support.write('key', VALUE)
suite:run()
