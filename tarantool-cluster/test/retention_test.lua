--- Records are kept until the danger that they prevent is over, however wrong the clocks of the shards and of the api
-- are within the skew, and however they are set meanwhile.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local msgpack = require('msgpack')
local support = require('support')
local clock = require('tarantkv.clock')
local expiry, outcome

local suite = support.suite('retention')

local SKEW, WINDOW, TIMEOUT, LEEWAY = 30000, 38000, 5000, 5000
local ONE, TWO = msgpack.encode('one'), msgpack.encode('two')

--- True time, and how far the clock of this shard is ahead of it.
local true_ms, ahead_ms = clock.now_ms(), 0

function clock.now_ms()
    return true_ms + ahead_ms
end

--- Set the time and the error of this shard's clock, and remove the records that have ended by then.
local function at(time, ahead)
    true_ms, ahead_ms = time, ahead
    expiry.sweep_all()
end

local function claim(key, claim_id, deadline)
    local status, payload = support.control(support.CLAIM,
        {1, 'ann', key, 'digest', claim_id, WINDOW + TIMEOUT}, {deadline = deadline})
    return status == outcome.OK and payload[1] or status, payload[2]
end

--- One of the values for each name, in every combination.
local function combinations(names, values)
    local all = {{}}
    for _, name in ipairs(names) do
        local more = {}
        for _, chosen in ipairs(all) do
            for _, value in ipairs(values) do
                local copy = {[name] = value}
                for other, kept in pairs(chosen) do
                    copy[other] = kept
                end
                table.insert(more, copy)
            end
        end
        all = more
    end
    return all
end

local serial = 0

suite:case('a retry that gets the claim at the end of its window finds the records of the first attempt', function(test)
    local again, given, refused = 0, 0, 0
    -- How far the clocks are ahead: that of the claim's shard at the first attempt and at the retry; that of the data's
    -- shard at the first attempt, when it last removed records, and when the retry's chunk arrives; and that of the api
    -- at the retry. The api of the first attempt is ahead, so that no shard finds it late.
    local names = {'claiming', 'applying', 'claiming_again', 'removing', 'applying_again', 'api'}
    for _, off in ipairs(combinations(names, {0, SKEW})) do
        local ends = WINDOW + TIMEOUT
        for _, wait in ipairs({WINDOW - 600, ends - 1, ends + SKEW - 1, ends + 2 * SKEW - 1, ends + 2 * SKEW}) do
            serial = serial + 1
            local key, id = 'window' .. serial, support.new_id()
            local start = true_ms + 1000000
            at(start, off.claiming)
            assert(claim(key, 'aa', start + SKEW + TIMEOUT) == 'new')
            at(start, off.applying)
            local first = {id = id, deadline = start + SKEW + TIMEOUT, retain = WINDOW + 2 * TIMEOUT}
            assert(support.write(key, ONE, first) == outcome.OK)
            assert(support.write(key, TWO, {deadline = start + SKEW + TIMEOUT}) == outcome.OK)

            at(start + wait, off.claiming_again)
            local state = claim(key, 'bb', start + wait + off.api + TIMEOUT)
            if state == 'pending' then
                given = given + 1
                local deadline = start + wait + off.api + TIMEOUT
                -- The last moment at which its chunk is accepted.
                local last = deadline - off.applying_again - 1
                if last >= start + wait then
                    at(last, off.removing)
                    at(last, off.applying_again)
                    support.write(key, ONE, {id = id, deadline = deadline, retain = WINDOW + 2 * TIMEOUT})
                    again = again + (support.read(key) == ONE and 1 or 0)
                end
            elseif wait < WINDOW and state ~= outcome.EXPIRED then
                refused = refused + 1
            end
        end
    end
    test:is(again, 0, 'never is a chunk applied again under the claim')
    test:is(refused, 0, 'and inside the window the claim is always given out')
    test:ok(given > 100, ('in %d cases'):format(given))
end)

suite:case('a second copy of a chunk without a claim is never applied', function(test)
    local again = 0
    for _, off in ipairs(combinations({'applying', 'removing', 'applying_again'}, {0, SKEW})) do
        serial = serial + 1
        local key, id, start = 'copy' .. serial, support.new_id(), true_ms + 1000000
        local deadline = start + TIMEOUT + SKEW
        at(start, off.applying)
        support.write(key, ONE, {id = id, deadline = deadline})
        support.write(key, TWO, {deadline = deadline})
        for _, time in ipairs({deadline - SKEW - 1, deadline - SKEW, deadline - 1, deadline, deadline + 1}) do
            at(time, off.removing)
            at(time, off.applying_again)
            support.write(key, ONE, {id = id, deadline = deadline})
        end
        at(deadline + 1, 0)
        local status, blob = support.run(support.READ, support.keys_body({key}), {deadline = true_ms + 1000})
        assert(status == outcome.OK)
        again = again + (support.values(blob)[1] == ONE and 1 or 0)
    end
    test:is(again, 0, 'whatever the clock does meanwhile')
end)

suite:case('a revocation lasts until every api refuses the token as expired', function(test)
    local good = 0
    for _, off in ipairs(combinations({'removing', 'asked', 'api'}, {0, SKEW})) do
        serial = serial + 1
        local token, start = 'token' .. serial, true_ms + 1000000
        local expires = start + 3600000
        at(start, 0)
        assert(support.control(support.REVOKE, {1, 'ann', token, expires}) == outcome.OK)
        -- The last moment at which this api accepts the token.
        local last = expires + LEEWAY - off.api - 1
        at(last, off.removing)
        at(last, off.asked)
        local status, payload = support.control(support.USER_GET, {1, 'ann', token}, {deadline = clock.now_ms() + 1000})
        assert(status == outcome.OK)
        good = good + (payload[2] and 0 or 1)
    end
    test:is(good, 0, 'on all clocks')
    test:is(box.space.revoked:len(), 1, 'and those that are over are gone')
end)

suite:case('records are kept long enough with a window of a day and a timeout of a day', function(test)
    local day = 24 * 60 * 60 * 1000
    at(true_ms + 10 * day, 0)
    local id = support.new_id()
    local longest = {id = id, deadline = true_ms + day + SKEW, retain = 3 * day}
    test:is(support.write('day', ONE, longest), outcome.OK, 'taken')
    test:is(box.space.applied:get(id).retain_until, true_ms + 3 * day + 4 * SKEW, 'the record of a chunk')
    support.control(support.CLAIM, {1, 'ann', 'day', 'digest', 'aa', 2 * day}, {deadline = true_ms + day + SKEW})
    test:is(box.space.claims:get(require('tarantkv.claims').id_of('ann', 'day')).expires, true_ms + 2 * day + SKEW,
        'the claim')
end)

support.start({clock_skew_s = SKEW / 1000}, {log_level = 1})
expiry, outcome = require('tarantkv.expiry'), require('tarantkv.outcome')
suite:run()
