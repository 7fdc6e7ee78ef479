--- Damaged bodies of updates, conditional deletes, increments, touches and reads of tuples: the instance lives, and
-- refused bodies change nothing. Valid bodies are mutated by the thousands, with fixed seeds.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local calls = require('calls')
local support = require('support')

local MUTATIONS = 4000
local outcome

local suite = support.suite('mutated bodies of the other operations')

local CONDITIONS = {box.NULL, true, false, 0, 5, 1000, 100000, 5000000000, 18446744073709551615ULL}
local EXPIRIES = {1, 200, 70000, 5000000000, -1, -100, -100000, -4102444800000}
local AMOUNTS = {0, 1, -1, 127, 128, -33, 70000, -70000, 5000000000, -5000000000, 9223372036854775807LL}

local function one_of(list)
    return list[math.random(1, #list)]
end

local function keys()
    local all = {}
    for i = 1, math.random(1, 5) do
        all[i] = ('k%d'):format(math.random(1, 9)):rep(math.random(1, 20))
    end
    return all
end

local BODIES = {
    [support.UPDATE] = function()
        local updates = {}
        for i, key in ipairs(keys()) do
            updates[i] = {key, one_of(AMOUNTS), one_of(CONDITIONS), math.random() < 0.5 and one_of(EXPIRIES) or nil}
        end
        return calls.update_body(updates)
    end,
    [support.DELETE_IF] = function()
        local all, conditions = keys(), {}
        for i in ipairs(all) do
            conditions[i] = one_of(CONDITIONS)
        end
        return calls.lists_body(all, conditions)
    end,
    [support.TOUCH] = function()
        local all, expiries = keys(), {}
        for i in ipairs(all) do
            expiries[i] = math.random() < 0.8 and one_of(EXPIRIES) or box.NULL
        end
        return calls.lists_body(all, expiries)
    end,
    [support.INCREMENT] = function()
        local increments = {}
        for i, key in ipairs(keys()) do
            increments[i] = {key, one_of(AMOUNTS), {
                initial = one_of(AMOUNTS), min = math.random() < 0.3 and one_of(AMOUNTS) or nil,
                max = math.random() < 0.3 and one_of(AMOUNTS) or nil, expiry = one_of(EXPIRIES),
                always = math.random() < 0.5,
            }}
        end
        return calls.increment_body(increments)
    end,
    [support.READ_TUPLES] = function()
        return support.keys_body(keys())
    end,
}

local function mutated(text)
    for _ = 1, math.random(1, 3) do
        local at = math.random(1, #text)
        local kind, byte = math.random(1, 4), string.char(math.random(0, 255))
        if kind == 1 then
            text = text:sub(1, at - 1) .. byte .. text:sub(at + 1)
        elseif kind == 2 then
            text = text:sub(1, at - 1) .. text:sub(at + 1)
        elseif kind == 3 then
            text = text:sub(1, at) .. byte .. text:sub(at + 1)
        else
            text = text:sub(1, at)
        end
        if #text == 0 then
            break
        end
    end
    return text
end

--- All stored data in one text; reading each tuple shows that it is intact.
local function contents()
    local all = {}
    for _, space in ipairs({box.space.kv, box.space.expiring}) do
        for _, tuple in space:pairs() do
            table.insert(all, msgpack.encode(tuple:totable()))
        end
    end
    return table.concat(all)
end

for op, valid in pairs(BODIES) do
    suite:case(('operation %d'):format(op), function(test)
        math.randomseed(4711 + op)
        local counts, changed, unsound = {}, 0, 0
        for i = 1, MUTATIONS do
            if i % 100 == 1 then
                box.space.kv:truncate()
                box.space.expiring:truncate()
            end
            -- The previous call may have failed in a way that only the database notices.
            local is_whole = i % 5 == 0
            local text = is_whole and valid() or mutated(valid())
            local before = contents()
            local status = support.run(op, text)
            counts[status] = (counts[status] or 0) + 1
            if status ~= outcome.OK then
                changed = changed + (contents() ~= before and 1 or 0)
                unsound = unsound + (is_whole and 1 or 0)
            end
        end
        test:is(changed, 0, 'what is refused changes nothing')
        test:is(unsound, 0, 'what is whole is taken')
        test:ok((counts[outcome.MALFORMED] or 0) > MUTATIONS / 10, 'many are refused')
        for _, tuple in box.space.kv:pairs() do
            local key, bucket, _, version = tuple:unpack()
            test:ok(type(key) == 'string' and type(bucket) == 'number' and version ~= nil, 'a stored tuple is sound')
        end
    end)
end

support.start()
require('tarantkv.sweep').slice = function() return false end
outcome = require('tarantkv.outcome')
suite:run()
