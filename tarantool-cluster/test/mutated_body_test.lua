--- Damaged bodies are refused, change nothing, and the instance lives. Valid bodies are mutated by the thousands, with
-- fixed seeds, and every verdict is compared with that of a second, slow reading of the format (`slow_reading`).

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local slow_reading = require('slow_reading')
local support = require('support')

local MUTATIONS = 20000
local outcome

local suite = support.suite('mutated bodies')

local VALUES = {
    1, 1.5, true, {}, {1, 2, {3, {4}}}, {a = 1, b = {c = 'd'}}, ('x'):rep(40), -3, 'z', {[1] = 'q', [7] = 'r'},
    box.NULL,
}

--- Expiries in the future; most keys have none.
local EXPIRIES = {0, 60000, 5000000000, -4102444800000}

local function valid_body(is_write)
    local keys, buckets, entries = {}, {}, {}
    for i = 1, math.random(1, 6) do
        keys[i] = ('k%d'):format(math.random(1, 40)):rep(math.random(1, 12))
        buckets[i] = math.random(1, 15000)
        local expiry = EXPIRIES[math.random(1, 12)]
        entries[i] = support.write_entry(keys[i], msgpack.encode(VALUES[math.random(1, 11)]), buckets[i], expiry)
    end
    return is_write and support.body(entries) or support.keys_body(keys, buckets)
end

local function mutated(text)
    for _ = 1, math.random(1, 3) do
        local at = math.random(1, #text)
        local kind = math.random(1, 5)
        if kind == 1 then
            text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
        elseif kind == 2 then
            text = text:sub(1, at - 1) .. text:sub(at + 1)
        elseif kind == 3 then
            text = text:sub(1, at) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
        elseif kind == 4 then
            text = text:sub(1, at)
        else
            local byte = string.char(({0, 0xff, 0xdd, 0xdf, 0xc1, 0xdb, 0xc9, 0x9f, 0x8f})[math.random(1, 9)])
            text = text:sub(1, at - 1) .. byte .. text:sub(at + 1)
        end
        if #text == 0 then
            break
        end
    end
    return text
end

local function contents()
    local all = {}
    for _, tuple in box.space.kv:pairs() do
        all[tuple[1]] = true
    end
    return all
end

local function fuzz(test, seed, is_write)
    math.randomseed(seed)
    local counts, wrong, leaked = {}, {}, 0
    for _ = 1, MUTATIONS do
        local text = mutated(valid_body(is_write))
        local expected, stored = slow_reading.verdict(text, is_write)
        local before = contents()
        local status, payload = support.run(is_write and support.WRITE or support.READ, text)
        if status ~= expected then
            table.insert(wrong, ('%s instead of %s for %s'):format(status, expected, text:gsub('.', function(c)
                return ('%02x'):format(c:byte())
            end)))
        end
        counts[status] = (counts[status] or 0) + 1
        if status == outcome.OK and is_write then
            for key, value in pairs(stored or {}) do
                before[key] = true
                if value ~= true and support.read(key, 1) ~= value then
                    leaked = leaked + 1
                end
            end
        elseif status == outcome.OK then
            leaked = leaked + (#support.values(payload) ~= #stored and 1 or 0)
        end
        for key in pairs(contents()) do
            if not before[key] then
                leaked = leaked + 1
            end
        end
        box.space.kv:truncate()
    end
    test:is(#wrong, 0, 'every verdict is the same as that of the slow reading ' .. (wrong[1] or ''))
    test:is(leaked, 0, 'stored is what the valid ones say, and nothing of the others')
    for _, status in ipairs({'OK', 'MALFORMED', 'WRONG_BUCKET'}) do
        test:ok((counts[outcome[status]] or 0) > 10, ('the mutations come to %s'):format(status))
    end
end

suite:case('mutated writes are refused or stored exactly', function(test)
    fuzz(test, 20231, true)
end)

suite:case('mutated reads are refused or answered', function(test)
    fuzz(test, 20232, false)
end)

suite:case('mutated deletes remove nothing when refused', function(test)
    math.randomseed(20233)
    box.space.kv:replace({'stays', 1, 1})
    local refused, lost = 0, 0
    for _ = 1, MUTATIONS / 4 do
        local text = mutated(support.keys_body({'stays', 'other'}, {1, 1}))
        if support.run(support.DELETE, text) ~= outcome.OK then
            refused = refused + 1
            lost = lost + (box.space.kv:get('stays') == nil and 1 or 0)
        end
        box.space.kv:replace({'stays', 1, 1})
    end
    test:ok(refused > 100, 'many are refused')
    test:is(lost, 0, 'and none of those removes anything')
end)

suite:case('random bytes are refused, or accepted as by the second implementation', function(test)
    math.randomseed(20234)
    local wrong = 0
    for _ = 1, MUTATIONS do
        local bytes = {}
        for i = 1, math.random(0, 60) do
            bytes[i] = string.char(math.random(0, 255))
        end
        local text = table.concat(bytes)
        local framed = {[support.WRITE] = '\x91\x93\xa1k' .. text, [support.READ] = '\x92\x91\xa1k' .. text}
        framed[support.DELETE] = framed[support.READ]
        for _, op in ipairs({support.WRITE, support.READ, support.DELETE}) do
            local expected = slow_reading.verdict(framed[op], op == support.WRITE)
            wrong = wrong + (support.run(op, text) ~= outcome.MALFORMED and 1 or 0)
            wrong = wrong + (support.run(op, framed[op]) ~= expected and 1 or 0)
        end
        for _, op in ipairs({support.CLAIM, support.FINISH, support.USER_PUT, support.REVOKE}) do
            wrong = wrong + (support.run(op, text) == outcome.OK and 1 or 0)
        end
    end
    test:is(wrong, 0, 'every verdict is right')
end)

support.start({shards = 2})
outcome = require('tarantkv.outcome')
suite:run()
