--- Claims of idempotency keys: CLAIM ties (user, key) to the digest of one request, FINISH records how it ended.
-- An expired claim counts as absent at once; `tarantkv.expiry` removes it later. The claim id and the outcome are given
-- back in the very MessagePack in which they came. What a digest covers is the api's business.
-- @module tarantkv.claims

local msgpack = require('msgpack')
local arguments = require('tarantkv.arguments')
local clock = require('tarantkv.clock')
local outcome = require('tarantkv.outcome')

local M = {}

local MAX_NAME_BYTES = 1024
local MAX_WINDOW_MS = 24 * 60 * 60 * 1000
local NIL = msgpack.encode(box.NULL)

local space

--- Tell the module where claims live, once the space exists.
function M.attach(claims)
    space = claims
end

--- The MessagePack of each element of an array, as it stands.
local function elements(text, count)
    local first = text:byte(1)
    local at = first == 0xdd and 6 or first == 0xdc and 4 or 2
    local raw = {}
    for i = 1, count do
        local _, after = msgpack.decode(text, at)
        raw[i] = text:sub(at, after - 1)
        at = after
    end
    return raw
end

local function payload(state, claim_id, result)
    return '\x93' .. msgpack.encode(state) .. (claim_id or NIL) .. (result or NIL)
end

local function unexpired(user, key)
    local claim = space:get({user, key})
    if claim ~= nil and claim.expires > clock.now_ms() then
        return claim
    end
    return nil
end

--- CLAIM `[bucket_id, user, key, digest, claim_id, window_ms]`.
-- Payload `[state, claim_id, outcome]`: "new", "pending" (unfinished), "done" (with its outcome), "conflict" (claimed
-- by another request). The claim id is the stored one; a conflict shows neither id nor outcome.
function M.claim(args, text)
    local user, key = arguments.text(args[2], MAX_NAME_BYTES), arguments.text(args[3], MAX_NAME_BYTES)
    local digest, claim_id = arguments.text(args[4], MAX_NAME_BYTES), arguments.text(args[5], MAX_NAME_BYTES)
    local window = arguments.whole(args[6])
    if not (user and key and digest and claim_id and window) then
        return outcome.MALFORMED, 'CLAIM takes bucket, user, key, digest, claim id and window in milliseconds', false
    end
    local claim = unexpired(user, key)
    if claim == nil then
        local raw_id = elements(text, 5)[5]
        local expires = clock.now_ms() + math.min(window, MAX_WINDOW_MS)
        space:replace({user, key, args[1], digest, raw_id, expires})
        return outcome.OK, payload('new', raw_id), true
    elseif claim.digest ~= digest then
        return outcome.OK, payload('conflict'), false
    elseif claim.outcome == nil then
        return outcome.OK, payload('pending', claim.claim_id), false
    end
    return outcome.OK, payload('done', claim.claim_id, claim.outcome), false
end

--- FINISH `[bucket_id, user, key, claim_id, outcome]`: the first outcome of a claim that still stands is kept.
function M.finish(args, text)
    local user, key = arguments.text(args[2], MAX_NAME_BYTES), arguments.text(args[3], MAX_NAME_BYTES)
    local claim_id = arguments.text(args[4], MAX_NAME_BYTES)
    if not (user and key and claim_id) or #args ~= 5 or args[5] == nil then
        return outcome.MALFORMED, 'FINISH takes bucket, user, key, claim id and outcome', false
    end
    local claim = unexpired(user, key)
    if claim == nil or claim.outcome ~= nil
            or arguments.bytes((msgpack.decode(claim.claim_id))) ~= claim_id then
        return outcome.OK, nil, false
    end
    space:update({user, key}, {{'=', 'outcome', elements(text, 5)[5]}})
    return outcome.OK, nil, true
end

return M
