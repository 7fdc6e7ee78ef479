--- Claims of idempotency keys: CLAIM ties a user and a key to the digest of one request, FINISH records how it ended.
-- An expired claim counts as absent at once; `tarantkv.expiry` removes it later. The api defines what a digest covers,
-- and the content of an outcome, which is returned in the same MessagePack in which it came.
--
-- Thousands of claims may be made in a second and each lasts for minutes, so they are stored in few bytes:
--
--     id        the first 8 bytes of the user's SHA-1, then the first 12 of the key's
--     digest    16 bytes
--     claim_id  the bytes that its hexadecimal digits stand for
--     outcome   nil while the request is unfinished; empty for the plain success, otherwise its MessagePack
--
-- @module tarantkv.claims

local digest = require('digest')
local msgpack = require('msgpack')
local arguments = require('tarantkv.arguments')
local clock = require('tarantkv.clock')
local outcome = require('tarantkv.outcome')
local retention = require('tarantkv.retention')

local M = {}

local MAX_NAME_BYTES = 1024
--- So many claims that are over are looked at for one of a user who has no room left: less than a millisecond.
local LOOKED_AT = 1000
local USER_BYTES, KEY_BYTES, DIGEST_BYTES = 8, 12, 16

--- The outcome of nearly every request, in the MessagePack in which the api sends it.
local PLAIN_SUCCESS = msgpack.encode('{"status":"success"}')

local NIL = msgpack.encode(box.NULL)
local NEW, PENDING, DONE = msgpack.encode('new'), msgpack.encode('pending'), msgpack.encode('done')
local TOO_MANY = 'the user has %d Idempotency-Keys on one shard already, which is the limit'
local CONFLICT = '\x93' .. msgpack.encode('conflict') .. NIL .. NIL

local space
local max_per_user = math.huge

--- How many claims each user has here, by the first bytes of their ids. A user without claims is not in it.
local counts = {}

local function count(user, change)
    local now = (counts[user] or 0) + change
    counts[user] = now > 0 and now or nil
end

--- Count a claim that is about to be stored; inside its transaction.
-- @treturn boolean false if the user has reached the limit
local function count_one_more(user)
    if (counts[user] or 0) >= max_per_user then
        return false
    end
    count(user, 1)
    box.on_rollback(function() count(user, -1) end)
    return true
end

--- Remove a claim of a user that is over, for a new one to take its place; inside the new one's transaction.
-- `tarantkv.expiry` removes what is over a moment later, and until then it counts.
-- @treturn boolean false when none was found
local function remove_one_that_is_over(user, now)
    local looked_at = 0
    for _, claim in space.index.expires:pairs() do
        if claim.expires > now or looked_at == LOOKED_AT then
            return false
        elseif claim.id:sub(1, USER_BYTES) == user then
            space:delete(claim.id)
            return true
        end
        looked_at = looked_at + 1
    end
    return false
end

--- Set the space of the claims, and how many of them one user may have.
function M.attach(claims, limit)
    space, max_per_user = claims, limit
    M.count_again()
end

--- Count all claims, after a start or after some have moved from or to another shard.
function M.count_again()
    counts = {}
    for _, claim in space:pairs() do
        count(claim.id:sub(1, USER_BYTES), 1)
    end
end

--- Subtract claims that were removed.
-- @tparam table removed their tuples
function M.forget(removed)
    for _, claim in ipairs(removed) do
        count(claim.id:sub(1, USER_BYTES), -1)
    end
end

--- The first bytes of users' hashes, cached for some users, because few users send most of the requests.
-- SHA-1 takes a quarter of the time of SHA-256 here (0.5 us). Collisions do no harm: an attacker can only search for
-- colliding keys of one user, and would only get that user's own outcomes.
local prefixes, remembered = {}, 0
local MAX_REMEMBERED = 1000

local function prefix_of(user)
    local prefix = prefixes[user]
    if prefix == nil then
        if remembered == MAX_REMEMBERED then
            prefixes, remembered = {}, 0
        end
        prefix = digest.sha1(user):sub(1, USER_BYTES)
        prefixes[user], remembered = prefix, remembered + 1
    end
    return prefix
end

--- The id of the claim of a user's key.
function M.id_of(user, key)
    return prefix_of(user) .. digest.sha1(key):sub(1, KEY_BYTES)
