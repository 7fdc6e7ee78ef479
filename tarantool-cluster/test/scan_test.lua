--- A scan returns the keys within its bounds in the order of their bytes, and no absent keys.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local ffi = require('ffi')
local msgpack = require('msgpack')
local scans = require('scans')
local support = require('support')
local outcome, ownership, scan

local suite = support.suite('scan')

local BUCKETS = scans.BUCKETS
local ask, keys_of, all_keys, fill, pause = scans.ask, scans.keys_of, scans.all_keys, scans.fill, scans.pause

local function sorted(keys)
    local copy = {unpack(keys)}
    table.sort(copy, function(one, other)
        return ffi.C.tarantkv_memcmp(one, other, math.min(#one, #other)) < 0
            or (one ~= other and other:sub(1, #one) == one)
    end)
    return copy
end

local function reversed(keys)
    local other = {}
    for i = #keys, 1, -1 do
        table.insert(other, keys[i])
    end
    return other
end

local ODD = {
    'a', 'a\0', 'a\0b', 'aa', 'ab', 'b', 'B', '~', '\1', '\127', 'ä', 'äa', 'z', '\239\191\191', '\240\159\152\128',
    ('k'):rep(31), ('k'):rep(32), ('k'):rep(255), ('k'):rep(256), ('k'):rep(1024),
}

suite:case('keys come in the order of their bytes, or in reverse order', function(test)
    pause(0)
    fill(ODD)
    test:is_deeply(keys_of(ask()), sorted(ODD), 'forward')
    test:is_deeply(keys_of(ask({reverse = true})), reversed(sorted(ODD)), 'backward')
end)

suite:case('every pair of bounds is exact, in both directions', function(test)
    local keys = sorted({'a', 'ab', 'abc', 'b', '\240\159\152\128', ('k'):rep(300)})
    fill(keys)
    local bounds = {false, '0', 'a\0', 'abd', '\255', unpack(keys)}
    local wrong = 0
    for _, lower in ipairs(bounds) do
        for _, upper in ipairs(bounds) do
            for number = 0, 7 do
                local with_lower, with_upper, reverse = number % 2 == 1, number % 4 >= 2, number >= 4
                local expected = {}
                for _, key in ipairs(keys) do
                    local above = not lower or sorted({lower, key})[1] ~= key or (key == lower and with_lower)
                    local below = not upper or sorted({key, upper})[1] == key and (key ~= upper or with_upper)
                    if above and below then
                        table.insert(expected, key)
                    end
                end
                local given = keys_of(ask({
                    lower = lower or nil, lower_included = with_lower, upper = upper or nil,
                    upper_included = with_upper, reverse = reverse,
                }))
                if table.concat(given, '|') ~= table.concat(reverse and reversed(expected) or expected, '|') then
                    wrong = wrong + 1
                end
            end
        end
    end
    test:is(wrong, 0, 'no scan gives a key too many or too few')
end)

suite:case('pieces of every size contain every key', function(test)
    local whole = sorted(ODD)
    fill(ODD)
    for _, reverse in ipairs({false, true}) do
        local expected = reverse and reversed(whole) or whole
        for _, limit in ipairs({1, 2, 7, #ODD, #ODD + 1}) do
            test:is_deeply(all_keys({limit = limit, reverse = reverse}), expected, 'of ' .. limit .. ' keys')
        end
        local keys, pieces = all_keys({max_bytes = 1, reverse = reverse})
        test:is_deeply(keys, expected, 'of a byte, which gives one tuple at least')
        test:is(pieces, #ODD, 'and no more')
    end
    test:is(ask({limit = #ODD}).state, scan.DONE, 'the last piece says that it is the last')
end)

suite:case('a large tuple is a piece of its own, however few bytes were requested', function(test)
    fill({'a', 'b', 'c'})
    local large = msgpack.encode(('x'):rep(1000000))
    test:is(support.write('b', large), outcome.OK, 'written')
    for _, reverse in ipairs({false, true}) do
        local keys = all_keys({max_bytes = 1000, reverse = reverse})
        test:is(table.concat(keys), reverse and 'cba' or 'abc', 'all of them come')
    end
    test:is(ask({lower = 'b', limit = 1}).tuples[1][3], ('x'):rep(1000000), 'whole')
end)

suite:case('a tuple is returned as stored, without its value if that is not requested', function(test)
    box.space.kv:truncate()
    box.space.kv:replace({'old', support.bucket_of('old'), {1, 2}})
    support.write('new', '\xa3new')
    local stored = box.space.kv:get('new'):totable()
    local answer = ask()
    test:is_deeply(answer.tuples[1], stored, 'with its version')
    test:is_deeply(answer.tuples[2], {'old', support.bucket_of('old'), {1, 2}}, 'of a version before')
    answer = ask({values = false})
    test:is_deeply(answer.tuples[1], {'new', stored[2], box.NULL, stored[4]}, 'key and version alone')
    test:is(msgpack.encode(answer.tuples[2]), msgpack.encode({'old', support.bucket_of('old'), box.NULL}), 'key alone')
end)

suite:case('an expired key is left out from its millisecond on', function(test)
    box.space.kv:truncate()
    local ms = require('tarantkv.shard_clock').now_ms()
    local function number(value)
        local upper = math.floor(value / 4294967296)
        local lower = bit.tobit(value % 4294967296)
        return '\xcf' .. ffi.string(ffi.new('uint32_t[2]', bit.bswap(upper), bit.bswap(lower)), 8)
    end
    local api = require('tarantkv.box_api')
    for key, expires in pairs({over = ms - 1, just = ms, later = ms + 60000}) do
        local tuple = '\x95' .. msgpack.encode(key) .. msgpack.encode(support.bucket_of(key)) .. '\x01' .. number(7)
            .. number(expires)
        local bytes = ffi.cast('const uint8_t *', tuple)
        box.begin()
        assert(api.replace(box.space.kv.id, bytes, bytes + #tuple, nil) == 0)
        box.commit()
    end
    for _, values in ipairs({true, false}) do
        local answer = ask({values = values})
        test:is_deeply(keys_of(answer), {'later'}, 'only what is there comes')
        test:is(tonumber(answer.tuples[1][5]), ms + 60000, 'with its expiry')
    end
    test:is_deeply(all_keys({limit = 1}), {'later'}, 'those left out are passed')
end)

suite:case('keys of other buckets are left out, and the owned buckets are named', function(test)
    fill(ODD)
    local answer = ask()
    test:is_deeply(answer.ranges, {{1, BUCKETS}}, 'all of them')
    local union = {}
    for number = 0, 3 do
        for _, key in ipairs(all_keys({first_bucket = number * 7500 + 1, last_bucket = number * 7500 + 7500})) do
            local bucket = support.bucket_of(key)
            test:ok(bucket > number * 7500 and bucket <= number * 7500 + 7500, 'in the bounds')
            table.insert(union, key)
        end
    end
    test:is_deeply(sorted(union), sorted(ODD), 'the parts make the whole')
    ownership.assign(BUCKETS, {{1, 9000}, {20000, BUCKETS}})
    answer = ask()
    test:is_deeply(answer.ranges, {{1, 9000}, {20000, BUCKETS}}, 'what is owned now')
    local expected = {}
    for _, key in ipairs(sorted(ODD)) do
        local bucket = support.bucket_of(key)
        if bucket <= 9000 or bucket >= 20000 then
            table.insert(expected, key)
        end
    end
    test:is_deeply(keys_of(answer), expected, 'and no tuple that lies here of another shard')
    answer = ask({first_bucket = 9001, last_bucket = 19999})
    test:is(answer.state, scan.DONE, 'a slice that the shard owns nothing of is over at once')
    ownership.assign(BUCKETS, {{1, BUCKETS}})
end)

support.start()
outcome = require('tarantkv.outcome')
ownership = require('tarantkv.ownership')
scan = require('tarantkv.scan')
-- On a busy machine the time limit would end a piece early.
scan.MAX_S = 10
suite:run()
