--- Values are returned byte for byte; values that cannot be kept are refused.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local support = require('support')
local outcome

local suite = support.suite('values')

local function nested(depth, leaf)
    return ('\x91'):rep(depth) .. leaf
end

local KEPT = {
    {'nil', '\xc0'},
    {'true', '\xc3'},
    {'an empty map', '\x80'},
    {'an empty array', '\x90'},
    {'an empty map in 16 bits', '\xde\x00\x00'},
    {'an empty array in 32 bits', '\xdd\x00\x00\x00\x00'},
    {'the integer 1', '\x01'},
    {'the float 1.0', '\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00'},
    {'the short float 1.0', '\xca\x3f\x80\x00\x00'},
    {'the integer 1 in eight bytes', '\xcf\x00\x00\x00\x00\x00\x00\x00\x01'},
    {'the largest unsigned integer', '\xcf' .. ('\xff'):rep(8)},
    {'the smallest signed integer', '\xd3\x80' .. ('\x00'):rep(7)},
    {'a negative fixed integer', '\xe0'},
    {'not a number', '\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00'},
    {'nils in an array', '\x95\xc0\x01\xc0\x02\xc0'},
    {'an array that ends with nil', '\x92\x01\xc0'},
    {'a map with other keys than strings', '\x83\x01\xa1a\xc0\xa1b\xc2\xa1c'},
    {'a map with the same key twice', '\x82\xa1a\x01\xa1a\x02'},
    {'an empty string', '\xa0'},
    {'a string in 8 bits that would fit a fixed one', '\xd9\x01a'},
    {'a string in 32 bits', '\xdb\x00\x00\x00\x02ab'},
    {'a string that is not UTF-8', '\xa3\xff\xfe\x80'},
    {'a string with zeros', '\xa3a\x00b'},
    {'emoji', '\xa4\xf0\x9f\x98\x80'},
    {'an empty bin', '\xc4\x00'},
    {'a bin', '\xc4\x03\x00\xff\x00'},
    {'a long bin', '\xc6\x00\x01\x00\x00' .. ('\x07'):rep(65536)},
    {'a timestamp extension', '\xd6\xff\x00\x00\x00\x01'},
    {'an application extension', '\xc7\x03\x2aabc'},
    {'an extension of type 0', '\xd4\x00x'},
    {'an extension of type 32', '\xd4\x20x'},
    {'an extension of type 127', '\xd4\x7fx'},
    {'an extension of type -128', '\xd4\x80x'},
    {'an empty extension', '\xc7\x00\x2a'},
    {'an extension in 32 bits', '\xc9\x00\x00\x00\x01\x2ax'},
    {'a decimal of Tarantool', '\xd5\x01\x02\x1c'},
    {'a uuid of Tarantool', '\xd8\x02' .. ('\x11'):rep(16)},
    {'a long array', '\xdc\x10\x00' .. ('\xc0'):rep(4096)},
    {'a long map', '\xde\x01\x00' .. ('\x01\xc0'):rep(256)},
    {'the deepest value', nested(256, '\x01')},
    {'many containers side by side', '\xdc\x02\x00' .. ('\x91\x90'):rep(512)},
}

local REFUSED = {
    {'nothing at all', ''},
    {'the byte that MessagePack never uses', '\xc1'},
    {'that byte inside an array', '\x92\x01\xc1'},
    {'two values', '\x01\x02'},
    {'a truncated integer', '\xce\x00\x00\x00'},
    {'a truncated float', '\xcb\x00'},
    {'a truncated string', '\xa3ab'},
    {'a truncated length', '\xdb\x00\x00'},
    {'a string with a length that lies', '\xdb\xff\xff\xff\xffab'},
    {'a truncated array', '\x93\x01\x02'},
    {'an array with a huge count', '\xdd\xff\xff\xff\xff\x01'},
    {'a map with a huge count', '\xdf\xff\xff\xff\xff\x01\x01'},
    {'a map without its last value', '\x82\x01\x02\x03'},
    {'huge arrays in each other', ('\xdd\xff\xff\xff\xff'):rep(1000)},
    {'a bin with a length that lies', '\xc5\xff\xff\x00'},
    {'an extension with a length that lies', '\xc9\xff\xff\xff\xff\x2a'},
    {'a truncated extension', '\xd4'},
    {'an extension without its type', '\xc7\x00'},
    {'a damaged decimal', '\xd4\x01\xff'},
    {'a damaged decimal deep inside', '\x81\xa1a\x91\xd4\x01\xff'},
    {'a uuid of the wrong size', '\xd4\x02a'},
    {'a damaged error of Tarantool', '\xd4\x03\xff'},
    {'a damaged datetime', '\xd4\x04\xff'},
    {'an unreadable compressed field', '\xd4\x05\xff'},
    {'a value nested too deep', nested(257, '\x01')},
    {'an empty array nested too deep', nested(257, '\x90')},
    {'a value nested absurdly deep', nested(500000, '\x01')},
    {'a map nested too deep', ('\x81\x01'):rep(257) .. '\xc0'},
}

suite:case('every kind of value is stored byte for byte', function(test)
    for _, kept in ipairs(KEPT) do
        local status, message = support.write('kept', kept[2])
        test:is(status, outcome.OK, kept[1] .. ' is taken: ' .. tostring(message))
        test:ok(support.read('kept') == kept[2], kept[1] .. ' comes back unchanged')
    end
end)

suite:case('bytes that are not one well-formed value are refused and nothing is stored', function(test)
    for _, refused in ipairs(REFUSED) do
        test:is(support.write('refused', refused[2]), outcome.MALFORMED, refused[1] .. ' is refused')
    end
    test:is(support.read('refused'), false, 'nothing of it was stored')
end)

suite:case('a value can be read together with others in one answer', function(test)
    local keys, pairs_ = {}, {}
    for i, kept in ipairs(KEPT) do
        keys[i] = 'together' .. i
        pairs_[i] = {keys[i], kept[2]}
    end
    test:is(support.run(support.WRITE, support.write_body(pairs_)), outcome.OK, 'written in one chunk')
    table.insert(keys, 3, 'missing')
    local _, blob = support.run(support.READ, support.keys_body(keys))
    local values = support.values(blob)
    test:is(table.remove(values, 3), false, 'the missing one is marked')
    local same = 0
    for i, kept in ipairs(KEPT) do
        same = same + (values[i] == kept[2] and 1 or 0)
    end
    test:is(same, #KEPT, 'all others are as written')
end)

suite:case('a tuple in the longer form of another writer can be read', function(test)
    -- Stored through the C API as an array16, which Tarantool's own encoder would not do for three fields.
    local ffi = require('ffi')
    local api = require('tarantkv.box_api')
    for name, header in pairs({short = '\x93', long = '\xdc\x00\x03', longest = '\xdd\x00\x00\x00\x03'}) do
        local tuple = header .. '\xa5other\x01' .. '\xc4\x02' .. 'ab'
        local bytes = ffi.cast('const uint8_t *', tuple)
        box.begin()
        test:is(api.replace(box.space.kv.id, bytes, bytes + #tuple, nil), 0, name .. ' header is stored')
        box.commit()
        test:is(support.read('other'), '\xc4\x02ab', name .. ' header is read')
    end
end)

suite:case('all values survive a snapshot and can be read on the console', function(test)
    test:ok(pcall(box.snapshot), 'the snapshot is written')
    test:is(support.write('deep', nested(256, '\x01')), outcome.OK, 'a deep value')
    test:ok(pcall(function() return require('yaml').encode({box.space.kv:get('deep'):totable()}) end),
        'the deepest value can be decoded and shown')
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
