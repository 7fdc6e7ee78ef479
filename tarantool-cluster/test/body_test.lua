--- Bodies with one fault each are refused, change nothing, and take no memory; valid bodies of every form are accepted.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local ffi = require('ffi')
local msgpack = require('msgpack')
local support = require('support')

local outcome

local suite = support.suite('bodies')

suite:case('writes with wrong counts and ends are refused', function(test)
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

suite:case('reads and deletes with wrong counts and ends are refused', function(test)
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

suite:case('a body of the earlier form is refused', function(test)
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
    -- 221 is the first byte of an array in 32 bits; its count would include the first length.
    for length = 1, 40000, 7 do
        try(support.WRITE, support.u32(221) .. support.u32(length):rep(221) .. support.write_entry('k', values[3], 1))
        try(support.READ, support.u32(221) .. support.u32(length):rep(221) .. '\x91\xa1k\x01')
    end
    test:is(taken, 0, 'whatever its count')
end)

suite:case('writes with a faulty entry are refused', function(test)
    local function write_of(entry)
        return support.run(support.WRITE, support.body({entry}))
    end
    for name, entry in pairs({
        ['an array of two'] = '\x92\xa1k\x01',
        ['an array of four whose last is no integer'] = '\x94\xa1k\x01\x01\xa1x',
        ['an array of four whose last is past what Lua counts'] = '\x94\xa1k\x01\x01\xcf' .. ('\xff'):rep(8),
        ['an array of four without the last'] = '\x94\xa1k\x01\x01',
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
    -- More entries than the table of offsets keeps between calls, so that it grows during the call.
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
            wrong = wrong + (tuple and #tuple == 4 and tuple[3] == i * 100000 + j and 0 or 1)
        end
        test:is(answers[i][1], outcome.OK, 'chunk ' .. i)
        test:is(wrong, 0, ('its %d entries'):format(last))
    end
    box.space.kv:truncate()
end)

suite:case('memory does not grow from call to call', function(test)
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

suite:case('chunks with faults outside their body are refused', function(test)
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

suite:case('an answer beyond the limit is refused', function(test)
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
