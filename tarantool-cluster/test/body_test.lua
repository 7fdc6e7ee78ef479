--- Damaged bodies are refused, change nothing, and the instance lives. Valid bodies are mutated by the thousands, with
-- fixed seeds, and every verdict is compared with that of a second, slow reading of the format written for this test.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local ffi = require('ffi')
local msgpack = require('msgpack')
local support = require('support')

local MUTATIONS = 20000
local outcome

local suite = support.suite('bodies')

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

suite:case('counts and ends of a write that lie', function(test)
    box.space.kv:delete('k')
    local entry = '\x93\xa1k\x01\x01'
    for name, text in pairs({
        ['an empty body'] = '',
        ['no entries'] = '\x90',
        ['no entries, in 16 bits'] = '\xdc\x00\x00',
        ['no entries, in 32 bits'] = '\xdd\x00\x00\x00\x00',
        ['no entries and one behind them'] = '\x90' .. entry,
        ['an entry without an array around it'] = entry,
        ['a map of entries'] = '\x81' .. entry .. entry,
        ['nil'] = '\xc0',
        ['a string'] = '\xa5' .. entry,
        ['a header cut off in its 16 bits'] = '\xdc\x00',
        ['a header cut off in its 32 bits'] = '\xdd\x00\x00\x00',
        ['one entry more than there is'] = '\x92' .. entry,
        ['one entry more than there is, in 16 bits'] = '\xdc\x00\x02' .. entry,
        ['one entry less than there is'] = '\x91' .. entry .. entry,
        ['a huge count in 16 bits'] = '\xdc\xff\xff' .. entry,
        ['a huge count'] = '\xdd\xff\xff\xff\xff' .. entry,
        ['a count that overflows 32 bits when multiplied'] = '\xdd\x40\x00\x00\x00' .. entry,
        ['a count that is negative to some'] = '\xdd\x80\x00\x00\x01' .. entry,
        ['as many entries as bytes'] = '\x95' .. entry,
        ['a count that takes another in the last value for an entry'] = '\x92\x93\xa1k\x01\x96' .. entry,
        ['a value that swallows the next entry'] = '\x92\x93\xa1k\x01\xa5' .. entry,
        ['a last value longer than the body'] = '\x91\x93\xa1k\x01\xa2x',
        ['a last value cut off'] = '\x91\x93\xa1k\x01\xcd\x01',
        ['a byte after the last entry'] = '\x91' .. entry .. '\x00',
        ['another body after the body'] = '\x91' .. entry .. '\x91' .. entry,
        ['a second entry cut off'] = '\x92' .. entry .. entry:sub(1, -2),
    }) do
        for _, op in ipairs({support.WRITE, support.READ, support.DELETE}) do
            test:is(support.run(op, text), outcome.MALFORMED, ('%s is no body of %d'):format(name, op))
        end
    end
    test:is(box.space.kv:get('k'), nil, 'nothing was stored')
    for name, start in pairs({['16 bits'] = '\xdc\x00\x02', ['32 bits'] = '\xdd\x00\x00\x00\x02'}) do
        test:is(support.run(support.WRITE, start .. '\x93\xa1a\x01\x07' .. '\x93\xa1b\x01\x08'), outcome.OK,
            'a true count in ' .. name)
    end
    test:is(support.read('b', 1), '\x08', 'stored')
end)

