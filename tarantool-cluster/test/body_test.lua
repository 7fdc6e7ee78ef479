--- Damaged bodies are refused, change nothing, and the instance lives. Valid bodies are mutated by the thousands, with
-- fixed seeds, and every verdict is compared with that of a second, slow reading of the format written for this test.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')

local MUTATIONS = 20000
local outcome

local suite = support.suite('bodies')

local function u32_at(text, at)
    local a, b, c, d = text:byte(at, at + 3)
    return d and a + b * 256 + c * 65536 + d * 16777216
end

--- The entries of a body by its lengths, or nil.
local function entries_of(text)
    local count = u32_at(text, 1)
    if count == nil or count < 1 or 4 + 4 * count > #text then
        return nil
    end
    local entries, at = {}, 5 + 4 * count
    for i = 1, count do
        local length = u32_at(text, 1 + 4 * i)
        if at + length - 1 > #text then
            return nil
        end
        entries[i] = text:sub(at, at + length - 1)
        at = at + length
    end
    return at == #text + 1 and entries or nil
end

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

--- Status that an entry deserves, and the key and value that it holds.
local function judged(entry, is_write)
    if entry:byte(1) ~= (is_write and 0x93 or 0x91) then
        return outcome.MALFORMED
    end
    local after_key, key = decode(entry, 2, KEY_FORMS)
    if after_key == nil or #key < 1 or #key > 1024 then
        return outcome.MALFORMED
    end
    local after_bucket, bucket = decode(entry, after_key, BUCKET_FORMS)
    if after_bucket == nil then
        return outcome.MALFORMED
    end
    local after = after_bucket
    if is_write then
        after = skip(entry, after_bucket)
    end
    if after ~= #entry + 1 then
        return outcome.MALFORMED
    elseif bucket < 1 or bucket > 15000 then
        return outcome.WRONG_BUCKET
    end
    return outcome.OK, key, entry:sub(after_bucket)
end

--- Status that a body deserves, and what it would store.
local function verdict(text, is_write)
    local entries = entries_of(text)
    if entries == nil then
        return nil
    end
    local stored = {}
    for _, entry in ipairs(entries) do
        local status, key, value = judged(entry, is_write)
        if status ~= outcome.OK then
            return status
        end
        stored[key] = value
    end
    return outcome.OK, stored
end

local function valid_entry(is_write)
    local key = ('k%d'):format(math.random(1, 40)):rep(math.random(1, 12))
    local bucket = math.random(1, 15000)
    if not is_write then
        return support.key_entry(key, bucket)
    end
    local value = ({
        1, 1.5, true, {}, {1, 2, {3, {4}}}, {a = 1, b = {c = 'd'}}, ('x'):rep(40), -3, 'z', {[1] = 'q', [7] = 'r'},
        box.NULL,
    })[math.random(1, 11)]
    return support.write_entry(key, msgpack.encode(value), bucket)
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
        local entries = {}
        for i = 1, math.random(1, 6) do
            entries[i] = valid_entry(is_write)
        end
        local text = mutated(support.body(entries))
        local expected, stored = verdict(text, is_write)
        local before = contents()
        local status, payload = support.run(is_write and support.WRITE or support.READ, text)
        -- Where the lengths are wrong, an entry in front of the fault may be reported first; either way it is refused.
        if expected == nil and (status == outcome.MALFORMED or status == outcome.WRONG_BUCKET) then
            expected = status
        end
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
            support.values(payload)
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
        local text = mutated(support.body({support.key_entry('stays', 1), support.key_entry('other', 1)}))
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
        local framed = support.u32(1) .. support.u32(#text) .. text
        for _, op in ipairs({support.WRITE, support.READ, support.DELETE}) do
            wrong = wrong + (support.run(op, text) ~= outcome.MALFORMED and 1 or 0)
            wrong = wrong + (support.run(op, framed) ~= verdict(framed, op == support.WRITE) and 1 or 0)
        end
        for _, op in ipairs({support.CLAIM, support.FINISH, support.USER_PUT, support.REVOKE}) do
            wrong = wrong + (support.run(op, text) == outcome.OK and 1 or 0)
        end
    end
    test:is(wrong, 0, 'every verdict is right')
end)

