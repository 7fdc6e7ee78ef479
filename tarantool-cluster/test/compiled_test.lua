--- LuaJIT compiles the loops over keys: an interpreted loop would take ten times as long for each key, and no other
-- test would notice.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local jit_util = require('jit.util')
local msgpack = require('msgpack')
local support = require('support')

local suite = support.suite('compiled loops')

local KEYS, CALLS = 100, 300

--- The modules in which traces begin that were compiled while `work` ran.
local function compiled_while(work)
    local compiled, started = {}, nil
    local function on_trace(what, _, func, pc, parent)
        if what == 'start' then
            -- A trace with a parent is only a branch of a loop.
            started = not parent and jit_util.funcinfo(func, pc).loc or nil
        elseif what == 'stop' and started ~= nil then
            compiled[started:match('([%w_]+)%.lua') or ''] = true
        end
    end
    jit.attach(on_trace, 'trace')
    work()
    jit.attach(on_trace)
    return compiled
end

suite:case('the loops of writes, reads and deletes are compiled', function(test)
    local keys, pairs_ = {}, {}
    for i = 1, KEYS do
        keys[i] = 'key' .. i
        pairs_[i] = {keys[i], msgpack.encode({i, 'text', {nested = true}})}
    end
    local write, key = support.write_body(pairs_), support.keys_body(keys)
    local compiled = compiled_while(function()
        for _ = 1, CALLS do
            support.run(support.WRITE, write)
            support.run(support.READ, key)
            support.run(support.DELETE, key)
        end
    end)
    for _, module in ipairs({'body', 'wellformed', 'write', 'read', 'delete'}) do
        test:ok(compiled[module], module)
    end
end)

support.start()
suite:run()
