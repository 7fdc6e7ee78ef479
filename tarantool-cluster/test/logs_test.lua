--- Write-ahead logs that were damaged or cut off, and the shard that starts from them.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local logs = require('tarantkv.logs')
local support = require('support')

local suite = support.suite('logs')

local KEYS = 40
local FLAG = tonumber('644', 8)
local VALUE = msgpack.encode(('v'):rep(700))

--- A shard that has written `KEYS` keys one by one and was killed; its environment and its newest log.
local function killed()
    local environment = support.environment({
        TARANTKV_SHARD_DIR = fio.pathjoin(fio.cwd(), ('shard%d'):format(math.random(1e9))),
    })
    local shard = support.spawn(environment)
    local connection = shard:connect()
    for number = 1, KEYS do
        local write = support.chunk(support.WRITE, support.write_body({{'k' .. number, VALUE}}))
        connection:call('tarantkv.apply', {{write}})
    end
    shard:kill()
    local paths = fio.glob(fio.pathjoin(environment.TARANTKV_SHARD_DIR, '*.xlog'))
    table.sort(paths)
    return environment, paths[#paths]
end

local function content(path, new)
    local file = fio.open(path, new and {'O_WRONLY', 'O_TRUNC'} or {'O_RDONLY'}, FLAG)
    local text = new and file:write(new) or file:read()
    file:close()
    return text
end

--- Where the blocks of a log begin.
local function blocks(text)
    local found, from = {}, 1
    while true do
        local at = text:find('\xd5\xba\x0b\xab', from, true)
        if at == nil then
            return found
        end
        table.insert(found, at)
        from = at + 4
    end
end

--- A log in which the length of a block, of two bytes here, points past the end of the file.
local function lying(text, block)
    local at = blocks(text)[block] + 5
    return text:sub(1, at - 1) .. string.char(text:byte(at) + 0x80) .. text:sub(at + 1)
end

local function count(environment)
    local shard = support.spawn(environment)
    local connection = shard:connect()
    local keys = {}
    for number = 1, KEYS do
        keys[number] = 'k' .. number
    end
    local answers = connection:call('tarantkv.apply', {{support.chunk(support.READ, support.keys_body(keys))}})
    local there = 0
    for _, value in ipairs(support.values(answers[1][2])) do
        there = there + (value and 1 or 0)
    end
    shard:kill()
    return there
end

suite:case('a block whose length points past the end is refused, and nothing after it is lost', function(test)
    local environment, path = killed()
    local whole = content(path)
    for _, from_end in ipairs({KEYS / 2, 10, 1}) do
        content(path, lying(whole, #blocks(whole) - from_end))
        local code, errors = support.spawn(environment):finish()
        test:is(code, 1, 'refused with an exit code')
        test:ok(errors:find(path, 1, true) and errors:find('is damaged at byte', 1, true), 'that names the log')
    end
    content(path, whole)
    test:is(count(environment), KEYS, 'put back, it has everything')
end)

suite:case('an interrupted write does not count as damage', function(test)
    local environment, path = killed()
    local whole = content(path)
    local starts = blocks(whole)
    for _, cut in ipairs({#whole - 1, starts[#starts] + 30, starts[#starts] + 10, starts[#starts] + 2}) do
        content(path, whole:sub(1, cut))
        test:is(logs.fault(environment.TARANTKV_SHARD_DIR), nil, 'cut off at ' .. cut)
    end
    test:is(count(environment), KEYS - 1, 'the shard starts without the last write')
end)

suite:case('a closed log, an empty log and a missing log do not count as damage', function(test)
    local environment = support.environment({TARANTKV_SHARD_DIR = fio.pathjoin(fio.cwd(), 'closed')})
    fio.mktree(environment.TARANTKV_SHARD_DIR)
    test:is(logs.fault(environment.TARANTKV_SHARD_DIR), nil, 'none')
    local shard = support.spawn(environment)
    shard:connect():close()
    shard:stop()
    test:is(logs.fault(environment.TARANTKV_SHARD_DIR), nil, 'closed')
    local path = fio.pathjoin(environment.TARANTKV_SHARD_DIR, '99999999999999999999.xlog')
    fio.open(path, {'O_CREAT', 'O_WRONLY'}, FLAG):close()
    test:is(logs.fault(environment.TARANTKV_SHARD_DIR), nil, 'empty')
end)

suite:run()
