--- Claims of idempotency keys: their life, what a copy of an operation gets, how small they are, and how many
-- a user may have.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local outcome, claims

local suite = support.suite('claims')

-- The clock of the shard and of its sweeper. A case sets how far it is ahead of the true clock.
local true_ms, ahead_ms = clock.now_ms, 0

local function now_ms()
    return true_ms() + ahead_ms
end
clock.now_ms = now_ms

local PLAIN = '{"status":"success"}'

local function claim_of(user, key, digest, claim_id, window, options)
    local status, payload = support.control(support.CLAIM, {1, user, key, digest, claim_id, window or 60000}, options)
    if status ~= outcome.OK then
        return status, payload
    end
    return payload[1], payload[2], payload[3]
end

local function claim(...)
    return claim_of('ann', ...)
end

local function finish(key, claim_id, result, options)
    return support.control(support.FINISH, {1, 'ann', key, claim_id, result}, options)
end

suite:case('a claim is open until it is finished, and keeps its first outcome', function(test)
    test:is_deeply({claim('k', 'digest', 'c1')}, {'new', 'c1', box.NULL}, 'new')
    test:is_deeply({claim('k', 'digest', 'c2')}, {'pending', 'c1', box.NULL}, 'pending, with the stored id')
    test:is_deeply({claim('k', 'other', 'c3')}, {'conflict', box.NULL, box.NULL}, 'another digest is a conflict')
    test:is(finish('k', 'c2', 'wrong'), outcome.OK, 'finishing another claim')
    test:is(claim('k', 'digest', 'c4'), 'pending', 'has no effect')
    test:is(finish('k', 'c1', 'result'), outcome.OK, 'finishing it')
    test:is_deeply({claim('k', 'digest', 'c5')}, {'done', 'c1', 'result'}, 'done, with its outcome')
    test:is_deeply({claim('k', 'other', 'c6')}, {'conflict', box.NULL, box.NULL}, 'still a conflict for others')
    finish('k', 'c1', 'second')
    test:is_deeply({claim('k', 'digest', 'c7')}, {'done', 'c1', 'result'}, 'the first outcome stays')
end)

suite:case('claims belong to a user and a key', function(test)
    test:is(claim('own', 'digest', 'aa'), 'new', 'one user')
    test:is(claim_of('bob', 'own', 'another', 'bb'), 'new', 'the same key of another user is another claim')
    test:is(claim_of('an', 'nown', 'another', 'bb'), 'new', 'and so is one whose names add up to the same text')
    test:is(finish('absent', 'cc', 'x'), outcome.OK, 'finishing a claim that is not there')
    test:is(claim('absent', 'digest', 'cc'), 'new', 'has no effect')
end)

suite:case('a CLAIM that arrives twice is treated as the first attempt, not as a repeat', function(test)
    test:is(claim('twice', 'digest', 'd1'), 'new', 'the first copy')
    test:is_deeply({claim('twice', 'digest', 'd1')}, {'new', 'd1', box.NULL}, 'the second copy')
    test:is(claim('twice', 'digest', 'd2'), 'pending', 'another try is a repeat')
    finish('twice', 'd1', PLAIN)
    test:is(claim('twice', 'digest', 'd1'), 'new', 'a copy that comes last of all')
end)

suite:case('a copy that arrives after its deadline is answered from the record, and changes nothing', function(test)
    local late = {deadline = now_ms() - 1}
    test:is(claim('late', 'digest', 'e1', 60000, late), outcome.EXPIRED, 'a first CLAIM expires')
    test:is(claim('late', 'digest', 'e1'), 'new', 'and has not claimed')
    test:is(claim('late', 'digest', 'e1', 60000, late), 'new', 'a copy of one that has claimed')
    test:is(claim('late', 'digest', 'e2', 60000, late), 'pending', 'another try')
    test:is(finish('late', 'e1', PLAIN, late), outcome.EXPIRED, 'a first FINISH expires')
    test:is(claim('late', 'digest', 'e3'), 'pending', 'and has not finished')
    test:is(finish('late', 'e1', PLAIN), outcome.OK, 'finished')
    test:is(finish('late', 'e1', PLAIN, late), outcome.OK, 'a copy of one that has finished')
end)

suite:case('an expired claim counts as absent', function(test)
    test:is(claim('short', 'digest', 'c1'), 'new', 'claimed for a minute')
    ahead_ms = ahead_ms + 60000
    test:is(finish('short', 'c1', 'too late'), outcome.OK, 'finished after that')
    test:is_deeply({claim('short', 'other', 'c2')}, {'new', 'c2', box.NULL}, 'claimed anew by another digest')
end)

suite:case('a claim lasts two days at most', function(test)
    claim('long', 'digest', 'cc', 9007199254740991)
    local expires = box.space.claims:get(claims.id_of('ann', 'long')).expires
    test:ok(expires <= now_ms() + 2 * 24 * 60 * 60 * 1000, 'however long it asks')
end)

