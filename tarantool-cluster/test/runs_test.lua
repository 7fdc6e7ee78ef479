--- One record stands for a run of chunks with consecutive ids, and no other chunk is mistaken for one of them.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local outcome

local suite = support.suite('runs of ids')

local ONE, TWO = msgpack.encode('one'), msgpack.encode('two')
local sequences = 0

--- A function of the ids of a sequence of its own: `id(n)` follows `id(n - 1)`.
local function sequence(last_word)
    sequences = sequences + 1
    local name = ('%012d'):format(sequences)
    return function(n)
        local word = ((last_word or 0) + n) % 4294967296
        return name .. string.char(
            math.floor(word / 16777216), math.floor(word / 65536) % 256, math.floor(word / 256) % 256, word % 256)
    end
end

local function write(key, id, options)
    local all = {id = id}
    for name, value in pairs(options or {}) do
        all[name] = value
    end
    return support.chunk(support.WRITE, support.write_body({{key, ONE}}), all)
end

--- Run writes of these ids in one call; returns how many succeeded.
local function run(ids)
    local chunks = {}
    for i, id in ipairs(ids) do
        chunks[i] = write('k', id)
    end
    local well = 0
    for _, answer in ipairs(_G.tarantkv.apply(chunks)) do
        well = well + (answer[1] == outcome.OK and 1 or 0)
    end
    return well
end

local function applications_of(id)
    local counted = box.space.applications:get(id)
    return counted and counted.count or 0
end

local function records()
    return box.space.applied:len()
end

local function ids_of(id, first, last)
    local ids = {}
    for n = first, last do
        table.insert(ids, id(n))
    end
    return ids
end

suite:case('a run has one record, and each of its chunks is on it', function(test)
    local id, before = sequence(), records()
    test:is(run(ids_of(id, 1, 50)), 50, 'applied')
    test:is(records(), before + 1, 'one record')
    for _, n in ipairs({1, 2, 25, 49, 50}) do
        support.write('k', TWO)
        test:is(support.write('k', ONE, {id = id(n)}), outcome.OK, n .. ' again, alone')
        test:is(support.read('k'), TWO, 'changes nothing')
        test:is(applications_of(id(n)), 1, 'applied once')
    end
end)

suite:case('chunks before and after a run are not on its record', function(test)
    local id = sequence()
    run(ids_of(id, 10, 20))
    for _, n in ipairs({9, 21, 8, 22}) do
        test:is(applications_of(id(n)), 0, n .. ' is not applied yet')
        test:is(run({id(n)}), 1, 'taken')
        test:is(applications_of(id(n)), 1, 'applied')
    end
end)

suite:case('a gap in the ids ends a run', function(test)
    local id, before = sequence(), records()
    run({id(1), id(2), id(4), id(5), id(7)})
    test:is(records(), before + 3, 'three runs')
    test:is(run({id(3), id(6)}), 2, 'the gaps are taken')
    test:is(applications_of(id(3)) + applications_of(id(6)), 2, 'and applied')
end)

suite:case('if a part of a run is on record, the rest is applied', function(test)
    local id = sequence()
    run({id(3), id(4)})
    run({id(7)})
    test:is(run(ids_of(id, 1, 9)), 9, 'all have their outcome')
    local once = 0
    for n = 1, 9 do
        once = once + (applications_of(id(n)) == 1 and 1 or 0)
    end
    test:is(once, 9, 'each applied once')
end)

suite:case('ids of other sequences do not follow', function(test)
    local one, other = sequence(), sequence()
    run(ids_of(one, 4294967290, 4294967295))
    test:is(run({other(0), other(1)}), 2, 'the next sequence begins')
    test:is(applications_of(other(0)), 1, 'and is applied')
end)

suite:case('a run ends where the last 32 bits of the id are used up', function(test)
    local id, before = sequence(4294967294), records()
    run({id(0), id(1), id(2)})
    test:is(records(), before + 2, 'two records')
    for n = 0, 2 do
        run({id(n)})
        test:is(applications_of(id(n)), 1, n .. ' applied once')
    end
end)

suite:case('a delete has a record of its own with its count, in the middle of a run too', function(test)
    local id = sequence()
    support.write('d', ONE)
    local delete = support.chunk(support.DELETE, support.keys_body({'d', 'none'}), {id = id(2)})
    for time = 1, 2 do
        local answers = _G.tarantkv.apply({write('k', id(1)), delete, write('k', id(3))})
        test:is(answers[2][2], 1, 'deleted, time ' .. time)
        test:is(answers[3][1], outcome.OK, 'what follows, time ' .. time)
        support.write('d', ONE)
    end
    test:is(support.read('d'), ONE, 'deleted once')
end)

suite:case('a run is kept as long as its chunk with the longest retention', function(test)
    local id, now = sequence(), clock.now_ms()
    _G.tarantkv.apply({
        write('k', id(1), {deadline = now + 5000}), write('k', id(2), {deadline = now + 9000}),
        write('k', id(3), {deadline = now + 5000, retain = 100000}),
    })
    local kept = box.space.applied:select(id(2), {iterator = 'LE', limit = 1})[1]
    test:ok(kept.retain_until >= now + 100000, 'the longest retention')
    test:is(#kept.id, 20, 'of a run')
end)

suite:case('one bad chunk of a run fails alone, and the others stay applied once', function(test)
    local id = sequence()
    local chunks = {write('k', id(1)), write('', id(2)), write('k', id(3))}
    for _ = 1, 2 do
        local answers = _G.tarantkv.apply(chunks)
        test:is(answers[1][1], outcome.OK, 'before it')
        test:is(answers[2][1], outcome.MALFORMED, 'the bad one')
        test:is(answers[3][1], outcome.OK, 'behind it')
    end
    test:is(applications_of(id(1)) + applications_of(id(3)), 2, 'each applied once')
    test:is(applications_of(id(2)), 0, 'the bad one never')
end)

suite:case('a chunk is applied once, with whichever other chunks it is sent again', function(test)
    local seed = os.time()
    math.randomseed(seed)
    local id, sent = sequence(), {}
    local size = 60
    for _ = 1, 400 do
        local ids, taken = {}, {}
        local n = math.random(size)
        for _ = 1, math.random(12) do
            -- Mostly the next one, sometimes another.
            n = math.random(6) == 1 and math.random(size) or n % size + 1
            if not taken[n] then
                taken[n], sent[n] = true, true
                table.insert(ids, id(n))
            end
        end
        test:is(run(ids), #ids, 'seed ' .. seed)
    end
    local once, asked = 0, 0
    for n in pairs(sent) do
        asked = asked + 1
        once = once + (applications_of(id(n)) == 1 and 1 or 0)
    end
    test:is(once, asked, 'each applied once, seed ' .. seed)
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
