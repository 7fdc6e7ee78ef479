--- Damaged bodies are refused, change nothing, and the instance lives. Valid bodies are mutated by the thousands, with
-- fixed seeds, and every verdict is compared with that of a second, slow reading of the format written for this test.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')

local MUTATIONS = 20000
local outcome

local suite = support.suite('mutated bodies')

local KEY_FORMS, BUCKET_FORMS = {}, {[0xcc] = true, [0xcd] = true, [0xce] = true}
for byte = 0xa0, 0xbf do
    KEY_FORMS[byte] = true
end
KEY_FORMS[0xd9], KEY_FORMS[0xda] = true, true
for byte = 0, 0x7f do
    BUCKET_FORMS[byte] = true
end

--- Decode one value of one of these forms.
local function decode(text, at, forms)
    if at > #text or not forms[text:byte(at)] then
        return nil
    end
    local ok, value, after = pcall(msgpack.decode, text, at)
    if ok then
        return after, value
    end
end

local function big_endian(text, at, bytes)
    local number = 0
    for i = at, at + bytes - 1 do
        number = number * 256 + (text:byte(i) or 0)
    end
    return number
end

local FIXED = {
    [0xc0] = 0, [0xc2] = 0, [0xc3] = 0, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8,
    [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8, [0xd4] = 2, [0xd5] = 3, [0xd6] = 5, [0xd7] = 9, [0xd8] = 17,
}
local SIZED = {
    [0xc4] = {1, 0}, [0xc5] = {2, 0}, [0xc6] = {4, 0}, [0xc7] = {1, 1}, [0xc8] = {2, 1}, [0xc9] = {4, 1},
    [0xd9] = {1, 0}, [0xda] = {2, 0}, [0xdb] = {4, 0},
}
local COUNTED = {[0xdc] = {2, 1}, [0xdd] = {4, 1}, [0xde] = {2, 2}, [0xdf] = {4, 2}}

--- Where the MessagePack value at `at` ends, nil when there is none.
local function skip(text, at)
    local byte = text:byte(at)
    local after, count = at + 1, 0
    if byte == nil then
        return nil
    elseif byte >= 0x80 and byte <= 0x8f then
        count = 2 * (byte - 0x80)
    elseif byte >= 0x90 and byte <= 0x9f then
        count = byte - 0x90
    elseif byte >= 0xa0 and byte <= 0xbf then
        after = after + byte - 0xa0
    elseif FIXED[byte] then
        after = after + FIXED[byte]
    elseif SIZED[byte] then
        local width, more = unpack(SIZED[byte])
        after = after + width + more + big_endian(text, at + 1, width)
    elseif COUNTED[byte] then
        local width, factor = unpack(COUNTED[byte])
        after, count = after + width, factor * big_endian(text, at + 1, width)
    elseif byte == 0xc1 then
        return nil
    end
    if after > #text + 1 then
        return nil
    end
    local kind = (byte >= 0xd4 and byte <= 0xd8) and text:byte(at + 1)
        or (byte >= 0xc7 and byte <= 0xc9) and text:byte(at + 1 + SIZED[byte][1])
    if kind and kind >= 1 and kind <= 8 and not pcall(msgpack.decode, text:sub(at, after - 1)) then
        return nil
    end
    for _ = 1, count do
        after = skip(text, after)
        if after == nil then
            return nil
        end
    end
    return after
end

--- Count of the array at `at`, and where its first element is; nil when there is none.
local function header(text, at)
    local byte = text:byte(at)
    local width = ({[0xdc] = 2, [0xdd] = 4})[byte]
    if byte ~= nil and byte >= 0x90 and byte <= 0x9f then
        return byte - 0x90, at + 1
    elseif width ~= nil and at + width <= #text then
        return big_endian(text, at + 1, width), at + 1 + width
    end
end

--- Is it one of the shard's?
local function status_of(bucket)
    return (bucket < 1 or bucket > 15000) and outcome.WRONG_BUCKET or outcome.OK
end

local function key_at(text, at)
    local after, key = decode(text, at, KEY_FORMS)
    if after ~= nil and #key >= 1 and #key <= 1024 then
        return after, key
    end
end

--- Status that the body of a write deserves, and what it would store, value by key. The first fault counts; a count
-- that the bytes cannot hold comes before all others.
local function verdict_of_write(text)
    local count, at = header(text, 1)
    if count == nil or count < 1 or count * 5 > #text - at + 1 then
        return outcome.MALFORMED
    end
    local stored = {}
    for _ = 1, count do
        local after_key, key, after_bucket, bucket, after
        if text:byte(at) == 0x93 then
            after_key, key = key_at(text, at + 1)
        end
        if after_key ~= nil then
            after_bucket, bucket = decode(text, after_key, BUCKET_FORMS)
        end
        if after_bucket ~= nil then
            after = skip(text, after_bucket)
        end
        if after == nil then
            return outcome.MALFORMED
        elseif status_of(bucket) ~= outcome.OK then
            return outcome.WRONG_BUCKET
        end
        stored[key], at = text:sub(after_bucket, after - 1), after
    end
    return at == #text + 1 and outcome.OK or outcome.MALFORMED, stored
end

--- Status that the body of a read or delete deserves, and the keys it names.
local function verdict_of_keys(text)
    local count, at
    if text:byte(1) == 0x92 then
        count, at = header(text, 2)
    end
    if count == nil or count < 1 or count * 3 > #text - at + 1 then
        return outcome.MALFORMED
    end
    local keys = {}
    for i = 1, count do
        at, keys[i] = key_at(text, at)
        if at == nil then
            return outcome.MALFORMED
        end
    end
    local buckets
    buckets, at = header(text, at)
    if buckets ~= count then
        return outcome.MALFORMED
    end
    for _ = 1, count do
        local bucket
        at, bucket = decode(text, at, BUCKET_FORMS)
        if at == nil then
            return outcome.MALFORMED
        elseif status_of(bucket) ~= outcome.OK then
            return outcome.WRONG_BUCKET
        end
    end
    return at == #text + 1 and outcome.OK or outcome.MALFORMED, keys
end

local function verdict(text, is_write)
    if is_write then
        return verdict_of_write(text)
    end
    return verdict_of_keys(text)
end

local VALUES = {
    1, 1.5, true, {}, {1, 2, {3, {4}}}, {a = 1, b = {c = 'd'}}, ('x'):rep(40), -3, 'z', {[1] = 'q', [7] = 'r'},
    box.NULL,
}

local function valid_body(is_write)
    local keys, buckets, entries = {}, {}, {}
    for i = 1, math.random(1, 6) do
        keys[i] = ('k%d'):format(math.random(1, 40)):rep(math.random(1, 12))
        buckets[i] = math.random(1, 15000)
        entries[i] = support.write_entry(keys[i], msgpack.encode(VALUES[math.random(1, 11)]), buckets[i])
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
        local expected, stored = verdict(text, is_write)
        local before = contents()
        local status, payload = support.run(is_write and support.WRITE or support.READ, text)
        if status ~= expected then
            table.insert(wrong, ('%s instead of %s for %s'):format(status, expected, text:gsub('.', function(c)
                return ('%02x'):format(c:byte())
            end)))
        end
        counts[status] = (counts[status] or 0) + 1
        if status == outcome.OK and is_write then
            for key, value in pairs(stored) do
                before[key] = true
                if support.read(key, 1) ~= value then
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

suite:case('mutated writes', function(test)
    fuzz(test, 20231, true)
end)

suite:case('mutated reads', function(test)
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

suite:case('bytes of pure chance', function(test)
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
            wrong = wrong + (support.run(op, text) ~= outcome.MALFORMED and 1 or 0)
            wrong = wrong + (support.run(op, framed[op]) ~= verdict(framed[op], op == support.WRITE) and 1 or 0)
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
