--- When memory is full, chunks that need more are refused as a whole, and everything else works.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local outcome

local suite = support.suite('full memory')

local ONE = msgpack.encode('one')

local function applied_twice()
    local count = 0
    for _, counted in box.space.applications:pairs() do
        count = count + (counted.count > 1 and 1 or 0)
    end
    return count
end

suite:case('chunks that need more fail as a whole, and the others succeed', function(test)
    local function filling(i)
        return support.write_body({
            {('fill%d.1'):format(i), msgpack.encode(('a'):rep(100))},
            {('fill%d.2'):format(i), msgpack.encode(('b'):rep(200000))},
        })
    end
    local count, status, message = 0
    repeat
        count = count + 1
        status, message = support.run(support.WRITE, filling(count))
    until status ~= outcome.OK or count > 1000
    test:is(status, outcome.NO_MEMORY, 'in the end there is no memory')
    test:is(type(message), 'string', 'and a message')
    test:is(support.read(('fill%d.1'):format(count)), false, 'nothing of the refused chunk is there')
    test:isnt(support.read(('fill%d.2'):format(count - 1)), false, 'the chunk before it is whole')

    local answers = _G.tarantkv.apply({
        support.chunk(support.WRITE, filling(count)),
        support.chunk(support.WRITE, support.write_body({{'small', ONE}})),
        support.chunk(support.READ, support.keys_body({'small'})),
    })
    test:is(answers[1][1], outcome.NO_MEMORY, 'again')
    test:is(answers[2][1], outcome.OK, 'a small one next to it still fits')
    test:is(answers[3][1], outcome.OK, 'reads go on')
    local keys = {}
    for i = 1, count - 1 do
        keys[i] = ('fill%d.2'):format(i)
    end
    local freed, deleted = support.run(support.DELETE, support.keys_body(keys))
    test:is(freed, outcome.OK, 'deleting is possible')
    test:is(deleted, count - 1, 'and deletes')
    test:ok(support.wait_for(function()
        return support.run(support.WRITE, filling(count)) == outcome.OK
    end), 'and makes room')
    test:is(applied_twice(), 0, 'nothing was applied twice')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
