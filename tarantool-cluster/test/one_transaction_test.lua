--- Everything that a call changes is one transaction: one write to the log, however many claims it makes. Each chunk
-- still has an outcome of its own.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local outcome, visibility

local suite = support.suite('one transaction a call')

local ONE = msgpack.encode('one')

--- How many transactions are written to the log during a call, and how many of them fail at first.
local function commits(work, failing)
    local count = 0
    visibility.log_write = function()
        count = count + 1
        if count <= (failing or 0) then
            error('the disk is full')
        end
        box.commit()
    end
    work()
    visibility.log_write = box.commit
    return count
end

local function claim(key, digest, claim_id)
    return support.chunk(support.CLAIM, msgpack.encode({1, 'ann', key, digest, claim_id, 60000}))
end

local function finish(key, claim_id)
    return support.chunk(support.FINISH, msgpack.encode({1, 'ann', key, claim_id, 'done'}))
end

local function state(answer)
    assert(answer[1] == outcome.OK, answer[2])
    return msgpack.decode(answer[2])[1]
end

suite:case('many claims, finishes and writes of one call are one write to the log', function(test)
    local chunks, answers = {}, {}
    for i = 1, 20 do
        table.insert(chunks, claim('many' .. i, 'd', 'aa'))
        table.insert(chunks, support.chunk(support.WRITE, support.write_body({{'many' .. i, ONE}})))
    end
    test:is(commits(function() answers = _G.tarantkv.apply(chunks) end), 1, 'claims and writes')
    for i = 1, 20 do
        test:is(state(answers[2 * i - 1]), 'new', 'claim ' .. i)
        test:is(answers[2 * i][1], outcome.OK, 'write ' .. i)
    end
    local finishes = {}
    for i = 1, 20 do
        finishes[i] = finish('many' .. i, 'aa')
    end
    test:is(commits(function() _G.tarantkv.apply(finishes) end), 1, 'finishes')
    test:is(state(_G.tarantkv.apply({claim('many7', 'd', 'bb')})[1]), 'done', 'each is finished')
end)

suite:case('a call that changes nothing writes nothing to the log', function(test)
    _G.tarantkv.apply({claim('quiet', 'd', 'aa')})
    test:is(commits(function()
        _G.tarantkv.apply({
            claim('quiet', 'd', 'bb'), finish('quiet', 'bb'), support.chunk(support.DESCRIBE, '\x90'),
            support.chunk(support.USER_GET, msgpack.encode({1, 'ann', box.NULL})),
        })
    end), 0, 'repeats and look-ups')
end)

suite:case('each claim of a call has an outcome of its own', function(test)
    local answers = _G.tarantkv.apply({
        claim('own', 'd', 'aa'), claim('own', 'd', 'bb'), claim('own', 'other', 'cc'), claim('own', 'd', 'not an id'),
        support.chunk(support.CLAIM, msgpack.encode({40000, 'ann', 'own', 'd', 'dd', 60000})), finish('own', 'aa'),
        claim('own', 'd', 'ee'),
    })
    test:is(state(answers[1]), 'new', 'the first')
    test:is(state(answers[2]), 'pending', 'a repeat of it')
    test:is(state(answers[3]), 'conflict', 'another request')
    test:is(answers[4][1], outcome.MALFORMED, 'a damaged one')
    test:is(answers[5][1], outcome.WRONG_BUCKET, 'one of another shard')
    test:is(answers[6][1], outcome.OK, 'a finish')
    test:is(state(answers[7]), 'done', 'and a repeat after that')
end)

suite:case('if the log refuses the call, each chunk is tried alone', function(test)
    local answers
    local count = commits(function()
        answers = _G.tarantkv.apply({
            claim('alone1', 'd', 'aa'), support.chunk(support.WRITE, support.write_body({{'alone', ONE}})),
            claim('alone2', 'd', 'aa'),
        })
    end, 2)
    test:is(count, 4, 'all together, then each')
    test:is(answers[2][1], outcome.REFUSED, 'the second try of the log failed, too')
    test:is(state(answers[1]), 'new', 'the first claim')
    test:is(state(answers[3]), 'new', 'the second')
    test:is(support.read('alone'), false, 'what was refused is not there')
end)

support.start()
outcome, visibility = require('tarantkv.outcome'), require('tarantkv.visibility')
suite:run()