end

--- The bytes that hexadecimal digits encode, nil if the text is something else.
local function from_hex(text)
    local ok, bytes = pcall(string.fromhex, text)
    return ok and bytes or nil
end

--- The stored form of a digest, given as bytes or as digits: its first bytes if it is long enough, otherwise its hash.
function M.short_digest(text)
    local bytes = #text == 64 and from_hex(text) or text
    return (#bytes < DIGEST_BYTES and digest.sha1(bytes) or bytes):sub(1, DIGEST_BYTES)
end

--- The stored forms of a claim id and of an outcome.
M.packed_id = from_hex
function M.packed_outcome(raw)
    return raw == PLAIN_SUCCESS and '' or raw
end

local function payload(state, claim_id, result)
    return '\x93' .. state .. msgpack.encode(claim_id:hex()) .. (result or NIL)
end

--- CLAIM `[bucket_id, user, key, digest, claim_id, window_ms]`; the claim id is text, an even number of
-- hexadecimal digits.
-- Payload `[state, claim_id, outcome]`: "new" (this operation made the claim, or a copy of it did before), "pending"
-- (another try of the request has made the claim and is unfinished), "done" (finished, with its outcome), "conflict"
-- (another request has made the claim). The claim id is the stored one; a conflict has neither id nor outcome.
-- @tparam table args
-- @tparam boolean late whether the deadline has passed: then no claim is made
function M.claim(args, late)
    local user, key = arguments.text(args[2], MAX_NAME_BYTES), arguments.text(args[3], MAX_NAME_BYTES)
    local request, proposed = arguments.text(args[4], MAX_NAME_BYTES), arguments.text(args[5], MAX_NAME_BYTES)
    local window = arguments.whole(args[6])
    local claim_id = proposed and from_hex(proposed)
    if not (user and key and request and claim_id and window) then
        return outcome.MALFORMED, 'CLAIM takes bucket, user, key, digest, claim id and window in milliseconds', false
    end
    local id, now = M.id_of(user, key), clock.now_ms()
    local claim = space:get(id)
    if claim == nil or claim.expires <= now then
        if late then
            return outcome.EXPIRED, outcome.LATE, false
        end
        local user_id = id:sub(1, USER_BYTES)
        if claim == nil and not count_one_more(user_id) and not remove_one_that_is_over(user_id, now) then
            return outcome.TOO_MANY, TOO_MANY:format(max_per_user), false
        end
        space:replace({id, args[1], retention.of_claim(now, window), M.short_digest(request), claim_id})
        return outcome.OK, payload(NEW, claim_id), true
    elseif claim.claim_id == claim_id then
        return outcome.OK, payload(NEW, claim_id), false
    elseif claim.digest ~= M.short_digest(request) then
        return outcome.OK, CONFLICT, false
    elseif claim.outcome == nil then
        return outcome.OK, payload(PENDING, claim.claim_id), false
    end
    return outcome.OK, payload(DONE, claim.claim_id, claim.outcome == '' and PLAIN_SUCCESS or claim.outcome), false
end

--- FINISH `[bucket_id, user, key, claim_id, outcome]`: records the outcome, unless the claim has one or has expired.
-- @tparam table args the outcome as MessagePack, the others decoded
-- @tparam boolean late whether the deadline has passed: then nothing is recorded
function M.finish(args, late)
    local user, key = arguments.text(args[2], MAX_NAME_BYTES), arguments.text(args[3], MAX_NAME_BYTES)
    local named, result = arguments.text(args[4], MAX_NAME_BYTES), args[5]
    local claim_id = named and from_hex(named)
    if not (user and key and claim_id) or args.count ~= 5 or result == NIL then
        return outcome.MALFORMED, 'FINISH takes bucket, user, key, claim id and outcome', false
    end
    local id = M.id_of(user, key)
    local claim = space:get(id)
    if claim == nil or claim.expires <= clock.now_ms() or claim.outcome ~= nil or claim.claim_id ~= claim_id then
        return outcome.OK, nil, false
    elseif late then
        return outcome.EXPIRED, outcome.LATE, false
    end
    space:update(id, {{'=', 'outcome', M.packed_outcome(result)}})
    return outcome.OK, nil, true
end

return M
