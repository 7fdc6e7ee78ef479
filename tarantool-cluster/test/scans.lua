--- Bodies, pieces of answers, and whole scans for the tests of scans. No behaviour is tested here.

local msgpack = require('msgpack')
local support = require('support')

local M = {}

M.SCAN = 9
local NIL = '\xc0'
M.BUCKETS = 30000

local function flag(value)
    return value and '\xc3' or '\xc2'
end

local function bound(key)
    return key and msgpack.encode(key) or NIL
end

--- The body of a scan of everything, with changes.
function M.body(changes)
    local asked = {
        lower_included = true, upper_included = true, limit = 1000, values = true, max_bytes = 262144,
        first_bucket = 1, last_bucket = M.BUCKETS,
    }
    for name, value in pairs(changes or {}) do
        asked[name] = value
    end
    return table.concat({
        '\x9a', bound(asked.lower), flag(asked.lower_included), bound(asked.upper), flag(asked.upper_included),
        flag(asked.reverse), msgpack.encode(asked.limit), flag(asked.values), msgpack.encode(asked.max_bytes),
        msgpack.encode(asked.first_bucket), msgpack.encode(asked.last_bucket),
    })
end

--- One answer of a scan, in a table.
function M.ask(changes)
    local status, payload = support.run(M.SCAN, M.body(changes))
    assert(status == 0, payload)
    local state, wait_us, ranges, position, tuples = unpack(msgpack.decode(payload), 1, 5)
    return {
        state = state, wait_us = wait_us, ranges = ranges, position = position ~= nil and position or nil,
        tuples = tuples, payload = payload,
    }
end

function M.keys_of(answer)
    local keys = {}
    for i, tuple in ipairs(answer.tuples) do
        keys[i] = tuple[1]
    end
    return keys
end

--- All keys of a scan, piece by piece, as the api asks for them.
function M.all_keys(changes)
    local keys, pieces = {}, 0
    local asked = {}
    for name, value in pairs(changes or {}) do
        asked[name] = value
    end
    repeat
        local answer = M.ask(asked)
        pieces = pieces + 1
        for _, key in ipairs(M.keys_of(answer)) do
            table.insert(keys, key)
        end
        if asked.reverse then
            asked.upper, asked.upper_included = answer.position, false
        else
            asked.lower, asked.lower_included = answer.position, false
        end
    until answer.state == 0 or pieces > 10000
    return keys, pieces
end

--- Write these keys and remove all others.
function M.fill(keys)
    box.space.kv:truncate()
    for start = 1, #keys, 500 do
        local pairs_ = {}
        for i = start, math.min(#keys, start + 499) do
            table.insert(pairs_, {keys[i], msgpack.encode('value of ' .. keys[i])})
        end
        local status, message = support.run(support.WRITE, support.write_body(pairs_))
        assert(status == 0, message)
    end
end

--- Let scans make their usual pauses, or none.
function M.pause(times)
    require('tarantkv.scan').PAUSE = times
    -- The present pause ends soon.
    assert(support.wait_for(function() return M.ask({limit = 1}).state ~= 2 end))
end

return M