suite:case('the outcome is returned as the same MessagePack bytes', function(test)
    local function mp(value) return msgpack.encode(value) end
    local result = '\x82\xa1a\xc4\x01\xff\xa1b\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00'
    local claiming = '\x96\x01' .. mp('ann') .. mp('bytes') .. '\xc4\x02\xff\xfe' .. mp('0a0b') .. mp(1000)
    local _, payload = support.run(support.CLAIM, claiming)
    test:ok(payload == '\x93' .. mp('new') .. mp('0a0b') .. '\xc0', 'new')
    support.run(support.FINISH, '\x95\x01' .. mp('ann') .. mp('bytes') .. mp('0a0b') .. result)
    local again = '\x96\x01' .. mp('ann') .. mp('bytes') .. '\xc4\x02\xff\xfe' .. mp('0c0d') .. mp(1000)
    _, payload = support.run(support.CLAIM, again)
    test:ok(payload == '\x93' .. mp('done') .. mp('0a0b') .. result, 'done')
    -- The length of the array in a chunk may be encoded in more bytes than needed.
    _, payload = support.run(support.CLAIM, '\xdc\x00\x06' .. again:sub(2))
    test:ok(payload == '\x93' .. mp('done') .. mp('0a0b') .. result, 'the longer form of an array')
    local large = mp(('x'):rep(100000))
    support.run(support.CLAIM, '\x96\x01' .. mp('ann') .. mp('large') .. mp('d') .. mp('0a') .. mp(1000))
    test:is(support.run(support.FINISH, '\x95\x01' .. mp('ann') .. mp('large') .. mp('0a') .. large), outcome.OK,
        'an outcome may be large')
    _, payload = support.run(support.CLAIM, '\x96\x01' .. mp('ann') .. mp('large') .. mp('d') .. mp('0b') .. mp(1000))
    test:ok(payload == '\x93' .. mp('done') .. mp('0a') .. large, 'and comes back whole')
end)

suite:case('a claim is stored in at most 70 bytes, including a plain success', function(test)
    local digest, claim_id = ('0123456789abcdef'):rep(4), ('0123456789ab'):rep(2)
    local key = '123e4567-e89b-12d3-a456-426614174000'
    claim(key, digest, claim_id, 600000)
    finish(key, claim_id, PLAIN)
    local stored = box.space.claims:get(claims.id_of('ann', key))
    test:ok(stored:bsize() <= 70, ('%d bytes'):format(tonumber(stored:bsize())))
    test:is_deeply({claim(key, digest, 'ff')}, {'done', claim_id, PLAIN}, 'and comes back as it was')
    test:is(claim(key, ('f'):rep(64), 'ff'), 'conflict', 'another digest is still told from it')
end)

suite:case('a user has a bounded number of claims', function(test)
    local limit = 5
    claims.attach(box.space.claims, limit)
    local before = 0
    for _ in box.space.claims:pairs() do
        before = before + 1
    end
    for i = 1, limit do
        test:is(claim_of('eve', 'bound' .. i, 'd', 'aa', 200), 'new', 'claim ' .. i)
    end
    local status, message = claim_of('eve', 'one more', 'd', 'aa')
    test:is(status, outcome.TOO_MANY, 'one more is refused')
    test:ok(message:find('5', 1, true), 'in words that tell the bound')
    test:is(box.space.claims:len(), before + limit, 'and not stored')
    test:is(claim_of('eve', 'bound1', 'd', 'bb'), 'pending', 'a repeat of a claim is answered')
    test:is(claim_of('mallory', 'k', 'd', 'aa'), 'new', 'and so are other users')
    test:ok(support.wait_for(function() return claim_of('eve', 'one more', 'd', 'aa') == 'new' end),
        'once claims are over there is room again')
    claims.attach(box.space.claims, 1000)
end)

suite:case('expired claims make room for new ones at once, before they are removed', function(test)
    local expiry = require('tarantkv.expiry')
    local sweep = expiry.sweep
    expiry.sweep = function() return 0 end
    claims.attach(box.space.claims, 2)
    test:is(claim_of('amy', 'k1', 'd', 'aa', 1000), 'new', 'a claim for a second')
    test:is(claim_of('amy', 'k2', 'd', 'aa'), 'new', 'and one that lasts')
    ahead_ms = ahead_ms + 1000
    test:is(claim_of('amy', 'k3', 'd', 'aa'), 'new', 'one more takes the place of the first')
    test:is(claim_of('amy', 'k4', 'd', 'aa'), outcome.TOO_MANY, 'and no further one')
    test:is(claim_of('amy', 'k2', 'd', 'bb'), 'pending', 'the one that lasts is still there')
    claims.attach(box.space.claims, 2)
    test:is(claim_of('amy', 'k5', 'd', 'aa'), outcome.TOO_MANY, 'as a new count finds, too')
    expiry.sweep = sweep
    claims.attach(box.space.claims, 1000)
end)

suite:case('claims that were rolled back are not counted', function(test)
    claims.attach(box.space.claims, 1)
    local visibility = require('tarantkv.visibility')
    visibility.log_write = function() error('the disk is full') end
    for i = 1, 3 do
        test:is(claim_of('zoe', 'k' .. i, 'd', 'aa'), outcome.REFUSED, 'a claim that the log refuses')
    end
    visibility.log_write = box.commit
    test:is(claim_of('zoe', 'k1', 'd', 'aa'), 'new', 'leaves its user all the room')
    test:is(claim_of('zoe', 'k2', 'd', 'aa'), outcome.TOO_MANY, 'and no more than that')
    claims.attach(box.space.claims, 1)
    test:is(claim_of('zoe', 'k2', 'd', 'aa'), outcome.TOO_MANY, 'which a restart does not forget')
    claims.attach(box.space.claims, 1000)
end)

support.start({clock_skew_s = 0}, {log_level = 1})
outcome, claims = require('tarantkv.outcome'), require('tarantkv.claims')
suite:run()
