--- Operation KEYED: a change under an `Idempotency-Key`. Its part in each bucket is applied once or not at all, even if
-- the bucket moves to another shard between two tries.
--
--     body       operation (1 byte), token (16 bytes), [bucket, body, bucket, body, ...]
--     payload    of writes nothing; of deletes the number of keys that were present; otherwise [payload, ...], one for
--                each bucket
--
-- Each inner body is a body of the operation, as bytes; all its keys are in the bucket that precedes it. The token is
-- derived from the claim, the operation, and which part of the request's keys in a bucket this is. A retry of the
-- request has the same token. The transaction that applies a bucket's part records its result under token and bucket,
-- and the record moves with the bucket. A part on record is not applied again: its recorded result is returned.
-- @module tarantkv.keyed

local ffi = require('ffi')
local elements = require('tarantkv.elements')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')

local M = {}

local TOKEN_BYTES = 16
local HEAD_BYTES = 1 + TOKEN_BYTES
--- Shortest piece: a bucket, and a body of one byte with its header.
local MIN_PIECE_BYTES = 4

local BAD_BODY = 'the body is not one of the operation KEYED'

local bytes_t = ffi.typeof('const uint8_t *')
local array_at, bucket_at = elements.array_at, elements.bucket_at

local changes, applications, space

--- Set the operations that a body may contain, by number, and the space in which applications are counted, or nil.
function M.configure(by_number, count_space)
    changes, applications = by_number, count_space
end

--- Set the space of the records.
function M.attach(records)
    space = records
end

--- Where the content of the `bin` at `at` begins and ends; 0 and 0 if there is none.
local function bin_at(bytes, at, stop)
    local form = at < stop and bytes[at] or 0
    local start, length = 0, 0
    if form == 0xc4 and at + 2 <= stop then
        start, length = at + 2, bytes[at + 1]
    elseif form == 0xc5 and at + 3 <= stop then
        start, length = at + 3, bytes[at + 1] * 256 + bytes[at + 2]
    elseif form == 0xc6 and at + 5 <= stop then
        start, length = at + 5, elements.uint32_at(bytes, at + 1)
    end
    if start == 0 or length > stop - start then
        return 0, 0
    end
    return start, start + length
end

--- The buckets of a body and their own bodies; nil if it is malformed.
local function pieces_of(text)
    local bytes, size = ffi.cast(bytes_t, text), #text
    local count, at = array_at(bytes, HEAD_BYTES, size)
    if count < 2 or count % 2 == 1 or count / 2 * MIN_PIECE_BYTES > size - at then
        return nil
    end
    local pieces, seen = {}, {}
    for i = 1, count / 2 do
        local bucket, start, after
        bucket, after = bucket_at(bytes, at, size)
        if after == 0 or seen[bucket] then
            return nil
        end
        start, at = bin_at(bytes, after, size)
        if at == 0 then
            return nil
        end
        seen[bucket] = true
        -- The text must stay referenced, because the check keeps pointers into it.
        pieces[i] = {bucket = bucket, text = text:sub(start + 1, at)}
    end
    return at == size and pieces or nil
end

--- Look up the records of a body's buckets, and check the pieces that have none.
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
-- @treturn table the plan: `pieces`, and `missing`, the number of pieces that are not on record
function M.plan(text)
    local operation = changes[text:byte(1)]
    local pieces = operation ~= nil and text:byte(1) ~= operations.KEYED and pieces_of(text) or nil
    if pieces == nil then
        return outcome.MALFORMED, BAD_BODY
    end
    local plan = {operation = operation, token = text:sub(2, HEAD_BYTES), pieces = pieces, missing = 0}
    local foreign = nil
    for _, piece in ipairs(pieces) do
        local record = space:get({plan.token, piece.bucket})
        if record ~= nil then
            piece.is_known, piece.result = true, record.result
        elseif not ownership.writable(piece.bucket) then
            foreign = ownership.note(foreign, piece.bucket)
        else
            local status, message
            status, message, piece.bytes, piece.count, piece.place, piece.second = operation.check(piece.text)
            if status == outcome.WRONG_BUCKET then
                return outcome.MALFORMED, BAD_BODY
            elseif status ~= nil then
                return status, message
            end
            plan.missing = plan.missing + 1
        end
    end
    if foreign ~= nil then
        return outcome.WRONG_BUCKET, ownership.refusal(foreign)
    end
    return nil, nil, plan
end

--- The payload of a plan all of whose pieces have results.
-- @return number or string, nil for a write
function M.payload(plan)
    local first = plan.pieces[1].result
    if first == nil then
        return nil
    elseif type(first) ~= 'string' then
        local sum = 0
        for _, piece in ipairs(plan.pieces) do
            sum = sum + tonumber(piece.result)
        end
        return sum
    end
    local results = {}
    for i, piece in ipairs(plan.pieces) do
        results[i] = piece.result
    end
    return elements.array_header(#results) .. table.concat(results)
end

--- Apply and record the pieces that are not on record; inside a transaction.
-- @tparam table plan with `retain_until`
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @return the payload
function M.apply(plan, _, _, now)
    for _, piece in ipairs(plan.pieces) do
        if not piece.is_known then
            local ok, result = plan.operation.apply(piece.bytes, piece.count, piece.place, now, piece.second)
            if not ok then
                return false
            end
            piece.result = result
            space:insert({plan.token, piece.bucket, plan.retain_until, result})
            if applications ~= nil then
                applications:upsert({('%s/%d'):format(plan.token:hex(), piece.bucket), 1}, {{'+', 2, 1}})
            end
        end
    end
    return true, M.payload(plan)
end

return M