suite:case('faults of the header', function(test)
    local entry = support.write_entry('k', '\x01', 1)
    local u32 = support.u32
    for name, text in pairs({
        ['an empty body'] = '',
        ['a body of seven bytes'] = ('\x00'):rep(7),
        ['no entries'] = u32(0) .. u32(0),
        ['more entries than lengths'] = u32(2) .. u32(#entry) .. entry,
        ['a huge count'] = u32(4294967295) .. u32(#entry) .. entry,
        ['a count that overflows 32 bits when multiplied'] = u32(1073741824) .. u32(#entry) .. entry,
        ['a length that is too large'] = u32(1) .. u32(#entry + 1) .. entry,
        ['a length that is too small'] = u32(1) .. u32(#entry - 1) .. entry,
        ['a huge length'] = u32(1) .. u32(4294967295) .. entry,
        ['a length of zero'] = u32(2) .. u32(#entry) .. u32(0) .. entry,
        ['lengths that add up but cut in the wrong place'] =
            u32(2) .. u32(#entry - 1) .. u32(#entry + 1) .. entry .. entry,
        ['bytes after the last entry'] = u32(1) .. u32(#entry) .. entry .. '\x00',
    }) do
        test:is(support.run(support.WRITE, text), outcome.MALFORMED, name .. ' is malformed')
        test:is(support.run(support.READ, text), outcome.MALFORMED, name .. ' is malformed in a read')
    end
    test:is(box.space.kv:get('k'), nil, 'nothing was stored')
end)

suite:case('faults of an entry', function(test)
    local function write_of(entry)
        return support.run(support.WRITE, support.body({entry}))
    end
    for name, entry in pairs({
        ['an array of two'] = '\x92\xa1k\x01',
        ['an array of four'] = '\x94\xa1k\x01\x01\x01',
        ['a map'] = '\x83\xa1k\x01\x01',
        ['an array header in 16 bits'] = '\xdc\x00\x03\xa1k\x01\x01',
        ['an empty key'] = '\x93\xa0\x01\xa1v',
        ['a key of 1025 bytes'] = '\x93\xda\x04\x01' .. ('k'):rep(1025) .. '\x01\x01',
        ['a key in 32 bits of length'] = '\x93\xdb\x00\x00\x00\x01k\x01\x01',
        ['a key that is bin'] = '\x93\xc4\x01k\x01\x01',
        ['a key that is a number'] = '\x93\x05\x01\x01\x01',
        ['a key that leaves the entry'] = '\x93\xd9\xffk\x01\x01',
        ['a negative bucket'] = '\x93\xa1k\xff\x01',
        ['a bucket in 64 bits'] = '\x93\xa1k\xcf\x00\x00\x00\x00\x00\x00\x00\x01\x01',
        ['a bucket that is a string'] = '\x93\xa1k\xa1b\x01',
        ['no value'] = '\x93\xa3key\x01',
        ['a truncated bucket'] = '\x93\xa3key\xce\x00',
    }) do
        test:is(write_of(entry), outcome.MALFORMED, name .. ' is malformed')
    end
    test:is(write_of('\x93\xda\x04\x00' .. ('k'):rep(1024) .. '\x01\x01'), outcome.OK, 'a key of 1024 bytes is taken')
    test:is(write_of('\x93\xd9\x01k\xce\x00\x00\x00\x01\x01'), outcome.OK, 'longer forms than needed are taken')
    test:is(support.run(support.READ, support.body({'\x91\xa1k\x01\x01'})), outcome.MALFORMED, 'bytes after a bucket')
    test:is(support.run(support.READ, support.body({'\x91\xa1k'})), outcome.MALFORMED, 'a read without a bucket')
end)

suite:case('faults of a chunk around its body', function(test)
    local good = support.chunk(support.READ, support.body({support.key_entry('k', 1)}))
    local function with(position, value)
        local chunk = {unpack(good, 1, 6)}
        chunk[position] = value
        return _G.tarantkv.apply({chunk})[1][1]
    end
    test:is(with(6, good[6]), outcome.OK, 'a good chunk')
    for name, change in pairs({
        ['a short id'] = {1, 'short'}, ['no id'] = {1, box.NULL}, ['an id that is a number'] = {1, 5},
        ['an id that is a 64-bit number'] = {1, 5ULL}, ['an id that is a table'] = {1, {}},
        ['an unknown operation'] = {2, 99}, ['an operation that is a string'] = {2, '1'},
        ['no operation'] = {2, box.NULL},
        ['an operation with a fraction'] = {2, 1.5}, ['an operation that is no number'] = {2, 0 / 0},
        ['a deadline that is a string'] = {3, '5'}, ['a negative deadline'] = {3, -1}, ['no deadline'] = {3, box.NULL},
        ['a deadline years ahead'] = {3, 4102444800000}, ['an endless deadline'] = {3, math.huge},
        ['a deadline of all bits'] = {3, 18446744073709551615ULL}, ['a deadline with a fraction'] = {3, 1.5},
        ['a negative retention'] = {4, -1}, ['a retention that is a table'] = {4, {}},
        ['no body'] = {6, box.NULL}, ['a body that is a table'] = {6, {}}, ['a body that is a number'] = {6, 7},
    }) do
        test:is(with(change[1], change[2]), outcome.MALFORMED, name .. ' is malformed')
    end
    test:is(_G.tarantkv.apply({{}})[1][1], outcome.MALFORMED, 'an empty chunk')
    test:is(#_G.tarantkv.apply({}), 0, 'a call without chunks answers none')
    for name, argument in pairs({
        ['a string'] = 'x', ['a number'] = 1, ['a map'] = {a = 1}, ['an array of numbers'] = {1},
    }) do
        test:ok(not pcall(_G.tarantkv.apply, argument), name .. ' in place of the chunks raises')
    end
    test:ok(not pcall(_G.tarantkv.apply), 'no argument raises')
end)

suite:case('an answer past the limit is refused', function(test)
    local read = require('tarantkv.read')
    local limit = read.MAX_ANSWER_BYTES
    support.run(support.WRITE, support.body({
        support.write_entry('a', msgpack.encode(('a'):rep(50000)), 1), support.write_entry('b', msgpack.encode('b'), 1),
    }))
    local body = support.body({support.key_entry('a', 1), support.key_entry('b', 1)})
    local _, blob = support.run(support.READ, body)
    read.MAX_ANSWER_BYTES = #blob
    test:is(support.run(support.READ, body), outcome.OK, 'exactly the limit')
    read.MAX_ANSWER_BYTES = #blob - 1
    local status, message = support.run(support.READ, body)
    test:is(status, outcome.TOO_LARGE, 'one byte less')
    test:is(type(message), 'string', 'with a message')
    read.MAX_ANSWER_BYTES = limit
    test:is(support.run(support.READ, body), outcome.OK, 'and the next read is answered')

    local apply = require('tarantkv.apply')
    local limit_of_call = apply.MAX_ANSWERS_BYTES
    apply.MAX_ANSWERS_BYTES = 2 * #blob
    local answers = _G.tarantkv.apply({
        support.chunk(support.READ, body), support.chunk(support.READ, body), support.chunk(support.READ, body),
    })
    apply.MAX_ANSWERS_BYTES = limit_of_call
    test:is(answers[1][1], outcome.OK, 'the first of three in a call')
    test:is(answers[2][1], outcome.OK, 'the second, up to the limit of a call')
    test:is(answers[3][1], outcome.NO_MEMORY, 'the third is refused for now')

    apply.MAX_ANSWERS_BYTES = math.floor(#blob / 2)
    answers = _G.tarantkv.apply({support.chunk(support.READ, body), support.chunk(support.READ, body)})
    apply.MAX_ANSWERS_BYTES = limit_of_call
    test:is(answers[1][1], outcome.OK, 'the first is answered however large it is')
    test:is(answers[2][1], outcome.NO_MEMORY, 'and the next one not in the same call')
end)

support.start({shards = 2})
outcome = require('tarantkv.outcome')
suite:run()