suite:case('counts and ends of a read or delete that lie', function(test)
    box.space.kv:replace({'k', 1, 1})
    for name, text in pairs({
        ['keys alone'] = '\x92\x91\xa1k',
        ['an array of the keys alone'] = '\x91\x91\xa1k',
        ['an array of three'] = '\x93\x91\xa1k\x91\x01\x91\x01',
        ['an outer array in 16 bits'] = '\xdc\x00\x02\x91\xa1k\x91\x01',
        ['an outer array in 32 bits'] = '\xdd\x00\x00\x00\x02\x91\xa1k\x91\x01',
        ['no keys'] = '\x92\x90\x90',
        ['no keys, in 16 bits'] = '\x92\xdc\x00\x00\xdc\x00\x00',
        ['no keys and one bucket'] = '\x92\x90\x91\x01',
        ['one key and no bucket'] = '\x92\x91\xa1k\x90',
        ['more keys than there are'] = '\x92\x92\xa1k\x91\x01',
        ['more keys than there are, but as many buckets'] = '\x92\x92\xa1k\x92\x01\x01',
        ['more buckets than keys'] = '\x92\x91\xa1k\x92\x01\x01',
        ['more keys than buckets'] = '\x92\x92\xa1k\xa1k\x91\x01',
        ['fewer buckets than announced'] = '\x92\x92\xa1k\xa1k\x92\x01',
        ['a huge count of keys'] = '\x92\xdd\xff\xff\xff\xff\xa1k\x91\x01',
        ['a huge count of buckets'] = '\x92\x91\xa1k\xdd\xff\xff\xff\xff\x01',
        ['a count that overflows 32 bits when multiplied'] = '\x92\xdd\x55\x55\x55\x56\xa1k\x91\x01',
        ['a count that is negative to some'] = '\x92\xdd\x80\x00\x00\x01\xa1k\x91\x01',
        ['a header of keys cut off'] = '\x92\xdc\x00',
        ['a header of buckets cut off'] = '\x92\x91\xa1k\xdd\x00\x00',
        ['a last bucket cut off'] = '\x92\x91\xa1k\x91\xcd\x01',
        ['a key that swallows the buckets'] = '\x92\x91\xa3k\x91\x01',
        ['a key that leaves the body'] = '\x92\x91\xa9k\x91\x01',
        ['keys that are a map'] = '\x92\x81\xa1k\x01\x91\x01',
        ['buckets that are a map'] = '\x92\x91\xa1k\x81\x01\x01',
        ['keys in an array each'] = '\x92\x91\x91\xa1k\x91\x01',
        ['a byte after the buckets'] = '\x92\x91\xa1k\x91\x01\x00',
        ['another body after the body'] = ('\x92\x91\xa1k\x91\x01'):rep(2),
    }) do
        for _, op in ipairs({support.WRITE, support.READ, support.DELETE}) do
            test:is(support.run(op, text), outcome.MALFORMED, ('%s is no body of %d'):format(name, op))
        end
    end
    test:isnt(box.space.kv:get('k'), nil, 'nothing was removed')
    for name, text in pairs({
        ['16 bits'] = '\x92\xdc\x00\x01\xa1k\xdc\x00\x01\x01',
        ['32 bits'] = '\x92\xdd\x00\x00\x00\x01\xa1k\x91\x01',
    }) do
        test:is(support.run(support.READ, text), outcome.OK, 'true counts in ' .. name)
    end
    test:is(select(2, support.run(support.DELETE, '\x92\x92\xd9\x01k\xda\x00\x01k\x92\xcc\x01\xce\x00\x00\x00\x01')), 1,
        'a key is the same in longer forms than needed')
end)

suite:case('a body of the form before this one is never taken', function(test)
    -- count in 32 bits, as many lengths, then entries: [key, bucket_id, value], or [key] and bucket_id.
    local function former(count, entry)
        return support.u32(count) .. support.u32(#entry):rep(count) .. entry:rep(count)
    end
    local values = {'\x01', msgpack.encode(('x'):rep(0x93)), msgpack.encode(('x'):rep(0x93a1))}
    local taken = 0
    local function try(op, text)
        taken = taken + (support.run(op, text) ~= outcome.MALFORMED and 1 or 0)
    end
    for count = 1, 1000 do
        try(support.READ, former(count, '\x91\xa1k\x01'))
        try(support.DELETE, former(count, '\x91\xa1k\x01'))
        try(support.WRITE, former(count, support.write_entry('k', values[1 + count % 2], 1)))
    end
    -- 221 is the first byte of an array in 32 bits, whose count the first length would be a part of.
    for length = 1, 40000, 7 do
        try(support.WRITE, support.u32(221) .. support.u32(length):rep(221) .. support.write_entry('k', values[3], 1))
        try(support.READ, support.u32(221) .. support.u32(length):rep(221) .. '\x91\xa1k\x01')
    end
    test:is(taken, 0, 'whatever its count')
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
        ['a key that leaves the body'] = '\x93\xd9\xffk\x01\x01',
        ['a negative bucket'] = '\x93\xa1k\xff\x01',
        ['a bucket in 64 bits'] = '\x93\xa1k\xcf\x00\x00\x00\x00\x00\x00\x00\x01\x01',
        ['a bucket that is a string'] = '\x93\xa1k\xa1b\x01',
        ['no value'] = '\x93\xa3key\x01',
        ['a truncated bucket'] = '\x93\xa3key\xce\x00',
    }) do
        test:is(write_of(entry), outcome.MALFORMED, name .. ' is malformed')
        test:isnt(support.run(support.WRITE, support.body({entry, '\x93\xa1k\x01\x01'})), outcome.OK,
            name .. ' is refused in front of another entry')
    end
    for name, key in pairs({
        ['an empty key'] = '\xa0', ['a key of 1025 bytes'] = '\xda\x04\x01' .. ('k'):rep(1025),
        ['a key in 32 bits of length'] = '\xdb\x00\x00\x00\x01k', ['a key that is bin'] = '\xc4\x01k',
        ['a key that is a number'] = '\x05', ['a key that is nil'] = '\xc0',
    }) do
        test:is(support.run(support.READ, '\x92\x91' .. key .. '\x91\x01'), outcome.MALFORMED, name .. ' in a read')
        test:is(support.run(support.READ, '\x92\x92\xa1k' .. key .. '\x92\x01\x01'), outcome.MALFORMED,
            name .. ' behind another key')
    end
    for name, bucket in pairs({
        ['a negative bucket'] = '\xff', ['a bucket in 64 bits'] = '\xcf\x00\x00\x00\x00\x00\x00\x00\x01',
        ['a bucket that is a string'] = '\xa1b', ['a truncated bucket'] = '\xce\x00',
    }) do
        test:is(support.run(support.READ, '\x92\x91\xa1k\x91' .. bucket), outcome.MALFORMED, name .. ' in a read')
    end
    for length, start in pairs({[1024] = '\xda\x04\x00', [258] = '\xda\x01\x02', [255] = '\xd9\xff', [31] = '\xbf'}) do
        local key = start .. ('k'):rep(length)
        test:is(write_of('\x93' .. key .. '\x01\x01'), outcome.OK, ('a key of %d bytes is taken'):format(length))
        local _, blob = support.run(support.READ, '\x92\x92' .. key .. '\xa1-\x92\x01\x01')
        test:is_deeply(support.values(blob), {'\x01', false}, 'read')
        local _, deleted = support.run(support.DELETE, '\x92\x92\xa1-' .. key .. '\x92\x01\x01')
        test:is(deleted, 1, 'and deleted')
    end
    test:is(write_of('\x93\xd9\x01k\xce\x00\x00\x00\x01\x01'), outcome.OK, 'longer forms than needed are taken')
