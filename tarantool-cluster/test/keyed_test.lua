--- Changes that are recorded by bucket: each bucket of a claim is applied once, in whichever chunks it arrives.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local ownership = require('tarantkv.ownership')
local outcome

local suite = support.suite('changes by buckets')

local KEYED = 10
local ONE, TWO = msgpack.encode('one'), msgpack.encode('two')
local NULL = box.NULL

--- Bytes as MessagePack, in each of its forms in turn.
local function bin(text)
    assert(#text < 65536)
    local low, high = #text % 256, math.floor(#text / 256)
    return (#text < 256 and '\xc4' .. string.char(low) or '\xc5' .. string.char(high, low)) .. text
end

local function body_of(op, token, pieces)
    local inner = {}
    for i, piece in ipairs(pieces) do
        inner[i] = msgpack.encode(piece[1]) .. bin(piece[2])
    end
    return string.char(op) .. token .. support.array_of(2 * #pieces) .. table.concat(inner)
end

local function write(bucket, key, value)
    return {bucket, support.body({support.write_entry(key, value, bucket)})}
end

local function delete(bucket, ...)
    local keys, buckets = {...}, {}
    for i = 1, #keys do
        buckets[i] = bucket
    end
    return {bucket, support.keys_body(keys, buckets)}
end

local function increment(bucket, key, delta)
    return {bucket, msgpack.encode({{key, bucket, delta, 0, NULL, NULL, NULL, false}})}
end

local tokens = 0

local function new_token()
    tokens = tokens + 1
    return ('%016d'):format(tokens)
end

local function run(op, token, pieces, options)
    return support.run(KEYED, body_of(op, token, pieces), options)
end

suite:case('a retry that groups its keys differently applies each bucket once', function(test)
    local token = new_token()
    test:is(run(support.INCREMENT, token, {increment(1, 'a', 1), increment(2, 'b', 1)}), outcome.OK, 'the first try')
    local status, payload, _
    status, payload = run(support.INCREMENT, token, {increment(2, 'b', 1), increment(3, 'c', 1)})
    test:is(status, outcome.OK, 'the second')
    test:is_deeply(msgpack.decode(payload), {{{1}, {}}, {{1}, {}}}, 'tells what the first did, and does the rest')
    _, payload = run(support.INCREMENT, token, {increment(1, 'a', 1), increment(2, 'b', 1), increment(3, 'c', 1)})
    test:is_deeply(msgpack.decode(payload), {{{1}, {}}, {{1}, {}}, {{1}, {}}}, 'and so does a third')
    _, payload = run(support.INCREMENT, new_token(), {increment(1, 'a', 1)})
    test:is_deeply(msgpack.decode(payload), {{{2}, {}}}, 'another request is another one')
end)

suite:case('the count of a delete includes buckets on record', function(test)
    for i = 1, 4 do
        run(support.WRITE, new_token(), {write(i, 'd' .. i, ONE)})
    end
    local token = new_token()
    local status, deleted = run(support.DELETE, token, {delete(1, 'd1', 'none'), delete(2, 'd2')})
    test:is_deeply({status, deleted}, {outcome.OK, 2}, 'two')
    run(support.WRITE, new_token(), {write(1, 'd1', ONE)})
    status, deleted = run(support.DELETE, token, {delete(1, 'd1', 'none'), delete(3, 'd3')})
    test:is_deeply({status, deleted}, {outcome.OK, 2}, 'one on record and one new')
    test:is(support.read('d1', 1), ONE, 'what was written meanwhile stays')
end)

suite:case('every operation on keys has a result for each bucket', function(test)
    local named = support.keys_body({'e'}, {5}):sub(2)
    test:is_deeply({run(support.WRITE, new_token(), {write(5, 'e', ONE)})}, {outcome.OK, NULL}, 'a write has none')
    local function told(op, body)
        local status, payload = run(op, new_token(), {{5, body}})
        test:is(status, outcome.OK, 'operation ' .. op)
        return msgpack.decode(payload)[1]
    end
    local update = '\x92' .. support.body({support.write_entry('e', TWO, 5)}) .. '\x91\xc2'
    test:is(#told(support.UPDATE, update)[2], 1, 'an update says whose condition failed')
    local missing = '\x93' .. support.keys_body({'no'}, {5}):sub(2) .. '\x91\x01'
    test:is_deeply(told(support.TOUCH, missing), {0}, 'a touch says what was not there')
    local deleted = '\x93' .. named .. '\x91\xc3'
    test:is_deeply(told(support.DELETE_IF, deleted), {1, {}}, 'a delete with conditions counts')
end)

suite:case('a bucket on record is answered while it is moving', function(test)
    local token = new_token()
    run(support.INCREMENT, token, {increment(7, 'm', 1)})
    ownership.change(7, ownership.READABLE, ownership.MOVING)
    local status, payload = run(support.INCREMENT, token, {increment(7, 'm', 1)})
    test:is_deeply({status, (msgpack.decode(payload))}, {outcome.OK, {{{1}, {}}}}, 'on record')
    ownership.change(8, ownership.NONE, 's2')
    status, payload = run(support.INCREMENT, token, {increment(7, 'm', 1), increment(8, 'n', 1), increment(9, 'o', 1)})
    test:is_deeply({status, (msgpack.decode(payload))}, {outcome.WRONG_BUCKET, {{8, 's2'}}}, 'another one is refused')
    test:is(support.read('o', 9), false, 'and the rest of the chunk with it')
    ownership.change(7, ownership.WRITABLE)
    ownership.change(8, ownership.WRITABLE)
end)

suite:case('a refusal is final with records by bucket, too', function(test)
    local token, id = new_token(), support.new_id()
    ownership.change(10, ownership.NONE, 's2')
    test:is(run(support.WRITE, token, {write(10, 'r', ONE)}, {id = id}), outcome.WRONG_BUCKET, 'refused')
    ownership.change(10, ownership.WRITABLE)
    test:is(run(support.WRITE, token, {write(10, 'r', ONE)}, {id = id}), outcome.WRONG_BUCKET, 'a copy')
    test:is(run(support.WRITE, token, {write(10, 'r', ONE)}), outcome.OK, 'the next chunk')
end)

suite:case('two copies in one call are applied once', function(test)
    local token = new_token()
    local chunks = {}
    for i = 1, 2 do
        chunks[i] = support.chunk(KEYED, body_of(support.INCREMENT, token, {increment(11, 'twice', 1)}))
    end
    local answers = _G.tarantkv.apply(chunks)
    for i = 1, 2 do
        test:is_deeply({answers[i][1], (msgpack.decode(answers[i][2]))}, {outcome.OK, {{{1}, {}}}}, 'copy ' .. i)
    end
    test:is(support.read('twice', 11), '\x01', 'counted once')
end)

suite:case('after the deadline only buckets on record are answered', function(test)
    local token, late = new_token(), {deadline = clock.now_ms() - 1}
    test:is(run(support.WRITE, token, {write(12, 'l', ONE)}, late), outcome.EXPIRED, 'not on record')
    run(support.WRITE, token, {write(12, 'l', ONE)})
    test:is(run(support.WRITE, token, {write(12, 'l', ONE)}, late), outcome.OK, 'on record')
    test:is(run(support.WRITE, token, {write(12, 'l', ONE), write(13, 'k', ONE)}, late), outcome.EXPIRED, 'half')
end)

suite:case('a change that the log refuses is not on record', function(test)
    local visibility = require('tarantkv.visibility')
    local log_write = visibility.log_write
    visibility.log_write = function() box.error({code = box.error.WAL_IO}) end
    local token = new_token()
    test:is(run(support.WRITE, token, {write(14, 'w', ONE)}), outcome.REFUSED, 'refused')
    visibility.log_write = log_write
    test:is(box.space.keyed:count({token}), 0, 'no record')
    test:is(run(support.WRITE, token, {write(14, 'w', ONE)}), outcome.OK, 'the next try is applied')
end)

suite:case('records are kept as long as those of chunks, and then removed', function(test)
    local token, id = new_token(), support.new_id()
    run(support.WRITE, token, {write(15, 'x', ONE)}, {id = id, retain = 600000})
    local record = box.space.keyed:get({token, 15})
    test:is(record.retain_until, box.space.applied:get(id).retain_until, 'as long')
    box.space.keyed:update({token, 15}, {{'=', 'retain_until', 1}})
    require('tarantkv.expiry').sweep_all()
    test:is(box.space.keyed:get({token, 15}), nil, 'removed')
end)

suite:case('a malformed body is refused', function(test)
    local token = new_token()
    local good = body_of(support.WRITE, token, {write(1, 'g', ONE)})
    for name, body in pairs({
        empty = '', ['no operation'] = '\x63' .. good:sub(2), ['a read'] = '\x02' .. good:sub(2),
        ['by buckets again'] = string.char(KEYED) .. good:sub(2), ['no pieces'] = good:sub(1, 17) .. '\x90',
        odd = good:sub(1, 17) .. '\x91\x01', cut = good:sub(1, -2), longer = good .. '\xc0',
        ['a bucket twice'] = body_of(support.WRITE, token, {write(1, 'g', ONE), write(1, 'h', ONE)}),
        ['no bytes'] = good:sub(1, 17) .. '\x92\x01\xa1x', ['too many'] = good:sub(1, 17) .. '\xdd\xff\xff\xff\xfe\x01',
        ['a damaged piece'] = body_of(support.WRITE, token, {{1, '\x91\x93'}}),
    }) do
        test:is(support.run(KEYED, body), outcome.MALFORMED, name)
    end
    test:is(support.read('g', 1), false, 'and nothing of it applied')
    for size = 0, #good - 1 do
        if support.run(KEYED, good:sub(1, size)) ~= outcome.MALFORMED then
            test:fail('cut after ' .. size)
        end
    end
end)

support.start()
outcome = require('tarantkv.outcome')
suite:run()