end)

suite:case('bodies of many sizes in one call are each stored as they are', function(test)
    local visibility = require('tarantkv.visibility')
    local log_write, commits = visibility.log_write, 0
    visibility.log_write = function()
        commits = commits + 1
        log_write()
    end
    -- More entries than are remembered between calls, so that the room for their ends grows while it is in use.
    local chunks, ends = {}, {}
    for i, count in ipairs({1, 200, 15, 65535, 16, 1000, 3}) do
        local entries = {}
        for j = 1, count do
            entries[j] = support.write_entry(('%d.%d'):format(i, j), msgpack.encode(i * 100000 + j), 1)
        end
        chunks[i] = support.chunk(support.WRITE, support.body(entries))
        ends[i] = count
    end
    table.insert(chunks, 3, support.chunk(support.WRITE, '\x92\x93\xa1k\x01\x01\x93\xa1k\x01\xc1'))
    local answers = _G.tarantkv.apply(chunks)
    test:is(commits, 1, 'in one transaction')
    visibility.log_write = log_write
    test:is(table.remove(answers, 3)[1], outcome.MALFORMED, 'but for a damaged one')
    for i, last in ipairs(ends) do
        local wrong = 0
        for j = 1, last do
            local tuple = box.space.kv:get(('%d.%d'):format(i, j))
            wrong = wrong + (tuple and #tuple == 3 and tuple[3] == i * 100000 + j and 0 or 1)
        end
        test:is(answers[i][1], outcome.OK, 'chunk ' .. i)
        test:is(wrong, 0, ('its %d entries'):format(last))
    end
    box.space.kv:truncate()
end)

suite:case('no call leaves more memory behind than the one before it', function(test)
    local body = require('tarantkv.body')
    local entry = '\x93\xa1k\x01\x01'
    local large = '\xdd\x00\x01\x00\x00' .. entry:rep(65536)
    test:is(support.run(support.WRITE, '\x91' .. entry), outcome.OK, 'a small one')
    local kept = ffi.sizeof(body.entry_ends())
    for _ = 1, 3 do
        test:is(support.run(support.WRITE, large), outcome.OK, 'a large one')
        test:ok(ffi.sizeof(body.entry_ends()) > kept, 'takes more, as it has one end more than entries')
        test:is(support.run(support.WRITE, '\x91' .. entry), outcome.OK, 'and a small one')
        test:is(ffi.sizeof(body.entry_ends()), kept, 'gives it back')
    end
    test:is(support.run(support.WRITE, '\xdd\x10\x00\x00\x00' .. large), outcome.MALFORMED, 'a count that lies')
    test:is(ffi.sizeof(body.entry_ends()), kept, 'takes nothing')
end)

suite:case('faults of a chunk around its body', function(test)
    local good = support.chunk(support.READ, support.keys_body({'k'}, {1}))
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
    local body = support.keys_body({'a', 'b'}, {1, 1})
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
